"""Clearing up after engines that died: what they left is resumed by the next server, or ended."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ...errors import ConflictError, Interrupted, StoreError
from ...model.clock import Clock
from ...model.results import ExecutionError
from ...store import Executions
from ...store.rows import HAVE_CODE, NOBODY, Opened
from ..runs.mappings import Mappings
from ..schedules.runs import ScheduleRuns
from .resume import Left, Succession, gone, never_began

logger = logging.getLogger("microflow")

LOOK = 5.0
"""Seconds between looks for engines that died while a server runs."""


class Recovery:
    """Resumes what engines that died have left, at the start and, on a server, whenever a script or command has died.

    ``runs`` begins what is resumed; ``mappings`` keeps the inputs of those that are.
    """

    def __init__(
        self,
        executions: Executions,
        succession: Succession,
        runs: ScheduleRuns,
        mappings: Mappings,
        clock: Clock,
        later: Callable[[float, Callable[[], None]], Any],
    ) -> None:
        self._executions = executions
        self._succession = succession
        self._runs = runs
        self._clock = clock
        self._later = later
        self._mappings = mappings
        self._timer: Any = None
        self._taken: deque[Left] = deque()

    def start(self, taken: Iterable[Left], ticks: Iterable[Opened], *, looks: bool) -> None:
        """Resume what was taken over; ``ticks``: the runs of ticks that have not begun. ``looks``: look again from time to time."""
        self._try(lambda now: self.resume(taken, now, ticks))
        if looks:
            self._timer = self._later(LOOK, self._live)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def run_once(self, now: float) -> None:
        """One look. Raises ``StoreError``; what has been taken over by then is resumed after the next look."""
        self.resume(take_over(self._executions, self._succession, now, serves=True), now)

    def resume(self, taken: Iterable[Left], now: float, ticks: Iterable[Opened] = ()) -> None:
        """Resume what has been taken over, in the order in which it was accepted; what can't be resumed after all ends.

        The ``ticks`` that come before the last of it begin at their place in that order. Raises ``StoreError``.
        """
        self._taken.extend(taken)
        waiting = deque(ticks)
        while self._taken:
            left = self._taken[0]
            while waiting and waiting[0].id < left.root.id:
                self._runs.take_over_tick(waiting.popleft(), now)
            try:
                submitted = self._runs.take_over(self._succession.call(left))
                if left.kind == "map":
                    submitted.future.add_done_callback(self._mappings.forget)
            except ConflictError:  # this engine has begun to stop: its last act is to leave this to the next one
                logger.info("Execution %s is left to the next server.", left.root.id)
            except StoreError:
                raise
            except Exception as error:  # a filter of the user's may raise anything, and the others are resumed
                logger.exception("Execution %s can't be resumed.", left.root.id)
                self._succession.end(left, error, now)
            self._taken.popleft()

    def _live(self) -> None:
        try:
            self._try(self.run_once)
        finally:  # whatever it was, the next look follows
            self._timer = self._later(LOOK, self._live)

    def _try(self, act: Callable[[float], None]) -> None:
        try:
            act(self._clock.now())
        except Exception as error:
            told = isinstance(error, (StoreError, OSError))
            logger.error("What dead engines left can't be cleared up now: %s", error, exc_info=not told)


def take_over(executions: Executions, succession: Succession, now: float, *, serves: bool) -> list[Left]:
    """Take over what dead engines left unfinished, and end what can't be resumed.

    Returns what is to be resumed, in the order in which it was accepted; it is queued already as this engine's.

    The store knows which engines are dead. What a server left is resumed by servers of its flow alone
    (``serves``); other engines leave it queued.
    """
    taken: list[Left] = []
    for engine_id, kind, process in executions.engines.dead():
        name = f"{kind} engine ({process})"
        dead = _Dead(engine_id, name, kind == "server", f"The {name} that ran this ended before the execution did.")
        taken += _settle(dead, executions, succession, now, serves=serves)
    if serves:
        stopped = "The server that ran this stopped, and its job has no attempt left, or is gone."
        taken += _settle(_Dead(NOBODY, "server", True, stopped), executions, succession, now, serves=True)
    return sorted(taken, key=lambda left: left.root.id)


class _Dead(NamedTuple):
    """An engine that has ended, by its ``id``; ``ended`` is said of what it ran and nobody tries again."""

    id: int
    name: str
    served: bool
    ended: str


def _settle(dead: _Dead, executions: Executions, succession: Succession, now: float, *, serves: bool) -> list[Left]:
    """Take over what this engine resumes, leave to other servers what is theirs, and end the rest, all in one transaction.

    Returns what is taken over. Of two engines that do this at the same time, one finds nothing left.
    """
    with executions.together():
        if executions.engines.has_ended:  # it stopped meanwhile, and nobody would look after what it takes over now
            return []
        # what has been left to a server of other flows already stays as it is
        spared = {
            opened.id
            for opened, _ in executions.unfinished(dead.id)
            if dead.id == NOBODY and not succession.serves(opened)
        }
        unfinished = [known for known in executions.unfinished(dead.id) if known[0].id not in spared]
        left = succession.left_by_server(unfinished) if dead.served else succession.left_by_script(unfinished)
        mine = [each for each in left if succession.serves(each.root) and (serves or not dead.served)]
        kept = succession.awaiting_server(left, now)
        executions.interrupt(
            dead.id,
            ExecutionError(Interrupted.__name__, dead.ended),
            now,
            kept | succession.resuming(mine, now),
            nobodys=kept.keys() - {number for each in mine for number in each.numbers},
            errors={
                opened.id: _why(opened, dead, succession)
                for opened, kind in unfinished
                if opened.started_at is None or kind not in HAVE_CODE
            },
            spared=spared,
        )
    return mine


def _why(opened: Opened, dead: _Dead, succession: Succession) -> ExecutionError:
    """Why what never began, or a run, ends."""
    message = never_began(dead.name) if opened.started_at is None else f"The {dead.name} that ran this ended."
    if succession.serves(opened) and not succession.has_job(opened):
        message += f" It can't go on: {gone(opened)}"
    return ExecutionError(Interrupted.__name__, message)
