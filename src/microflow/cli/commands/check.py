"""``microflow check``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ...errors import FlowCheckError, LoadError
from ...flow import Flow
from ..outcome import print_json
from ..refusals import Refused
from ..where import Where, flow_option, takes_where, traceback_option

if TYPE_CHECKING:
    from ...versions import CodeVersion


class Checked(NamedTuple):
    """What was found of one flow: its name, how many jobs it has, its mistakes. ``failure`` says the same as an error.

    One that can't be loaded has the name that it was given, and None for the jobs. ``notes``: what is no mistake and may surprise.
    """

    flow: str
    jobs: int | None
    failure: LoadError | FlowCheckError | None = None
    notes: tuple[str, ...] = ()

    @property
    def mistakes(self) -> tuple[str, ...]:
        """Each as one sentence."""
        if self.failure is None:
            return ()
        return self.failure.mistakes if isinstance(self.failure, FlowCheckError) else (str(self.failure),)


@click.command("check")
@flow_option("The flow: module:flow or path.py:flow; repeatable.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: each flow with its jobs, its mistakes and its notes."
)
@traceback_option
@takes_where
def command(where: Where, as_json: bool) -> None:
    """Check flows for mistakes.

    The command prints all mistakes of all flows, and exits with code 2 if there are any. Mistakes are, for example,
    names that do not exist, cycles, functions that can't take their inputs, and schedules that are not valid. Notes
    point out what is allowed and may surprise; they do not change the exit code.

    \b
    Examples:
      microflow check -f my_flow:flow
      microflow check -f flows/sales.py -f flows/stock.py
    """
    unloaded: dict[str, Checked] = {}
    version = where.version(lambda spec, failure: unloaded.update({spec: Checked(spec, None, failure)}))
    loaded = {version.spec_of(flow): checked for flow, checked in zip(version.flows, _check(version), strict=True)}
    found = [checked for spec in where.specs if (checked := (unloaded | loaded).get(spec)) is not None]
    failures = [checked.failure for checked in found if checked.failure is not None]
    if as_json:
        print_json({"items": [_item(checked) for checked in found]})
        if failures:
            raise click.exceptions.Exit(Refused.exit_code)
        return
    for checked in found:
        if checked.failure is None:
            click.echo(f"ok  {checked.flow}: {_counted(checked.jobs or 0, 'job')}")
        for note in checked.notes:
            click.echo(f"note  {checked.flow}: {note}")
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise Refused("\n".join(str(failure) for failure in failures))


def _check(version: CodeVersion) -> Iterator[Checked]:
    """What is found of each flow that could be loaded."""
    seen: dict[str, Flow] = {}
    for flow in version.flows:
        notes = (*version.notes_on(flow), *flow.notes())
        try:
            flow.check()
            if seen.setdefault(flow.name, flow) is not flow:
                raise FlowCheckError(
                    flow.name, ["another of these flows has the same name; give one another in create_flow()."]
                )
            yield Checked(flow.name, len(flow.jobs), notes=notes)
        except FlowCheckError as failure:
            yield Checked(flow.name, len(flow.jobs), failure, notes)


def _item(checked: Checked) -> dict[str, Any]:
    item = {"flow": checked.flow, "jobs": checked.jobs, "mistakes": checked.mistakes}
    return {**item, "notes": checked.notes} if checked.notes else item


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
