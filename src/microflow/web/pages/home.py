"""The home page and the pages of flows: what runs, what failed, what the day was like, which jobs there are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from starlette.routing import Route

from ...model.results import ExecutionStatus
from ...store.reading import Filters
from ..definitions import JobView, flow_view, job_view
from . import charts
from .dag import flow_picture, has_dag, is_small
from .desk import UNFINISHED, Desk, not_found, threaded
from .schedules import coming_runs

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ...flow import Flow
    from ...store.reading import Duration

DAY_BUCKETS = 96
DAY_HEIGHT = 56
SPARK_SLOTS = 20
SPARK_HEIGHT = 20


class JobLine(NamedTuple):
    """A job in a list: its definition, its newest executions, and the bars of their durations."""

    job: JobView
    durations: list[Duration]
    bars: list[charts.Bar]


class FlowLines(NamedTuple):
    """A flow with its jobs."""

    name: str
    jobs: list[JobLine]


def routes(desk: Desk) -> list[Route]:
    """The home page, the list of all jobs, a flow's page."""
    return [
        Route("/", threaded(desk, show_home), methods=["GET"], name="home"),
        Route("/flows", threaded(desk, show_flows), methods=["GET"], name="flows"),
        Route("/flows/{flow}", threaded(desk, show_flow), methods=["GET"], name="flow"),
    ]


def show_home(desk: Desk, request: Request) -> Response:
    """What runs now, what failed lately, the last day, the newest executions, the jobs."""
    moment = desk.site.now()
    # whole quarters of an hour, so that the bars stay where they are from one look to the next
    until = _next_quarter(moment)
    since = until - timedelta(minutes=15 * DAY_BUCKETS)
    buckets = desk.reading.timeline(since, until, DAY_BUCKETS)
    return desk.templates.page(
        request,
        "home.html",
        {
            "now": moment,
            "since": since,
            "until": until,
            "counts": desk.reading.counts(since),
            "started": sum(sum(bucket.statuses.values()) for bucket in buckets),
            "slots": charts.day_slots(buckets, DAY_HEIGHT),
            "height": DAY_HEIGHT,
            "hours": [since + (until - since) * quarter / 4 for quarter in range(5)],
            "running": desk.executions(Filters(status=UNFINISHED, top_level=True), 12).items,
            "failed": desk.executions(Filters(status=(ExecutionStatus.ERROR,), top_level=True), 6).items,
            "recent": desk.executions(Filters(top_level=True), 15).items,
            "coming": coming_runs(desk, moment),
            "scheduled": len(desk.engine.scheduler.served),
            "lines": _flow_lines(desk, desk.engine.flows.values(), moment),
            "spark_height": SPARK_HEIGHT,
        },
    )


def show_flows(desk: Desk, request: Request) -> Response:
    """Every job, by flow."""
    moment = desk.site.now()
    lines = _flow_lines(desk, desk.engine.flows.values(), moment)
    return desk.templates.page(request, "flows.html", {"now": moment, "lines": lines, "spark_height": SPARK_HEIGHT})


def show_flow(desk: Desk, request: Request) -> Response:
    """One flow: its jobs and its newest executions."""
    moment = desk.site.now()
    name = request.path_params["flow"]
    if name not in desk.engine.flows:
        raise not_found(f"There is no flow {name!r} here.")
    flow = desk.engine.flows[name]
    return desk.templates.page(
        request,
        "flow.html",
        {
            "now": moment,
            "flow": flow_view(flow),
            "has_dag": has_dag(flow),
            "dag": flow_picture(desk, flow) if is_small(flow) else None,
            "lines": _flow_lines(desk, [flow], moment)[0].jobs,
            "recent": desk.executions(Filters(flow=name, top_level=True), 15).items,
            "spark_height": SPARK_HEIGHT,
        },
    )


def _flow_lines(desk: Desk, flows: Iterable[Flow], moment: datetime) -> list[FlowLines]:
    return [
        FlowLines(
            flow.name,
            [
                JobLine(job_view(job, moment), durations, charts.sparkline(durations, SPARK_HEIGHT, SPARK_SLOTS))
                for job in flow.jobs.values()
                for durations in [desk.reading.durations(flow.name, job.name, SPARK_SLOTS)]
            ],
        )
        for flow in flows
    ]


def _next_quarter(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0) + timedelta(minutes=15 * (moment.minute // 15 + 1))
