"""The runs of schedules: which jobs a run takes, how it is started, and which runs have not ended."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from functools import partial
from typing import Any
from weakref import WeakSet

import msgspec

from ...errors import StoreError
from ...flow import Flow
from ...jobs import Job
from ...model.results import ExecutionStatus, Kind, Trigger
from ...model.schedules import Schedule
from ...store import Schedules
from ...store.options import Options, schedule_of
from ...store.rows import Claim, Ending, Opened, RunningElsewhere, Waiting
from ..admission.slots import Limit
from ..execution.call import Call
from ..execution.execution import Execution
from ..execution.resources import Resources
from ..execution.rollback import undo_open
from ..execution.state import State
from ..runs.caller import Caller, Submitted, dag_call

logger = logging.getLogger("microflow")

THREADS = 128
"""How many runs of schedules that take a thread each (managers, DAG runs) go on at the same time; the others are queued."""

Key = tuple[str, str]
"""The names of a flow and of a schedule."""


class ServedSchedule(msgspec.Struct, frozen=True, eq=False):
    """A schedule as a flow's jobs have it: ``jobs`` are those that it was given to, ``zone`` is where its clock hangs."""

    flow: Flow
    name: str
    schedule: Schedule
    zone: tzinfo
    jobs: tuple[Job[Any], ...]

    @property
    def key(self) -> Key:
        """The names of its flow and of itself."""
        return self.flow.name, self.name

    def first_task(self, can_be_warmed: Callable[[Job[Any]], bool]) -> Job[Any] | None:
        """A task for which a worker can be made ready before its run starts; None if there is none."""
        jobs = self.flow.jobs.values() if self.is_dag or self.jobs[0].kind is not Kind.TASK else self.jobs
        return next((job for job in jobs if can_be_warmed(job)), None)

    @property
    def is_dag(self) -> bool:
        """Whether one tick is a DAG run: of several jobs, or of one that declares inputs."""
        return len(self.jobs) > 1 or bool(self.jobs[0].inputs)

    def runs_as(self, job: str, kind: Kind) -> bool:
        """Whether its runs are executions of this job and kind; if not, it was given to other jobs since one of these ran."""
        return (job, kind) == (self.jobs[0].name, Kind.DAG if self.is_dag else self.jobs[0].kind)


def served_schedules(flows: Iterable[Flow]) -> list[ServedSchedule]:
    """Every schedule of the flows, in the order of definition. One object is one schedule of each flow that has it."""
    return [
        ServedSchedule(flow, name, schedule, schedule.zone(flow.timezone), jobs)
        for flow in flows
        for name, schedule, jobs in flow.schedules()
    ]


class ScheduleRuns:
    """Starts the runs of an engine's schedules and knows which of them have not ended.

    Used by one thread at a time, except for ``take_over``. A schedule that does not allow overlap has a limit of one slot: a run
    that must wait for the run before it waits there, like any other execution that waits for a slot.
    """

    def __init__(
        self,
        served: Sequence[ServedSchedule],
        caller: Caller,
        resources: Resources,
        store: Schedules,
        can_be_warmed: Callable[[Job[Any]], bool] = lambda _: False,
        warm: Callable[[Sequence[Job[Any]]], None] = lambda _: None,
    ) -> None:
        self._caller = caller
        self._resources = resources
        self._store = store
        self._can_be_warmed = can_be_warmed
        self._warm = warm
        self._turns: dict[Key, Limit] = {}
        self.serve(served)
        self._threads = Limit("runs of schedules", THREADS)
        self._started: defaultdict[Key, WeakSet[Execution]] = defaultdict(WeakSet)
        self._started_lock = threading.Lock()  # what a script left when it died is taken over by another thread
        self._joint = threading.local()

    def serve(self, served: Sequence[ServedSchedule]) -> None:
        """From now on these schedules are served. Runs that go on stay runs of the schedule that has their schedule's name."""
        in_use = {key: turn for key, turn in self._turns.items() if turn.holders or turn.parked}
        self._turns = in_use | {
            schedule.key: self._turns.get(schedule.key)
            or Limit(schedule.name, 1, flow=schedule.flow.name, reason="schedule")
            for schedule in served
            if schedule.schedule.overlap != "allow"
        }
        self._served = {schedule.key: schedule for schedule in served}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Start several runs in one transaction: they are committed at the end of the block and carried out after that.

        If the block raises, none of them has been started.
        """
        joint: list[Execution] = []
        self._joint.started = joint
        try:
            with self._resources.together():
                yield
        except BaseException as error:
            for execution in joint:
                undo_open(execution, error)
            raise
        finally:
            self._joint.started = None

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is inside ``transaction``."""
        return getattr(self._joint, "started", None) is not None

    def running(self, served: ServedSchedule) -> list[int]:
        """The ids of a schedule's runs that have not ended, in the order of their start: the runs of this engine and, where runs
        must not overlap, those that were started by hand in another process.
        """
        with self._started_lock:
            started = [execution.id for execution in self._started[served.key] if execution.state is not State.ENDED]
        others = self._in_other_engines(served) if served.schedule.overlap != "allow" else []
        return sorted([*started, *(number for number, _ in others)])

    def _in_other_engines(self, served: ServedSchedule) -> list[RunningElsewhere]:
        return self._store.running_elsewhere(*served.key)

    def _blocked_by_other_engine(self, served: ServedSchedule, now: float) -> Waiting | None:
        for number, process in self._in_other_engines(served):
            message = f"waits for execution {number}, a run of schedule {served.name!r} in {process}"
            return Waiting("schedule", message, now, held_by=(number,))
        return None

    def prepare(self, coming: Iterable[ServedSchedule]) -> None:
        """Have workers ready for runs that will start soon: one for each, as far as their flows' limits have slots for them.

        Raises ``WorkerDied`` if none can be started.
        """
        wanted: dict[str, list[Job[Any]]] = {}
        for served in coming:
            if (job := served.first_task(self._can_be_warmed)) is not None:
                wanted.setdefault(served.flow.name, []).append(job)
        jobs: list[Job[Any]] = []
        for found in wanted.values():
            limit = self._resources.limits.of_flow(found[0].flow)
            jobs += found[: max(limit.slots - len(limit.holders), 0)]
        self._warm(jobs)

    def is_live(self, execution_id: int) -> bool:
        """Whether this engine has the execution, and it has not ended."""
        return self._resources.live.get(execution_id) is not None

    def start(
        self,
        served: ServedSchedule,
        trigger: Trigger,
        scheduled_at: float | None = None,
        claim: Claim | None = None,
        *,
        force: bool = False,
    ) -> Submitted:
        """Start a run of a schedule. Raises what ``claim`` raises, ``StoreError``, ``ConflictError``.

        ``force``: also jobs whose run key has succeeded before.
        """
        call = self._call(served, trigger, scheduled_at, force)
        call.claim = claim
        call.options = Options(schedule=served.name, force=force).encode()
        return self._start(served, call)

    def take_over(self, call: Call) -> Submitted:
        """Resume an execution that another engine left. If it is a schedule's run, later runs of the schedule wait for it."""
        served = self._served.get((call.job.flow.name, schedule_of(call.options)))
        if served is None:
            return self._caller.start(call)
        call.limits = self._limits(served)
        return self._start(served, call)

    def take_over_tick(self, opened: Opened, now: float) -> None:
        """Start the run of a tick that another server claimed and did not start.

        It is cancelled if its schedule is gone, or starts with another job now.
        """
        row = self._resources.executions.call_of(opened.id)
        served = self._served.get((opened.flow, schedule_of(row.options)))
        if served is None or not served.runs_as(row.job, row.kind):
            reason = "its schedule was removed or given to other jobs before its turn came"
            self._resources.executions.finish(opened, Ending(status=ExecutionStatus.CANCELLED, reason=reason), now)
            return
        call = self._call(served, row.trigger, row.scheduled_at)
        call.options = Options(schedule=served.name).encode()
        call.opened = opened
        self.take_over(call)

    def leave(self, now: float) -> None:
        """Leave the runs of ticks that have not started to the next server."""
        waiting = Waiting("schedule", "waits for a server: the one that had it stopped before its turn came", now)
        for execution in self._resources.live.all():
            if execution.call.trigger is Trigger.SCHEDULE and execution.parent is None:
                try:
                    execution.leave(waiting)
                except StoreError as error:
                    logger.error("Execution %s stays queued; why can't be recorded: %s", execution.id, error)

    def _call(self, served: ServedSchedule, trigger: Trigger, scheduled_at: float | None, force: bool = False) -> Call:
        job = served.jobs[0]
        call = Call(job=job, trigger=trigger, scheduled_at=scheduled_at, force=force, limits=self._limits(served))
        if served.is_dag:
            template = Call(job=job, trigger=Trigger.CALL, force=force)
            return dag_call(served.jobs, template, trigger=trigger, scheduled_at=scheduled_at, limits=call.limits)
        return call

    def _limits(self, served: ServedSchedule) -> tuple[Limit, ...]:
        turn = self._turns.get(served.key) if served.schedule.overlap != "allow" else None
        takes_thread = served.is_dag or served.jobs[0].kind is not Kind.TASK
        return (*([turn] if turn is not None else []), *([self._threads] if takes_thread else []))

    def _start(self, served: ServedSchedule, call: Call) -> Submitted:
        if served.schedule.overlap != "allow":
            call.blocked_by_other_engine = partial(self._blocked_by_other_engine, served)
        started = self._caller.start(call)
        with self._started_lock:
            self._started[served.key].add(started.execution)
        if self.in_transaction:
            self._joint.started.append(started.execution)
        return started
