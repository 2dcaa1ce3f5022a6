"""Which runner carries out an attempt, and the runtime that its code finds there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from ...flow import Flow
from ...jobs import Job
from ...model.results import Kind
from ...runners.base import Asked, Outcome, Request, Runner, Started, StartsAttempts
from ...runners.guarded import Guarded
from ...runners.refusal import Refusal
from ...runners.threads.runner import Capture, ThreadRunner
from ...runtime import active_runtime
from .live import LiveExecution

T = TypeVar("T")


class Dispatch:
    """The runners of an engine.

    ``in_workers``: the runners whose jobs run in other processes, by what a task gives as its ``runner``. ``caller_of`` gives the
    runtime of an execution whose code may call jobs.
    """

    def __init__(self, in_workers: Mapping[str | None, Runner], caller_of: Callable[[LiveExecution], Any]) -> None:
        self._in_workers = in_workers
        self._starters = {name: runner for name, runner in in_workers.items() if isinstance(runner, StartsAttempts)}
        self._caller_of = caller_of
        self._threads = ThreadRunner(Capture())
        self._own: dict[int, Runner] = {}  # by identity: they need not be hashable

    def run(self, execution: LiveExecution, request: Request) -> Outcome:
        """Carry out an attempt in this thread: a task by its runner, all else here, with a runtime that carries out its calls."""
        job, body = execution.job, execution.call.body
        runner: Runner = self._threads
        caller = None
        if body is None and job.kind is Kind.TASK:
            in_worker = _of_name(self._in_workers, job)
            if in_worker is not None:
                return in_worker.run(job, request, execution.observation)
            runner = self._threads if job.runner == "thread" else self._own_runner(job.runner)
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

    def can_start(self, execution: LiveExecution) -> bool:
        """Whether an attempt can be started, and looked after together with others."""
        return execution.call.body is None and self.starts(execution.job)

    def starts(self, job: Job[Any]) -> bool:
        """Whether the job is a task whose runner starts attempts, and can be made ready for them."""
        return job.kind is Kind.TASK and _of_name(self._starters, job) is not None

    def start(self, job: Job[Any], asked: Sequence[Asked]) -> Started:
        """Start an attempt, or a chunk of attempts that one worker runs one after the other."""
        starter = _of_name(self._starters, job)
        assert starter is not None, "can_start() was asked before"
        return starter.start(job, asked)

    def warm(self, jobs: Sequence[Job[Any]]) -> None:
        """Have workers ready for one attempt of each of these tasks. Raises ``WorkerDied`` if there can be none."""
        for starter in set(self._starters.values()):
            starter.warm([job for job in jobs if _of_name(self._starters, job) is starter])

    def refresh_function(self, job: Job[Any]) -> None:
        """A call of this job comes from outside any execution: its function, if sent by value, may have changed since the last one.

        Raises ``PayloadError`` if it can't be sent any more.
        """
        for starter in set(self._starters.values()):
            starter.refresh_function(job)

    def _own_runner(self, runner: Any) -> Runner:
        key = id(runner)
        if key not in self._own:
            self._own[key] = Guarded(runner)
        return self._own[key]

    def keep(self, flows: Collection[Flow]) -> None:
        """Let go of what only other flows need: their workers without work, and the runners of a user's own."""
        for starter in set(self._starters.values()):
            starter.keep(flows)
        needed = {id(job.runner) for flow in flows for job in flow.jobs.values()}
        for key in [key for key in self._own if key not in needed]:
            self._own.pop(key).close()

    def close(self) -> None:
        """End all runners, those that users gave to tasks too."""
        for runner in (*set(self._in_workers.values()), self._threads, *self._own.values()):
            runner.close()


def _of_name(runners: Mapping[str | None, T], job: Job[Any]) -> T | None:
    """The runner among these that the task names, or gets by naming none; None if it has another."""
    name = job.runner
    return runners.get(name) if name is None or isinstance(name, str) else None
