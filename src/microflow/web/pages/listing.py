"""The list of executions: filters in the URL, newest first, page by page."""

from __future__ import annotations

from datetime import UTC, datetime
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.routing import Route

from ...model.results import ExecutionStatus, Trigger
from ...store.filters import Filters
from .desk import Desk, threaded

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.responses import Response

    from ...store.views import ExecutionView

PAGE = 50

MOST_OFFERED = 500
"""So many names of jobs are offered where one is typed."""

_NARROW = ("job", "parent", "root", "run_key", "time_partition", "cat_partition")
"""With one of these a list is of called executions as often as not, so that it shows them without being asked."""


class Asked(NamedTuple):
    """What a URL asks for: the filters, the values as they were written, and what is wrong with them, by field."""

    filters: Filters
    given: dict[str, Any]
    mistakes: dict[str, str]


def routes(desk: Desk) -> list[Route]:
    """The list."""
    return [Route("/executions", threaded(desk, show_executions), methods=["GET"], name="executions")]


def show_executions(desk: Desk, request: Request) -> Response:
    """Executions, newest first, as the filters in the URL say."""
    asked = read_filters(request.query_params)
    cursor = request.query_params.get("cursor") or None
    items: list[ExecutionView] = []
    following = None
    if not asked.mistakes:
        try:
            page = desk.executions(asked.filters, PAGE, cursor)
            items, following = page.items, page.next
        except ValueError:
            asked.mistakes["cursor"] = "This link to older executions is damaged; begin with the newest."
    return desk.templates.page(
        request,
        "executions.html",
        {
            "items": items,
            "next": following,
            "cursor": cursor,
            "given": asked.given,
            "mistakes": asked.mistakes,
            "filtered": any(value for name, value in asked.given.items() if name != "calls"),
            "statuses": list(ExecutionStatus),
            "triggers": list(Trigger),
            "jobs": nsmallest(MOST_OFFERED, {job for flow in desk.engine.flows.values() for job in flow.jobs}),
        },
        status=400 if asked.mistakes else 200,
    )


def read_filters(query: QueryParams) -> Asked:
    """The filters that a query asks for."""
    given: dict[str, Any] = {
        name: query.get(name, "").strip()
        for name in (
            "flow",
            "job",
            "trigger",
            "parent",
            "root",
            "run_key",
            "time_partition",
            "cat_partition",
            "since",
            "until",
        )
    }
    given["status"] = [status for status in query.getlist("status") if status]
    narrow = any(given[name] for name in _NARROW)
    given["calls"] = query.get("calls", "") or ("all" if narrow else "top")
    mistakes: dict[str, str] = {}
    values: dict[str, Any] = {
        name: given[name] or None for name in ("flow", "job", "run_key", "time_partition", "cat_partition")
    }
    for name in ("parent", "root"):
        values[name] = _identity(given[name], name, mistakes)
    for name in ("since", "until"):
        values[name] = _moment(given[name], name, mistakes)
    unknown = [status for status in given["status"] if status not in list(ExecutionStatus)]
    if unknown:
        mistakes["status"] = f"There is no status {unknown[0][:40]!r}; there are {', '.join(ExecutionStatus)}."
    if given["calls"] not in ("all", "top"):
        mistakes["calls"] = "calls is either all or top."
    known = given["trigger"] in list(Trigger)
    if given["trigger"] and not known:
        mistakes["trigger"] = f"There is no trigger {given['trigger'][:40]!r}; there are {', '.join(Trigger)}."
    values["trigger"] = Trigger(given["trigger"]) if known else None
    values["status"] = () if unknown else tuple(ExecutionStatus(status) for status in given["status"])
    return Asked(Filters(**values, top_level=given["calls"] == "top"), given, mistakes)


def _identity(text: str, name: str, mistakes: dict[str, str]) -> int | None:
    if not text:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    mistakes[name] = f"{text[:40]!r} is no execution's number."
    return None


def _moment(text: str, name: str, mistakes: dict[str, str]) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        mistakes[name] = f"{text[:40]!r} is no date or time; write it like 2026-11-22T14:00."
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
