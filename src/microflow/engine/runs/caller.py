"""The runtime of code in the main process: what a call of a job does, in a manager's thread or outside any execution."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence, Sized
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import msgspec

from ...errors import CallError, OutsideExecutionError
from ...jobs import Job
from ...model.clock import longest_wait
from ...model.results import ExecutionResult, Kind, Trigger
from ...runners.base import Outcome
from ...runners.cpython import let_go
from ...runtime import PartitionSelection, Progress
from ..admission.limits import UNLIMITED
from ..background.thread_pool import ThreadPool
from ..execution.call import Call, prepare
from ..execution.execution import Execution
from ..execution.live import LiveExecution
from ..execution.resources import Resources
from ..execution.settling import outcome_of
from ..execution.state import State
from .dag import NEW_RUN, DagRun, ResumedDag, closure_of, outcome_of_run
from .fanout import FanOut
from .futures import ExecutionFuture
from .partition_plans import PartitionPlan, PartitionRuns, calls_of
from .sources import NEW_MAPPING, Calls, ResumedCalls, Source, refuse_cancelled

logger = logging.getLogger("microflow")

WINDOW = 256
"""How many calls of one mapping or DAG run may wait for places at the same time, without a thread."""


class Submitted(NamedTuple):
    """An execution that was accepted, and its result when it ends."""

    execution: Execution
    future: Future[ExecutionResult]

    @property
    def id(self) -> int:
        """Its number."""
        return self.execution.id


class Caller:
    """Carries out the calls that one execution makes; with ``parent`` None, the calls from outside any execution."""

    def __init__(
        self,
        resources: Resources,
        threads: ThreadPool,
        partition_runs: PartitionRuns,
        parent: LiveExecution | None = None,
        *,
        trigger: Trigger = Trigger.CALL,
        refresh_function: Callable[[Job[Any]], None] | None = None,
    ) -> None:
        self._resources = resources
        self._threads = threads
        self._partition_runs = partition_runs
        self._parent = parent
        self._trigger = trigger
        self._refresh_function = refresh_function
        self._closed = False

    def close(self) -> None:
        """The attempt whose code makes these calls is over. Its calls continue; a thread that it left behind can make no more."""
        self._closed = True

    def _check(self) -> None:
        """Raise ``ExecutionCancelled`` if that execution was asked to end, ``OutsideExecutionError`` if its attempt is over."""
        refuse_cancelled(self._parent)
        if self._closed and self._parent is not None:
            raise OutsideExecutionError(
                f"A thread that execution {self._parent.id} of {self._parent.job.name!r} left running when it ended called a job; "
                "wait for the thread before the manager returns, for example with thread.join()."
            )

    def _position(self, count: int = 1) -> int:
        return self._parent.next_positions(count) if self._parent is not None else 0

    def _placed(self, call: Call) -> Call:
        self._check()
        if call.opened is None:
            call.position = self._position()
        return call

    def _call(self, job: Job[Any], inputs: tuple[Any, ...]) -> Call:
        if self._closed:
            self._check()
        if self._refresh_function is not None:
            self._refresh_function(job)
        return Call(job=job, inputs=inputs, trigger=self._trigger, position=self._position())

    def call(self, job: Job[Any], inputs: tuple[Any, ...]) -> ExecutionResult:
        """Carry out one call in this thread."""
        return self.carry_out(self._call(job, inputs))

    def carry_out(self, call: Call) -> ExecutionResult:
        """Carry out a call in this thread, waiting where it must wait."""
        woken: SimpleQueue[None] = SimpleQueue()
        execution = Execution(self._resources, call, self._parent, lambda _: woken.put(None))
        try:
            state = execution.begin()
            while state is not State.ENDED:
                if state is State.PARKED:
                    _wait_for(woken)
                    state = execution.state
                else:
                    state = execution.attempt()
        except BaseException as error:
            let_go(error)
            execution.abandon(error)
            raise
        return execution.result

    def submit(self, job: Job[Any], inputs: tuple[Any, ...]) -> Future[ExecutionResult]:
        """Carry out one call in another thread."""
        return self.start(self._call(job, inputs)).future

    def start(self, call: Call) -> Submitted:
        """Begin a call here, so that what is wrong with it is raised here, and carry it out in another thread.

        In a transaction of this thread's it is carried out once that is committed.
        """
        future = ExecutionFuture()

        def go_on(execution: Execution) -> None:
            if execution.state is State.ENDED:
                answer(execution)
                return
            try:
                self._threads.start(run, execution)
            except Exception as error:  # noqa: BLE001 - whatever it is, it can't be carried out
                self._threads.refuse(partial(refuse, execution, error))

        def refuse(execution: Execution, error: Exception) -> None:
            if execution.conclude(outcome_of(error, "")) is State.ENDED:
                answer(execution)

        def run(execution: Execution) -> None:
            try:
                if execution.attempt() is State.ENDED:
                    answer(execution)
            except BaseException as error:
                if execution.state is State.ENDED:
                    answer(execution)
                else:
                    future.set_exception(error)
                if not isinstance(error, Exception):
                    raise

        def answer(execution: Execution) -> None:
            try:
                future.set_result(execution.result)
            except Exception as error:
                logger.exception("The result of execution %s can't be handed over.", execution.id)
                if not future.done():
                    future.set_exception(error)

        execution = Execution(self._resources, call, self._parent, go_on)
        future.stand_for(execution)
        try:
            if execution.begin() is not State.PARKED:
                self._resources.executions.after_commit(partial(go_on, execution))
        except BaseException as error:
            execution.abandon(error)
            raise
        return Submitted(execution, future)

    def reporter(self, total: int | None, done: int = 0) -> Callable[[int], None] | None:
        """Reports how many of ``total`` calls have ended as the progress of the execution that makes them; ``done`` have by now.

        None outside of any execution.
        """
        if self._parent is None:
            return None
        count = self._parent.observation.counted
        count(Progress(done, total))
        return lambda done: count(Progress(done, total))

    def run_parallel(self, calls: Sequence[tuple[Job[Any], tuple[Any, ...]]]) -> list[ExecutionResult]:
        """Carry out several calls at the same time."""
        self._check()
        made = [self._call(job, inputs) for job, inputs in calls]
        for call in made:
            prepare(call)  # so that nothing runs if one of them can't
        source = Calls(lambda call: call, made)
        self.fan_out(source, min(len(made), UNLIMITED))
        return source.results

    def map_parallel(self, job: Job[Any], inputs: Iterable[Any], max_concurrency: int | None) -> list[ExecutionResult]:
        """Carry out one job over many inputs; a tuple is several positional ones."""
        self._check()
        if self._refresh_function is not None:
            self._refresh_function(job)
        calls = (
            Call(job=job, inputs=item if isinstance(item, tuple) else (item,), trigger=self._trigger) for item in inputs
        )
        # a generator may wait for what it gives next, while a worker could run what it has given
        total = len(inputs) if isinstance(inputs, Sized) else None
        ended = self.reporter(total)
        return self.map_calls(job, calls, max_concurrency, ended=ended, at_hand=total is not None).results

    def map_calls(
        self,
        job: Job[Any],
        calls: Iterable[Call],
        max_concurrency: int | None,
        *,
        ended: Callable[[int], None] | None = None,
        keep: bool = True,
        at_hand: bool = True,
        resumed: ResumedCalls = NEW_MAPPING,
        with_inputs: bool = False,
    ) -> Calls:
        """The mapping itself: calls of one job. ``ended`` is called with the number of calls that have ended.

        ``keep``: the results are kept. ``with_inputs``: each call is a DAG run of the job, whose jobs have in common what it holds.
        ``at_hand``: asking for the next call never waits. ``resumed``: the calls that the mapping made before it was interrupted.
        """
        self._position(resumed.position)
        if with_inputs:  # a DAG run takes no slots; its jobs do
            calls, capacity, keyed = (dag_call([job], call) for call in calls), UNLIMITED, False
        else:
            capacity = self._resources.limits.capacity(job)
            keyed = any(group.key for group in job.limits)
        source = Calls(self._placed, calls, ended, keep, resumed)
        self.fan_out(source, min(capacity, max_concurrency or capacity), keyed=keyed, at_hand=at_hand)
        return source

    def fan_out(
        self, source: Source, width: int, *, keyed: bool = False, window: int = 0, at_hand: bool = True
    ) -> None:
        """Carry out a source's calls, ``width`` at the same time; ``at_hand``: asking for the next one never waits."""

        def start(call: Call, ready: Callable[[Execution], None]) -> Execution:
            return Execution(self._resources, call, self._parent, ready)

        window = window or (WINDOW if keyed else width)
        switch = self._parent.call.pause_switch if self._parent is not None else None
        together = self._resources.together
        FanOut(
            source, start, self._threads, together, width=width, window=window, at_hand=at_hand, pause_switch=switch
        ).run()

    def run_dag(self, jobs: Sequence[Job[Any]]) -> list[ExecutionResult]:
        """Carry out jobs with what they declare as inputs; without jobs, all of the flow's that declare inputs or are one."""
        self._check()
        if not jobs:
            if self._parent is None:
                raise CallError("There is no flow to run all of; name the jobs, or call flow.run_all().")
            jobs = self._parent.job.flow.dag_jobs()
        return self.run_dag_calls(jobs, Call(job=jobs[0], trigger=self._trigger))

    def run_dag_calls(
        self,
        jobs: Sequence[Job[Any]],
        template: Call,
        resumed: ResumedDag = NEW_RUN,
    ) -> list[ExecutionResult]:
        """The DAG run itself; ``template`` holds what its calls have in common; ``resumed``, the calls it made before."""
        run = DagRun(jobs, template, self._position, resumed)
        flow = jobs[0].flow
        nodes = [flow.jobs[name] for name in run.nodes]
        if self._refresh_function is not None:
            for job in nodes:
                self._refresh_function(job)
        # if all need only the flow's slots, executions beyond that number would only wait
        alike = all(job.kind is Kind.TASK and not job.limits for job in nodes)
        width = self._resources.limits.of_flow(flow).slots if alike else UNLIMITED
        self.fan_out(run, width, window=WINDOW)
        return [run.results[job.name] for job in jobs]

    def map_partitions(
        self,
        job: Job[Any],
        selection: PartitionSelection,
        batch_size: int | None,
        max_concurrency: int | None,
        with_inputs: bool,
    ) -> list[ExecutionResult]:
        """Carry out a partitioned job over partitions."""
        self._check()
        plan = self._partition_runs.plan(job, selection, batch_size, max_concurrency, with_inputs)
        if self._refresh_function is not None:
            for known in closure_of(job) if with_inputs else [job]:
                self._refresh_function(known)
        return self.partition_calls(plan, ended=self.reporter(plan.executions)).results

    def partition_calls(
        self,
        plan: PartitionPlan,
        *,
        ended: Callable[[int], None] | None = None,
        keep: bool = True,
        resumed: ResumedCalls = NEW_MAPPING,
    ) -> Calls:
        """Carry out a plan, one execution for each cell or batch; arguments as for ``map_calls``."""
        return self.map_calls(
            plan.job,
            calls_of(plan, Trigger.PARTITIONS),
            plan.max_concurrency,
            ended=ended,
            keep=keep,
            resumed=resumed,
            with_inputs=plan.with_inputs,
        )


def _wait_for(woken: SimpleQueue[None]) -> None:
    """Wait until somebody says so. Looking at the state instead would be too early: it changes before all is done."""
    while True:
        try:
            return woken.get(timeout=longest_wait())
        except Empty:
            continue


def dag_call(
    jobs: Sequence[Job[Any]],
    template: Call,
    resumed: ResumedDag = NEW_RUN,
    **given: Any,
) -> Call:
    """A DAG run that is an execution of its own; ``template`` is what its calls have in common, ``given`` the rest of its own."""
    call = Call(
        job=jobs[0],
        trigger=template.trigger,
        kind=Kind.DAG,
        body=lambda caller: outcome_of_run(caller.run_dag_calls(jobs, template, resumed)),
        time_partition=template.time_partition,
        cat_partition=template.cat_partition,
    )
    return msgspec.structs.replace(call, **given)


def partitions_body(plan: PartitionPlan, resumed: ResumedCalls = NEW_MAPPING) -> Callable[[Caller], Outcome]:
    """The body of a run over partitions that is an execution of its own.

    ``resumed``: the calls that the run made before it was interrupted; the plan is then the rest of the run.
    """
    done = sum(resumed.counts.values())
    total = done + len(resumed.unfinished) + plan.executions

    def carry_out(caller: Caller) -> Outcome:
        ended = caller.reporter(total, done)
        return caller.partition_calls(plan, ended=ended, keep=False, resumed=resumed).summary(plan.job.name)

    return carry_out
