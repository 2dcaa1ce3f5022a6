"""``microflow logs``."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import click

from ...views.live import LogText
from ..outcome import print_json
from ..quantities import EXECUTION
from ..source import Source
from ..where import Where, flow_option, json_option, server_options, store_option, takes_where, traceback_option

LOOK = 0.25
"""Seconds between looks at a log that is followed."""


@click.command("logs")
@click.argument("id", type=EXECUTION)
@click.option("-f", "--follow", is_flag=True, help="Follow the log until the execution has ended.")
@flow_option("A flow that uses the store.", short=False)
@json_option
@store_option
@server_options
@traceback_option
@takes_where
def command(where: Where, id: int, follow: bool, as_json: bool) -> None:  # noqa: A002 - as it is called elsewhere
    """Print the log of an execution.

    \b
    Examples:
      microflow logs 12
      microflow logs 12 -f --server http://localhost:3000

    Child executions have logs of their own. To list them, use microflow show ID.
    """
    with where.source() as source:
        parts = _parts(source, id, follow)
        if as_json:
            whole = list(parts)
            text, left_out = "".join(part.text for part in whole), sum(part.left_out for part in whole)
            print_json(LogText(text, whole[-1].next, left_out, whole[-1].ended))
            return
        for part in parts:
            if part.left_out:
                click.echo(f"[{part.left_out:,} bytes are no longer kept]", err=True)
            click.echo(part.text, nl=False)


def _parts(source: Source, id: int, follow: bool) -> Iterator[LogText]:  # noqa: A002
    """The log part by part; the last one is empty, where the log ends, or ends for now."""
    after, never = 0, threading.Event()
    while True:
        part = source.log(id, after)
        yield part
        after = part.next
        if not part.text:
            if part.ended or not follow:
                return
            never.wait(LOOK)  # Ctrl-C ends the waiting at once, on every platform
