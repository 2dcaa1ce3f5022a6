"""``microflow run``."""

from __future__ import annotations

import click

from ...model.results import Trigger
from ...model.zones import resolve_zone
from ..display import open_display
from ..inputs import decoded, read_inputs
from ..outcome import finish
from ..where import (
    Where,
    at_option,
    flow_option,
    json_option,
    no_copy_option,
    server_options,
    store_option,
    takes_where,
    tick_of,
    traceback_option,
)


@click.command("run")
@click.argument("job")
@flow_option("The flow: module:flow or path.py:flow; repeatable.")
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    metavar="JSON",
    help="An input: JSON, @file.json, or - for standard input. Repeat it for each parameter of the job.",
)
@click.option("--with-inputs", is_flag=True, help="First execute the declared inputs of the job.")
@click.option("--force", is_flag=True, help="Execute the job even if its run key has succeeded before.")
@click.option("--time-partition", metavar="TIME", help="The time partition, such as 2026-11-22 or 2026-W47.")
@click.option("--cat-partition", metavar="NAME", help="The category.")
@at_option
@json_option
@store_option
@server_options
@no_copy_option
@traceback_option
@takes_where
def command(
    where: Where,
    job: str,
    inputs: tuple[str, ...],
    with_inputs: bool,
    force: bool,
    time_partition: str | None,
    cat_partition: str | None,
    at: str | None,
    as_json: bool,
) -> None:
    """Execute a job once, and print its result.

    JOB is the name of a job, or FLOW/JOB. The command prints the output of the job as JSON on standard output. While the
    job runs, everything that it and the jobs it calls print goes to standard error.

    \b
    Examples:
      microflow run compute -f my_flow:flow --input '{"my_value": 1}'
      microflow run load -f my_flow.py --input @order.json --input '{"dry": true}'
      microflow run compute --server http://localhost:3000 -i '{"my_value": 1}'
      microflow run report -f my_flow:flow --with-inputs --at 2026-11-22T06:30

    If the job is skipped, the command prints the reason, and exits with code 0. Ctrl-C cancels the execution; on a
    server, the execution continues.
    """
    from ..running import run_here, run_there

    given = read_inputs(inputs)
    display = open_display()
    if where.server is not None:
        client = where.client()
        found = where.job_there(client, job)
        body = {
            "inputs": given,
            "with_inputs": with_inputs,
            "force": force,
            "time_partition": time_partition,
            "cat_partition": cat_partition,
            "at": at,
        }
        ended = run_there(client, lambda: client.execute(*found, body), display)
    else:
        flows, known = where.job_here(job)
        tick = None if at is None else tick_of(at, resolve_zone(known.flow.timezone))
        ended = run_here(
            flows,
            where.store,
            lambda engine: engine.submit(
                known,
                decoded(given),
                trigger=Trigger.CLI,
                with_inputs=with_inputs,
                force=force,
                time_partition=time_partition,
                cat_partition=cat_partition,
                at=tick,
            ),
            display,
        )
    finish(ended, as_json=as_json)
