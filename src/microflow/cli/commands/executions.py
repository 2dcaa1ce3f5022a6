"""``microflow executions``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from ...errors import MicroflowError
from ...model.results import ExecutionStatus, Kind, Trigger
from ...store.filters import Filters
from ...store.views import ExecutionView, Page
from ...views.formats import duration
from ..outcome import COLORS, print_json, seconds_taken
from ..quantities import COUNT, EXECUTION
from ..source import Source
from ..tables import moment, print_table
from ..where import Where, flow_option, json_option, server_options, store_option, takes_where, traceback_option

_PAGE = 500
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    """An aware datetime of a date, a time, or an age; one without a zone is meant where this machine is."""
    if value is None:
        return None
    try:
        if ago := re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", value):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is no moment; give one as 2026-11-22, 2026-11-22T05:00, or as an age: 30m, 2h, 7d."
        ) from None


@click.command("executions")
@click.argument("job", required=False)
@flow_option("Only executions of this flow, in its store.")
@click.option(
    "--status",
    multiple=True,
    type=click.Choice([str(status) for status in ExecutionStatus]),
    help="Only this status; repeatable.",
)
@click.option(
    "--trigger",
    type=click.Choice([str(trigger) for trigger in Trigger]),
    help="Only executions that were started in this way.",
)
@click.option("--parent", type=EXECUTION, metavar="ID", help="Only the children of this execution.")
@click.option("--root", type=EXECUTION, metavar="ID", help="Only this execution and everything below it.")
@click.option("--run-key", metavar="KEY", help="Only executions with this run key.")
@click.option("--time-partition", metavar="TIME", help="Only executions for this time partition.")
@click.option("--cat-partition", metavar="NAME", help="Only executions for this category.")
@click.option(
    "--since",
    callback=_moment,
    metavar="TIME",
    help="Queued at this time or later: 2026-11-22, 2026-11-22T05:00, 2h, 7d.",
)
@click.option("--until", callback=_moment, metavar="TIME", help="Queued at this time or earlier.")
@click.option(
    "--limit", type=COUNT, default=50, show_default=True, metavar="N", help="The maximum number of executions."
)
@click.option("--cursor", metavar="TEXT", help="Continue from the `next` cursor of the previous list.")
@json_option
@store_option
@server_options
@traceback_option
@takes_where
def command(where: Where, job: str | None, limit: int, cursor: str | None, as_json: bool, **given: Any) -> None:
    """List executions, newest first.

    JOB is the name of a job, FLOW/JOB, or FLOW/ for all jobs of a flow.

    \b
    Examples:
      microflow executions
      microflow executions compute --status error --status cancelled --since 2h
      microflow executions --parent 12 --json
    """
    names = where.names()
    if len(names) > 1:
        raise click.UsageError("Name one flow, or none to see the executions of all.")
    flow, job = _job_of(job)
    given["status"] = tuple(ExecutionStatus(status) for status in given["status"])
    given["trigger"] = None if given["trigger"] is None else Trigger(given["trigger"])
    filters = Filters(flow=flow or (names[0] if names else None), job=job, **given)
    with where.source() as source:
        page = _read(source, filters, limit, cursor)
    if as_json:
        print_json(page)
        return
    _print(page.items)
    if page.next is not None:
        click.echo(f"There are more: --limit {2 * limit}, or --cursor {page.next}", err=True)


def _job_of(text: str | None) -> tuple[str | None, str | None]:
    if text is None:
        return None, None
    flow, slash, job = text.partition("/")
    return (flow or None, job or None) if slash else (None, text)


def _read(source: Source, filters: Filters, limit: int, cursor: str | None) -> Page:
    items: list[ExecutionView] = []
    try:
        while True:
            page = source.executions(filters, min(limit - len(items), _PAGE), cursor)
            items += page.items
            cursor = page.next
            if cursor is None or len(items) >= limit:
                return Page(items, cursor)
    except ValueError as error:
        raise MicroflowError(str(error)) from None


def _print(executions: list[ExecutionView]) -> None:
    if not executions:
        click.echo("There are no such executions.", err=True)
        return

    def style(column: int, text: str) -> str:
        return click.style(text, fg=COLORS[ExecutionStatus(text)]) if column == 2 else text

    rows = [
        (
            str(execution.id),
            moment(execution.started_at or execution.queued_at),
            str(execution.status),
            "" if (seconds := seconds_taken(execution)) is None else duration(seconds),
            "" if execution.parent_id is None else str(execution.parent_id),
            _name(execution),
        )
        for execution in executions
    ]
    print_table(("ID", "STARTED", "STATUS", "TOOK", "PARENT", "JOB"), rows, right=(0, 3, 4), style=style)


def _name(execution: ExecutionView) -> str:
    """The job, the kind of a run that is not a plain execution of it, and of a queued one why it does not run."""
    kind = "" if Kind(execution.kind).has_code else f" ({execution.kind})"
    why = f": {execution.waiting.message}" if execution.status is ExecutionStatus.QUEUED and execution.waiting else ""
    return f"{execution.flow}/{execution.job}{kind}{why}"
