"""The home page and the pages of flows: what runs, what failed, what the day was like, which jobs there are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.routing import Route

from ...model.results import ExecutionStatus
from ...store.filters import Filters
from ...views.definitions import JobView, flow_view, job_view
from ..http.parameters import part_of
from . import charts
from .dag import flow_picture, has_dag, is_small
from .desk import UNFINISHED, Desk, not_found, threaded
from .schedules import coming_runs, paused_since

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ...jobs import Job
    from ...store.views import ExecutionDuration, Newest

DAY_BUCKETS = 96
LATELY = timedelta(days=7)
"""For so long a failure is shown on the home page."""

DAY_HEIGHT = 56
SPARK_SLOTS = 20
SPARK_HEIGHT = 20

FIRST_JOBS = 20
"""So many jobs of a flow are listed where all flows are."""

JOBS_PAGE = 50
"""So many jobs one page of a flow lists."""


class JobLine(NamedTuple):
    """A job in a list: its definition, its newest execution, how long the newest took that ended, and the bars of that.

    ``paused``: its schedules that are paused, by name, with the moment since when.
    """

    job: JobView
    newest: Newest | None
    durations: list[ExecutionDuration]
    bars: list[charts.Bar]
    paused: dict[str, datetime]


class FlowLines(NamedTuple):
    """A flow with the first of its jobs; ``total`` is how many it has."""

    name: str
    total: int
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
    buckets = desk.store.reading.timeline(since, until, DAY_BUCKETS)
    failed = Filters(status=(ExecutionStatus.ERROR,), top_level=True, since=moment - LATELY)
    return desk.templates.page(
        request,
        "home.html",
        {
            "now": moment,
            "since": since,
            "until": until,
            "counts": desk.store.reading.counts(since),
            "started": sum(sum(bucket.statuses.values()) for bucket in buckets),
            "slots": charts.day_slots(buckets, DAY_HEIGHT),
            "height": DAY_HEIGHT,
            "hours": [since + (until - since) * quarter / 4 for quarter in range(5)],
            "running": desk.executions(Filters(status=UNFINISHED, top_level=True), 12).items,
            "failed": desk.executions(failed, 6).items,
            "recent": desk.executions(Filters(top_level=True), 15).items,
            "coming": coming_runs(desk, moment),
            "scheduled": len(desk.engine.schedules),
            "unserved": desk.store.schedules.unserved(desk.engine.flows),
            "lines": _flow_lines(desk, moment),
            "spark_height": SPARK_HEIGHT,
        },
    )


def show_flows(desk: Desk, request: Request) -> Response:
    """The jobs, by flow."""
    moment = desk.site.now()
    values = {"now": moment, "lines": _flow_lines(desk, moment), "spark_height": SPARK_HEIGHT}
    return desk.templates.page(request, "flows.html", values)


def show_flow(desk: Desk, request: Request) -> Response:
    """One flow: its jobs, page by page, or those of a name that has the text ``?find=``; and its newest executions."""
    moment = desk.site.now()
    name = request.path_params["flow"]
    flow = desk.engine.flows.get(name)
    if flow is None:
        raise not_found(f"There is no flow {name!r} here.")
    wanted = request.query_params.get("find", "").strip()
    cursor = request.query_params.get("cursor") or None
    found = [job for job in flow.jobs.values() if wanted.lower() in job.name.lower()]
    shown, following = part_of(found, JOBS_PAGE, cursor)
    return desk.templates.page(
        request,
        "flow.html",
        {
            "now": moment,
            "flow": flow_view(flow),
            "has_dag": has_dag(flow),
            "dag": flow_picture(desk, flow) if is_small(flow) else None,
            "find": wanted,
            "is_long": len(flow.jobs) > JOBS_PAGE,
            "found": len(found),
            "cursor": cursor,
            "next": following,
            "lines": _job_lines(desk, shown, moment),
            "recent": desk.executions(Filters(flow=name, top_level=True), 15).items,
            "spark_height": SPARK_HEIGHT,
        },
    )


def _flow_lines(desk: Desk, moment: datetime) -> list[FlowLines]:
    return [
        FlowLines(flow.name, len(flow.jobs), _job_lines(desk, islice(flow.jobs.values(), FIRST_JOBS), moment))
        for flow in desk.engine.flows.values()
    ]


def _job_lines(desk: Desk, jobs: Iterable[Job[Any]], moment: datetime) -> list[JobLine]:
    lines = []
    for job in jobs:
        durations = desk.store.reading.durations(job.flow.name, job.name, SPARK_SLOTS)
        bars = charts.sparkline(durations, SPARK_HEIGHT, SPARK_SLOTS)
        newest = desk.store.reading.newest(job.flow.name, job.name)
        view = job_view(job, moment)
        lines.append(JobLine(view, newest, durations, bars, paused_since(desk, view)))
    return lines


def _next_quarter(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0) + timedelta(minutes=15 * (moment.minute // 15 + 1))
