"""``microflow jobs``."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ...views.definitions import JobView, job_views
from ..outcome import print_json
from ..tables import first_line, print_table
from ..where import Where, flow_option, json_option, server_options, takes_where, traceback_option


@click.command("jobs")
@flow_option("The flow: module:flow or path.py:flow; repeatable.")
@json_option
@server_options
@traceback_option
@takes_where
def command(where: Where, as_json: bool) -> None:
    """List the jobs of flows.

    \b
    Examples:
      microflow jobs -f my_flow:flow
      microflow jobs --server http://localhost:3000 --json
    """
    if where.server is not None:
        names = where.names()
        views = [view for view in where.client().jobs() if not names or view.flow in names]
    else:
        flows = where.flows()
        for flow in flows:
            flow.check()  # a job with a mistake can't be shown as it is meant
        views = job_views(flows, datetime.now(UTC))
    if as_json:
        print_json({"items": views, "next": None})
    else:
        _print(views)


def _print(views: list[JobView]) -> None:
    rows = [(f"{view.flow}/{view.name}", view.kind, _crons(view), _described(view)) for view in views]
    print_table(("JOB", "KIND", "SCHEDULE", "DESCRIPTION"), rows)


def _crons(view: JobView) -> str:
    return "; ".join(schedule.cron for schedule in view.schedules)


def _described(view: JobView) -> str:
    takes = ", ".join((*view.parameters.names, *(["…"] if view.parameters.variable else [])))
    return first_line(view.description) or (f"({takes})" if takes else "")
