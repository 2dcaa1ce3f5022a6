"""``microflow reload``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ..outcome import print_json
from ..where import Where, json_option, server_options, takes_where

if TYPE_CHECKING:
    from ...engine.changes import Changes


@click.command("reload")
@json_option
@server_options
@takes_where
def command(where: Where, as_json: bool) -> None:
    """Reload the code of a server's flows.

    New executions run the new code. Executions that are running or queued, and everything that they call, keep the code
    that they started with. If the new code has mistakes or can't be loaded, the command prints all mistakes and exits
    with code 2, and the server keeps its current code.

    \b
    Examples:
      microflow reload --server http://localhost:3000
      MICROFLOW_SERVER=http://localhost:3000 microflow reload --json
    """
    changes = where.client().reload()
    if as_json:
        print_json(changes)
        return
    lines = list(lines_of(changes))
    click.echo("\n".join(["Reloaded.", *lines]) if lines else "Reloaded. Nothing has changed.")


def lines_of(changes: Changes) -> Iterator[str]:
    """What a reload changed, a line for each kind of thing and of change."""
    if changes.files:
        yield _line("files", "changed", changes.files)
    for what, difference in (("flows", changes.flows), ("jobs", changes.jobs), ("schedules", changes.schedules)):
        for how in ("added", "removed", "changed"):
            if names := getattr(difference, how):
                yield _line(what, how, names)
    if changes.not_loaded:
        yield _line("not loaded again", "", changes.not_loaded) + " (outside the flows' folders: restart the server)"


def _line(what: str, how: str, names: tuple[str, ...]) -> str:
    return f"  {f'{what} {how}'.strip():<18} {', '.join(names)}"
