"""The process runners: a pool of warm workers, and a fresh worker for each attempt.

A worker is started when one is needed, kept warm for the next task, and ended after ``IDLE_SECONDS`` without work, after
``MAXIMUM_EXECUTIONS``, when its memory grew, or when a task left something behind in it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

from ...errors import WorkerDied
from ...flow import Flow
from ...jobs import DEFAULT_RUNNER
from ..base import Asked, Observer, Outcome, Request, Runner
from .attempts import Attempt
from .chunk import Later
from .frames import Load
from .functions import Functions
from .workers import Worker

logger = logging.getLogger("microflow")

IDLE_SECONDS = 30.0
"""How long a worker without work is kept."""

MAXIMUM_EXECUTIONS = 50_000
"""How many attempts a worker runs before another takes its place, which costs as much as a thousand small tasks."""


MAXIMUM_IDLE_ELSEWHERE = 8
"""How many workers without work other flows may keep when a flow needs a new worker."""


class ProcessPool:
    """The default runner: warm workers, as many as there are attempts at the same time. ``later`` calls something after seconds."""

    def __init__(
        self,
        later: Later,
        *,
        now: Callable[[], float],
        idle_seconds: float = IDLE_SECONDS,
        maximum_executions: int = MAXIMUM_EXECUTIONS,
        start: Callable[[], Worker] = Worker,
    ) -> None:
        self.later = later
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

    def start(self, job: Any, asked: Sequence[Asked]) -> Attempt:
        """Start an attempt, for a thread that looks after several; or a chunk of them, which one worker runs one by one.

        Raises ``WorkerDied`` if no worker can be started.
        """
        while True:
            idle = self._take(job.flow)
            worker = idle or self._started(job.flow)
            try:
                attempt = Attempt(worker, job, asked, self.functions, self._give_back, self.later)
            except BaseException:
                worker.close()
                raise
            if attempt.is_sent or idle is None:
                return attempt
            attempt.withdraw()  # it was killed while it had nothing to do

    def warm(self, jobs: Sequence[Any]) -> None:
        """Have a worker without work for each of these tasks, which will come soon, with its function imported where it is new.

        Raises ``WorkerDied`` if one can't be started.
        """
        waiting: dict[int, list[Any]] = {}
        for job in jobs:
            waiting.setdefault(id(job.flow), []).append(job)
        for of_flow in waiting.values():
            self._warm(of_flow)

    def _warm(self, jobs: list[Any]) -> None:
        flow = jobs[0].flow
        with self._lock:
            idle = [worker for worker in self._idle if worker.flow is flow]
            for worker in idle[max(len(idle) - len(jobs), 0) :]:
                worker.idle_since = self._now()
        for job in jobs[len(idle) :]:
            worker = self._started(flow)
            if (reference := self.functions.reference(job)) is not None:
                worker.send(Load(reference))
            self._give_back(worker, "")

    def _take(self, flow: Flow) -> Worker | None:
        with self._lock:
            for index in range(len(self._idle) - 1, -1, -1):
                if self._idle[index].flow is flow:
                    return self._idle.pop(index)
        return None

    def _started(self, flow: Flow) -> Worker:
        """A new worker for a flow; it takes the place of one of another flow's that has had nothing to do for longest."""
        with self._lock:
            others = [worker for worker in self._idle if worker.flow is not flow]
            replaced = (
                min(others, key=lambda worker: worker.idle_since) if len(others) >= MAXIMUM_IDLE_ELSEWHERE else None
            )
            if replaced is not None:
                self._idle.remove(replaced)
        if replaced is not None:
            replaced.close()
        return started(self._start_worker, flow)

    def _give_back(self, worker: Worker, retire: str) -> None:
        worker.idle_since = self._now()
        with self._lock:
            if not retire and worker.executions < self._maximum_executions and not self._closed:
                self._idle.append(worker)
                if not self._sweeping:
                    self._sweeping = True
                    self.later(self._idle_seconds, self._sweep)
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
            self.later(max(next_look, 0.1), self._sweep)

    def refresh_function(self, job: Any) -> None:
        """A call of this job comes from outside any execution: see ``Functions.refresh``. Raises ``PayloadError``."""
        self.functions.refresh(job)

    def keep(self, flows: Collection[Flow]) -> None:
        """End the workers that have nothing to do and are not of these flows, as they are now."""
        with self._lock:
            kept = [
                worker
                for worker in self._idle
                if worker.flow is not None and worker.flow in flows and worker.version is worker.flow.version
            ]
            ended = [worker for worker in self._idle if worker not in kept]
            self._idle = kept
        for worker in ended:
            _close(worker)

    def close(self) -> None:
        """End all workers that have nothing to do; those at work are ended by their attempts' ``Stop``."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            _close(worker)


class FreshProcesses:
    """``runner="fresh"``: a new process for each attempt."""

    def __init__(self, functions: Functions, later: Later) -> None:
        self._functions = functions
        self._later = later

    def run(self, job: Any, request: Request, observer: Observer) -> Outcome:
        """Carry out an attempt in a process of its own; errors as for the pool."""
        worker = started(Worker, job.flow)
        try:
            asked = [(request, observer)]
            return Attempt(worker, job, asked, self._functions, lambda *_: None, self._later).wait()
        finally:
            _close(worker)

    def close(self) -> None:
        """Nothing is kept between attempts."""


def local_runners(pool: ProcessPool) -> dict[str | None, Runner]:
    """The runners whose jobs run in processes of this machine, by what a task gives as its ``runner``; None if it gives nothing."""
    named: dict[str | None, Runner] = {"process": pool, "fresh": FreshProcesses(pool.functions, pool.later)}
    return {None: named[DEFAULT_RUNNER], **named}


def _close(worker: Worker) -> None:
    """End a worker that is not needed any more. What goes wrong is logged: what it ran has ended, and that is what counts."""
    try:
        worker.close()
    except Exception:
        logger.exception("A worker process could not be ended in an orderly way.")


def started(start: Callable[[], Worker], flow: Flow) -> Worker:
    """A new worker for a flow. Raises ``WorkerDied`` with the system's own words if there can be none."""
    try:
        worker = start()
    except OSError as error:
        raise WorkerDied(f"No worker process could be started: {error}.") from error
    worker.belong_to(flow)
    return worker
