"""What a runner is: something that carries out one attempt of a task and says how it ended.

The engine hands a runner a ``Request`` and an ``Observer``, and gets an ``Outcome`` back. A runner knows nothing of the store, of
limits or of retries. To write one, implement ``run`` and ``close`` (see the ``Runner`` protocol); give an instance to a task as
``@flow.task(runner=MyRunner())``.

``run`` takes a thread of the engine for as long as the attempt lasts. A runner that is also a ``StartsAttempts`` needs none: one
thread starts many attempts, waits for whichever has something to report, and advances it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from ..model.results import ExecutionError, ExecutionStatus
from ..runtime import Progress


class InputStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an input that was a job's result says beside its data; the data itself is among the request's ``inputs``.

    In a list of results, one whose output is a list has its items there one by one: ``items`` of them (-1: it is one item itself).
    """

    status: str
    job: str | None = None
    execution_id: int | None = None
    reason: str | None = None
    run_key: str | None = None
    error: ExecutionError | None = None
    items: int = -1


class Request(msgspec.Struct, array_like=True):
    """One attempt of one task. ``inputs`` is the encoded JSON array of its positional inputs; times are seconds or tagged JSON.

    ``statuses`` has, at the place of each input, the status of the results in it (None for plain data): one for a
    result, a list for a list of results. ``time_window`` holds the start and the end of the time partition. ``job_key``
    is for the process runners, which put there the number that stands for the function.
    """

    execution_id: int
    flow: str
    job: str
    inputs: bytes
    max_payload: int
    job_key: int = 0
    attempt: int = 1
    run_key: str | None = None
    scheduled_at: float | None = None
    cat_partition: str | None = None
    time_window: bytes | None = None
    statuses: list[InputStatus | list[InputStatus | None] | None] | None = None


class Outcome(msgspec.Struct, array_like=True):
    """How an attempt ended. ``output`` and ``time_partition`` are encoded; ``context`` holds what the job wrote to its context.

    ``cpu_seconds`` and ``peak_memory`` (bytes) are those of this attempt, with the processes it waited for.
    """

    status: ExecutionStatus
    output: bytes | None = None
    error: ExecutionError | None = None
    reason: str | None = None
    run_key: str | None = None
    time_partition: bytes | None = None
    cat_partition: str | None = None
    context: Mapping[str, bytes | None] = {}
    cpu_seconds: float | None = None
    peak_memory: int | None = None


class Stop:
    """Asks a running attempt to end: set once, with a reason, by a cancel or a timeout, from any thread.

    ``hurried``: whatever time it had to do so is over.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.hurried = False
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._in_a_hurry: list[Callable[[], None]] = []

    def set(self, reason: str) -> bool:
        """Ask for the end; False if that was asked before. What times out and is cancelled while it ends has been cancelled."""
        with self._lock:
            if self.reason is not None:
                if self.reason == "timeout":
                    self.reason = reason
                return False
            self.reason = reason
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
        return True

    def on_set(self, callback: Callable[[], None]) -> None:
        """Call this when the end is asked for; at once if it has been."""
        with self._lock:
            if self.reason is None:
                self._callbacks.append(callback)
                return
        callback()

    def hurry(self) -> None:
        """It must end at once, whatever time it was given; ``set`` is called too."""
        with self._lock:
            self.hurried = True
            callbacks, self._in_a_hurry = self._in_a_hurry, []
        for callback in callbacks:
            callback()

    def on_hurry(self, callback: Callable[[], None]) -> None:
        """Call this when it must end at once; now if it must by now."""
        with self._lock:
            if not self.hurried:
                self._in_a_hurry.append(callback)
                return
        callback()

    def forget(self, callback: Callable[[], None]) -> None:
        """The callback is not needed any more, nor is any for a hurry."""
        with self._lock:
            self._in_a_hurry.clear()
            if callback in self._callbacks:  # else it is being called
                self._callbacks.remove(callback)


class Observer(Protocol):
    """What a runner tells while an attempt runs, and what it may ask for."""

    stop: Stop

    def loading(self, is_loading: bool) -> None:
        """What the job needs is made ready now, such as a process and its imports, or has been: its timeout begins after that."""
        ...

    def output(self, data: bytes) -> None:
        """The job printed this."""
        ...

    def progress(self, progress: Progress) -> None:
        """The job said how far it is."""
        ...

    def context(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the job's earlier executions wrote, and its last successful output."""
        ...


class Runner(Protocol):
    """Carries out attempts. ``run`` is called in many threads at once and blocks until its attempt ended."""

    def run(self, job: Any, request: Request, observer: Observer) -> Outcome:
        """Carry out one attempt of ``job`` (a ``Task``).

        A failure of the job is an outcome with status error; raise ``WorkerDied`` if what ran it broke. When
        ``observer.stop`` is set, end the attempt and whatever it started, and return or raise soon.
        """
        ...

    def close(self) -> None:
        """End everything at once; called when the engine stops, after the attempts have ended."""
        ...


Asked = tuple[Request, Observer]
"""An attempt to start: the request, and its observer."""


class Started(Protocol):
    """Attempts of one job that were started together: usually one, else a chunk, which the runner runs one after the other.

    All methods are called by the one thread that looks after the attempts. The first attempt that is ``left`` is the running one.
    """

    seconds: float
    """How long the attempt took that ended last."""

    asks: bool
    """Whether the running attempt waits for ``answer``: it reads its context, which the attempt before it may have changed."""

    @property
    def left(self) -> int:
        """How many attempts have not ended. The runner may give back the last ones, which it has not started: then it is fewer."""
        ...

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Descriptors that become readable when ``advance`` has something to do; empty where ``on_ready`` is to be used instead."""
        ...

    def on_ready(self, callback: Callable[[], None]) -> None:
        """Call this, from any thread, whenever ``advance`` has something to do; at once if it has now. Only without descriptors."""
        ...

    def advance(self) -> Outcome | None:
        """Handle what has come, without waiting; the outcome of the running attempt if it has ended: call it again then.

        None: nothing more has come. Raises what ``Runner.run`` raises; nothing is left then. After ``KeyboardInterrupt``, where
        something is left, it can be called again.
        """
        ...

    def answer(self) -> None:
        """Give the running attempt the context that it ``asks`` for."""
        ...


@runtime_checkable
class StartsAttempts(Runner, Protocol):
    """A runner whose attempts need no thread each: one thread starts and looks after many. Its methods are called in any thread.

    The engine starts attempts of its own runners so. It calls ``run`` of a runner that a user gives to a task.
    """

    def start(self, job: Any, asked: Sequence[Asked]) -> Started:
        """Start an attempt of ``job``, or a chunk of attempts. Raises ``WorkerDied`` if there is nothing to run them."""
        ...

    def warm(self, jobs: Sequence[Any]) -> None:
        """Get ready for one attempt of each of these tasks, which will come soon. Raises ``WorkerDied`` as ``start`` does."""
        ...

    def refresh_function(self, job: Any) -> None:
        """A call of ``job`` comes from outside any execution: send its function anew if it, or what it refers to, has changed.

        Raises ``PayloadError`` if the function can't be sent any more.
        """
        ...

    def keep(self, flows: Collection[Any]) -> None:
        """Let go of what only other flows need."""
        ...
