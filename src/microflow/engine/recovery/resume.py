"""How a server resumes what another engine left: the calls that carry on its executions and runs.

The members of a run that have ended keep their results. A member that was interrupted and has no attempt left has failed. The other
members follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...errors import DefinitionError, Interrupted, MicroflowError
from ...flow import Flow
from ...jobs import Job
from ...model.payloads import decode
from ...model.results import ExecutionError, ExecutionStatus, Kind, Trigger
from ...store import EndedCall, Executions, ResumedRuns
from ...store.options import read_options, schedule_of
from ...store.rows import Ending, Opened, StoredCall
from ..execution.call import Call, prepare, result_of
from ..execution.pausing import PAUSED, PauseSwitch
from ..partitions.keys import locate
from ..runs.caller import dag_call, partitions_body
from ..runs.dag import ResumedDag, check_resumed
from ..runs.mappings import Mappings
from ..runs.partition_plans import PartitionRuns
from ..runs.sources import ResumedCalls
from ..schedules.runs import ServedSchedule
from .takeover import Leftover, gone, never_started


class Resumption:
    """Makes the calls that resume what another engine left, with the jobs that this engine serves."""

    def __init__(
        self,
        executions: Executions,
        resumed: ResumedRuns,
        flows: Mapping[str, Flow],
        served: Iterable[ServedSchedule],
        partition_runs: PartitionRuns,
        mappings: Mappings,
    ) -> None:
        self._executions = executions
        self._resumed = resumed
        self._partition_runs = partition_runs
        self._mappings = mappings
        self.serve(flows, served)

    def serve(self, flows: Mapping[str, Flow], served: Iterable[ServedSchedule]) -> None:
        """From now on, resume with the jobs of these flows, and with their schedules."""
        self._flows = flows
        self._served = {schedule.key: schedule for schedule in served}

    def retries_of(self, opened: Opened) -> int | None:
        """How often the job of an execution is tried again: -1 if its flow has no such job, None if the flow is not served."""
        if opened.flow not in self._flows:
            return None
        job = self._flows[opened.flow].jobs.get(opened.job)
        return -1 if job is None else job.retries

    def _job(self, opened: Opened) -> Job[Any]:
        """The job of an execution whose flow is there. Raises ``DefinitionError`` if it is gone."""
        if (job := self._flows[opened.flow].jobs.get(opened.job)) is None:
            raise DefinitionError(gone(opened))
        return job

    def call(self, left: Leftover) -> Call:
        """The call that resumes it. Of a run, raises whatever says that the jobs, inputs or partitions are others by now."""
        root = left.root
        if left.kind.has_code:
            return self._job_call(root)
        call = self._dag_call(root, left) if left.kind is Kind.DAG else self._mapping_call(root, left)
        prepare(call)
        return call

    def end(self, left: Leftover, error: Exception, now: float) -> None:
        """End what can't be resumed after all, with the reason."""
        why = str(error) if isinstance(error, MicroflowError) else f"{type(error).__name__}: {error}"
        with self._executions.together():
            for opened, _ in reversed(left.all):
                ended = never_started("server") if opened.started_at is None else "The server that ran this ended."
                message = f"{ended} It can't be resumed: {why}"
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

    def _dag_call(self, run: Opened, left: Leftover) -> Call:
        row = self._executions.call_of(run.id)
        jobs = self._targets(run, row)
        template = Call(
            job=jobs[0],
            trigger=Trigger.CALL if run.parent_id is None else row.trigger,
            force=read_options(row.options).force,
            time_partition=row.time_partition,
            cat_partition=row.cat_partition,
        )
        ended = self._resumed.ended(run)
        opened = {call.job: call for call, _ in left.calls_of(run)}
        resumed = ResumedDag({call.job: _result(jobs[0].flow, call) for call in ended}, opened)
        check_resumed(jobs, resumed)
        return dag_call(
            jobs,
            template,
            resumed,
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

    def _mapping_call(self, run: Opened, left: Leftover) -> Call:
        """A mapping, or a run over partitions: calls in a known order, of which the first have been made."""
        row = self._executions.call_of(run.id)
        job = self._job(run)
        last = self._resumed.last(run)
        unfinished = [
            self._dag_call(opened, left) if kind is Kind.DAG else self._job_call(opened)
            for opened, kind in left.calls_of(run)
        ]
        position = 0 if last is None else last.position + 1
        resumed = ResumedCalls(self._resumed.counts(run), self._resumed.failure(run), position, unfinished)
        if left.kind is Kind.MAP:
            body = self._mappings.rest(job, run, row.options, resumed)
        else:
            body = partitions_body(self._partition_runs.rest(job, last, row.options), resumed)
        return Call(
            job=job,
            trigger=row.trigger,
            kind=left.kind,
            body=body,
            options=_encoded(row),
            pause_switch=PauseSwitch(paused=row.waiting is not None and row.waiting.reason == PAUSED),
            opened=run,
        )


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
