"""Clearing up after engines that died: what they left running is ended, or gone on with if it has attempts left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from typing import Any

import psutil

from ..errors import ConflictError, Interrupted, StoreError
from ..model.clock import Clock
from ..model.results import ExecutionError, ExecutionStatus
from ..runners.calling import error_of
from ..store.engines import NOBODY
from ..store.executions import Ending, Executions, Waiting
from .calls import Call
from .elsewhere import is_alive
from .succession import RUNS, Succession

logger = logging.getLogger("microflow")

LOOK = 5.0
"""Seconds between looks for engines that died while a server runs."""


class Recovery:
    """Clears up after scripts and commands that died on the store of a server that runs.

    ``begin`` begins what is gone on with.
    """

    def __init__(
        self,
        executions: Executions,
        succession: Succession,
        begin: Callable[[Call], object],
        clock: Clock,
        later: Callable[[float, Callable[[], None]], Any],
    ) -> None:
        self._executions = executions
        self._succession = succession
        self._begin = begin
        self._clock = clock
        self._later = later
        self._timer: Any = None
        self._refused: list[Call] = []

    def start(self) -> None:
        """Look now and then from now on."""
        self._timer = self._later(LOOK, self._live)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def run_once(self, now: float) -> None:
        """One look."""
        self.take_over(recover(self._executions, self._succession, now, serves=True))

    def take_over(self, calls: Iterable[Call]) -> None:
        """Begin what is gone on with. What can't begin ends, or is tried at the next look if the store refused it."""
        refused, self._refused = self._refused, []
        for call in (*refused, *calls):
            assert call.opened is not None
            try:
                self._begin(call)
            except ConflictError:  # this engine has begun to stop: its last act is to leave this to the next one
                logger.info("Execution %s is left to the next server.", call.opened.id)
            except StoreError as error:
                logger.error("Execution %s can't go on now, and is tried again: %s", call.opened.id, error)
                self._refused.append(call)
            except Exception as error:
                logger.exception("Execution %s can't go on.", call.opened.id)
                self._end(call, error)

    def _end(self, call: Call, error: Exception) -> None:
        assert call.opened is not None
        try:
            ending = Ending(status=ExecutionStatus.ERROR, error=error_of(error))
            self._executions.finish(call.opened, ending, self._clock.now())
        except StoreError:
            self._refused.append(call)

    def _live(self) -> None:
        try:
            self.run_once(self._clock.now())
        except Exception as error:
            told = isinstance(error, (StoreError, OSError))
            logger.error("What dead engines left can't be cleared up now: %s", error, exc_info=not told)
        finally:  # whatever it was, the next look follows
            self._timer = self._later(LOOK, self._live)


def sign_on(executions: Executions, kind: str, now: float) -> None:
    """Record that this process has an engine, by what tells whether it lives: its number and its start."""
    own = psutil.Process()
    executions.register(pid=own.pid, process_started=own.create_time(), kind=kind, now=now)


def recover(executions: Executions, succession: Succession, now: float, *, serves: bool) -> list[Call]:
    """End what dead engines left unfinished; returns the calls that go on with the rest, queued already as this engine's.

    An engine is dead when its process is gone: never because of its age. A server (``serves``) also takes over what the one before
    it left when it stopped, unless it is of flows that it does not serve: a server of theirs may come yet. Runs are gone on with by
    servers alone: the engine of a script, which may end soon, leaves those of a server to the next one.
    """
    again: list[Call] = []
    for engine_id, pid, started, kind in executions.engines():
        if not is_alive(pid, started):
            message = f"The {kind} engine (process {pid}) that ran this ended before the execution did."
            again += _succeed(executions, succession, engine_id, message, now, serves=serves, served=kind == "server")
    left = executions.unfinished(NOBODY) if serves else []
    others = {opened.id for opened, _ in left if not succession.serves(opened)}
    if len(others) < len(left):
        message = "The server that ran this stopped, and its job has no attempt left, or is gone."
        again += _succeed(executions, succession, NOBODY, message, now, serves=True, served=True, others=others)
    return again


def _succeed(
    executions: Executions,
    succession: Succession,
    engine_id: int,
    message: str,
    now: float,
    *,
    serves: bool,
    served: bool,
    others: Collection[int] = (),
) -> list[Call]:
    """Go on with what one engine left; ``served``: it was a server. ``others`` are of another server than this one."""
    again: list[Call] = []
    kept: dict[int, Waiting] = {}
    nobodys: set[int] = set()
    errors: dict[int, ExecutionError] = {}
    for left in succession.left_by(engine_id):
        if left.kind in RUNS and not serves:
            if served:
                kept |= succession.waiting_for_server(left, now)
                nobodys.update(left.numbers)
            continue
        try:
            again.append(succession.call(left))
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - one row that is damaged keeps nothing else from going on
            why = f"{message} It can't go on: {error}"
            errors[left.root.id] = ExecutionError(Interrupted.__name__, why)
            continue
        kept |= left.waiting("the engine that ran it ended; it is tried again", now)
    with executions.together():
        if executions.has_ended:  # it stopped meanwhile, and nobody would look after what it takes over now
            return []
        still = {opened.id for opened, _ in executions.unfinished(engine_id)}
        executions.interrupt(
            engine_id,
            ExecutionError(Interrupted.__name__, message),
            now,
            kept,
            nobodys=nobodys,
            errors=errors,
            spared=others,
        )
    # another engine that looked at the same time may have taken it over first
    return [call for call in again if call.opened is not None and call.opened.id in still]
