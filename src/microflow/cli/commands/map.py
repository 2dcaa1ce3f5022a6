"""``microflow map``."""

from __future__ import annotations

import click

from ...model.results import Trigger
from ..display import open_display
from ..inputs import decoded, read_lines
from ..outcome import finish
from ..quantities import COUNT
from ..where import (
    Where,
    flow_option,
    json_option,
    no_copy_option,
    server_options,
    store_option,
    takes_where,
    traceback_option,
)


@click.command("map")
@click.argument("job")
@flow_option("The flow: module:flow or path.py:flow; repeatable.")
@click.option(
    "-i",
    "--inputs",
    required=True,
    metavar="FILE",
    help="A file with one JSON input on each line; - for standard input.",
)
@click.option("--batch-size", type=COUNT, metavar="N", help="Give each execution a list of up to N inputs.")
@click.option("--max-concurrency", type=COUNT, metavar="N", help="Run at most N executions at once.")
@json_option
@store_option
@server_options
@no_copy_option
@traceback_option
@takes_where
def command(
    where: Where, job: str, inputs: str, batch_size: int | None, max_concurrency: int | None, as_json: bool
) -> None:
    """Execute a job over a list of inputs.

    JOB is the name of a job, or FLOW/JOB. The mapping is one execution with a child for each input, or for each batch of
    inputs. Every input is processed, even if some fail. The command prints the number of executions by status, as JSON.

    \b
    Examples:
      microflow map load -f my_flow:flow --inputs orders.jsonl
      ls *.csv | jq -cR '{file: .}' | microflow map load -f my_flow:flow -i -
      microflow map load --server localhost:3000 -i orders.jsonl --batch-size 100

    Each line of the file is a JSON object. A line with a JSON array is one input too: the job receives the whole list,
    as with --batch-size.

    The exit code is 1 if any execution failed. To list the failed ones, use microflow executions --parent ID
    --status error.
    """
    from ..running import run_here, run_there

    given = read_lines(inputs)
    display = open_display()
    if where.server is not None:
        client = where.client()
        found = where.job_there(client, job)
        body = {"inputs": given, "batch_size": batch_size, "max_concurrency": max_concurrency}
        ended = run_there(client, lambda: client.map(*found, body), display)
    else:
        flows, known = where.job_here(job)
        ended = run_here(
            flows,
            where.store,
            lambda engine: engine.submit_map(
                known,
                decoded(given),
                trigger=Trigger.CLI,
                batch_size=batch_size,
                max_concurrency=max_concurrency,
            ),
            display,
        )
    finish(ended, as_json=as_json)
