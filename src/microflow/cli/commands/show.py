"""``microflow show``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ...model.results import Kind
from ...store.views import ExecutionView, Tree, TreeNode
from ...views.formats import duration, number, size
from ..outcome import COLORS, payload_text, print_json, seconds_taken
from ..quantities import EXECUTION
from ..tables import moment
from ..where import Where, flow_option, json_option, server_options, store_option, takes_where, traceback_option

LINES = 30
"""How many executions below one are shown unless the whole tree is asked for."""


@click.command("show")
@click.argument("id", type=EXECUTION)
@click.option("--tree", "whole_tree", is_flag=True, help="Show all executions below it; with --json, only the tree.")
@flow_option("A flow that uses the store.")
@json_option
@store_option
@server_options
@traceback_option
@takes_where
def command(where: Where, id: int, whole_tree: bool, as_json: bool) -> None:  # noqa: A002 - as it is called elsewhere
    """Show an execution and its child executions.

    \b
    Examples:
      microflow show 12
      microflow show 12 --json
      microflow show 12 --tree --server http://localhost:3000
    """
    with where.source() as source:
        if as_json:
            print_json(source.tree(id) if whole_tree else source.execution(id))
            return
        execution = source.execution(id)
        tree = source.tree(id) if execution.kind != Kind.TASK else None
    _print(execution)
    if tree is not None and tree.execution.children:
        _print_tree(tree, None if whole_tree else LINES)


def _print(execution: ExecutionView) -> None:
    click.secho(f"Execution {execution.id} of {execution.flow}/{execution.job}", bold=True)
    for name, text in _facts(execution):
        shown = click.style(text, fg=COLORS[execution.status]) if name == "status" else text
        click.echo(f"  {name:16}{shown}")
    click.echo(_indented("inputs", payload_text(execution.inputs)))
    if execution.output is not None:
        click.echo(_indented("output", payload_text(execution.output)))
    for attempt in execution.attempts or ():
        if attempt.error is not None:
            click.echo(_indented(f"attempt {attempt.attempt}", f"{attempt.error.type}: {attempt.error.message}"))
    if execution.error is not None:
        text = execution.error.traceback or f"{execution.error.type}: {execution.error.message}"
        if execution.error.message not in text:
            text = f"{execution.error.type}: {execution.error.message}\n{text}"
        click.echo(_indented("error", text.rstrip()))


def _facts(execution: ExecutionView) -> Iterator[tuple[str, str]]:
    yield "status", str(execution.status)
    if execution.reason:
        yield "reason", execution.reason
    if execution.waiting is not None:
        held_by = f" (held by {', '.join(map(str, execution.waiting.held_by))})" if execution.waiting.held_by else ""
        yield "waiting", f"{execution.waiting.message}{held_by}"
    if execution.progress is not None:
        progress = execution.progress
        total = f" of {number(progress.total)}" if progress.total is not None else ""
        yield "progress", f"{number(progress.done)}{total}{f', {progress.message}' if progress.message else ''}"
    yield "kind", execution.kind
    yield "trigger", execution.trigger
    if execution.parent_id is not None:
        yield (
            "called by",
            f"{execution.parent_id}{f' (root {execution.root_id})' if execution.root_id != execution.parent_id else ''}",
        )
    for name in ("run_key", "time_partition", "cat_partition"):
        if (value := getattr(execution, name)) is not None:
            yield name.replace("_", " "), value
    if execution.attempt > 1:
        yield "attempt", str(execution.attempt)
    yield from _times(execution)
    if execution.cpu_seconds is not None:
        yield "processor time", duration(execution.cpu_seconds)
    if execution.peak_memory is not None:
        yield "memory", size(execution.peak_memory)


def _times(execution: ExecutionView) -> Iterator[tuple[str, str]]:
    if execution.scheduled_at is not None:
        yield "scheduled", moment(execution.scheduled_at)
    yield "queued", moment(execution.queued_at)
    if execution.started_at is not None:
        yield "started", moment(execution.started_at)
    if execution.ended_at is not None:
        seconds = seconds_taken(execution)
        yield "ended", moment(execution.ended_at) + ("" if seconds is None else f", after {duration(seconds)}")


def _indented(name: str, text: str) -> str:
    lines = text.splitlines() or [""]
    if len(lines) == 1 and len(lines[0]) <= 61:
        return f"  {name:16}{lines[0]}"
    return "\n".join([f"  {name}", *(f"    {line}" for line in lines)])


def _print_tree(tree: Tree, limit: int | None) -> None:
    click.echo("  called")
    lines = list(_branches(tree.execution, 2))
    for line in lines[:limit]:
        click.echo(line)
    more = len(lines) - len(lines[:limit])
    if more:
        click.echo(f"    … and {number(more)} more; --tree shows them.")
    elif tree.truncated:
        click.echo("    … and more; microflow executions --parent ID lists what one of them called.")


def _branches(node: TreeNode, depth: int) -> Iterator[str]:
    for child in node.children:
        seconds = seconds_taken(child)
        took = "" if seconds is None else f"  {duration(seconds)}"
        name = child.job if child.flow == node.flow else f"{child.flow}/{child.job}"
        yield f"{'  ' * depth}{child.id}  {name}  {click.style(str(child.status), fg=COLORS[child.status])}{took}"
        yield from _branches(child, depth + 1)
