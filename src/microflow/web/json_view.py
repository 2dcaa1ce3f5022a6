"""Payloads as a person reads them: indented JSON with its parts marked, dates as dates, small values on one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
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

Token = tuple[str, str]
"""(CSS class, text); the class is "" for what is only punctuation."""


def json_html(stored: Any) -> Markup:
    """A stored payload (``msgspec.Raw``, bytes or text) as HTML for a ``<pre>``; one that can't be read stands there as it is."""
    encoded = stored.encode() if isinstance(stored, str) else bytes(stored)
    if len(encoded) > SHOWN_WHOLE:
        left_out = Markup('<span class="w">… {:,} bytes more</span>').format(len(encoded) - _SHOWN_OF_LONGER)
        return escape(encoded[:_SHOWN_OF_LONGER].decode("utf-8", "ignore")) + left_out
    try:
        tokens = list(_tokens(decode(encoded), 0))
    except (PayloadError, RecursionError) as error:
        why = Markup('\n<span class="w">This can\'t be read as a value: {}</span>').format(error)
        return escape(encoded[:_SHOWN_OF_LONGER].decode("utf-8", "replace")) + why
    return Markup("").join(
        Markup('<span class="{}">{}</span>').format(kind, text) if kind else escape(text) for kind, text in tokens
    )


def json_text(plain: Any) -> str:
    """A payload as JSON that can be typed in again, indented unless it is short; in ``plain`` dates are tagged."""
    line = json.dumps(plain, ensure_ascii=False)
    return line if len(line) <= _SHORT else json.dumps(plain, indent=2, ensure_ascii=False)


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
    text = ", ".join("".join(part for _, part in _flat(value, _BEGINNING)) for value in inputs[:_BEGINNING])
    return text if len(text) <= _BEGINNING else f"{text[:_BEGINNING]}…"


def _tokens(value: Any, depth: int) -> Iterator[Token]:
    if not isinstance(value, (dict, list)) or not value:
        yield _leaf(value)
        return
    line = list(_flat(value, _LINE - len(_INDENT) * depth))
    if sum(len(text) for _, text in line) <= _LINE - len(_INDENT) * depth:
        yield from line
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    inner = "\n" + _INDENT * (depth + 1)
    yield "", opening
    for index, item in enumerate(value):
        yield "", ("," if index else "") + inner
        if isinstance(value, dict):
            yield "k", _text(item)
            yield "", ": "
            yield from _tokens(value[item], depth + 1)
        else:
            yield from _tokens(item, depth + 1)
    yield "", "\n" + _INDENT * depth + closing


def _flat(value: Any, room: int) -> Iterator[Token]:
    """The value on one line, given up once it is longer than ``room``."""
    if not isinstance(value, (dict, list)) or not value:
        yield _leaf(value)
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield "", opening
    for index, item in enumerate(value):
        if index:
            yield "", ", "
        if isinstance(value, dict):
            yield "k", _text(item)
            yield "", ": "
            item = value[item]
        for kind, text in _flat(item, room):
            room -= len(text)
            yield kind, text
        if room < 0:
            return
    yield "", closing


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
