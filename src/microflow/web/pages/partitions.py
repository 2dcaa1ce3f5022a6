"""The page of a job's partitions: a picture that scripts draw, the newest as a table, the form that runs some, and the runs."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse
from starlette.routing import Route

from ...errors import PartitionError, UnknownNameError
from ...model.frequencies import Frequency
from ...views.definitions import job_view
from ...views.live import with_live_state
from ..http.parameters import read_bytes
from ..http.problems import Problem
from .desk import Desk, not_found, threaded
from .partition_form import PartitionForm, plan_form, submit_form, typed_form
from .partition_view import STATES, Bounds, Table, newest_table

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ...jobs import Job

RUNS = 8
"""How many runs over partitions the page lists."""


def routes(desk: Desk) -> list[Route]:
    """The page, and the form on it."""
    path = "/jobs/{flow}/{job}/partitions"
    return [
        Route(path, threaded(desk, show_partitions), methods=["GET"], name="partitions"),
        Route(path, partial(run_partitions, desk), methods=["POST"], name="run_partitions"),
    ]


def show_partitions(desk: Desk, request: Request) -> Response:
    """The partitions of ``?from=&to=``; the rest of the query is the picture's own."""
    return _page(desk, request, _job(desk, request), PartitionForm())


async def run_partitions(desk: Desk, request: Request) -> Response:
    """Carry the form out: to the execution's page, or the form again with what is wrong with it or what it would do."""
    return await desk.site.draw(_carry_out, desk, request, await read_bytes(request))


def _carry_out(desk: Desk, request: Request, body: bytes) -> Response:
    job = _job(desk, request)
    try:
        form, act = typed_form(body)
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"The form can't be read: {error}.", kind="invalid-form") from None
    if act == "plan":
        return _page(desk, request, job, form, plan_form(desk.engine, job, form))
    identity = submit_form(desk.engine, job, form)
    if identity is None:
        return _page(desk, request, job, form)
    return RedirectResponse(f"/executions/{identity}", HTTPStatus.SEE_OTHER)


def _job(desk: Desk, request: Request) -> Job[Any]:
    flow, name = request.path_params["flow"], request.path_params["job"]
    try:
        job = desk.engine.job(flow, name)
    except UnknownNameError as error:
        raise not_found(str(error)) from None
    if job.partitions is None:
        raise not_found(f"Job {name!r} of flow {flow!r} has no partitions.")
    return job


def _page(desk: Desk, request: Request, job: Job[Any], form: PartitionForm, estimate: str = "") -> Response:
    moment = desk.site.now()
    view = job_view(job, moment)
    time = None if view.partitions is None else view.partitions.time
    given = {name: request.query_params.get(name, "").strip() for name in ("from", "to")}
    mistakes = {"range": ""}
    table = Table(view.flow, view.name, [], [], "")
    try:
        # a page that is live has its table already, and a picture that shows what changes
        if "Microflow-Live" not in request.headers:
            table = newest_table(desk.engine.partitions, job, given["from"], given["to"], moment)
    except PartitionError as error:
        mistakes["range"] = str(error)
    runs = desk.store.reading.partition_runs(view.flow, view.name, RUNS)
    bounds = Bounds((time and time.start) or "the first", table.rows[0].name if time and table.rows else "the newest")
    return desk.templates.page(
        request,
        "partitions.html",
        {
            "now": moment,
            "job": view,
            "frequency": None if time is None else Frequency(time.frequency),
            "states": STATES,
            "given": given,
            "mistakes": mistakes,
            "bounds": bounds,
            "form": form,
            "estimate": estimate,
            "posted": request.method == "POST",
            "runs": [with_live_state(desk.engine, run) for run in runs],
            "table": table,
        },
        status=HTTPStatus.UNPROCESSABLE_ENTITY if form.mistakes or mistakes["range"] else HTTPStatus.OK,
    )
