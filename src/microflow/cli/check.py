"""``microflow check``."""

from __future__ import annotations

from typing import NamedTuple

import click

from ..errors import FlowCheckError, LoadError
from ..flow import Flow
from .commands import Refused
from .outcome import print_json
from .where import Where, flow_option, takes_where, traceback_option


class Checked(NamedTuple):
    """What was found of one flow: its name, how many jobs it has, its mistakes. ``failure`` says the same as an error.

    One that can't be loaded has the name that it was given, and None for the jobs.
    """

    flow: str
    jobs: int | None
    failure: LoadError | FlowCheckError | None = None

    @property
    def mistakes(self) -> tuple[str, ...]:
        """Each as one sentence."""
        if self.failure is None:
            return ()
        return self.failure.mistakes if isinstance(self.failure, FlowCheckError) else (str(self.failure),)


@click.command("check")
@flow_option("The flow, as module:flow or path.py:flow; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: each flow with its jobs and its mistakes.")
@traceback_option
@takes_where
def command(where: Where, as_json: bool) -> None:
    """Look for mistakes in flows.

    Every mistake of every flow is printed, with exit code 2 if there is any: a name that is not there, a cycle, a
    function that can't take its inputs, a schedule that is none.

    \b
    Examples:
      microflow check -f my_flow:flow
      microflow check -f flows/sales.py -f flows/stock.py
    """
    seen: dict[str, Flow] = {}
    found = [checked for spec in where.specs or ("",) for checked in _check(where, spec, seen)]
    failures = [checked.failure for checked in found if checked.failure is not None]
    if as_json:
        items = [{"flow": checked.flow, "jobs": checked.jobs, "mistakes": checked.mistakes} for checked in found]
        print_json({"items": items})
        if failures:
            raise click.exceptions.Exit(Refused.exit_code)
        return
    for checked in found:
        if checked.failure is None:
            click.echo(f"ok  {checked.flow}: {_counted(checked.jobs or 0, 'job')}")
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise Refused("\n".join(str(failure) for failure in failures))


def _check(where: Where, spec: str, seen: dict[str, Flow]) -> list[Checked]:
    """What is found where a spec leads; ``seen`` has the flows that were met before, by name."""
    try:
        flows = where._replace(specs=(spec,) if spec else ()).flows()
    except LoadError as failure:
        return [Checked(spec, None, failure)]
    found = []
    for flow in flows:
        try:
            flow.check()
            if seen.setdefault(flow.name, flow) is not flow:
                raise FlowCheckError(
                    flow.name, ["another of these flows has the same name; give one another in create_flow()."]
                )
            found.append(Checked(flow.name, len(flow.jobs)))
        except FlowCheckError as failure:
            found.append(Checked(flow.name, len(flow.jobs), failure))
    return found


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
