"""``microflow check``."""

from __future__ import annotations

import click

from ..errors import FlowCheckError, LoadError
from .commands import Refused
from .where import Where, flow_option, takes_where, traceback_option


@click.command("check")
@flow_option("The flow, as module:flow or path.py:flow; repeatable.")
@traceback_option
@takes_where
def command(where: Where) -> None:
    """Look for mistakes in flows.

    Every mistake of every flow is printed, with exit code 2 if there is any: a name that is not there, a cycle, a
    function that can't take its inputs, a schedule that is none.

    \b
    Examples:
      microflow check -f my_flow:flow
      microflow check -f flows/sales.py -f flows/stock.py
    """
    failures: list[LoadError | FlowCheckError] = []
    for spec in where.specs or ("",):
        try:
            for flow in where._replace(specs=(spec,) if spec else ()).flows():
                flow.check()
                click.echo(f"ok  {flow.name}: {_counted(len(flow.jobs), 'job')}")
        except (LoadError, FlowCheckError) as failure:
            failures.append(failure)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise Refused("\n".join(str(failure) for failure in failures))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
