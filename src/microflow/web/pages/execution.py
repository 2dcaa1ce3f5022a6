"""The page of one execution: what it was given and gave, why it failed or waits, what it called, what it printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from starlette.responses import RedirectResponse
from starlette.routing import Route

from ...errors import ConflictError, UnknownNameError
from ...store.views import ExecutionView
from ...views.json_view import SHOWN
from ..http.parameters import read_id
from .calls import CROWD_HEIGHT, calls_of
from .dag import run_picture
from .desk import Desk, threaded
from .log_view import LogResponse, NewestPart, newest_part

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

TREE_LIMIT = 2_000
ANCESTORS = 12


SHOWN_INPUTS = 20


class Given(NamedTuple):
    """An input: its parameter's name and its stored JSON."""

    name: str
    value: msgspec.Raw


def routes(desk: Desk) -> list[Route]:
    """An execution's page, its log as text, and the buttons on it."""
    return [
        Route("/executions/{id}", threaded(desk, show_execution), methods=["GET"], name="execution"),
        Route("/executions/{id}/log", threaded(desk, show_log), methods=["GET"], name="execution_log"),
        Route("/executions/{id}/cancel", threaded(desk, cancel_execution), methods=["POST"], name="cancel_execution"),
        Route("/executions/{id}/retry", threaded(desk, retry_execution), methods=["POST"], name="retry_execution"),
        Route("/executions/{id}/pause", threaded(desk, pause_execution), methods=["POST"], name="pause_execution"),
        Route("/executions/{id}/resume", threaded(desk, resume_execution), methods=["POST"], name="resume_execution"),
    ]


def show_execution(desk: Desk, request: Request) -> Response:
    """Everything about one execution."""
    return _page(desk, request, read_id(request.path_params["id"]), "", HTTPStatus.OK)


def show_log(desk: Desk, request: Request) -> Response:
    """What the execution printed, as text."""
    execution = desk.execution(read_id(request.path_params["id"]))
    return LogResponse(desk.site, execution.id)


def cancel_execution(desk: Desk, request: Request) -> Response:
    """Cancel the execution and everything below it."""
    id_ = desk.execution(read_id(request.path_params["id"])).id
    try:
        desk.engine.cancel(id_)
    except ConflictError as error:
        return _page(desk, request, id_, str(error), HTTPStatus.CONFLICT)
    return RedirectResponse(f"/executions/{id_}", HTTPStatus.SEE_OTHER)


def retry_execution(desk: Desk, request: Request) -> Response:
    """Execute the same job again with the same inputs, as a new execution."""
    id_ = desk.execution(read_id(request.path_params["id"])).id
    try:
        again = desk.engine.retry(id_).id
    except (ConflictError, UnknownNameError) as error:  # it runs, or its job is in the flow no more
        return _page(desk, request, id_, str(error), HTTPStatus.CONFLICT)
    return RedirectResponse(f"/executions/{again}", HTTPStatus.SEE_OTHER)


def pause_execution(desk: Desk, request: Request) -> Response:
    """Begin nothing new in a run over partitions or inputs."""
    return _hold(desk, request, desk.engine.pause)


def resume_execution(desk: Desk, request: Request) -> Response:
    """Go on with a run that is paused."""
    return _hold(desk, request, desk.engine.resume)


def _hold(desk: Desk, request: Request, act: Callable[[int], None]) -> Response:
    id_ = desk.execution(read_id(request.path_params["id"])).id
    try:
        act(id_)
    except ConflictError as error:
        return _page(desk, request, id_, str(error), HTTPStatus.CONFLICT)
    return RedirectResponse(f"/executions/{id_}", HTTPStatus.SEE_OTHER)


def _page(desk: Desk, request: Request, id_: int, notice: str, status: HTTPStatus) -> Response:
    moment = desk.site.now()
    execution = desk.execution(id_)
    tree = desk.store.reading.tree(id_, TREE_LIMIT)
    if tree.truncated:
        tree.execution.children += desk.store.reading.noteworthy(tree.execution)
    calls = calls_of(tree, moment) if tree.execution.children else None
    given = _inputs(desk, execution)
    return desk.templates.page(
        request,
        "execution.html",
        {
            "now": moment,
            "execution": execution,
            "ancestors": list(_ancestors(desk, execution))[::-1],
            "given": given[:SHOWN_INPUTS],
            "more_inputs": max(len(given) - SHOWN_INPUTS, 0),
            # what the values of this page may take together, shared out among them
            "room": SHOWN // (min(len(given), SHOWN_INPUTS) + 1),
            "schedule": desk.store.reading.schedule(id_),
            "known": _parameter_names(desk, execution) is not None,
            "dag": run_picture(desk, execution, tree.execution.children),
            "calls": calls,
            "remarks": desk.store.reading.remarks(calls.shown) if calls else {},
            "crowd_height": CROWD_HEIGHT,
            # a page that is live already has its log, and asks for what comes after it
            "log": NewestPart("", 0, 0) if "Microflow-Live" in request.headers else newest_part(desk.store.logs, id_),
            "notice": notice,
            "is_being_stopped": desk.engine.is_being_stopped(id_),
        },
        status=status,
    )


def _ancestors(desk: Desk, execution: ExecutionView) -> Iterator[ExecutionView]:
    """Who called it, from its parent upwards, as far as history is kept."""
    parent_id = execution.parent_id
    for _ in range(ANCESTORS):
        if parent_id is None:
            return
        try:
            found = desk.store.reading.execution(parent_id)
        except UnknownNameError:
            return
        yield found
        parent_id = found.parent_id


def _parameter_names(desk: Desk, execution: ExecutionView) -> tuple[str, ...] | None:
    """The names of the job's parameters; None if the flow that is served has no such job."""
    try:
        return desk.engine.job(execution.flow, execution.job).parameters.names
    except UnknownNameError:
        return None


def _inputs(desk: Desk, execution: ExecutionView) -> list[Given]:
    names = _parameter_names(desk, execution) or ()
    try:
        values = msgspec.json.decode(execution.inputs, type=list[msgspec.Raw])
    except msgspec.ValidationError:  # the store was damaged
        values = [execution.inputs]
    return [
        Given(names[index] if index < len(names) else f"input {index + 1}", value) for index, value in enumerate(values)
    ]
