"""Which runner carries out an attempt, and the runtime that its code finds there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any

from ...flow import Flow
from ...jobs import Job
from ...model.results import Kind
from ...runners.attempts import Asked, Attempt
from ...runners.base import Outcome, Request, Runner
from ...runners.guarded import Guarded
from ...runners.processes import FreshProcesses, ProcessPool
from ...runners.refusal import Refusal
from ...runners.threads import Capture, ThreadRunner
from ...runtime import active_runtime
from .execution import Execution

_PROCESSES = (None, "process", "fresh")


class Dispatch:
    """The runners of an engine. ``caller_of`` gives the runtime of an execution whose code may call jobs."""

    def __init__(self, pool: ProcessPool, caller_of: Callable[[Execution], Any]) -> None:
        self._pool = pool
        self._caller_of = caller_of
        self._threads = ThreadRunner(Capture())
        self._named: dict[str, Runner] = {
            "process": pool,
            "fresh": FreshProcesses(pool.functions, pool.later),
            "thread": self._threads,
        }
        self._own: dict[int, Runner] = {}  # by identity: they need not be hashable

    def run(self, execution: Execution, request: Request) -> Outcome:
        """Carry out an attempt in this thread: a task by its runner, all else here, with a runtime that carries out its calls."""
        job, body = execution.job, execution.call.body
        runner: Runner = self._threads
        caller = None
        if body is None and job.kind is Kind.TASK:
            runner = self._runner(job)
            if job.runner in _PROCESSES:
                return runner.run(job, request, execution.observation)
            runtime: Any = Refusal()  # also where a user's own runner calls the function in this thread
        else:
            runtime = caller = self._caller_of(execution)
        self._threads.open()
        token = active_runtime.set(runtime)
        try:
            if body is not None:
                outcome: Outcome = body(runtime)
                return outcome
            return runner.run(job, request, execution.observation)
        finally:
            active_runtime.reset(token)
            if caller is not None:
                caller.close()

    def can_start(self, execution: Execution) -> bool:
        """Whether an attempt can be begun and looked after together with others: in a warm worker, where pipes can be polled."""
        job = execution.job
        is_pooled = job.kind is Kind.TASK and execution.call.body is None and job.runner in (None, "process")
        return is_pooled and sys.platform != "win32"

    def start(self, job: Job[Any], line: Sequence[Asked]) -> Attempt:
        """Begin such an attempt, or several of them that one worker runs one after the other."""
        return self._pool.start(job, line)

    def _runner(self, job: Job[Any]) -> Runner:
        if job.runner is None or isinstance(job.runner, str):
            return self._named[job.runner or "process"]
        key = id(job.runner)
        if key not in self._own:
            self._own[key] = Guarded(job.runner)
        return self._own[key]

    def keep(self, flows: Collection[Flow]) -> None:
        """Let go of what only other flows need: their workers without work, and the runners of a user's own."""
        self._pool.keep(flows)
        needed = {id(job.runner) for flow in flows for job in flow.jobs.values()}
        for key in [key for key in self._own if key not in needed]:
            self._own.pop(key).close()

    def close(self) -> None:
        """End all runners, those that users gave to tasks too."""
        for runner in (*self._named.values(), *self._own.values()):
            runner.close()
