"""The process runners: a pool of warm workers, and a fresh worker for each attempt.

A worker is started when one is needed, kept warm for the next task, and ended after ``IDLE_SECONDS`` without work, after
``MAXIMUM_EXECUTIONS``, when its memory grew, or when a task left something behind in it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import WorkerDied
from .base import Observer, Outcome, Request
from .frames import Load
from .functions import Functions
from .workers import Asked, Attempt, Worker

logger = logging.getLogger("microflow")

IDLE_SECONDS = 30.0
"""How long a worker without work is kept."""

MAXIMUM_EXECUTIONS = 50_000
"""How many attempts a worker runs before another takes its place, which costs as much as a thousand small tasks."""


class ProcessPool:
    """The default runner: warm workers, as many as there are attempts at the same time."""

    def __init__(
        self,
        later: Callable[[float, Callable[[], None]], object],
        *,
        now: Callable[[], float],
        idle_seconds: float = IDLE_SECONDS,
        maximum_executions: int = MAXIMUM_EXECUTIONS,
        start: Callable[[], Worker] = Worker,
    ) -> None:
        self._later = later
        self._now = now
        self._idle_seconds = idle_seconds
        self._maximum_executions = maximum_executions
        self._start_worker = start
        self._lock = threading.Lock()
        self._idle: list[Worker] = []  # the last one used is the first one used again, so that the others grow idle
        self._sweeping = False
        self._closed = False
        self.functions = Functions()

    def run(self, job: Any, request: Request, observer: Observer) -> Outcome:
        """Carry out an attempt in a warm worker. Raises ``WorkerDied`` if it ended, or if none can be started."""
        return self.start(job, [(request, observer)]).wait()

    def start(self, job: Any, line: Sequence[Asked]) -> Attempt:
        """Begin an attempt, for a thread that looks after several; or a line of them, which one worker runs one by one.

        Raises ``WorkerDied`` if no worker can be started.
        """
        while True:
            idle = self._take()
            worker = idle or started(self._start_worker)
            try:
                attempt = Attempt(worker, job, line, self.functions, self._give_back, self._later)
            except BaseException:
                worker.close()
                raise
            if attempt.sent or idle is None:
                return attempt
            attempt.withdraw()  # it was killed while it had nothing to do

    def warm(self, jobs: Sequence[Any]) -> None:
        """Have a worker without work for each of these tasks, which will come soon, with its function imported where it is new.

        Raises ``WorkerDied`` if one can't be started.
        """
        with self._lock:
            idle = len(self._idle)
            for worker in self._idle[max(idle - len(jobs), 0) :]:
                worker.idle_since = self._now()
        for job in jobs[idle:]:
            worker = started(self._start_worker)
            if (reference := self.functions.reference(job)) is not None:
                worker.send(Load(reference))
            self._give_back(worker, "")

    def _take(self) -> Worker | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, worker: Worker, retire: str) -> None:
        worker.idle_since = self._now()
        with self._lock:
            if not retire and worker.executions < self._maximum_executions and not self._closed:
                self._idle.append(worker)
                if not self._sweeping:
                    self._sweeping = True
                    self._later(self._idle_seconds, self._sweep)
                return
        _close(worker)

    def _sweep(self) -> None:
        """End the workers that have had nothing to do for long; look again later if any are left."""
        oldest_allowed = self._now() - self._idle_seconds
        with self._lock:
            ended = [worker for worker in self._idle if worker.idle_since <= oldest_allowed]
            self._idle = [worker for worker in self._idle if worker.idle_since > oldest_allowed]
            self._sweeping = bool(self._idle) and not self._closed
            next_look = min((worker.idle_since for worker in self._idle), default=0.0) - oldest_allowed
        for worker in ended:
            _close(worker)
        if self._sweeping:
            self._later(max(next_look, 0.1), self._sweep)

    def close(self) -> None:
        """End all workers that have nothing to do; those at work are ended by their attempts' ``Stop``."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            _close(worker)


class FreshProcesses:
    """``runner="fresh"``: a new process for each attempt."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    def run(self, job: Any, request: Request, observer: Observer) -> Outcome:
        """Carry out an attempt in a process of its own; errors as for the pool."""
        worker = started(Worker)
        try:
            line = [(request, observer)]
            return Attempt(worker, job, line, self._functions, lambda *_: None, lambda *_: None).wait()
        finally:
            _close(worker)

    def close(self) -> None:
        """Nothing is kept between attempts."""


def _close(worker: Worker) -> None:
    """End a worker that is not needed any more. What goes wrong is logged: what it ran has ended, and that is what counts."""
    try:
        worker.close()
    except Exception:
        logger.exception("A worker process could not be ended in an orderly way.")


def started(start: Callable[[], Worker]) -> Worker:
    """A new worker. Raises ``WorkerDied`` with the system's own words if there can be none."""
    try:
        return start()
    except OSError as error:
        raise WorkerDied(f"No worker process could be started: {error}.") from error
