"""The thread runner: a job's function in the calling thread of the main process, for managers and for I/O-bound trifles.

What such a job prints, and what it logs, is told apart by the current execution: while any of them runs, ``sys.stdout`` and
``sys.stderr`` are stand-ins that look who prints, and the root logger has a handler that looks who logs.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from ..errors import WorkerDied
from ..model.payloads import decode
from ..model.results import ExecutionStatus
from ..runtime import CurrentExecution, active_execution
from .base import Observer, Outcome, Request
from .calling import call, current_execution_for, error_of

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


_LONG = 65536
"""Characters of a line that are kept until it ends."""


class ThreadRunner:
    """``runner="thread"``: in the calling thread. A timeout or a cancel can't end it: it takes effect when the function returns."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def run(self, job: Any, request: Request, observer: Observer) -> Outcome:
        """Call the function here. ``SystemExit`` ends the execution, not the process."""
        data = decode(request.inputs)
        execution = current_execution_for(request, data, observer.context, observer.progress)
        with self._capture.into(execution, observer.output):
            try:
                return call(job.fn, data, execution, request.max_payload)
            except SystemExit as error:
                raise WorkerDied(
                    f"The job called sys.exit ({error.code!r}) in a thread of the main process; let it return or raise instead."
                ) from None
            except KeyboardInterrupt as error:
                if threading.current_thread() is threading.main_thread():
                    raise  # Ctrl-C, for whoever called the job there
                return Outcome(ExecutionStatus.ERROR, error=error_of(error, skip_frames=2))

    def close(self) -> None:
        """Nothing is kept between attempts."""


class Capture:
    """Leads what jobs in threads print and log to their executions' logs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[int, _Lines] = {}
        self._installed: list[_Stream] = []
        self._handler = _Handler(self)

    @contextmanager
    def into(self, execution: CurrentExecution, sink: Callable[[bytes], None]) -> Iterator[None]:
        """While this lasts, what is printed in this execution goes to the sink."""
        key = id(execution)  # its number may also be that of an execution of another engine in this process
        with self._lock:
            lines = self._lines[key] = _Lines(sink)
            if len(self._lines) == 1:
                self._install()
        try:
            yield
        finally:
            try:
                lines.flush()
            finally:
                with self._lock:
                    del self._lines[key]
                    if not self._lines:
                        self._uninstall()

    def write(self, text: str) -> bool:
        """Write to the log of the execution that runs here; False if none does."""
        lines = self._lines.get(id(active_execution.get()))
        if lines is None:
            return False
        lines.write(text)
        return True

    def flush(self) -> bool:
        """Hand on what has been written without an end of its line; False if no execution runs here."""
        lines = self._lines.get(id(active_execution.get()))
        if lines is None:
            return False
        lines.flush()
        return True

    @property
    def idle(self) -> bool:
        """Whether no job runs in a thread of this engine's."""
        return not self._lines

    def _install(self) -> None:
        for name in ("stdout", "stderr"):
            stream = _Stream(self, _without_idle(getattr(sys, name)), name)
            setattr(sys, name, stream)
            self._installed.append(stream)
        root = logging.getLogger()
        # where nobody configured logging, jobs' records count from INFO on, as in a worker process
        self._handler.alone = not root.handlers and root.level == logging.WARNING
        if self._handler.alone:
            root.setLevel(logging.INFO)
        root.addHandler(self._handler)

    def _uninstall(self) -> None:
        root = logging.getLogger()
        root.removeHandler(self._handler)
        if self._handler.alone and root.level == logging.INFO:
            root.setLevel(logging.WARNING)
        for stream in self._installed:
            if getattr(sys, stream.place) is stream:  # else somebody put another in its place, and keeps it
                setattr(sys, stream.place, _without_idle(stream.original))
        self._installed.clear()


class _Lines:
    """What one execution prints, handed on by whole lines: ``print`` writes a line in pieces, and others print too."""

    def __init__(self, sink: Callable[[bytes], None]) -> None:
        self._sink = sink
        self._begun = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        with self._lock:
            lines, end, self._begun = (self._begun + text).rpartition("\n")
            if end:
                self._hand_on(lines + end)
            elif len(self._begun) > _LONG:
                begun, self._begun = self._begun, ""
                self._hand_on(begun)

    def flush(self) -> None:
        with self._lock:
            begun, self._begun = self._begun, ""
            if begun:
                self._hand_on(begun)

    def _hand_on(self, text: str) -> None:
        self._sink(text.encode("utf-8", "backslashreplace"))


class _Stream:
    """A standard stream that looks who prints."""

    def __init__(self, capture: Capture, original: TextIO, place: str) -> None:
        self.capture = capture
        self.original = original
        self.place = place

    def write(self, text: str) -> int:
        if not self.capture.write(text):
            self.original.write(text)
        return len(text)

    def flush(self) -> None:
        if not self.capture.flush():
            self.original.flush()

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


def _without_idle(stream: Any) -> Any:
    """The stream behind the stand-ins that engines left in place because another engine's stood before theirs."""
    while isinstance(stream, _Stream) and stream.capture.idle:
        stream = stream.original
    return stream


class _Handler(logging.Handler):
    """Hands records of a job's own to its log."""

    def __init__(self, capture: Capture) -> None:
        super().__init__()
        self._capture = capture
        self.alone = False
        self.setFormatter(logging.Formatter(_FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        if not self._capture.write(self.format(record) + "\n") and self.alone and record.levelno >= logging.WARNING:
            # without this handler there would be none, and ``logging`` would print warnings: so it still does
            assert logging.lastResort is not None
            logging.lastResort.handle(record)
