"""``microflow retry``."""

from __future__ import annotations

import click

from ..display import open_display
from ..outcome import finish
from ..quantities import EXECUTION
from ..where import Where, flow_option, json_option, server_options, store_option, takes_where, traceback_option


@click.command("retry")
@click.argument("id", type=EXECUTION)
@flow_option("The flow of the execution: module:flow or path.py:flow; repeatable.")
@json_option
@store_option
@server_options
@traceback_option
@takes_where
def command(where: Where, id: int, as_json: bool) -> None:  # noqa: A002 - as it is called elsewhere
    """Run an execution that has ended again, as a new one.

    The new execution runs the same job with the same inputs, whether the first one succeeded or failed.

    \b
    Examples:
      microflow retry 12 -f my_flow:flow
      microflow retry 12 --server http://localhost:3000
    """
    from ..running import run_here, run_there

    display = open_display()
    if where.server is not None:
        client = where.client()
        ended = run_there(client, lambda: client.retry(id), display)
    else:
        ended = run_here(where.flows(), where.store, lambda engine: engine.retry(id), display)
    finish(ended, as_json=as_json)
