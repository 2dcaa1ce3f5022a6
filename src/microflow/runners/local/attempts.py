"""What a worker is asked to run, seen from its parent: an attempt, or a line of attempts, until the last one has ended."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ...errors import WorkerDied
from ...model.payloads import encode_value
from ...runtime import Progress
from ..base import Observer, Outcome, Request
from .channels import Silence
from .control import StopTask
from .frames import (
    ContextQuery,
    ContextReply,
    Done,
    Exited,
    Imported,
    Loaded,
    NotLoaded,
    Pickled,
    ProgressReport,
    Reference,
    Returned,
    Run,
    SourceQuery,
)
from .functions import Functions
from .workers import Worker

MERCY = 0.25
"""Seconds that one that was asked to end may hold up those behind it in line, which would die with its worker."""

Asked = tuple[Request, Observer]
"""What is to be run, and who is told of it."""

Later = Callable[[float, Callable[[], None]], Any]
"""Calls something after so many seconds; what it returns has ``cancel``."""


class Attempt:
    """What a worker was asked to run: an attempt, or a line of attempts of one job, which it runs one after the other.

    ``release`` is called once, at the end, with the worker and why it must not be used again (""). ``sent``: the worker was there
    to be asked; else it had ended before, and nothing ran. ``seconds``: how long the attempt took that ended last. ``asks``: the
    one that runs looks at its context, and waits for ``answer``, since the one before it may have written to it.
    """

    def __init__(
        self,
        worker: Worker,
        job: Any,
        line: Sequence[Asked],
        functions: Functions,
        release: Callable[[Worker, str], None],
        later: Later,
    ) -> None:
        self._worker = worker
        self._job = job
        self._line = deque(line)
        self._functions = functions
        self._release = release
        self._later = later
        self._key = functions.key(job)
        self.seconds = 0.0
        self.asks = False
        self._is_first = True
        self._retire = ""
        self._failure: Exception | None = None
        self._turn = threading.Lock()  # which attempt of the line the worker is ended for, and which one has ended
        self._end_timer: Any = None
        self.sent = False
        source: Reference | Pickled | None = None if self._key in worker.known else functions.source(job)
        worker.executions += len(line)
        line[0][1].stop.on_set(self._stop)
        if source is not None:
            line[0][1].loading(True)
        self.sent = self._send(source)

    def _send(self, source: Reference | Pickled | None) -> bool:
        requests = [request for request, _ in self._line]
        for request in requests:
            request.job_key = self._key
        return self._worker.send(Run(requests, source, self._worker.channel.mark_for(len(requests))))

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What to poll for input before ``advance``; empty where only ``wait`` will do."""
        return self._worker.channel.descriptors

    @property
    def left(self) -> int:
        """How many of the line the worker still has, the one that runs included; less than was asked for if some came back."""
        return len(self._line)

    def _stop(self) -> None:
        """In any thread: the one that runs was asked to end. It is told so, and its worker is ended when its grace is over.

        Then what must not die with it has been given back, or run, unless the task lets no other thread of its process run.
        """
        line = tuple(self._line)
        if not line or (reason := line[0][1].stop.reason) is None:
            return  # it has ended meanwhile
        request, observer = line[0]
        end = partial(self._end, observer)
        others = any(behind.stop.reason is None for _, behind in line[1:])
        grace = float(self._job.cancel_grace) if self.sent and not observer.stop.hurried else 0.0
        if seconds := max(grace, MERCY if others else 0.0):
            self._end_timer = self._later(seconds, end)
            if grace:
                self._worker.ask_to_end(StopTask(request.execution_id, request.attempt, reason, grace))
            observer.stop.on_hurry(end)
        else:
            end()

    def _end(self, observer: Observer) -> None:
        """End the worker, if it still runs this one."""
        with self._turn:
            if self._line and self._line[0][1] is observer:
                self._worker.end()

    def withdraw(self) -> None:
        """It was not sent, and will be carried out by another worker."""
        _, observer = self._line[0]
        observer.stop.forget(self._stop)
        observer.loading(False)  # the other one may have loaded it already
        self._worker.close()

    def wait(self) -> Outcome:
        """The outcome of the first one, when it has come. Raises ``WorkerDied`` if the process ended instead of answering.

        Ctrl-C cancels it, and is raised when it has ended, for which it has its grace; a second one ends it at once.
        """
        while (outcome := self._guarded(True)) is None:
            pass
        return outcome

    def advance(self) -> Outcome | None:
        """Handle what has come; the outcome if the first one in line has ended. Raises ``WorkerDied`` as ``wait`` does.

        After Ctrl-C, where something is ``left``, it can be called again.
        """
        return self._guarded(False)

    def _guarded(self, wait: bool) -> Outcome | None:
        left = len(self._line)
        try:
            return self._handle(wait)
        except BaseException as error:
            if not wait and isinstance(error, KeyboardInterrupt) and len(self._line) == left:
                raise  # Ctrl-C: who looks after this one together with others cancels all of them, and goes on
            try:
                if wait and isinstance(error, KeyboardInterrupt):
                    self._until_cancelled()
            finally:
                if self._line:
                    self._line[0][1].stop.forget(self._stop)
                self._line.clear()
                self._cancel_end()
                self.seconds = 0.0
                self._release(self._worker, f"{type(error).__name__}: {error}")
            raise

    def _until_cancelled(self) -> None:
        """Ctrl-C, in the thread that waits: cancel what runs, and wait for its end, which its grace bounds."""
        with suppress(Exception):  # how it ends does not matter any more
            if self._line:
                self._line[0][1].stop.set("cancelled")
            while self._line and self._handle(True) is None:
                pass

    def _cancel_end(self) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None

    def _handle(self, wait: bool) -> Outcome | None:
        """Handle the frames that have come, or with ``wait`` the next one."""
        worker = self._worker
        observer = self._line[0][1]
        while True:
            message = worker.channel.receive(observer.output, wait=wait)
            if isinstance(message, Done):
                worker.channel.drain(observer.output)
                return self._done(message)
            if isinstance(message, Silence):
                return None
            if isinstance(message, Returned):
                if self._returned(message.count):
                    return None
            elif isinstance(message, ProgressReport):
                observer.progress(Progress(message.done, message.total, message.message))
            elif isinstance(message, ContextQuery):
                self.asks = True
                if not self._is_first:
                    return None
                self._answer()
            elif isinstance(message, SourceQuery):
                worker.answer(message)
            elif isinstance(message, Imported):
                worker.watch(message)
            elif isinstance(message, Loaded):
                observer.loading(False)
            elif isinstance(message, NotLoaded):
                self._send(self._functions.pickled(self._job, message.why))
            elif isinstance(message, Exited):
                worker.channel.drain(observer.output)
                raise WorkerDied(f"The task called sys.exit ({message.code}); let it return or raise instead.")
            else:
                how = worker.ending()  # with all it started, so that nothing more is printed
                worker.channel.drain(observer.output)
                raise self._failure or WorkerDied(f"The worker process ended while it ran the task: {how}.")

    def _returned(self, count: int) -> bool:
        """The worker has not begun the last of the line; whether that was all it had."""
        for _ in range(count):
            _, observer = self._line.pop()
        if self._line:
            if not self._job.cancel_grace:
                self._stop()  # if it was asked to, it need not spare any other now
            return False
        observer.stop.forget(self._stop)  # its turn seemed to have come when the one before it had ended
        self._release(self._worker, self._retire or observer.stop.reason or "")
        return True

    def answer(self) -> None:
        """Tell the attempt that asks what is in its context now; where that can't be read, it ends with the reason."""
        try:
            self._answer()
        except Exception as error:  # noqa: BLE001 - raised again by what looks after it, as where the first of a line asks
            self._failure = error
            self._worker.end()

    def _answer(self) -> None:
        self.asks = False
        self._worker.send(_context(*self._line[0]))

    def _done(self, message: Done) -> Outcome:
        """The first in line has ended; the next one runs already."""
        worker = self._worker
        worker.known.add(self._key)
        self.seconds = message.seconds
        self._is_first = False
        self._retire = message.retire
        with self._turn:
            _, observer = self._line.popleft()
        self._cancel_end()
        observer.stop.forget(self._stop)
        if self._line:
            self._line[0][1].stop.on_set(self._stop)
        else:
            self._release(worker, self._retire or observer.stop.reason or "")
        return message.outcome


def _context(request: Request, observer: Observer) -> ContextReply:
    written, last_output = observer.context()
    return ContextReply(
        encode_value(written, job=request.job, place="context"),
        encode_value(last_output, job=request.job, place="output"),
    )
