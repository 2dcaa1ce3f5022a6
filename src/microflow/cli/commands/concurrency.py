"""``microflow concurrency``."""

from __future__ import annotations

import click

from ..outcome import print_json
from ..tables import print_table
from ..where import Where, json_option, server_options, takes_where


@click.command("concurrency")
@json_option
@server_options
@takes_where
def command(where: Where, as_json: bool) -> None:
    """List the limits, with the executions that hold or wait for slots.

    Only the server that runs the executions can list them.

    \b
    Examples:
      microflow concurrency --server http://localhost:3000
    """
    limits = where.client().limits()
    if as_json:
        print_json({"items": limits, "next": None})
        return
    rows = [
        (
            limit.flow,
            f"{limit.name} ({limit.about})" if limit.about else limit.name,
            f"{limit.limit} each" if limit.kind == "each" else f"{len(limit.holders)} of {limit.limit}",
            "" if limit.kind == "each" else str(len(limit.waiters)),
            ", ".join(map(str, limit.holders)),
        )
        for limit in limits
    ]
    print_table(("FLOW", "LIMIT", "TAKEN", "WAITING", "HELD BY"), rows, right=(2, 3))
