"""Payloads as a person reads them: indented JSON with its parts marked, dates as dates, small values on one line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from markupsafe import Markup, escape

from ..errors import PayloadError
from ..model.payloads import decode

_LINE = 76
_INDENT = "  "
_SHORT = 32
_BEGINNING = 160
_READ_WHOLE = 4096

SHOWN_WHOLE = 128 * 1024
"""Bytes of a stored payload that a page shows with its parts marked; of a longer one it shows the beginning as it is stored."""

_SHOWN_OF_LONGER = 32 * 1024

SHOWN = 1024 * 1024
"""Characters of HTML that the payloads of one page take at most together; the rest is left out, and a link leads to it."""

DEEPEST = 24
"""Levels of indentation; what is nested deeper stands on one line, or its indentation would be larger than the payload."""

_WORTH_INDENTING = 8
"""A text is not indented where that makes it more than so many times as long."""

_MARKED = len('<span class="x"></span>')


Token = tuple[str, str]
"""(CSS class, text); the class is "" for what is only punctuation."""


def json_html(stored: Any, room: int = SHOWN, whole: str = "") -> Markup:
    """A stored payload (``msgspec.Raw``, bytes or text) as HTML for a ``<pre>``, of about ``room`` characters at most.

    ``whole``: the address of all of it, to which a link leads where something is left out. What can't be read stands there as it
    is.
    """
    encoded = stored.encode() if isinstance(stored, str) else bytes(stored)
    if len(encoded) > SHOWN_WHOLE:
        shown = min(_SHOWN_OF_LONGER, room)
        return escape(encoded[:shown].decode("utf-8", "ignore")) + _left_out(f"{len(encoded) - shown:,} bytes", whole)
    written = _Written(room, _MARKED)
    try:
        _write(written, decode(encoded))
    except (PayloadError, RecursionError) as error:
        why = Markup('\n<span class="w">This can\'t be read as a value: {}</span>').format(error)
        return escape(encoded[:room].decode("utf-8", "replace")) + why
    html = Markup("".join(_marked(kind, text) for kind, text in written.tokens))
    return html + _left_out("", whole) if written.is_full else html


def _marked(kind: str, text: str) -> str:
    return f'<span class="{kind}">{escape(text)}</span>' if kind else str(escape(text))


def _left_out(what: str, whole: str) -> Markup:
    mark = Markup('<span class="w">… {}more</span>').format(f"{what} " if what else "")
    return Markup('<a href="{}">{}</a>').format(whole, mark) if whole else mark


def json_text(plain: Any) -> str:
    """A payload as JSON that can be typed in again, indented unless it is short; in ``plain`` dates are tagged."""
    line = json.dumps(plain, ensure_ascii=False)
    if len(line) <= _SHORT or _indentation(plain) > _WORTH_INDENTING * len(line):
        return line
    return json.dumps(plain, indent=2, ensure_ascii=False)


def inputs_line(stored: Any, partition_shown: object = False) -> str:
    """The beginning of stored inputs on one line, without the brackets around them; "" for inputs that say nothing.

    The keys of its partition are left out where the partition is shown beside it.
    """
    encoded = bytes(stored)
    if len(encoded) > _READ_WHOLE:  # only its beginning is shown, so it is not worth reading
        return f"{encoded[1:_BEGINNING].decode('utf-8', 'ignore')}…"
    try:
        inputs = decode(encoded)
    except PayloadError:
        return encoded[:_BEGINNING].decode("utf-8", "replace")
    if not isinstance(inputs, list):
        inputs = [inputs]
    if partition_shown and inputs and isinstance(inputs[0], dict):
        inputs[0] = {key: value for key, value in inputs[0].items() if key not in ("time_partition", "cat_partition")}
    if inputs in ([], [{}], [[]]):
        return ""
    written = _Written(_BEGINNING)
    for index, value in enumerate(inputs[:_BEGINNING]):
        if index:
            written.put("", ", ")
        _write_flat(written, value)
    return "".join(text for _, text in written.tokens) + ("…" if written.is_full else "")


class _Written:
    """What has been written, as tokens, while there is room; what has none is left out, and then it ``is_full``.

    ``each``: what a token with a class takes besides its text.
    """

    def __init__(self, room: int, each: int = 0) -> None:
        self.tokens: list[Token] = []
        self.is_full = False
        self._room = room
        self._each = each

    def put(self, kind: str, text: str) -> None:
        if self.is_full:
            return
        room = self._room - (self._each if kind else 0)
        self.is_full = len(text) > room
        if self.is_full:
            text = text[: max(room, 0)]
        self._room = room - len(text)
        self.tokens.append((kind, text))


def _write(written: _Written, value: Any) -> None:
    """A value over as many lines as it needs: what has room in one line stands on one. Each part of it is looked at twice."""
    _write_lines(written, value, 0, flat_widths(value, _LINE))


def _write_lines(written: _Written, value: Any, depth: int, widths: Mapping[int, int]) -> None:
    is_short = widths.get(id(value), 0) <= _LINE - len(_INDENT) * depth
    if not isinstance(value, (dict, list)) or is_short or depth >= DEEPEST:
        _write_flat(written, value)
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    inner = "\n" + _INDENT * (depth + 1)
    written.put("", opening)
    for index, (key, item) in enumerate(_items(value)):
        if written.is_full:
            return
        written.put("", ("," if index else "") + inner)
        if key is not None:
            written.put("k", _text(key))
            written.put("", ": ")
        _write_lines(written, item, depth + 1, widths)
    written.put("", "\n" + _INDENT * depth + closing)


def _write_flat(written: _Written, value: Any) -> None:
    if not isinstance(value, (dict, list)) or not value:
        written.put(*_leaf(value))
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    written.put("", opening)
    for index, (key, item) in enumerate(_items(value)):
        if written.is_full:
            return
        if index:
            written.put("", ", ")
        if key is not None:
            written.put("k", _text(key))
            written.put("", ": ")
        _write_flat(written, item)
    written.put("", closing)


def flat_widths(value: Any, most: int) -> dict[int, int]:
    """How many characters each dict and list of a JSON value takes on one line, by its ``id``; above ``most``, just ``most`` + 1.

    Every part is looked at once, however deep it is nested.
    """
    widths: dict[int, int] = {}

    def measure(part: Any) -> int:
        if not isinstance(part, (dict, list)) or not part:
            return len(_leaf(part)[1])
        width = 2 * len(part)  # the brackets, and a comma and a space between two items
        for key, item in _items(part):
            width += measure(item) + (0 if key is None else len(_text(key)) + 2)
        widths[id(part)] = min(width, most + 1)
        return width

    measure(value)
    return widths


def _items(value: dict[str, Any] | list[Any]) -> Iterator[tuple[str | None, Any]]:
    """The keys and the values of a dict; the items of a list, without keys."""
    return iter(value.items()) if isinstance(value, dict) else ((None, item) for item in value)


def _indentation(value: Any) -> int:
    """Characters of indentation that a value takes with an item on each line."""
    total, waiting = 0, [(value, 1)]
    while waiting:
        part, depth = waiting.pop()
        if isinstance(part, (dict, list)):
            total += len(_INDENT) * depth * len(part)
            waiting += ((item, depth + 1) for _, item in _items(part))
    return total


def _leaf(value: Any) -> Token:
    if value is None or isinstance(value, bool):
        return "w", json.dumps(value)
    if isinstance(value, (int, float)):
        return "n", json.dumps(value)
    if isinstance(value, datetime):
        return "d", value.isoformat(sep=" ")
    if isinstance(value, date):
        return "d", value.isoformat()
    if isinstance(value, str):
        return "s", _text(value)
    return "", "{}" if isinstance(value, dict) else "[]"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
