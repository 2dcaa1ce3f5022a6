"""What an execution's runner reports while an attempt runs: kept, logged, and passed on to whoever watches."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from ...errors import StoreError
from ...model.events import Event, EventBus
from ...model.progress import progress_of
from ...runners.base import Stop
from ...runtime import Progress
from ...store import Executions, Logs, LogWriter
from ...store.rows import Opened
from .deadline import Deadline
from .line_ends import LineEnds

logger = logging.getLogger("microflow")

_TAIL = 4096
"""Bytes of the last output that the error of a dead worker shows."""


class Outlets(Protocol):
    """Where an observation goes: the logs, the events, the terminal of a script (``echo``), and the contexts of jobs."""

    executions: Executions
    logs: Logs
    events: EventBus
    echo: Callable[[bytes], None] | None


class Observation:
    """The ``Observer`` of one execution. ``opened`` gives its row, which is open before anything is observed."""

    __slots__ = (
        *("_line_ends", "_log", "_opened", "_outlets", "_reports", "_tail"),
        *("deadline", "log_failure", "progress_made", "stop"),
    )

    def __init__(self, outlets: Outlets, opened: Callable[[], Opened]) -> None:
        self.stop = Stop()
        self.progress_made: Progress | None = None
        self.log_failure: str | None = None
        self._outlets = outlets
        self._opened = opened
        self._log: LogWriter | None = None
        self._tail = b""
        self._reports = False
        self._line_ends = LineEnds() if sys.platform == "win32" else None
        self.deadline: Deadline | None = None

    def loading(self, is_loading: bool) -> None:
        """What the job needs is made ready, or has been."""
        if self.deadline is not None:
            self.deadline.loading(is_loading)

    def output(self, data: bytes) -> None:
        """The job printed this."""
        if self._line_ends is not None:
            data = self._line_ends.take(data)
        outlets, opened = self._outlets, self._opened()
        self._tail = (self._tail + data)[-_TAIL:]
        try:
            if self._log is None:  # a later attempt appends to what was written before an engine died
                self._log = outlets.logs.open(opened.id, goes_on=opened.attempt > 1)
            self._log.append(data)
        except StoreError as error:  # a full disk is no reason to stop the job; its execution says so
            self._log_failed(error)
        if outlets.echo is not None:
            outlets.echo(data)
        if outlets.events.listened:
            outlets.events.publish(Event("log", opened.flow, opened.job, opened.id, None, opened.root_id))

    def progress(self, progress: Progress) -> None:
        """The job said how far it is; what a runner of somebody else's reports may be anything, and is left out then."""
        try:
            shown = progress_of(*progress)
        except Exception as error:  # noqa: BLE001 - as above
            logger.warning("A report of progress of execution %s is not shown: %s.", self._opened().id, error)
            return
        self._reports = True
        self._show(shown)

    def counted(self, progress: Progress) -> None:
        """How far a mapping of the job's is: its progress, unless the job says itself how far it is."""
        if not self._reports:
            self._show(progress)

    def _show(self, progress: Progress) -> None:
        self.progress_made = progress
        if self._outlets.events.listened:
            event = self._opened().event("running")
            self._outlets.events.publish(msgspec.structs.replace(event, topic="progress"))

    def context(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the job's earlier executions wrote, and its last successful output.

        What can't be read any more is left out, and the execution's log says so.
        """
        opened = self._opened()

        remembered = self._outlets.executions.context(opened.flow, opened.job)
        for what in remembered.unreadable:
            logger.warning("Execution %s of %s.%s: %s", opened.id, opened.flow, opened.job, what)
            self.output(f"microflow: {what}\n".encode("utf-8", "backslashreplace"))
        return remembered

    @property
    def last_words(self) -> str:
        """The end of what this attempt printed."""
        return self._tail.decode("utf-8", "replace")

    def next_attempt(self) -> None:
        """Another attempt follows: nobody has asked it to stop, and it has printed nothing. The log goes on."""
        self.stop = Stop()
        self._tail = b""
        self._reports = False

    def cancel_deadline(self) -> None:
        """The attempt is over: it can't time out any more."""
        assert self.deadline is not None
        self.deadline.cancel()
        self.deadline = None

    def close(self) -> None:
        """Nothing is observed any more."""
        if self.deadline is not None:
            self.cancel_deadline()
        try:
            if self._log is not None:
                self._log.close()
        except StoreError as error:  # what was printed last waited for this, and the disk is full
            self._log_failed(error)
        finally:
            row = self._opened()
            # no more by way of the execution, which has this: what has ended is freed at once, not when a circle is looked for
            self._opened = lambda: row

    def _log_failed(self, error: StoreError) -> None:
        self.log_failure = f"its log could not be written: {error}"
