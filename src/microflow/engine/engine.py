"""The engine: owns the parts, starts and stops them in order, and is what pages, API, CLI and scripts act on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from ..errors import ConflictError
from ..flow import Flow
from ..jobs import Job
from ..model.clock import Clock, SystemClock, utc
from ..model.events import EventBus
from ..model.results import ExecutionStatus, Kind, Trigger
from ..runners.local.pool import ProcessPool, local_runners
from ..runtime import PartitionSelection, Progress
from ..store import open as open_store
from ..store.copying import KEEP_COPY, Copying
from ..store.options import schedule_of
from ..store.rows import Waiting
from .admission.limits import LimitState, state_of
from .admission.slots import Limit
from .background.housekeeping import Housekeeping, HousekeepingConfig
from .background.thread_pool import ThreadPool
from .background.timers import Timers
from .execution.call import Call, inputs_again
from .execution.dispatch import Dispatch
from .execution.live import LiveExecution, Pausing, refusal
from .execution.resources import Resources
from .execution.settling import waiting_at
from .partitions.grids import PartitionGrids
from .recovery.dead_engines import Recovery, take_over
from .recovery.resume import Resumption
from .recovery.stopping import end_live, leave_queued, sign_off
from .runs import submissions
from .runs.caller import Caller, Submitted
from .runs.mappings import Mappings
from .runs.partition_plans import PartitionRuns
from .schedules.runs import Key, ScheduleRuns, ServedSchedule, served_schedules
from .schedules.scheduler import DEFAULT_SCHEDULING, Scheduler, SchedulerConfig
from .served import Reloading, Served

GRACE = 30.0
"""Seconds that what runs is given to end by itself when the engine stops."""

_THREADS = 4096
_THREADS_OF_FANOUTS = 1024


class Engine:
    """What carries out executions in one process.

    ``flows``: the flows it knows. ``store``: a URL; default: that of the flows, which must be the same for all. ``kind``: "server"
    holds the store's server lock, "local" shares the store. ``echo`` is given everything that jobs print. ``keep``: seconds that a
    server keeps history. ``copying``: about the copy of the store that is kept before a migration rewrites it. ``scheduling``: how
    the scheduler waits. ``store`` is the store itself, from the start on: pages, API and commands look through it. ``left``: once
    the engine has stopped, how many executions wait for the next server.

    Raises ``DefinitionError``, ``FlowCheckError`` for flows that it can't serve.
    """

    def __init__(
        self,
        flows: Sequence[Flow],
        *,
        store: str | None = None,
        kind: Literal["server", "local"] = "local",
        clock: Clock | None = None,
        echo: Callable[[bytes], None] | None = None,
        keep: float = HousekeepingConfig().keep,
        copying: Copying = KEEP_COPY,
        scheduling: SchedulerConfig = DEFAULT_SCHEDULING,
    ) -> None:
        self.events = EventBus()
        self.kind = kind
        self._served = Served(flows, store)
        self._scheduling = scheduling
        self.flow, self.job, self.changed_files = self._served.flow, self._served.job, self._served.changed_files
        self._clock = clock or SystemClock()
        self._echo = echo
        self._keep = keep
        self._copying = copying
        self._stopped = False
        self._hurried = False
        self.left = 0

    # Its life

    def start(self) -> None:
        """Open the store, take the server's lock, clear up after engines that died, and bind the flows.

        Raises ``StoreUnavailable``, ``StoreLocked`` or ``StoreTooNew``; nothing is left open then.
        """
        self.store = open_store(self._served.store, events=self.events, copying=self._copying)
        serves = self.kind == "server"
        try:
            if serves:
                self.store.engines.become_server()
            self._build()
            self.store.engines.register(self.kind, self._clock.now())
            taken = take_over(self.store.executions, self._resumption, self._clock.now(), serves=serves)
            ticks = self.scheduler.not_started() if serves else ()
        except BaseException:
            self.store.close()
            raise
        self._served.bind(self._outside)
        self.recovery.start(taken, ticks, looks=serves)
        if serves:
            self.changed_files()  # from now on files outside the flows' folders are looked at too
            self._mappings.forget()
            self._housekeeping.start()
            self.scheduler.start()

    def _build(self) -> None:
        store = self.store
        self._timers = Timers(self._clock, for_script=self.kind == "local")
        self._pool = ProcessPool(self._timers.later, now=self._clock.monotonic)
        self._dispatch = Dispatch(local_runners(self._pool), self._caller)
        self._resources = Resources(
            executions=store.executions,
            logs=store.logs,
            events=self.events,
            clock=self._clock,
            timers=self._timers,
            run=self._dispatch.run,
            can_start=self._dispatch.can_start,
            start=self._dispatch.start,
            echo=self._echo,
            hands_over=self.kind == "server",
        )
        self._housekeeping = Housekeeping(HousekeepingConfig(keep=self._keep), store.retention, self._clock)
        self._threads = ThreadPool(_THREADS, _THREADS_OF_FANOUTS)
        self.partitions = PartitionGrids(store.partitions, self._clock)
        self.partition_runs = PartitionRuns(self.partitions, self._resources.limits)
        self._mappings = Mappings(
            store.mappings, store.executions, self._timers.later, keeps_inputs=self.kind == "server"
        )
        self._pausing = Pausing(self._resources.live, store.executions, self._clock)
        self._outside = self._caller(None, trigger=Trigger.PYTHON)
        self._resources.limits.define(self.flows.values())
        served = served_schedules(self.flows.values())
        self._schedule_runs = ScheduleRuns(
            served, self._outside, self._resources, store.schedules, self._dispatch.starts, self._dispatch.warm
        )
        self._resumption = Resumption(
            store.executions, store.runs, self.flows, served, self.partition_runs, self._mappings
        )
        self.recovery = Recovery(store.executions, self._resumption, self._schedule_runs, self._mappings, self._clock)
        self.scheduler = Scheduler(
            self._scheduling, self.flows, served, store.schedules, self._schedule_runs, self._clock
        )
        reloading = Reloading(
            self._served, self._resources, self.scheduler, self._schedule_runs, self._resumption, self._dispatch
        )
        self.serve, self.reload, self.schedule = reloading.serve, reloading.reload, self.scheduler.find

    @property
    def schedules(self) -> Mapping[Key, ServedSchedule]:
        """The schedules of the flows, by (flow, schedule), in the order of definition."""
        return self.scheduler.served

    def _caller(self, parent: LiveExecution | None, trigger: Trigger = Trigger.CALL) -> Caller:
        return Caller(
            self._resources,
            self._threads,
            self.partition_runs,
            parent,
            trigger=trigger,
            refresh_function=self._dispatch.refresh_function if parent is None else None,
        )

    def stop(self, grace: float = GRACE, reason: str = "stopped") -> bool:
        """Take no new work, wait ``grace`` seconds for what runs, end what is left with its ``cancel_grace``, and close the store.

        Returns whether all executions had ended by themselves. A server leaves to the next one its runs and the executions that
        have not started or have attempts left. ``reason`` is recorded. ``hurry`` cuts all waiting short, also for what was
        cancelled before; calling it again is fine.
        """
        with self._served.lock:
            if self._stopped:
                return True
            self.scheduler.stop()
            self._resources.stopping = True
            self.recovery.stop()
            self._housekeeping.stop()
            self._schedule_runs.leave(self._clock.now())
            self._served.unbind()
            self._pausing.interrupt()
            leave_queued(self._resources)
            ended = self._resources.live.wait_until_empty(grace, unless=lambda: self._hurried)
            if not ended:
                end_live(self._resources.live, lambda: self._hurried)
            self._dispatch.close()
            self._timers.stop()
            self._threads.close(wait=ended)
            self.left = sign_off(self._resources, self._resumption, self.flows, reason=reason)
            self.store.close()
            self._stopped = True
            return ended

    def hurry(self) -> None:
        """End what is left at once; for a second Ctrl-C, while ``stop`` waits."""
        self._hurried = True
        self._resources.live.hurry()

    # What it serves

    @property
    def flows(self) -> Mapping[str, Flow]:
        """The flows that it serves, by their names."""
        return self._served.flows

    @property
    def reloads(self) -> int:
        """How often other definitions have replaced the first ones."""
        return self._served.replacements

    # What it is asked to do

    def submit(
        self,
        job: Job[Any],
        inputs: Sequence[Any] = (),
        *,
        trigger: Trigger = Trigger.PYTHON,
        with_inputs: bool = False,
        force: bool = False,
        time_partition: Any = None,
        cat_partition: str | None = None,
        at: datetime | None = None,
    ) -> Submitted:
        """Begin an execution of a job. ``with_inputs``: its declared inputs are executed first, as a DAG run.

        ``at`` (aware): the tick that the job sees as its ``scheduled_at``, though no schedule runs it.

        Raises ``PayloadError``, ``InputCountError``, ``PartitionError``, ``CallError``; nothing has happened then.
        """
        call = submissions.job_call(
            job, inputs, trigger, force=force, time_partition=time_partition, cat_partition=cat_partition, at=at
        )
        return self._start(submissions.with_inputs(call)) if with_inputs else self._outside.start(call)

    def submit_map(
        self,
        job: Job[Any],
        inputs: Sequence[Any],
        *,
        trigger: Trigger = Trigger.MAP,
        batch_size: int | None = None,
        max_concurrency: int | None = None,
    ) -> Submitted:
        """Begin a mapping of a job over a list of inputs (a tuple is several positional ones), as one execution with children.

        A server keeps the inputs in the store until it has ended. Raises ``PayloadError``, ``InputCountError``,
        ``PartitionError``; nothing has happened then.
        """
        submitted = self._start(self._mappings.call(job, inputs, trigger, batch_size, max_concurrency))
        submitted.future.add_done_callback(self._mappings.forget)
        return submitted

    def submit_partitions(
        self,
        job: Job[Any],
        selection: PartitionSelection,
        *,
        trigger: Trigger = Trigger.PARTITIONS,
        batch_size: int | None = None,
        max_concurrency: int | None = None,
        with_inputs: bool = False,
    ) -> Submitted:
        """Begin a run over partitions, as one execution with children. Raises ``PartitionError``."""
        plan = self.partition_runs.plan(job, selection, batch_size, max_concurrency, with_inputs)
        return self._start(submissions.partitions_call(plan, selection, trigger))

    def _start(self, call: Call) -> Submitted:
        self._dispatch.refresh_function(call.job)
        return self._outside.start(call)

    def cancel(self, execution_id: int) -> None:
        """End an execution and everything below it. Raises ``UnknownNameError``, or ``ConflictError`` if it has ended."""
        execution = self._resources.live.get(execution_id)
        if execution is None or not execution.cancel():
            raise refusal(self.store.executions, execution_id, "cancel", "there is nothing to cancel")

    def pause(self, execution_id: int) -> None:
        """Begin nothing new in a run over many inputs or partitions. Raises ``UnknownNameError``, ``ConflictError``."""
        self._pausing.pause(execution_id)

    def resume(self, execution_id: int) -> None:
        """Go on with a run that is paused. Raises ``UnknownNameError``, ``ConflictError``."""
        self._pausing.resume(execution_id)

    def retry(self, execution_id: int) -> Submitted:
        """Begin a new execution of the same job with the same inputs. Raises ``UnknownNameError``, ``ConflictError``.

        Of a run over partitions, what did not succeed is run again.
        """
        row = self.store.executions.call_of(execution_id)
        if self._resources.live.get(execution_id) is not None or not ExecutionStatus(row.status).final:
            raise ConflictError(f"Execution {execution_id} has not ended; cancel it first, or wait for its end.")
        served = self.scheduler.served.get((row.flow, schedule_of(row.options)))
        if served is not None and served.runs_as(row.job, row.kind):
            return self.scheduler.run(served, Trigger.RETRY, row.scheduled_at, force=True)
        if row.kind is Kind.PARTITIONS:
            plan, selection = self.partition_runs.again(self.job(row.flow, row.job), execution_id, row.options)
            return self._start(submissions.partitions_call(plan, selection, Trigger.RETRY))
        if row.kind is Kind.MAP:
            raise ConflictError(
                f"Execution {execution_id} is a run over many inputs ({row.kind}); start a new one with what is to be run again."
            )
        return self.submit(
            self.job(row.flow, row.job),
            () if row.kind is Kind.DAG else inputs_again(execution_id, row.inputs),
            trigger=Trigger.RETRY,
            with_inputs=row.kind is Kind.DAG,
            force=True,
            time_partition=row.time_partition,
            cat_partition=row.cat_partition,
            at=None if row.scheduled_at is None else utc(row.scheduled_at),
        )

    def pause_schedule(self, flow: str, name: str) -> None:
        """From now on its ticks are recorded and do not run. Raises ``UnknownNameError``."""
        self.scheduler.pause(self.scheduler.find(flow, name))

    def resume_schedule(self, flow: str, name: str) -> None:
        """From now on its ticks run again; none of those that passed meanwhile does. Raises ``UnknownNameError``."""
        self.scheduler.resume(self.scheduler.find(flow, name))

    def run_schedule(
        self, flow: str, name: str, *, trigger: Trigger = Trigger.PYTHON, at: datetime | None = None
    ) -> Submitted:
        """Start a run of a schedule now, as of the tick ``at`` (aware; default: now), which its jobs see as ``scheduled_at``.

        It is not a tick, and takes no tick's record. Raises ``UnknownNameError``; ``ConflictError`` if it must not overlap.
        """
        served = self.scheduler.find(flow, name)
        return self.scheduler.run(served, trigger, self._clock.now() if at is None else at.timestamp())

    def concurrency(self) -> list[LimitState]:
        """Every limit of flows and groups, and those of keys and run keys in use, with who holds their places and who waits."""
        self._resources.limits.define(self.flows.values())
        return [state_of(kind, limit) for kind, limit in self._resources.limits.all()]

    def held_by(self, execution_id: int) -> list[int]:
        """The executions that hold what a queued one waits for; empty if it waits for no place."""
        limit = self._waits_at(execution_id)
        holders = () if limit is None else tuple(limit.holders)
        return sorted(holder.execution_id for holder in holders if holder.execution_id)

    def waits_for(self, execution_id: int) -> Waiting | None:
        """Why a queued execution has no place at this moment, which another limit may have become since it was queued."""
        limit = self._waits_at(execution_id)
        return None if limit is None else waiting_at(limit, self._clock.now())

    def _waits_at(self, execution_id: int) -> Limit | None:
        execution = self._resources.live.get(execution_id)
        return None if execution is None else execution.waits_at

    def is_being_stopped(self, execution_id: int) -> bool:
        """Whether an execution that has not ended was asked to: by a cancel, a timeout, or the stop of this engine."""
        execution = self._resources.live.get(execution_id)
        return execution is not None and execution.stop.reason is not None

    def progress(self, execution_id: int) -> Progress | None:
        """How far a running execution is, if it said so."""
        execution = self._resources.live.get(execution_id)
        return execution.observation.progress_made if execution is not None else None
