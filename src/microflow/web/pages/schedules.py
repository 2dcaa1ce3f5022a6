"""The pages of schedules: all of them, one with its ticks, and the buttons that pause, resume and run one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from heapq import nsmallest
from http import HTTPStatus
from itertools import islice
from math import ceil
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from starlette.responses import RedirectResponse
from starlette.routing import Route

from ...errors import ConflictError, UnknownNameError
from ...model.clock import utc
from ...model.results import Trigger
from ...model.schedules import describe, next_ticks
from ...model.zones import read_moment
from ...store.views import ExecutionView
from ...views.schedules import ScheduleState, schedule_state, schedule_states
from ..http.parameters import read_form
from . import schedule_view
from .desk import Desk, not_found, threaded
from .schedule_view import ComingTick, PastTick

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ...engine.engine import Engine
    from ...engine.schedules.runs import ServedSchedule
    from ...views.definitions import JobView

PAGE = 200
"""How many schedules one page of the list shows."""

_FORM_LIMIT = 4096
"""Bytes of the form behind a button: it says at most which page of the list it is on."""

MOST_COMING = 6
"""How many coming ticks the home page shows."""


class ScheduleLine(NamedTuple):
    """A schedule in a list, with its next and its last tick and the runs that are still going."""

    state: ScheduleState
    next: ComingTick | None
    last: PastTick | None
    running: list[ExecutionView]


class ComingRun(NamedTuple):
    """The next tick of a schedule."""

    flow: str
    name: str
    description: str
    jobs: tuple[str, ...]
    tick: ComingTick
    timezone: str


Act = Callable[["Engine", "ServedSchedule", str], object]
"""What a button does to a schedule; the text is the form's ``at``, "" where it has none. Raises ``ValueError`` for a bad one."""


def routes(desk: Desk) -> list[Route]:
    """The list, a schedule's page, and the three buttons."""
    acts: dict[str, Act] = {
        "pause": lambda engine, served, _: engine.pause_schedule(*served.key),
        "resume": lambda engine, served, _: engine.resume_schedule(*served.key),
        "run": _run,
    }
    return [
        Route("/schedules", threaded(desk, show_schedules), methods=["GET"], name="schedules"),
        Route("/schedules/{flow}/{name}", threaded(desk, show_schedule), methods=["GET"], name="schedule"),
        *(
            Route(
                f"/schedules/{{flow}}/{{name}}/{word}",
                partial(_act, desk, act),
                methods=["POST"],
                name=f"{word}_schedule",
            )
            for word, act in acts.items()
        ),
    ]


def _run(engine: Engine, served: ServedSchedule, at: str) -> None:
    engine.run_schedule(*served.key, trigger=Trigger.WEB, at=read_moment(at, served.zone) if at else None)


def paused_since(desk: Desk, job: JobView) -> dict[str, datetime]:
    """The schedules of a job that are paused, by name, with the moment since when."""
    rows = {schedule.name: desk.store.schedules.find(job.flow, schedule.name) for schedule in job.schedules}
    return {name: utc(row.paused_at) for name, row in rows.items() if row is not None and row.paused_at is not None}


def show_schedules(desk: Desk, request: Request) -> Response:
    """The schedules of every flow, in the order of definition, page by page."""
    return _list(desk, request, read_page(request.query_params.get("page", "")), "", HTTPStatus.OK)


def read_page(text: str) -> int:
    """The number of a page, from 1 on; the first one for what is no number of a page."""
    return max(int(text), 1) if text.isascii() and text.isdecimal() and len(text) < 7 else 1


def show_schedule(desk: Desk, request: Request) -> Response:
    """One schedule: what it is, what comes, what became of its ticks."""
    return _detail(desk, request, _served(desk, request), "", HTTPStatus.OK)


def coming_runs(desk: Desk, now: datetime) -> list[ComingRun]:
    """The ticks that come next, of the schedules that are not paused, soonest first."""
    store = desk.store.schedules
    paused = {
        (flow, name)
        for flow in desk.engine.flows
        for name, row in store.of_flow(flow).items()
        if row.paused_at is not None
    }
    found = []
    for order, served in enumerate(desk.engine.schedules.values()):
        if served.key not in paused and (ticks := next_ticks(served.schedule.cron, served.zone, now, 1)):
            found.append((ticks[0], order, served))
    return [
        ComingRun(
            served.flow.name,
            served.name,
            describe(served.schedule.cron),
            tuple(job.name for job in served.jobs),
            schedule_view.coming_ticks([at], served.zone, now)[0],
            str(served.zone),
        )
        for at, _, served in nsmallest(MOST_COMING, found)
    ]


async def _act(desk: Desk, act: Act, request: Request) -> Response:
    fields = await read_form(request, _FORM_LIMIT)
    page = read_page(fields["page"]) if fields.get("page") else None
    return await desk.site.draw(_carry_out, desk, request, act, page, fields.get("at", "").strip())


def _carry_out(desk: Desk, request: Request, act: Act, page: int | None, at: str) -> Response:
    """Do it, and go back to where the button was (a page of the list, or the schedule's), with why it can't be done."""
    served = _served(desk, request)
    try:
        act(desk.engine, served, at)
    except (ConflictError, ValueError) as error:
        status = HTTPStatus.CONFLICT if isinstance(error, ConflictError) else HTTPStatus.UNPROCESSABLE_ENTITY
        if page is not None:
            return _list(desk, request, page, str(error), status)
        return _detail(desk, request, served, str(error), status)
    return RedirectResponse(_address(served) if page is None else _list_address(page), HTTPStatus.SEE_OTHER)


def _served(desk: Desk, request: Request) -> ServedSchedule:
    try:
        return desk.engine.schedule(request.path_params["flow"], request.path_params["name"])
    except UnknownNameError as error:
        raise not_found(str(error)) from None


def _address(served: ServedSchedule) -> str:
    return f"/schedules/{quote(served.flow.name, safe='')}/{quote(served.name, safe='')}"


def _list_address(page: int) -> str:
    return "/schedules" if page == 1 else f"/schedules?page={page}"


def _list(desk: Desk, request: Request, page: int, notice: str, status: HTTPStatus) -> Response:
    now = desk.site.now()
    served = desk.engine.schedules
    pages = max(ceil(len(served) / PAGE), 1)
    page = min(page, pages)
    states = schedule_states(islice(served.values(), (page - 1) * PAGE, page * PAGE), desk.store.schedules, now)
    lines = [_line(desk, served[state.flow, state.name], state, now) for state in states]
    return desk.templates.page(
        request,
        "schedules.html",
        {
            "now": now,
            "notice": notice,
            "lines": lines,
            "count": len(served),
            "unserved": desk.store.schedules.unserved(desk.engine.flows),
            "page": page,
            "here": _list_address(page),
            "before": _list_address(page - 1) if page > 1 else "",
            "after": _list_address(page + 1) if page < pages else "",
            "paused": sum(line.state.paused_at is not None for line in lines) if pages == 1 else 0,
            "going": sum(len(line.running) for line in lines) if pages == 1 else 0,
        },
        status=status,
    )


def _line(desk: Desk, served: ServedSchedule, state: ScheduleState, now: datetime) -> ScheduleLine:
    coming = schedule_view.coming_ticks(state.next[:1], served.zone, now)
    last = None if state.last is None else schedule_view.past_tick(state.last, served.zone, now)
    return ScheduleLine(state, coming[0] if coming else None, last, _running(desk, state))


def _detail(desk: Desk, request: Request, served: ServedSchedule, notice: str, status: HTTPStatus) -> Response:
    now = desk.site.now()
    state = schedule_state(served, desk.store.schedules, now)
    ticks = desk.store.schedules.ticks(*served.key, schedule_view.STRIP_SLOTS)
    past = [schedule_view.past_tick(tick, served.zone, now) for tick in ticks]
    change = state.clock_change
    return desk.templates.page(
        request,
        "schedule.html",
        {
            "now": now,
            "notice": notice,
            "line": _line(desk, served, state, now),
            "coming": schedule_view.coming_ticks(state.next, served.zone, now),
            "change": None
            if change is None
            else schedule_view.change_story(change, state.cron, served.zone, state.timezone),
            "past": past,
            "cells": schedule_view.strip(past),
            "strip_height": schedule_view.STRIP_HEIGHT,
            "outcomes": schedule_view.outcomes(past),
            "catch_up": schedule_view.CATCH_UP[state.catch_up],
            "overlap": schedule_view.OVERLAP[state.overlap],
        },
        status=status,
    )


def _running(desk: Desk, state: ScheduleState) -> list[ExecutionView]:
    """Its runs that have not ended; one that ended while this was read is left out."""
    found = [desk.execution(id_) for id_ in state.running]
    return [execution for execution in found if not execution.status.final]
