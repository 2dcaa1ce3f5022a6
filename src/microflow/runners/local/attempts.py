"""An attempt in a worker, or a chunk of attempts, seen from the engine: the worker's frames, each with what is done about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from types import NoneType
from typing import Any, NoReturn

from ...errors import WorkerDied
from ...model.payloads import encode_value
from ...runtime import Progress
from ..base import Asked, Observer, Outcome, Request
from .channels import Silence
from .chunk import Chunk, Later
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


class Step(Enum):
    """What to do after a frame that does not end an attempt."""

    READ_ON = "read the next frame"
    WAIT = "wait until the attempt can be advanced again"


class Attempt:
    """An attempt that a worker was asked to run, or a chunk of attempts of one job: what the engine sees as ``Started``.

    ``release`` is called once, at the end, with the worker and the reason why it must not be used again (""). ``is_sent``: the
    worker was there to be asked; else it had ended before, and nothing ran.
    """

    def __init__(
        self,
        worker: Worker,
        job: Any,
        asked: Sequence[Asked],
        functions: Functions,
        release: Callable[[Worker, str], None],
        later: Later,
    ) -> None:
        self._worker = worker
        self._job = job
        self._functions = functions
        self._release = release
        self._key = functions.key(job)
        self.seconds = 0.0
        self.asks = False
        self._is_first = True
        self._retire = ""
        self._failure: Exception | None = None
        self._on_ready: Callable[[], None] = lambda: None
        source: Reference | Pickled | None = None if self._key in worker.known else functions.source(job)
        worker.executions += len(asked)
        self._chunk = Chunk(worker, asked, float(job.cancel_grace), later)
        if source is not None:
            self._chunk.observer.loading(True)
        self._chunk.is_sent = self._send(source)

    def _send(self, source: Reference | Pickled | None) -> bool:
        requests = self._chunk.requests()
        for request in requests:
            request.job_key = self._key
        return self._worker.send(Run(requests, source, self._worker.channel.mark_for(len(requests))))

    @property
    def is_sent(self) -> bool:
        """Whether the worker was there to be asked."""
        return self._chunk.is_sent

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What to poll for input before ``advance``; empty where ``on_ready`` is to be used."""
        return self._worker.channel.descriptors

    def on_ready(self, callback: Callable[[], None]) -> None:
        """Call this, in any thread, whenever input has come; at once if it has by now."""
        self._on_ready = callback
        self._worker.channel.on_ready(callback)

    @property
    def left(self) -> int:
        """How many attempts the worker still has, the running one included."""
        return self._chunk.left

    def withdraw(self) -> None:
        """The worker had ended before it was asked: another worker will run this."""
        observer = self._chunk.observer
        self._chunk.clear()
        observer.loading(False)  # the other one may have loaded it already
        self._worker.close()

    def wait(self) -> Outcome:
        """The outcome of the first attempt, when it has come. Raises ``WorkerDied`` if the process ended instead of answering.

        Ctrl-C cancels the attempt, and is raised when it has ended, for which it has its grace. A second one ends it at once.
        """
        while (outcome := self._guarded(True)) is None:
            pass
        return outcome

    def advance(self) -> Outcome | None:
        """Handle the frames that have come; the outcome if the first attempt has ended. Raises ``WorkerDied`` as ``wait`` does.

        After Ctrl-C, where something is ``left``, it can be called again.
        """
        return self._guarded(False)

    def answer(self) -> None:
        """Send the context that the running attempt asks for. If it can't be read, that attempt ends with the reason."""
        try:
            self._send_context()
        except Exception as error:  # noqa: BLE001 - raised again by the next advance(), as where the first of a chunk asks
            self._failure = error
            self._worker.end()
        self._on_ready()  # more frames may have come behind the question

    def _guarded(self, wait: bool) -> Outcome | None:
        left = self._chunk.left
        try:
            return self._handle(wait)
        except BaseException as error:
            if not wait and isinstance(error, KeyboardInterrupt) and self._chunk.left == left:
                raise  # Ctrl-C: the thread that looks after this and others cancels all of them, and goes on
            try:
                if wait and isinstance(error, KeyboardInterrupt):
                    self._until_cancelled()
            finally:
                self._chunk.clear()
                self.seconds = 0.0
                self._let_go(f"{type(error).__name__}: {error}")
            raise

    def _until_cancelled(self) -> None:
        """Ctrl-C, in the thread that waits: cancel the running attempt, and wait for its end, which its grace bounds."""
        with suppress(Exception):  # how it ends does not matter any more
            if self._chunk.left:
                self._chunk.observer.stop.set("cancelled")
            while self._chunk.left and self._handle(True) is None:
                pass

    def _handle(self, wait: bool) -> Outcome | None:
        """Handle the frames that have come, or with ``wait`` those that come, up to the end of an attempt."""
        channel, output = self._worker.channel, self._chunk.observer.output
        while True:
            message = channel.receive(output, wait=wait)
            step = _HANDLERS[type(message)](self, message)
            if step is not Step.READ_ON:
                return None if step is Step.WAIT else step

    # What each frame means. Each returns the outcome of the first attempt, or how to go on.

    def _silent(self, _: Silence) -> Step:
        return Step.WAIT

    def _done(self, message: Done) -> Outcome:
        """The first attempt has ended; the next one runs already."""
        self._drain()
        self._worker.known.add(self._key)
        self.seconds = message.seconds
        self._is_first = False
        self._retire = message.retire
        observer = self._chunk.ended()
        if not self._chunk.left:
            self._let_go(self._retire or observer.stop.reason or "")
        return message.outcome

    def _returned(self, message: Returned) -> Step:
        observer = self._chunk.give_back(message.count)
        if self._chunk.left:
            return Step.READ_ON
        self._let_go(self._retire or observer.stop.reason or "")
        return Step.WAIT

    def _let_go(self, retire: str) -> None:
        """Nothing of this is left in the worker: another attempt may have it, unless it must ``retire``."""
        self._worker.channel.on_ready(None)
        self._release(self._worker, retire)

    def _loaded(self, _: Loaded) -> Step:
        self._chunk.observer.loading(False)
        return Step.READ_ON

    def _not_loaded(self, message: NotLoaded) -> Step:
        self._send(self._functions.pickled(self._job, message.why))
        return Step.READ_ON

    def _reported(self, message: ProgressReport) -> Step:
        self._chunk.observer.progress(Progress(message.done, message.total, message.message))
        return Step.READ_ON

    def _asked_for_context(self, _: ContextQuery) -> Step:
        self.asks = True
        if not self._is_first:
            return Step.WAIT  # the attempt before it may have written to the context, which is not in the store yet
        self._send_context()
        return Step.READ_ON

    def _send_context(self) -> None:
        self.asks = False
        self._worker.send(_context(*self._chunk.first))

    def _asked_for_source(self, message: SourceQuery) -> Step:
        self._worker.answer(message)
        return Step.READ_ON

    def _imported(self, message: Imported) -> Step:
        self._worker.watch(message)
        return Step.READ_ON

    def _exited(self, message: Exited) -> NoReturn:
        self._drain()
        raise WorkerDied(f"The task called sys.exit ({message.code}); let it return or raise instead.")

    def _died(self, _: None) -> NoReturn:
        how = self._worker.ending()  # with all that it started, so that nothing more is printed
        self._drain()
        raise self._failure or WorkerDied(f"The worker process ended while it ran the task: {how}.")

    def _drain(self) -> None:
        self._worker.channel.drain(self._chunk.observer.output)


_HANDLERS: dict[type, Callable[[Attempt, Any], Outcome | Step]] = {
    Silence: Attempt._silent,
    Done: Attempt._done,
    Returned: Attempt._returned,
    Loaded: Attempt._loaded,
    NotLoaded: Attempt._not_loaded,
    ProgressReport: Attempt._reported,
    ContextQuery: Attempt._asked_for_context,
    SourceQuery: Attempt._asked_for_source,
    Imported: Attempt._imported,
    Exited: Attempt._exited,
    NoneType: Attempt._died,
}


def _context(request: Request, observer: Observer) -> ContextReply:
    written, last_output = observer.context()
    return ContextReply(
        encode_value(written, job=request.job, place="context"),
        encode_value(last_output, job=request.job, place="output"),
    )
