"""The REST API: the route table, and under it the handlers in the same order.

A handler looks at ``site.store`` or acts by ``site.engine``, and returns a value; parameters, errors and JSON are
dealt with in one place for all of them.
"""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from ...engine.changes import Changes
from ...errors import PayloadError
from ...model.payloads import decode
from ...model.results import Trigger
from ...model.zones import resolve_zone
from ...store.filters import Filters, read_cursor
from ...store.views import ExecutionView, Tree
from ...views.definitions import JobView, flow_view, job_view
from ...views.live import LogText, with_live_state
from ...views.partitions import PartitionMatrix
from ...views.schedules import ScheduleState
from ...views.zone_data import zone_data
from ..http import metrics
from ..http.parameters import bad_cursor, part_of, tick_of
from ..http.problems import Problem
from ..http.stream import StreamResponse
from .endpoints import Answer, Call, Endpoint
from .messages import (
    ExecutionList,
    ExecutionsQuery,
    FlowList,
    Health,
    JobList,
    LimitList,
    ListQuery,
    LogsQuery,
    NewExecution,
    NewMapping,
    NewScheduleRun,
    OfFlowQuery,
    ScheduleList,
    TickList,
    TicksQuery,
)
from .openapi import document
from .partition_handlers import (
    execute_partitions,
    list_partitions,
    plan_partitions,
    show_partition,
)
from .partition_messages import (
    NewPartitionRun,
    PartitionPreview,
    PartitionQuery,
    PartitionsQuery,
    PartitionView,
    PlannedRun,
)
from .schedule_handlers import (
    list_schedules,
    list_ticks,
    pause_schedule,
    resume_schedule,
    run_schedule,
    show_schedule,
)

if TYPE_CHECKING:
    from ...engine.runs.caller import Submitted
    from ..http.site import Site


def check_health(site: Site, _: Call) -> Health:
    """Whether the server answers and its store can be read."""
    site.store.reading.check()
    return Health("ok", zone_data(), site.newer.look())


async def reload_code(site: Site, _: Call) -> Changes:
    """Load the code of the flows again, and serve it.

    What is executed from now on has the new code. What runs or is queued, and what it calls, keeps the code that it began with. If
    the code can't be loaded or has mistakes, the answer says all of them, and the server goes on as before.
    """
    return await site.reload()


def list_flows(site: Site, call: Call) -> FlowList:
    """The flows."""
    shown, following = part_of([*site.engine.flows.values()], call.query.limit, call.query.cursor)
    return FlowList([flow_view(flow) for flow in shown], following)


def list_jobs(site: Site, call: Call) -> JobList:
    """The jobs, of all flows or of one."""
    name = call.query.flow
    flows = site.engine.flows.values() if name is None else [site.engine.flow(name)]
    jobs = [job for flow in flows for job in flow.jobs.values()]
    shown, following = part_of(jobs, call.query.limit, call.query.cursor)
    moment = site.now()
    return JobList([job_view(job, moment) for job in shown], following)


def show_job(site: Site, call: Call) -> JobView:
    """What a job's definition says."""
    return job_view(site.engine.job(call.path["flow"], call.path["job"]), site.now())


async def execute_job(site: Site, call: Call) -> Answer:
    """Execute a job.

    The answer comes at once, or at the end of the execution or after `wait` seconds.
    """
    return await _submitted(site, await site.run(_submit, site, call), call.body.wait)


def _submit(site: Site, call: Call) -> Submitted:
    asked: NewExecution = call.body
    job = site.engine.job(call.path["flow"], call.path["job"])
    return site.engine.submit(
        job,
        _payloads(asked.inputs),
        trigger=Trigger.API,
        with_inputs=asked.with_inputs,
        force=asked.force,
        time_partition=asked.time_partition,
        cat_partition=asked.cat_partition,
        at=None if asked.at is None else tick_of(asked.at, resolve_zone(job.flow.timezone)),
    )


async def map_job(site: Site, call: Call) -> Answer:
    """Execute a job over many inputs.

    The mapping is one execution with a child for each input, or for each batch of them.
    """
    return await _submitted(site, await site.run(_submit_map, site, call), call.body.wait)


def _submit_map(site: Site, call: Call) -> Submitted:
    asked: NewMapping = call.body
    return site.engine.submit_map(
        site.engine.job(call.path["flow"], call.path["job"]),
        _payloads(asked.inputs),
        trigger=Trigger.API,
        batch_size=asked.batch_size,
        max_concurrency=asked.max_concurrency,
    )


def list_executions(site: Site, call: Call) -> ExecutionList:
    """Executions, newest first."""
    asked: ExecutionsQuery = call.query
    if asked.cursor is not None:
        try:
            read_cursor(asked.cursor)
        except ValueError:
            raise bad_cursor(asked.cursor) from None
    filters = Filters(**{name: getattr(asked, name) for name in Filters.__struct_fields__ if name != "top_level"})
    page = site.store.reading.executions(filters, asked.limit, asked.cursor)
    return ExecutionList([with_live_state(site.engine, item) for item in page.items], page.next)


def show_execution(site: Site, call: Call) -> ExecutionView:
    """One execution."""
    return _look_at(site, call.id)


def show_tree(site: Site, call: Call) -> Tree:
    """An execution with everything below it.

    Of a tree of more than 5,000 executions, or of more than 100 levels, the upper ones are shown, and it is marked as truncated.
    """
    tree = site.store.reading.tree(call.id)
    nodes = [tree.execution]
    for node in nodes:
        live = with_live_state(site.engine, node)
        node.progress, node.waiting = live.progress, live.waiting
        nodes += node.children
    return tree


def show_logs(site: Site, call: Call) -> LogText:
    """What an execution printed, as text from an offset on."""
    asked: LogsQuery = call.query
    # in this order: what an execution that has ended printed is all there when it is read afterwards
    ended = site.store.reading.execution(call.id).status.final
    part = site.store.logs.read(call.id, asked.after, asked.limit)
    return LogText(part.text, part.next, part.left_out, ended)


def cancel_execution(site: Site, call: Call) -> ExecutionView:
    """End an execution and everything below it.

    The answer may come before the end does.
    """
    site.engine.cancel(call.id)
    return _look_at(site, call.id)


def pause_execution(site: Site, call: Call) -> ExecutionView:
    """Begin nothing new in a run over inputs or partitions.

    What it has begun goes on. Until it is resumed its `waiting` has the reason `paused`.
    """
    site.engine.pause(call.id)
    return _look_at(site, call.id)


def resume_execution(site: Site, call: Call) -> ExecutionView:
    """Go on with a run that is paused."""
    site.engine.resume(call.id)
    return _look_at(site, call.id)


async def retry_execution(site: Site, call: Call) -> Answer:
    """Execute again, as a new execution, what has ended."""
    return await _submitted(site, await site.run(site.engine.retry, call.id))


def list_limits(site: Site, call: Call) -> LimitList:
    """The limits of concurrency, who holds their places and who waits."""
    return LimitList(*part_of(site.engine.concurrency(), call.query.limit, call.query.cursor))


async def stream_events(site: Site, _: Call) -> Response:
    """Every change, as server-sent events.

    An event is named by its topic, and its data say what changed, not how it is now. After a `resync` event, and after a new
    connection, anything may have changed.
    """
    return StreamResponse(site.streams)


def show_openapi(_site: Site, _: Call) -> Response:
    """This document."""
    return Response(_document(), media_type="application/json")


def show_metrics(site: Site, _: Call) -> Response:
    """Figures for Prometheus."""
    return Response(site.metrics.text(), media_type=metrics.MEDIA_TYPE)


_JOB = "/api/jobs/{flow}/{job}"
_EXECUTION = "/api/executions/{id}"
_SCHEDULE = "/api/schedules/{flow}/{name}"

_CREATED, _ACCEPTED = HTTPStatus.CREATED, HTTPStatus.ACCEPTED

ENDPOINTS = (
    Endpoint("GET", "/api/health", check_health, Health),
    Endpoint("POST", "/api/reload", reload_code, Changes),
    Endpoint("GET", "/api/flows", list_flows, FlowList, query=ListQuery),
    Endpoint("GET", "/api/jobs", list_jobs, JobList, query=OfFlowQuery),
    Endpoint("GET", _JOB, show_job, JobView),
    Endpoint("POST", f"{_JOB}/executions", execute_job, ExecutionView, _CREATED, body=NewExecution),
    Endpoint("POST", f"{_JOB}/map", map_job, ExecutionView, _CREATED, body=NewMapping),
    Endpoint("GET", f"{_JOB}/partitions", list_partitions, PartitionMatrix, query=PartitionsQuery),
    Endpoint("GET", f"{_JOB}/partitions/detail", show_partition, PartitionView, query=PartitionQuery),
    Endpoint("POST", f"{_JOB}/partitions/plan", plan_partitions, PartitionPreview, body=PlannedRun),
    Endpoint(
        "POST", f"{_JOB}/partitions/executions", execute_partitions, ExecutionView, _CREATED, body=NewPartitionRun
    ),
    Endpoint("GET", "/api/executions", list_executions, ExecutionList, query=ExecutionsQuery),
    Endpoint("GET", _EXECUTION, show_execution, ExecutionView),
    Endpoint("GET", f"{_EXECUTION}/tree", show_tree, Tree),
    Endpoint("GET", f"{_EXECUTION}/logs", show_logs, LogText, query=LogsQuery),
    Endpoint("POST", f"{_EXECUTION}/cancel", cancel_execution, ExecutionView, _ACCEPTED),
    Endpoint("POST", f"{_EXECUTION}/retry", retry_execution, ExecutionView, _CREATED),
    Endpoint("POST", f"{_EXECUTION}/pause", pause_execution, ExecutionView),
    Endpoint("POST", f"{_EXECUTION}/resume", resume_execution, ExecutionView),
    Endpoint("GET", "/api/schedules", list_schedules, ScheduleList, query=OfFlowQuery),
    Endpoint("GET", _SCHEDULE, show_schedule, ScheduleState),
    Endpoint("GET", f"{_SCHEDULE}/ticks", list_ticks, TickList, query=TicksQuery),
    Endpoint("POST", f"{_SCHEDULE}/pause", pause_schedule, ScheduleState),
    Endpoint("POST", f"{_SCHEDULE}/resume", resume_schedule, ScheduleState),
    Endpoint("POST", f"{_SCHEDULE}/run", run_schedule, ExecutionView, _CREATED, body=NewScheduleRun),
    Endpoint("GET", "/api/concurrency", list_limits, LimitList, query=ListQuery),
    Endpoint("GET", "/api/events", stream_events, media_type="text/event-stream"),
    Endpoint("GET", "/api/openapi.json", show_openapi),
    Endpoint("GET", "/metrics", show_metrics, media_type="text/plain"),
)
"""The whole API, a line for each address."""


@lru_cache
def _document() -> bytes:
    return msgspec.json.encode(document(ENDPOINTS))


def _payloads(given: tuple[msgspec.Raw, ...]) -> list[Any]:
    payloads = []
    for index, raw in enumerate(given):
        try:
            payloads.append(decode(bytes(raw)))
        except PayloadError as error:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, f"inputs[{index}] can't be read. {error}", kind="invalid-body"
            ) from None
    return payloads


async def _submitted(site: Site, submitted: Submitted, wait: float = 0) -> Answer:
    """Where a new execution is found, and what it is, at the end of it or after ``wait`` seconds."""
    if wait:
        await site.until_done(submitted.future, wait)
    return Answer(await site.run(_look_at, site, submitted.id), f"/api/executions/{submitted.id}")


def _look_at(site: Site, id_: int) -> ExecutionView:
    return with_live_state(site.engine, site.store.reading.execution(id_))
