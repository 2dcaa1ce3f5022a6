"""What an engine that ended has left, and how the next one goes on with it.

Left are roots: what a manager had called is called anew by its next attempt. A job is tried again if it has attempts left. A DAG
run or a run over partitions goes on if everything that ran for it has attempts left: what has ended keeps its result, what was
interrupted is tried again, what only waited waits again, and the rest follows. A mapping ends: its inputs are not in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from ..errors import DefinitionError
from ..flow import Flow
from ..jobs import Job
from ..model.payloads import decode
from ..store.begun import BegunRuns, EndedCall
from ..store.executions import HAVE_CODE, CallRow, Executions, Opened, Waiting
from ..store.schedules import schedule_of
from .caller import dag_call
from .calls import Call, prepare, result_of
from .dag import BegunDag, DagRun
from .gates import PAUSED, Gate
from .partition_keys import locate
from .partition_runs import PartitionRuns
from .schedule_runs import ServedSchedule
from .sources import BegunCalls

RUNS = ("dag", "partitions")
"""The kinds of executions that go on where they were: they have no code of the user's, and all that they have called is known."""


class Left(NamedTuple):
    """An unfinished root that may go on, and its ``kind``; ``below`` are the unfinished calls of its runs, oldest first."""

    root: Opened
    kind: str
    below: list[tuple[Opened, str]]

    @property
    def numbers(self) -> list[int]:
        """All of its executions."""
        return [self.root.id, *(opened.id for opened, _ in self.below)]

    def waiting(self, message: str, now: float) -> dict[int, Waiting]:
        """Why each of its executions is queued."""
        return dict.fromkeys(self.numbers, Waiting("retry", message, now))

    def calls_of(self, run: Opened) -> list[tuple[Opened, str]]:
        """The unfinished calls of one of its runs."""
        return [(opened, kind) for opened, kind in self.below if opened.parent_id == run.id]


def may_go_on(unfinished: Sequence[tuple[Opened, str]], retries_of: Callable[[Opened], int]) -> list[Left]:
    """What may go on of an engine's unfinished executions (children first), oldest first: a pure function.

    ``retries_of`` says how often a job is tried again, -1 if it is gone. What ran counts; if nothing did, the root's own job.
    """
    found: list[Left] = []
    runs: dict[int, Left] = {}
    for opened, kind in reversed(unfinished):
        if opened.parent_id is None:
            left = Left(opened, kind, [])
            found.append(left)
        elif (above := runs.get(opened.parent_id)) is not None:
            left = above
            left.below.append((opened, kind))
        else:
            continue
        if kind in RUNS:
            runs[opened.id] = left
    return [left for left in found if _has_attempts_left(left, retries_of)]


def _has_attempts_left(left: Left, retries_of: Callable[[Opened], int]) -> bool:
    if left.kind not in (*RUNS, *HAVE_CODE):
        return False
    ran = [opened for opened, kind in left.below if kind in HAVE_CODE and opened.started_at is not None]
    return all(opened.attempt <= retries_of(opened) for opened in ran or [left.root])


class Succession:
    """Finds what may go on of what another engine left, or this one leaves, and makes the calls that go on with it."""

    def __init__(
        self,
        executions: Executions,
        begun: BegunRuns,
        flows: Mapping[str, Flow],
        served: Iterable[ServedSchedule],
        partition_runs: PartitionRuns,
    ) -> None:
        self._executions = executions
        self._begun = begun
        self._partition_runs = partition_runs
        self.serve(flows, served)

    def serve(self, flows: Mapping[str, Flow], served: Iterable[ServedSchedule]) -> None:
        """From now on what was left goes on with the jobs of these flows, and with their schedules."""
        self._flows = flows
        self._served = {schedule.key: schedule for schedule in served}

    def left_by(self, engine_id: int) -> list[Left]:
        """What an engine left that may go on, oldest first."""
        return may_go_on(self._executions.unfinished(engine_id), self._retries_of)

    def serves(self, opened: Opened) -> bool:
        """Whether an execution is of one of the flows that this engine has."""
        return opened.flow in self._flows

    def _retries_of(self, opened: Opened) -> int:
        job = self._flows[opened.flow].jobs.get(opened.job) if opened.flow in self._flows else None
        return -1 if job is None else job.retries

    def _job(self, opened: Opened) -> Job[Any]:
        """The job of an execution whose flow is there. Raises ``DefinitionError`` if it is gone."""
        if (job := self._flows[opened.flow].jobs.get(opened.job)) is None:
            raise DefinitionError(f"{opened.job!r} is no job of flow {opened.flow!r} any more.")
        return job

    def waiting_for_server(self, left: Left, now: float) -> dict[int, Waiting]:
        """Why each of its executions is queued until a server goes on with it; a run that is paused stays so."""
        kept = left.waiting("waits for a server: the one that had it stopped, and an attempt is left", now)
        waiting = self._executions.call_of(left.root.id).waiting
        if waiting is not None and waiting.reason == PAUSED:
            kept[left.root.id] = waiting
        return kept

    def call(self, left: Left) -> Call:
        """The call that goes on with it. Of a run, raises whatever says that the jobs and partitions are others by now."""
        root = left.root
        if left.kind not in RUNS:
            return self._job_call(root)
        call = self._dag_call(root, left) if left.kind == "dag" else self._partitions_call(root, left)
        prepare(call)
        return call

    def _job_call(self, opened: Opened) -> Call:
        row = self._executions.call_of(opened.id)
        return Call(
            job=self._job(opened),
            inputs=tuple(decode(row.inputs)),
            trigger=row.trigger,
            force=_force(row),
            scheduled_at=row.scheduled_at,
            options=_encoded(row),
            time_partition=row.time_partition,
            cat_partition=row.cat_partition,
            opened=opened,
        )

    def _dag_call(self, run: Opened, left: Left) -> Call:
        row = self._executions.call_of(run.id)
        jobs = self._targets(run, row)
        template = Call(
            job=jobs[0],
            trigger="call" if run.parent_id is None else row.trigger,
            force=_force(row),
            time_partition=row.time_partition,
            cat_partition=row.cat_partition,
        )
        ended = self._begun.ended(run)
        opened = {call.job: call for call, _ in left.calls_of(run)}
        begun = BegunDag({call.job: _result(jobs[0].flow, call) for call in ended}, opened)
        DagRun(jobs, template, lambda _: 0, begun)
        return dag_call(
            jobs,
            template,
            begun,
            trigger=row.trigger,
            scheduled_at=row.scheduled_at,
            options=_encoded(row),
            opened=run,
        )

    def _targets(self, run: Opened, row: CallRow) -> Sequence[Job[Any]]:
        """The jobs that a DAG run is of. Raises ``DefinitionError`` if it is a schedule's that is given to others by now."""
        job = self._job(run)
        if not (name := schedule_of(row.options)):
            return [job]
        served = self._served.get((run.flow, name))
        if served is None or not served.runs_as(row.job, row.kind):
            raise DefinitionError(f"schedule {name!r} was removed, or given to other jobs.")
        return served.jobs

    def _partitions_call(self, run: Opened, left: Left) -> Call:
        row = self._executions.call_of(run.id)
        job = self._job(run)
        last = self._begun.last(run)
        plan = self._partition_runs.rest(job, last, row.options)
        unfinished = [
            self._dag_call(opened, left) if kind == "dag" else self._job_call(opened)
            for opened, kind in left.calls_of(run)
        ]
        position = 0 if last is None else last.position + 1
        begun = BegunCalls(self._begun.counts(run), self._begun.failure(run), position, unfinished)
        return Call(
            job=job,
            trigger=row.trigger,
            kind="partitions",
            body=self._partition_runs.body(plan, begun),
            options=_encoded(row),
            gate=Gate(paused=row.waiting is not None and row.waiting.reason == PAUSED),
            opened=run,
        )


class _Options(msgspec.Struct, frozen=True):
    """What is kept of how any execution was asked for, as far as it matters to its calls."""

    force: bool = False


def _force(row: CallRow) -> bool:
    return msgspec.json.decode(row.options, type=_Options).force if row.options else False


def _encoded(row: CallRow) -> bytes | None:
    return row.options.encode() if row.options else None


def _result(flow: Flow, call: EndedCall) -> Any:
    """What a call that has ended gave to those who declare its job as an input."""
    job = flow.jobs.get(call.job)
    is_known = job is not None and job.partitions is not None and call.time_partition is not None
    start = locate(job, call.time_partition, None).start if job is not None and is_known else None
    return result_of(
        call.ending,
        job=call.job,
        execution_id=call.execution_id,
        time_partition=start,
        cat_partition=call.cat_partition,
        run_key=call.ending.run_key,
    )
