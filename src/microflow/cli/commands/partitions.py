"""``microflow partitions``."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ...model.clock import SystemClock
from ...model.frequencies import Frequency
from ...model.partitions import STATUS_LETTERS
from ...model.results import Trigger
from ...runtime import PartitionSelection
from ...store import StoreView
from ...views.formats import duration, number
from ...views.partitions import PartitionMatrix, is_small, matrix, texts_of
from ..display import open_display
from ..outcome import COLORS, finish, print_json
from ..partition_picture import SIGNS, Part, Sheet, legend, picture
from ..quantities import COUNT
from ..tables import on_terminal
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

if TYPE_CHECKING:
    from ...engine.engine import Engine
    from ...engine.runs.caller import Submitted
    from ...engine.runs.partition_plans import Estimate
    from ...jobs import Job
    from ...web.api.partition_messages import PartitionPreview

_AROUND = 6
"""Lines of a terminal that are left for what stands around the picture."""

_RUN_OPTIONS = ("only", "order", "batch_size", "max_concurrency", "with_inputs", "dry_run")

_NOTHING = {
    "all": "there is no partition in this range",
    "missing": "no partition is missing",
    "failed": "no partition has failed",
    "missing_or_failed": "no partition is missing or failed",
}
"""Why a run would be empty, by what ``--only`` says."""

_COLORS = {STATUS_LETTERS[status]: color for status, color in COLORS.items()}


class Asked(NamedTuple):
    """What a run is to be, as the command line says it."""

    start: str | None
    end: str | None
    cats: tuple[str, ...]
    only: str
    order: str
    batch_size: int | None
    max_concurrency: int | None
    with_inputs: bool

    @property
    def selection(self) -> PartitionSelection:
        """Which partitions are meant."""
        return PartitionSelection(None, self.cats or None, self.start, self.end, self.only, self.order)

    @property
    def how(self) -> dict[str, Any]:
        """How they are executed."""
        return {
            "batch_size": self.batch_size,
            "max_concurrency": self.max_concurrency,
            "with_inputs": self.with_inputs,
        }

    @property
    def body(self) -> dict[str, Any]:
        """The same for the REST API."""
        which = {"start": self.start, "end": self.end, "cat_partitions": self.cats or None}
        return {**which, "only": self.only, "order": self.order, **self.how}


@click.command("partitions")
@click.argument("job")
@flow_option("The flow: module:flow or path.py:flow; repeatable.")
@click.option("--from", "start", metavar="TIME", help="The first time partition, such as 2026-11-22 or 2026-W47.")
@click.option("--to", "end", metavar="TIME", help="The last time partition. Default: up to now.")
@click.option("--cat", "cats", multiple=True, metavar="NAME", help="Only this category; repeatable.")
@click.option("--run", "runs", is_flag=True, help="Execute the job over these partitions.")
@click.option(
    "--only",
    type=click.Choice(["all", "missing", "failed", "missing_or_failed"]),
    default="all",
    show_default=True,
    help="With --run: which of these partitions to run.",
)
@click.option(
    "--order",
    type=click.Choice(["asc", "desc"]),
    default="asc",
    show_default=True,
    help="With --run: oldest (asc) or newest (desc) first.",
)
@click.option(
    "--batch-size",
    type=COUNT,
    metavar="N",
    help="With --run: give each execution a list of up to N partitions.",
)
@click.option("--max-concurrency", type=COUNT, metavar="N", help="With --run: run at most N executions at once.")
@click.option(
    "--with-inputs", is_flag=True, help="With --run: first execute the declared inputs of the job for each partition."
)
@click.option(
    "--dry-run", is_flag=True, help="With --run: only show how many partitions would run and how long that takes."
)
@json_option
@store_option
@server_options
@no_copy_option
@traceback_option
@takes_where
def command(
    where: Where,
    job: str,
    start: str | None,
    end: str | None,
    cats: tuple[str, ...],
    runs: bool,
    dry_run: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Show the partitions of a job, or execute them.

    JOB is the name of a job, or FLOW/JOB. The command shows the partitions up to now; on a terminal, it shows the newest
    that fit.

    \b
    Examples:
      microflow partitions load -f my_flow:flow
      microflow partitions load -f my_flow:flow --from 2026-11-01 --cat north
      microflow partitions load -f my_flow:flow --run --only missing_or_failed
      microflow partitions load --server localhost:3000 --run --batch-size 24

    A run is one execution with a child for each partition, or for each batch of partitions. The exit code is 1 if any of
    them failed; to run those again, use --only missing_or_failed. If there is nothing to run, nothing is recorded.
    """
    context = click.get_current_context()
    given = [
        name for name in _RUN_OPTIONS if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given and not runs:
        raise click.UsageError(f"--{given[0].replace('_', '-')} says how to execute partitions: give --run too.")
    if runs:
        _execute(where, job, Asked(start, end, cats, **how), dry_run, as_json)
    else:
        _show(where, job, start, end, cats, as_json)


# Looking


def _show(where: Where, job: str, start: str | None, end: str | None, cats: tuple[str, ...], as_json: bool) -> None:
    look = _look_here if where.server is None else _look_there
    found = look(where, job, start, end, cats, as_json)
    if as_json:
        print_json(found)
        return
    frequency = None if found.frequency is None else Frequency(found.frequency)
    sheet = Sheet(texts_of(found), found.cat or [None], [str(line) for line in found.cells], frequency)
    is_wide, plain = on_terminal(), not _has_signs()
    size = shutil.get_terminal_size()
    for parts in picture(
        sheet,
        width=size.columns if is_wide else None,
        height=size.lines - _AROUND if is_wide else None,
        plain=plain,
    ):
        _say(parts)
    click.echo()
    _say(legend(sheet.lines, plain))


def _look_here(
    where: Where, text: str, start: str | None, end: str | None, cats: tuple[str, ...], as_json: bool
) -> PartitionMatrix:
    from ...engine.partitions.grids import PartitionGrids

    _, job = where.job_here(text)
    job.flow.check()  # a job with a mistake has no partitions that could be shown
    with _store(where) as store:
        grid = PartitionGrids(store.partitions, SystemClock()).grid(job, start, end, cats or None)
    return matrix(job, grid, is_plain=as_json and is_small(grid))


def _look_there(
    where: Where, text: str, start: str | None, end: str | None, cats: tuple[str, ...], as_json: bool
) -> PartitionMatrix:
    client = where.client()
    query = {"from": start, "to": end, "cat": list(cats), "form": None if as_json else "compact"}
    return client.partitions(*where.job_there(client, text), {name: value for name, value in query.items() if value})


@contextmanager
def _store(where: Where) -> Iterator[StoreView]:
    """The store, to look at; a store that does not exist yet stands for partitions that were never executed."""
    from ..source import open_or_empty

    with open_or_empty(where.store_url()) as store:
        yield store


def _has_signs() -> bool:
    """Whether standard output can show the signs."""
    try:
        "".join(SIGNS.values()).encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _say(parts: list[Part]) -> None:
    click.echo("".join(click.style(text, fg=_COLORS[letter]) if letter in _COLORS else text for text, letter in parts))


# Running


def _execute(where: Where, text: str, asked: Asked, dry_run: bool, as_json: bool) -> None:
    from ..running import run_here, run_there

    display = open_display()
    if where.server is not None:
        client = where.client()
        found = where.job_there(client, text)
        plan: Estimate | PartitionPreview = client.plan_partitions(*found, asked.body)
    else:
        flows, job = where.job_here(text)
        plan = _plan_here(where, job, asked, counted=dry_run)
    if dry_run or not plan.partitions:
        _preview(plan, asked.only, as_json)
        return
    display.say(_planned(plan, asked.only))
    if where.server is not None:
        ended = run_there(client, lambda: client.run_partitions(*found, asked.body), display)
    else:
        ended = run_here(flows, where.store, lambda engine: _submit(engine, job, asked), display)
    finish(ended, as_json=as_json)


def _submit(engine: Engine, job: Job[Any], asked: Asked) -> Submitted:
    return engine.submit_partitions(job, asked.selection, trigger=Trigger.CLI, **asked.how)


def _plan_here(where: Where, job: Job[Any], asked: Asked, *, counted: bool) -> Estimate:
    from ...engine.admission.limits import Limits
    from ...engine.admission.slots import Admission
    from ...engine.partitions.grids import PartitionGrids
    from ...engine.runs.partition_plans import PartitionRuns

    job.flow.check()
    with _store(where) as store:
        grids = PartitionGrids(store.partitions, SystemClock())
        runs = PartitionRuns(grids, Limits(Admission()))
        return runs.estimate(runs.plan(job, asked.selection, **asked.how, counted=counted))


def _preview(plan: Estimate | PartitionPreview, only: str, as_json: bool) -> None:
    if as_json:
        print_json(plan._asdict() if isinstance(plan, tuple) else plan)
    else:
        click.echo(_planned(plan, only))


def _planned(plan: Estimate | PartitionPreview, only: str) -> str:
    """What a run would be, in a line."""
    if not plan.partitions:
        return f"Nothing to run: {_NOTHING[only]}."
    partitions = f"{number(plan.partitions)} partition{'' if plan.partitions == 1 else 's'}"
    executions = f"{number(plan.executions)} execution{'' if plan.executions == 1 else 's'}"
    likely = "" if plan.seconds is None else f"; likely to take {duration(plan.seconds)}"
    return f"{partitions} in {executions}, {number(plan.concurrency)} at a time{likely}"
