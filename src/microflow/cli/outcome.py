"""How an execution that a command carried out is reported: its output on standard output, the rest on standard error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click
import msgspec

from ..model.results import ExecutionStatus
from ..store.views import ExecutionView
from ..views.formats import duration
from ..views.json_view import DEEPEST, flat_widths

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
    """A stored payload as JSON that can be typed in again; what fits on a line is on one."""
    try:
        value = json.loads(bytes(stored))
        return _written(value, "", flat_widths(value, LINE))
    except (ValueError, RecursionError):  # a damaged store, or a server of another version
        return bytes(stored).decode("utf-8", "replace")


def _written(value: Any, indent: str, widths: Mapping[int, int]) -> str:
    is_short = len(indent) + widths.get(id(value), 0) <= LINE or len(indent) >= len("  ") * DEEPEST
    if not isinstance(value, (dict, list)) or is_short:
        return json.dumps(value, ensure_ascii=False)
    deeper = f"{indent}  "
    if isinstance(value, dict):
        opening, closing = "{}"
        parts = [
            f"{json.dumps(key, ensure_ascii=False)}: {_written(item, deeper, widths)}" for key, item in value.items()
        ]
    else:
        opening, closing = "[]"
        parts = [_written(item, deeper, widths) for item in value]
        if not any(isinstance(item, (dict, list)) for item in value):
            parts = _filled(parts, LINE - len(deeper))
    inner = ",\n".join(f"{deeper}{part}" for part in parts)
    return f"{opening}\n{inner}\n{indent}{closing}"


def _filled(parts: list[str], width: int) -> list[str]:
    """Many small parts, as many on each line as it holds."""
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) + 2 < width:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return lines
