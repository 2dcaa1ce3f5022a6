"""The attempts that a worker was handed at once: which one runs, which ones wait behind it, and how the running one is ended."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..base import Asked, Observer, Request
from .control import StopTask
from .workers import Worker

MERCY = 0.25
"""Seconds that a task which was asked to end may hold up those behind it in the chunk. They would die with its worker."""

Later = Callable[[float, Callable[[], None]], Any]
"""Calls something after so many seconds; what it returns has ``cancel``."""


class Chunk:
    """The attempts of a job that a worker has not ended yet, in order: the first one runs. Usually there is just one.

    When the ``Stop`` of the first one is set, the worker is told, and it is killed when the grace is over. ``is_sent``: the worker
    was there to be asked.
    """

    def __init__(self, worker: Worker, asked: Sequence[Asked], cancel_grace: float, later: Later) -> None:
        self._worker = worker
        self._attempts = deque(asked)
        self._cancel_grace = cancel_grace
        self._later = later
        self._turn = threading.Lock()  # which attempt the worker is ended for, and which one has ended
        self._end_timer: Any = None
        self.is_sent = False
        self.observer.stop.on_set(self._stop)

    @property
    def left(self) -> int:
        """How many attempts the worker still has, the running one included."""
        return len(self._attempts)

    @property
    def first(self) -> Asked:
        """The attempt that runs."""
        return self._attempts[0]

    @property
    def observer(self) -> Observer:
        """The observer of the attempt that runs."""
        return self._attempts[0][1]

    def requests(self) -> list[Request]:
        """What the worker is to run."""
        return [request for request, _ in self._attempts]

    def ended(self) -> Observer:
        """The first attempt has ended, and the next one runs already. Returns the observer of the one that ended."""
        with self._turn:
            _, observer = self._attempts.popleft()
        self._cancel_end()
        observer.stop.forget(self._stop)
        if self._attempts:
            self.observer.stop.on_set(self._stop)
        return observer

    def give_back(self, count: int) -> Observer:
        """The worker has not started so many attempts, the last ones. Returns the observer of the first of them."""
        for _ in range(count):
            _, observer = self._attempts.pop()
        if not self._attempts:
            observer.stop.forget(self._stop)  # it seemed to run when the one before it had ended
        elif not self._cancel_grace:
            self._stop()  # if the running one was asked to end, it need not spare any other now
        return observer

    def clear(self) -> None:
        """The worker runs nothing more of this."""
        if self._attempts:
            self.observer.stop.forget(self._stop)
        self._attempts.clear()
        self._cancel_end()

    def _stop(self) -> None:
        """In any thread: the running attempt was asked to end. Its worker is told, and is ended when the grace is over.

        By then, the attempts that must not die with it have been given back or have run, unless the task blocks every other thread
        of its process.
        """
        attempts = tuple(self._attempts)
        if not attempts or (reason := attempts[0][1].stop.reason) is None:
            return  # it has ended meanwhile
        request, observer = attempts[0]
        end = partial(self._end, observer)
        spares = any(behind.stop.reason is None for _, behind in attempts[1:])
        grace = self._cancel_grace if self.is_sent and not observer.stop.hurried else 0.0
        if seconds := max(grace, MERCY if spares else 0.0):
            self._end_timer = self._later(seconds, end)
            if grace:
                self._worker.ask_to_end(StopTask(request.execution_id, request.attempt, reason, grace))
            observer.stop.on_hurry(end)
        else:
            end()

    def _end(self, observer: Observer) -> None:
        """End the worker, if it still runs this attempt."""
        with self._turn:
            if self._attempts and self.observer is observer:
                self._worker.end()

    def _cancel_end(self) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None
