"""``microflow cancel``."""

from __future__ import annotations

import click

from ..outcome import print_json
from ..quantities import EXECUTION
from ..where import Where, json_option, server_options, takes_where


@click.command("cancel")
@click.argument("id", type=EXECUTION)
@json_option
@server_options
@takes_where
def command(where: Where, id: int, as_json: bool) -> None:  # noqa: A002 - as it is called elsewhere
    """Cancel an execution and everything that it called.

    The server that runs the execution cancels it. To cancel an execution of microflow run, press Ctrl-C there.

    \b
    Examples:
      microflow cancel 12 --server http://localhost:3000
      MICROFLOW_SERVER=http://localhost:3000 microflow cancel 12
    """
    if where.server is None:
        raise click.UsageError(
            "An execution is cancelled by the server that runs it: name that with --server URL, or MICROFLOW_SERVER. One that "
            "microflow run or a script carries out ends with Ctrl-C there."
        )
    execution = where.client().cancel(id)
    if as_json:
        print_json(execution)
    else:
        click.echo(f"Execution {id} of {execution.flow}/{execution.job} is being cancelled.")
