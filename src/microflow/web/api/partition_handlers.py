"""The handlers of partitions in the REST API; their addresses are in the table of ``api.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ...engine.partitions.grids import partitions_of
from ...errors import PartitionError
from ...model.clock import utc
from ...model.results import Trigger
from ...views.live import with_live_state
from ...views.partitions import PartitionMatrix, is_small, matrix
from .endpoints import Answer, Call
from .partition_messages import (
    NewPartitionRun,
    PartitionCounts,
    PartitionEnd,
    PartitionPreview,
    PartitionQuery,
    PartitionsQuery,
    PartitionView,
    PlannedRun,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...engine.runs.caller import Submitted
    from ...jobs import Job
    from ...store.rows import PartitionRecord
    from ...store.views import ExecutionView
    from ..http.site import Site


def list_partitions(site: Site, call: Call) -> PartitionMatrix:
    """The partitions of a job with their statuses, as a grid of times and categories.

    From the first partition on, or the earliest executed one, up to now, unless `from` and `to` say otherwise.
    """
    asked: PartitionsQuery = call.query
    job = _job(site, call)
    runs = site.engine.partitions
    grid = runs.grid(job, _text(asked.start), _text(asked.end), _categories(job, asked.cat))
    is_plain = is_small(grid) if asked.form == "auto" else asked.form == "plain"
    measured = None
    if asked.measure is not None:
        measured = runs.statuses.measured(
            job.flow.name, job.name, grid.times, grid.cats, asked.measure, site.now().timestamp()
        )
    return matrix(job, grid, is_plain, measured, asked.measure)


def show_partition(site: Site, call: Call) -> PartitionView:
    """One partition, with the execution that its status is of."""
    asked: PartitionQuery = call.query
    job = _job(site, call)
    partitions = partitions_of(job)
    time_partition = _text(asked.time_partition)
    for name, given, dimension in (
        ("time_partition", time_partition, partitions.time),
        ("cat_partition", asked.cat_partition, partitions.cat),
    ):
        if dimension is not None and given is None:
            raise PartitionError(f"Job {job.name!r} has more than one partition; say which one with {name}.")
    start, category = partitions.check(time_partition, asked.cat_partition)
    text = None if start is None or partitions.time is None else partitions.time.text(start)
    statuses, key = site.store.partitions, (text or "", category or "")
    # in this order: what ends in between has ended when it is looked at
    live = statuses.live(job.flow.name, job.name, key)
    record = statuses.record(job.flow.name, job.name, key)
    last = None if record is None else _ended(record)
    shown: dict[str, Any] = dict.fromkeys(
        ("execution_id", "queued_at", "started_at", "ended_at", "duration", "attempt")
    )
    if live is not None and (last is None or last.status == "skipped" or last.execution_id < live.execution_id):
        shown |= {
            "status": live.status,
            "execution_id": live.execution_id,
            "queued_at": utc(live.queued_at),
            "started_at": None if live.started_at is None else utc(live.started_at),
            "attempt": live.attempt,
        }
    elif last is not None:
        shown |= msgspec.structs.asdict(last)
        last = None
    else:
        shown["status"] = "missing"
    return PartitionView(
        time_partition=text,
        cat_partition=category,
        start=start,
        end=None if start is None or partitions.time is None else partitions.time.end_of(start),
        last=last,
        **shown,
    )


def _ended(record: PartitionRecord) -> PartitionEnd:
    started = None if record.started_at is None else utc(record.started_at)
    duration = None if record.started_at is None else max(record.ended_at - record.started_at, 0.0)
    return PartitionEnd(
        execution_id=record.execution_id,
        status=record.status,
        started_at=started,
        ended_at=utc(record.ended_at),
        duration=duration,
        attempt=record.attempt,
    )


def plan_partitions(site: Site, call: Call) -> PartitionPreview:
    """What a run over partitions would be: how much, and how long it is likely to take.

    Nothing is executed. What would be wrong with the run is told as when it is begun.
    """
    asked: PlannedRun = call.body
    runs = site.engine.partition_runs
    plan = runs.plan(
        _job(site, call), asked.selection, asked.batch_size, asked.max_concurrency, asked.with_inputs, counted=True
    )
    estimate = runs.estimate(plan)
    return PartitionPreview(
        partitions=estimate.partitions,
        executions=estimate.executions,
        concurrency=estimate.concurrency,
        seconds_each=estimate.seconds_each,
        seconds=estimate.seconds,
        counts=PartitionCounts(**estimate.counts or {}),
    )


async def execute_partitions(site: Site, call: Call) -> Answer:
    """Execute a job over its partitions.

    The run is one execution with a child for each partition, or for each batch of them. It can be paused, resumed and
    cancelled as one.
    """
    asked: NewPartitionRun = call.body
    submitted = await site.run(_submit, site, call)
    if asked.wait:
        await site.until_done(submitted.future, asked.wait)
    return Answer(await site.run(_look_at, site, submitted.id), f"/api/executions/{submitted.id}")


def _submit(site: Site, call: Call) -> Submitted:
    asked: NewPartitionRun = call.body
    return site.engine.submit_partitions(
        _job(site, call),
        asked.selection,
        trigger=Trigger.API,
        batch_size=asked.batch_size,
        max_concurrency=asked.max_concurrency,
        with_inputs=asked.with_inputs,
    )


def _job(site: Site, call: Call) -> Job[Any]:
    return site.engine.job(call.path["flow"], call.path["job"])


def _categories(job: Job[Any], given: Sequence[str]) -> list[str] | None:
    """The categories of an address, where each may be given apart, or several with commas between them; None for all."""
    known = partitions_of(job).cat or ()
    return [name for text in given for name in ([text] if text in known else text.split(",")) if name] or None


def _text(given: str | None) -> str | None:
    """A time partition from an address, where the "+" of an offset means a space and is seldom escaped."""
    if given is None:
        return None
    return (given.strip().replace(" ", "+") if "T" in given else given.strip()) or None


def _look_at(site: Site, id_: int) -> ExecutionView:
    return with_live_state(site.engine, site.store.reading.execution(id_))
