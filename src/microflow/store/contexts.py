"""What a job remembers, as the store has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from ..errors import PayloadError
from ..model.payloads import decode
from .database import Database


class Remembered(tuple[dict[str, Any], dict[str, Any]]):
    """What a job's context holds: what was written, and its last output. ``unreadable``: in words, what else is there."""

    unreadable: Sequence[str]

    def __new__(cls, written: dict[str, Any], last_output: dict[str, Any], unreadable: Sequence[str]) -> Self:
        found = super().__new__(cls, (written, last_output))
        found.unreadable = unreadable
        return found


def remembered(database: Database, flow: str, job: str) -> Remembered:
    """What a job's executions wrote to its context, and its last successful output (empty if that is not a dict).

    A key that was deleted is in neither. What can't be read any more is left out, and described in ``unreadable``. Raises
    ``StoreError``.
    """
    known: dict[str, str] = dict(database.read("context_of", {"flow": flow, "job": job}))
    written: dict[str, Any] = {}
    unreadable: list[str] = []
    for key, value in known.items():
        try:
            if value:
                written[key] = decode(value)
        except PayloadError as error:
            unreadable.append(f"flow.context[{key!r}] can't be read, and is left out until it is set again. {error}")
    rows = database.read("last_output", {"flow": flow, "job": job})
    try:
        output = decode(rows[0][0]) if rows and rows[0][0] is not None else {}
    except PayloadError as error:
        unreadable.append(f"The last output can't be read, so flow.context does not fall back to it. {error}")
        output = {}
    last = output if isinstance(output, dict) else {}
    rest = {key: value for key, value in last.items() if key not in known or key in written}
    return Remembered(written, rest, unreadable)
