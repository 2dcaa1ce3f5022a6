"""What executions share: store, limits, runners, clock, and the list of those that live."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...errors import ConflictError, ExecutionCancelled, StoreError
from ...jobs import Job
from ...model.clock import Clock
from ...model.events import EventBus
from ...runners.base import Asked, Outcome, Request, Started
from ...store import Executions, Logs
from ...store.rows import Ending, Opened
from ..admission.limits import Limits
from ..admission.slots import Admission
from ..background.timers import Timers
from .live import Live, LiveExecution

logger = logging.getLogger("microflow")

_FINISH_AGAIN = 1.0
"""Seconds between tries to record an end that the store refused."""


class Resources:
    """The parts of an engine that every execution uses.

    ``run`` carries out an attempt, in whichever runner its job has. Where ``can_start`` says so, ``start`` only starts it.
    ``hands_over``: what can be resumed when the engine stops is left to the next one. ``left`` is what was interrupted then, with
    how it ends if it is not resumed.
    """

    def __init__(
        self,
        *,
        executions: Executions,
        logs: Logs,
        events: EventBus,
        clock: Clock,
        timers: Timers,
        run: Callable[[LiveExecution, Request], Outcome],
        can_start: Callable[[LiveExecution], bool],
        start: Callable[[Job[Any], Sequence[Asked]], Started],
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

    def refuse_if_too_late(self, parent: LiveExecution | None) -> None:
        """Raise ``ExecutionCancelled`` if the caller was asked to end, ``ConflictError`` if the engine is stopping."""
        if parent is not None and parent.stop.reason is not None:
            raise ExecutionCancelled(
                f"Execution {parent.id} of {parent.job.name!r} was cancelled or timed out, so it can call nothing more."
            )
        self.refuse_if_stopping(parent)

    def refuse_if_stopping(self, parent: LiveExecution | None) -> None:
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

        The slots that it frees are free at once, and granted to others afterwards: what these write is not part of it.
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
