"""``microflow resume``."""

from __future__ import annotations

import click

from ..outcome import print_json
from ..quantities import EXECUTION
from ..where import Where, json_option, server_options, takes_where


@click.command("resume")
@click.argument("id", type=EXECUTION)
@json_option
@server_options
@takes_where
def command(where: Where, id: int, as_json: bool) -> None:  # noqa: A002 - as it is called elsewhere
    """Resume a paused run.

    \b
    Examples:
      microflow resume 12 --server http://localhost:3000
    """
    execution = where.client().resume(id)
    if as_json:
        print_json(execution)
    else:
        click.echo(f"Execution {id} of {execution.flow}/{execution.job} goes on.")
