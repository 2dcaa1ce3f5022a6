"""``microflow prune``."""

from __future__ import annotations

import time
from contextlib import closing

import click

from ..outcome import print_json
from ..quantities import DURATION
from ..where import Where, copying, flow_option, json_option, no_copy_option, store_option, takes_where

_PAUSE = 0.005
"""Seconds between two steps, in which whoever writes to the store meanwhile gets at it."""


@click.command("prune")
@click.option(
    "--older-than",
    type=DURATION,
    required=True,
    metavar="AGE",
    help="Delete executions that ended longer ago than this: a number and a unit, such as 90d, 12h or 2w.",
)
@flow_option("A flow that uses the store.")
@store_option
@json_option
@no_copy_option
@takes_where
def command(where: Where, older_than: float, as_json: bool) -> None:
    """Delete old history.

    This deletes executions, their logs, and the records of ticks. At any age, it keeps the newest execution of each
    partition and of each run key, the newest success and the context of each job, and executions that have not ended.
    It works in small steps, so a server can keep running. A server prunes its own store (--keep).

    \b
    Examples:
      microflow prune --older-than 90d
      microflow prune --older-than 2w -f my_flow:flow
    """
    from ... import store

    deleted = 0
    with closing(store.open(where.store_url(), "change", copying=copying())) as found:
        for number in found.retention.steps(time.time() - older_than):
            deleted += number
            time.sleep(_PAUSE)
    if as_json:
        print_json({"deleted": deleted})
    else:
        click.echo(f"Deleted {deleted:,} execution{'' if deleted == 1 else 's'}.")
