"""How an execution that a command carried out is reported: its output on standard output, the rest on standard error."""

from __future__ import annotations

import json
from typing import Any

import click
import msgspec

from ..model.results import ExecutionStatus
from ..store.views import ExecutionView
from ..web.formats import duration

LINE = 80
"""Characters up to which a payload is printed on one line."""

FAILED = 1
"""The exit code after a job that failed."""


def finish(execution: ExecutionView, *, as_json: bool) -> None:
    """Report an execution that has ended. Raises ``Exit`` with code 1 if it failed."""
    if as_json:
        print_json(execution)
    elif execution.output is not None:
        click.echo(payload_text(execution.output))
    if execution.error is not None and execution.error.traceback:
        click.echo(execution.error.traceback.rstrip(), err=True)
    click.echo(summary(execution), err=True)
    if execution.status not in (ExecutionStatus.SUCCESS, ExecutionStatus.SKIPPED):
        raise click.exceptions.Exit(FAILED)


def summary(execution: ExecutionView) -> str:
    """What became of an execution, in a line."""
    name = f"Execution {execution.id} of {execution.flow}/{execution.job}"
    status = click.style(str(execution.status), fg=COLORS[execution.status], bold=True)
    took = f" after {duration(seconds)}" if (seconds := seconds_taken(execution)) is not None else ""
    if execution.error is not None and execution.status is ExecutionStatus.ERROR:
        return (
            f"{name}: {status}{took}: {execution.error.type}: {execution.error.message.strip() or 'without a message'}"
        )
    because = f": {execution.reason}" if execution.reason else ""
    return f"{name}: {status}{took}{because}"


COLORS = {
    ExecutionStatus.QUEUED: "yellow",
    ExecutionStatus.RUNNING: "blue",
    ExecutionStatus.SUCCESS: "green",
    ExecutionStatus.SKIPPED: "cyan",
    ExecutionStatus.ERROR: "red",
    ExecutionStatus.CANCELLED: "magenta",
}
"""The colour of each status; the word is always there too."""


def seconds_taken(execution: Any) -> float | None:
    """From an execution's start to its end; None if it has not both."""
    if execution.started_at is None or execution.ended_at is None:
        return None
    return float((execution.ended_at - execution.started_at).total_seconds())


def print_json(value: Any) -> None:
    """A value of the REST API on standard output."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def payload_text(stored: Any) -> str:
    """A stored payload as JSON that can be typed in again, on one line where it fits."""
    plain = json.loads(bytes(stored))
    line = json.dumps(plain, ensure_ascii=False)
    return line if len(line) <= LINE else json.dumps(plain, ensure_ascii=False, indent=2)
