"""What executions share: store, limits, runners, clock, and who is alive."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...errors import ConflictError, StoreError
from ...model.clock import Clock, longest_wait
from ...model.events import EventBus
from ...model.results import ExecutionStatus
from ...runners.attempts import Asked, Attempt
from ...runners.base import Outcome, Request
from ...store import Executions, Logs
from ...store.rows import Ending, Opened
from ..admission.limits import Limits
from ..admission.slots import Admission
from ..background.timers import Timers

logger = logging.getLogger("microflow")

_FINISH_AGAIN = 1.0
"""Seconds between tries to record an end that the store refused."""


class Live:
    """The executions that have not ended, by their numbers."""

    def __init__(self) -> None:
        self._known: dict[int, Any] = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def add(self, execution: Any) -> None:
        """Its row is open."""
        self._known[execution.id] = execution

    def remove(self, execution: Any) -> None:
        """It has ended; nothing happens if it is not known."""
        number = execution.id
        with self._lock:
            if self._known.get(number) is execution:
                del self._known[number]
            if not self._known:
                self._changed.notify_all()

    def get(self, execution_id: int) -> Any:
        """The live execution of this number; None if it is not live."""
        return self._known.get(execution_id)

    def all(self) -> list[Any]:
        """Everything that lives now."""
        return list(self._known.values())

    def wait_until_empty(self, seconds: float, unless: Callable[[], bool] = lambda: False) -> bool:
        """Wait until nothing lives, or for so many seconds, or until ``hurry`` and ``unless``; whether nothing lives."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._known and not unless() and (left := end - time.monotonic()) > 0:
                self._changed.wait(min(left, longest_wait() or left))
        return not self._known

    def hurry(self) -> None:
        """Let whoever waits look again."""
        with self._changed:
            self._changed.notify_all()


def refusal(executions: Executions, execution_id: int, verb: str, so: str) -> ConflictError:
    """Why nothing is done to an execution that is not among the live ones: ``so``, or who could ``verb`` it.

    Raises ``UnknownNameError`` if there is none.
    """
    row = executions.call_of(execution_id)
    name, status = f"Execution {execution_id}", ExecutionStatus(row.status)
    if status.final:
        return ConflictError(f"{name} has ended ({status}), so {so}.")
    if row.engine_id == executions.engine_id:  # it has, and the store is about to learn of it
        return ConflictError(f"{name} is ending at this moment, so {so}.")
    if executions.engines.is_open(row.engine_id):
        return ConflictError(f"{name} is {status} in another process; {verb} it there.")
    return ConflictError(f"{name} waits for a server of flow {row.flow!r}; {verb} it there.")


class Resources:
    """The parts of an engine that every execution uses.

    ``run`` carries out an attempt, in whichever runner its job has. Where ``can_start`` says so, ``start`` only begins it.
    ``hands_over``: what may go on when the engine stops is for the next one. ``left`` is what was interrupted then, with how it
    ends if it does not go on.
    """

    def __init__(
        self,
        *,
        executions: Executions,
        logs: Logs,
        events: EventBus,
        clock: Clock,
        timers: Timers,
        run: Callable[[Any, Request], Outcome],
        can_start: Callable[[Any], bool],
        start: Callable[[Any, Sequence[Asked]], Attempt],
        echo: Callable[[bytes], None] | None = None,
        hands_over: bool = False,
    ) -> None:
        self.executions = executions
        self.logs = logs
        self.events = events
        self.clock = clock
        self.timers = timers
        self.run = run
        self.can_start = can_start
        self.start = start
        self.echo = echo
        self.admission = Admission()
        self.limits = Limits(self.admission)
        self.live = Live()
        self.stopping = False
        self._hands_over = hands_over
        self.left: dict[int, tuple[Opened, Ending]] = {}
        self._refused: dict[int, tuple[Opened, Ending]] = {}
        self._refused_lock = threading.Lock()

    def refuse_if_stopping(self, parent: Any) -> None:
        """Raise ``ConflictError`` when the engine takes no new work; what runs already may still call."""
        if self.stopping and parent is None:
            raise ConflictError(
                "The engine is stopping and takes no new work; start it again, or wait for the next one."
            )

    @property
    def leaves(self) -> bool:
        """Whether what is interrupted now, and the next attempts of what fails, may be the next engine's."""
        return self.stopping and self._hands_over

    @contextmanager
    def together(self) -> Iterator[None]:
        """Whatever this thread writes inside is committed at the end, or not at all (``StoreError``).

        The places that it frees are free at once, and granted to others afterwards: what these write is no part of it.
        """
        with self.admission.postponed(), self.executions.together():
            yield

    def finish_later(self, opened: Opened, ending: Ending) -> None:
        """The store refused to record an end (a full disk): try again until it takes it, so that nothing stays "running"."""
        with self._refused_lock:
            self._refused[opened.id] = (opened, ending)
            is_first = len(self._refused) == 1
        if is_first:
            self.timers.later(_FINISH_AGAIN, self._record_refused_ends)

    def record_refused_ends(self) -> None:
        """Record the ends that the store refused. Raises ``StoreError`` if it still does.

        One that can't be recorded for another reason is logged, and keeps nothing else from being recorded.
        """
        for opened, ending in tuple(self._refused.values()):
            try:
                self.executions.finish(opened, ending, self.clock.now())
            except StoreError:
                raise
            except Exception:
                logger.exception("The end of execution %s can't be recorded.", opened.id)
                continue
            with self._refused_lock:
                self._refused.pop(opened.id, None)  # the timers' thread may have done it just now

    def _record_refused_ends(self) -> None:
        try:
            self.record_refused_ends()
        except StoreError as error:
            logger.error("The end of %s executions can't be recorded: %s", len(self._refused), error)
        finally:
            with self._refused_lock:
                is_left = bool(self._refused)
            if is_left and not self.stopping:
                self.timers.later(_FINISH_AGAIN, self._record_refused_ends)
