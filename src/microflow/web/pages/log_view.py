"""An execution's log as a page shows it: the newest part of it, and all of it as plain text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

TAIL = 96 * 1024
"""Bytes of a log that a page shows at most when it is opened; a module of the page adds what comes after."""

_PIECE = 256 * 1024


class Part(Protocol):
    """A stretch of a log, as ``store.logs.LogPart``."""

    @property
    def text(self) -> str: ...
    @property
    def next(self) -> int: ...
    @property
    def left_out(self) -> int: ...


class Log(Protocol):
    """What reads logs, as ``store.logs.Logs``."""

    def read(self, execution_id: int, after: int = 0, limit: int = ...) -> Part: ...


class NewestPart(NamedTuple):
    """The end of a log: its ``text``, how many bytes stand before it, and the offset ``next`` after it."""

    text: str
    before: int
    next: int


def newest_part(logs: Log, execution_id: int, tail: int = TAIL) -> NewestPart:
    """At most ``tail`` bytes from the end of a log, beginning with a whole line."""
    first = logs.read(execution_id, 0, tail)
    if not _goes_on(logs, execution_id, first.next):
        return NewestPart(first.text, 0, first.next)
    begin = _last_start(logs, execution_id, first.next, tail // 2)
    text, offset = "", begin
    while (part := logs.read(execution_id, offset, tail)).text and len(text) < 2 * tail:
        text, offset = text + part.text, part.next
    _, newline, whole = text.partition("\n")
    kept = whole if newline else text
    return NewestPart(kept, offset - len(kept.encode("utf-8", "replace")), offset)


def log_pieces(logs: Log, execution_id: int) -> Iterator[str]:
    """The whole log, piece by piece; where something was not kept, a line says so."""
    offset = 0
    while True:
        part = logs.read(execution_id, offset, _PIECE)
        if part.left_out:
            yield f"\n[{part.left_out:,} bytes were left out here to keep the log within its limit]\n"
        if not part.text:
            return
        yield part.text
        offset = part.next


def _goes_on(logs: Log, execution_id: int, offset: int) -> bool:
    return logs.read(execution_id, offset, 1).next > offset


def _last_start(logs: Log, execution_id: int, known: int, step: int) -> int:
    """An offset at most ``step`` bytes before the end, found by doubling and halving: a log does not say how long it is."""
    low, width = known, step
    while _goes_on(logs, execution_id, low + width):
        low, width = low + width, width * 2
    high = low + width
    while high - low > step:
        middle = (low + high) // 2
        if _goes_on(logs, execution_id, middle):
            low = middle
        else:
            high = middle
    return low
