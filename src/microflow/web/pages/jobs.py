"""The page of one job: what it is, how it went lately, and the form that runs it."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse
from starlette.routing import Route

from ...errors import UnknownNameError
from ...model.frequencies import Frequency
from ...store.filters import Filters
from ...views.definitions import job_view
from ..http.parameters import read_bytes, read_id
from ..http.problems import Problem
from . import charts
from .dag import job_picture
from .desk import Desk, not_found, threaded
from .partition_view import job_shares
from .run_form import RunForm, fresh_form, submit_form, typed_form
from .schedules import paused_since

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ...jobs import Job

CHART_SLOTS = 60
CHART_HEIGHT = 96
RECENT = 20


def routes(desk: Desk) -> list[Route]:
    """A job's page, and the form on it."""
    return [
        Route("/jobs/{flow}/{job}", threaded(desk, show_job), methods=["GET"], name="job"),
        Route("/jobs/{flow}/{job}", partial(run_job, desk), methods=["POST"], name="run_job"),
    ]


def show_job(desk: Desk, request: Request) -> Response:
    """The job with a fresh form; ``?from=42`` fills the form with what execution 42 was given."""
    job = _job(desk, request)
    earlier = None
    if given := request.query_params.get("from"):
        found = desk.execution(read_id(given))
        earlier = found if (found.flow, found.job) == (job.flow.name, job.name) else None
    return _page(desk, request, job, fresh_form(job_view(job, desk.site.now()), earlier), HTTPStatus.OK)


async def run_job(desk: Desk, request: Request) -> Response:
    """Carry the form out: to the execution's page, or the form again with what is wrong with it."""
    return await desk.site.draw(_carry_out, desk, request, await read_bytes(request))


def _carry_out(desk: Desk, request: Request, body: bytes) -> Response:
    job = _job(desk, request)
    try:
        form, act = typed_form(job_view(job, desk.site.now()), body)
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"The form can't be read: {error}.", kind="invalid-form") from None
    if act == "add":
        return _page(desk, request, job, form, HTTPStatus.OK)
    identity = submit_form(desk.engine, job, form)
    if identity is None:
        return _page(desk, request, job, form, HTTPStatus.UNPROCESSABLE_ENTITY)
    return RedirectResponse(f"/executions/{identity}", HTTPStatus.SEE_OTHER)


def _job(desk: Desk, request: Request) -> Job[Any]:
    flow, name = request.path_params["flow"], request.path_params["job"]
    try:
        return desk.engine.job(flow, name)
    except UnknownNameError as error:
        raise not_found(str(error)) from None


def _page(desk: Desk, request: Request, job: Job[Any], form: RunForm, status: HTTPStatus) -> Response:
    moment = desk.site.now()
    view = job_view(job, moment)
    partitions = view.partitions
    frequency = None if partitions is None or partitions.time is None else Frequency(partitions.time.frequency)
    durations = desk.store.reading.durations(view.flow, view.name, CHART_SLOTS)
    return desk.templates.page(
        request,
        "job.html",
        {
            "now": moment,
            "job": view,
            "form": form,
            "frequency": frequency,
            "paused": paused_since(desk, view),
            "dag": job_picture(desk, job),
            "chart": charts.duration_chart(durations, CHART_HEIGHT, CHART_SLOTS),
            "shares": job_shares(desk.engine.partitions, job, is_live="Microflow-Live" in request.headers),
            "recent": desk.executions(Filters(flow=view.flow, job=view.name), RECENT).items,
        },
        status=status,
    )
