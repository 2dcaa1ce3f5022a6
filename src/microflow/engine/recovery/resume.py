"""What an engine that ended has left, and how the next server resumes it.

Roots are resumed, and the members of runs (DAG runs, mappings, runs over partitions): what has not begun begins, and what was
interrupted is tried again if it has an attempt left. What a manager had called ends with it: its next attempt calls anew.

A run itself has no code and is always resumed. Its members that have ended keep their results, a member that was interrupted and
has no attempt left has failed, and the rest follows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...errors import DefinitionError, Interrupted, MicroflowError
from ...flow import Flow
from ...jobs import Job
from ...model.payloads import decode
from ...model.results import ExecutionError, ExecutionStatus, Trigger
from ...store import BegunRuns, EndedCall, Executions
from ...store.options import read_options, schedule_of
from ...store.rows import HAVE_CODE, Ending, Opened, StoredCall, Waiting, waiting_for_server
from ..execution.call import Call, prepare, result_of
from ..execution.pausing import PAUSED, PauseSwitch
from ..partitions.keys import locate
from ..runs.caller import dag_call, partitions_body
from ..runs.dag import BegunDag, DagRun
from ..runs.mappings import Mappings
from ..runs.partition_plans import PartitionRuns
from ..runs.sources import BegunCalls
from ..schedules.runs import ServedSchedule


class Left(NamedTuple):
    """An unfinished root that is resumed, and its ``kind``; ``below`` are the members of its runs that are, oldest first."""

    root: Opened
    kind: str
    below: list[tuple[Opened, str]]

    @property
    def all(self) -> list[tuple[Opened, str]]:
        """The root and its members, with their kinds, oldest first."""
        return [(self.root, self.kind), *self.below]

    @property
    def numbers(self) -> list[int]:
        """The ids of all of its executions."""
        return [opened.id for opened, _ in self.all]

    def calls_of(self, run: Opened) -> list[tuple[Opened, str]]:
        """The unfinished members of one of its runs."""
        return [(opened, kind) for opened, kind in self.below if opened.parent_id == run.id]


def may_go_on(unfinished: Sequence[tuple[Opened, str]], retries_of: Callable[[Opened], int]) -> list[Left]:
    """What is resumed of a server's unfinished executions (children first), oldest first: a pure function.

    ``retries_of`` says how often a job is tried again, -1 if it is gone.
    """
    found: list[Left] = []
    runs: dict[int, Left] = {}
    for opened, kind in reversed(unfinished):
        above = None if opened.parent_id is None else runs.get(opened.parent_id)
        if (opened.parent_id is not None and above is None) or not _is_resumed(opened, kind, retries_of(opened)):
            continue
        if above is None:
            above = Left(opened, kind, [])
            found.append(above)
        else:
            above.below.append((opened, kind))
        if kind not in HAVE_CODE:
            runs[opened.id] = above
    return found


def _is_resumed(opened: Opened, kind: str, retries: int) -> bool:
    return retries >= 0 and (kind not in HAVE_CODE or opened.started_at is None or opened.attempt <= retries)


class Succession:
    """Finds what is resumed of what another engine left, or this one leaves, and makes the calls that resume it."""

    def __init__(
        self,
        executions: Executions,
        begun: BegunRuns,
        flows: Mapping[str, Flow],
        served: Iterable[ServedSchedule],
        partition_runs: PartitionRuns,
        mappings: Mappings,
    ) -> None:
        self._executions = executions
        self._begun = begun
        self._partition_runs = partition_runs
        self._mappings = mappings
        self.serve(flows, served)

    def serve(self, flows: Mapping[str, Flow], served: Iterable[ServedSchedule]) -> None:
        """From now on what was left goes on with the jobs of these flows, and with their schedules."""
        self._flows = flows
        self._served = {schedule.key: schedule for schedule in served}

    def left_by_server(self, unfinished: Sequence[tuple[Opened, str]]) -> list[Left]:
        """What is resumed of a server's unfinished executions, oldest first; of flows that this engine lacks, all that may be."""
        return may_go_on(unfinished, lambda opened: self._retries_of(opened) if self.serves(opened) else sys.maxsize)

    def left_by_script(self, unfinished: Sequence[tuple[Opened, str]]) -> list[Left]:
        """What of a dead script's or command's unfinished executions is tried again: a command's job that has an attempt left.

        Its runs, what it had queued, and the calls of a script end with it.
        """
        return [
            left
            for left in may_go_on(unfinished, self._retries_of)
            if left.kind in HAVE_CODE
            and left.root.started_at is not None
            and self._executions.call_of(left.root.id).trigger != Trigger.PYTHON
        ]

    def serves(self, opened: Opened) -> bool:
        """Whether an execution is of one of the flows that this engine has."""
        return opened.flow in self._flows

    def has_job(self, opened: Opened) -> bool:
        """Whether this engine has the job of an execution."""
        return self._retries_of(opened) >= 0

    def _retries_of(self, opened: Opened) -> int:
        job = self._flows[opened.flow].jobs.get(opened.job) if opened.flow in self._flows else None
        return -1 if job is None else job.retries

    def _job(self, opened: Opened) -> Job[Any]:
        """The job of an execution whose flow is there. Raises ``DefinitionError`` if it is gone."""
        if (job := self._flows[opened.flow].jobs.get(opened.job)) is None:
            raise DefinitionError(gone(opened))
        return job

    def awaiting_server(self, lefts: Iterable[Left], now: float) -> dict[int, Waiting]:
        """Why each of these executions is queued until a server resumes it; a run that is paused stays so."""
        return self._queued(lefts, lambda opened, kind: waiting_for_server(kind, opened.started_at is not None, now))

    def resuming(self, lefts: Iterable[Left], now: float) -> dict[int, Waiting]:
        """The same until this server, which has taken them over, comes to them."""
        waiting = Waiting("server", "waits for its turn: the server that had it ended, and this one resumes it", now)
        return self._queued(lefts, lambda _opened, _kind: waiting)

    def _queued(self, lefts: Iterable[Left], why: Callable[[Opened, str], Waiting]) -> dict[int, Waiting]:
        kept: dict[int, Waiting] = {}
        for left in lefts:
            kept |= {opened.id: why(opened, kind) for opened, kind in left.all}
            if left.kind not in HAVE_CODE and (waiting := self._executions.call_of(left.root.id).waiting) is not None:
                kept[left.root.id] = waiting if waiting.reason == PAUSED else kept[left.root.id]
        return kept

    def call(self, left: Left) -> Call:
        """The call that resumes it. Of a run, raises whatever says that the jobs, inputs or partitions are others by now."""
        root = left.root
        if left.kind in HAVE_CODE:
            return self._job_call(root)
        call = self._dag_call(root, left) if left.kind == "dag" else self._mapping_call(root, left)
        prepare(call)
        return call

    def end(self, left: Left, error: Exception, now: float) -> None:
        """End what can't be resumed after all, with the reason."""
        why = str(error) if isinstance(error, MicroflowError) else f"{type(error).__name__}: {error}"
        with self._executions.together():
            for opened, _ in reversed(left.all):
                ended = never_began("server") if opened.started_at is None else "The server that ran this ended."
                message = f"{ended} It can't go on: {why}"
                ending = Ending(status=ExecutionStatus.ERROR, error=ExecutionError(Interrupted.__name__, message))
                self._executions.finish(opened, ending, now)

    def _job_call(self, opened: Opened) -> Call:
        row = self._executions.call_of(opened.id)
        return Call(
            job=self._job(opened),
            inputs=tuple(decode(row.inputs)),
            trigger=row.trigger,
            force=read_options(row.options).force,
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
            force=read_options(row.options).force,
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

    def _targets(self, run: Opened, row: StoredCall) -> Sequence[Job[Any]]:
        """The jobs that a DAG run is of. Raises ``DefinitionError`` if it is a schedule's that is given to others by now."""
        job = self._job(run)
        if not (name := schedule_of(row.options)):
            return [job]
        served = self._served.get((run.flow, name))
        if served is None or not served.runs_as(row.job, row.kind):
            raise DefinitionError(f"schedule {name!r} was removed, or given to other jobs.")
        return served.jobs

    def _mapping_call(self, run: Opened, left: Left) -> Call:
        """A mapping, or a run over partitions: calls in a known order, of which the first have been made."""
        row = self._executions.call_of(run.id)
        job = self._job(run)
        last = self._begun.last(run)
        unfinished = [
            self._dag_call(opened, left) if kind == "dag" else self._job_call(opened)
            for opened, kind in left.calls_of(run)
        ]
        position = 0 if last is None else last.position + 1
        begun = BegunCalls(self._begun.counts(run), self._begun.failure(run), position, unfinished)
        if left.kind == "map":
            body = self._mappings.rest(job, run, row.options, begun)
        else:
            body = partitions_body(self._partition_runs.rest(job, last, row.options), begun)
        return Call(
            job=job,
            trigger=row.trigger,
            kind=left.kind,
            body=body,
            options=_encoded(row),
            gate=PauseSwitch(paused=row.waiting is not None and row.waiting.reason == PAUSED),
            opened=run,
        )


def gone(opened: Opened) -> str:
    """What is said of an execution whose flow is there without its job."""
    return f"{opened.job!r} is no job of flow {opened.flow!r} any more."


def never_began(kind: str) -> str:
    """What is said of an execution that will never begin, by the kind of the engine that had accepted it."""
    return f"This never began: the {kind} that had accepted it ended first."


def _encoded(row: StoredCall) -> bytes | None:
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
