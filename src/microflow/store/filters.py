"""Which executions a list shows, and the cursors that continue a list."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

import msgspec

from ..model.results import ExecutionStatus, Trigger


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which executions a list shows; None asks for nothing.

    ``parent``: the children of this execution. ``root``: this execution and everything below it. ``since`` and
    ``until``: aware datetimes, both included, of the time of queueing. ``top_level``: only those that no other
    execution called.
    """

    flow: str | None = None
    job: str | None = None
    status: tuple[ExecutionStatus, ...] = ()
    trigger: Trigger | None = None
    parent: int | None = None
    root: int | None = None
    run_key: str | None = None
    time_partition: str | None = None
    cat_partition: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    top_level: bool = False


def read_cursor(cursor: str) -> int:
    """The id before which a page continues. Raises ``ValueError`` for a text that no page gave as its ``next``."""
    try:
        if "+" in cursor or "/" in cursor:  # Python 3.15 warns of them, earlier ones read them as "-" and "_"
            raise ValueError("not of the alphabet")
        text = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
        found = int(text.removeprefix("before:"))
        if cursor_before(found) == cursor and 0 < found < 2**63:
            return found
    except (ValueError, binascii.Error):
        pass  # the same message as for a cursor that decodes to something else
    raise ValueError(f"cursor is {cursor[:80]!r}, which no list gave as its next; leave it out to begin anew.")


def cursor_before(id_: int) -> str:
    """The cursor of the page that continues with the executions before this id."""
    return base64.urlsafe_b64encode(f"before:{id_}".encode()).decode().rstrip("=")
