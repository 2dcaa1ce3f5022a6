"""The thread runner: a job's function in the calling thread of the main process, for managers and for I/O-bound trifles.

What such a job prints, and what it logs, is told apart by the current execution: while any of them runs, ``sys.stdout`` and
``sys.stderr`` are stand-ins that look who prints, and the root logger has a handler that looks who logs. Threads and programs that
it starts are led there by ``belonging`` and ``programs``.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from typing import Any

from ...errors import WorkerDied
from ...model.payloads import decode
from ...model.results import ExecutionStatus
from ...runtime import CurrentExecution
from ..base import Observer, Outcome, Request
from ..belonging import THREADS
from ..calling import call, current_execution_for, error_of
from ..records import FORMAT, is_level_set
from .executors import EXECUTORS
from .output import Output, StandIn, output_here
from .programs import PROGRAMS


class ThreadRunner:
    """``runner="thread"``: in the calling thread. A timeout or a cancel can't end it: it takes effect when the function returns.

    From ``open`` to ``close``, threads that jobs start belong to their executions, and what programs write that jobs start is in
    their logs.
    """

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._is_open = False
        self._opening = threading.Lock()

    def open(self) -> None:
        """Code of a job is about to be called in this process; calling it again is fine."""
        if not self._is_open:
            with self._opening:
                if not self._is_open:
                    for replacements in _REPLACED:
                        replacements.install()
                    self._is_open = True

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
        """The standard library is as it was, unless another engine of this process needs it."""
        with self._opening:
            if self._is_open:
                for replacements in _REPLACED:
                    replacements.remove()
                self._is_open = False


_REPLACED = (THREADS, EXECUTORS, PROGRAMS)


class Capture:
    """Leads what jobs in threads print and log to their executions' logs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outputs: set[Output] = set()
        self._installed: list[StandIn] = []
        self._handler = _Handler(self._outputs)
        self._level: int | None = None

    @contextmanager
    def into(self, execution: CurrentExecution, sink: Callable[[bytes], None]) -> Iterator[None]:
        """While this lasts, what is printed in this execution goes to the sink."""
        execution.output = output = Output(sink)
        with self._lock:
            self._outputs.add(output)
            if len(self._outputs) == 1:
                self._install()
        try:
            yield
        finally:
            try:
                output.close()
            finally:
                with self._lock:
                    self._outputs.discard(output)
                    if not self._outputs:
                        self._uninstall()

    def is_idle(self) -> bool:
        """Whether no job runs in a thread of this engine's."""
        return not self._outputs

    def _install(self) -> None:
        for name in ("stdout", "stderr"):
            stream = StandIn(_without_idle(getattr(sys, name)), name, self.is_idle)
            setattr(sys, name, stream)
            self._installed.append(stream)
        root = logging.getLogger()
        # where nobody set the level, jobs' records count from INFO on, as in a worker process
        self._handler.alone = not root.handlers
        self._level = None if is_level_set(root) else root.level
        if self._level is not None:
            root.setLevel(logging.INFO)
        root.addHandler(self._handler)

    def _uninstall(self) -> None:
        root = logging.getLogger()
        root.removeHandler(self._handler)
        if self._level is not None and root.level == logging.INFO:
            root.setLevel(self._level)
        for stream in self._installed:
            if getattr(sys, stream.place) is stream:  # else somebody put another in its place, and keeps it
                setattr(sys, stream.place, _without_idle(stream.original))
        self._installed.clear()


def _without_idle(stream: Any) -> Any:
    """The stream behind the stand-ins that engines left in place because another engine's stood before theirs."""
    while isinstance(stream, StandIn) and stream.is_idle():
        stream = stream.original
    return stream


class _Handler(logging.Handler):
    """Hands records of a job's own to its log; ``outputs`` are those of the engine's jobs, since others have handlers too."""

    def __init__(self, outputs: Container[Output]) -> None:
        super().__init__()
        self._outputs = outputs
        self.alone = False
        self.setFormatter(logging.Formatter(FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        output = output_here()
        is_told = (
            output is not None
            and not output.closed
            # if it is a job of another engine's, that one's handler does the same
            and (output not in self._outputs or output.write(self.format(record) + "\n"))
        )
        if not is_told and self.alone and record.levelno >= logging.WARNING:
            # without this handler there would be none, and ``logging`` would print warnings: so it still does
            assert logging.lastResort is not None
            logging.lastResort.handle(record)
