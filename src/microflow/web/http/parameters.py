"""What a request says, as checked values: its query, its body, the parts of its path.

Each endpoint names a Struct for its query and one for its body; what does not fit is a ``Problem`` that says where
and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import parse_qs

import msgspec

from ...model.payloads import TOO_DEEP, is_too_deep
from ...model.zones import read_moment
from ...store.views import wrong_cursor
from .problems import Problem

if TYPE_CHECKING:
    from starlette.requests import Request

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")

MAXIMUM_BODY = 16 * 1024 * 1024
"""Bytes of a request's body: room for the inputs of a large mapping."""

LARGEST_ID = 2**63 - 1

Identity = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_ID)]
"""The id of an execution."""

_MOST_FORM_FIELDS = 1_000


def read_query(request: Request, form: type[S]) -> S:
    """The query of a request. A parameter that the endpoint does not have, or a value that is none, is a 422."""
    hints = _hints(form)
    given: dict[str, Any] = {}
    for name, text in request.query_params.multi_items():
        if name not in hints:
            raise _bad(f"There is no query parameter {name[:80]!r} here; {_nearest(name, hints)}", "query")
        if _is_list(hints[name]):
            # a name of a user's own may hold a comma: the endpoint knows the names
            parts = [text] if get_args(hints[name])[0] is str else text.split(",")
            given.setdefault(name, []).extend(part for part in parts if part)
        elif name in given:
            raise _bad(f"The query parameter {name!r} is given more than once.", "query")
        else:
            given[name] = _moment(name, text) if _is_moment(hints[name]) else text
    try:
        return msgspec.convert(given, form, strict=False)
    except msgspec.ValidationError as error:
        raise _bad(_misfit(error, given, form), "query") from None


def bad_cursor(cursor: str) -> Problem:
    """The 422 for a ``cursor`` that no list gave as its ``next``."""
    return _bad(wrong_cursor(cursor), "query")


def part_of(items: list[T], limit: int | None, cursor: str | None) -> tuple[list[T], str | None]:
    """What follows a cursor in a list, at most ``limit`` of it, and the cursor of what follows that (None: nothing does).

    A cursor that can't have come from such a list is a 422.
    """
    if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 9):
        raise bad_cursor(cursor)
    start = int(cursor or 0)
    end = len(items) if limit is None else min(start + limit, len(items))
    return items[start:end], str(end) if end < len(items) else None


def tick_of(text: str, zone: tzinfo) -> datetime:
    """The moment that a body's ``at`` names, in this zone unless it has an offset; anything else is a 422."""
    try:
        return read_moment(text, zone)
    except ValueError as error:
        raise _bad(f"at: {error}", "body") from None


def read_id(text: str) -> int:
    """The id of an execution in a path; anything else is a 404, since nothing is there."""
    if text.isascii() and text.isdecimal() and len(text) <= 19 and 0 < int(text) <= LARGEST_ID:
        return int(text)
    raise Problem(
        HTTPStatus.NOT_FOUND,
        f"There is no execution {text[:80]!r}: the id of an execution is a whole number from 1 on.",
        kind="unknown-name",
    )


async def read_bytes(request: Request, limit: int = MAXIMUM_BODY) -> bytes:
    """The body of a request; more than ``limit`` bytes are a 413, and are not read."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and len(announced) < 19 and int(announced) <= limit:
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > limit:
                break
            parts.append(part)
        else:
            return b"".join(parts)
    raise Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body is larger than the {limit:,} bytes that this address takes. Send it in parts, or hand over a key to the data.",
        kind="body-too-large",
        headers={"Connection": "close"},
    )


def read_json(body: bytes, form: type[S]) -> S:
    """The body of a request as JSON; an empty one stands for ``{}``. What is no JSON, or nested too deeply, is a 400, what does
    not fit a 422.
    """
    if is_too_deep(body):
        raise Problem(HTTPStatus.BAD_REQUEST, TOO_DEEP, kind="invalid-json")
    try:
        return msgspec.json.decode(body or b"{}", type=form)
    except msgspec.ValidationError as error:
        place, message = _told(error, form)
        raise _bad(f"The body does not fit: {f'{place}: ' if place else ''}{message}", "body") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"The body is no valid JSON: {error}.", kind="invalid-json") from None


async def read_form(request: Request, limit: int = MAXIMUM_BODY) -> Mapping[str, str]:
    """The fields of a form (``application/x-www-form-urlencoded``), the last value of each; anything else is a 400."""
    body = await read_bytes(request, limit)
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FORM_FIELDS)
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"The form can't be read: {error}.", kind="invalid-form") from None
    return {name: values[-1] for name, values in fields.items()}


@lru_cache
def _hints(form: type[msgspec.Struct]) -> Mapping[str, Any]:
    hints = get_type_hints(form)
    return {field.encode_name: hints[field.name] for field in msgspec.structs.fields(form)}


def _bad(detail: str, kind: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, kind=f"invalid-{kind}")


def _told(error: msgspec.ValidationError, form: type[msgspec.Struct]) -> tuple[str, str]:
    """(where, what is wrong): the validator's words, the path written as callers write it: ``$.inputs[0]`` is ``inputs[0]``."""
    message, _, path = str(error).partition(" - at `")
    place = path.rstrip("`").removeprefix("$").removeprefix(".")
    if message.startswith("Invalid enum value") and (allowed := _options(_hints(form)[place.partition("[")[0]])):
        message = f"{message.removeprefix('Invalid enum value ')} is none of {', '.join(allowed)}"
    elif not place and message.startswith("Object contains unknown field `"):
        name = message.split("`")[1]
        message = f"there is no {name[:80]!r} in it; {_nearest(name[:80], _hints(form))}"
    return place, message if message[-1] in ".?" else f"{message}."


def _misfit(error: msgspec.ValidationError, given: Mapping[str, Any], form: type[msgspec.Struct]) -> str:
    """What is wrong with a query, with the value that was given and what is allowed instead."""
    place, message = _told(error, form)
    name = place.partition("[")[0]
    value = ",".join(given[name]) if isinstance(given[name], list) else given[name]
    return f"{name} is {value[:80]!r}, which does not fit: {message}"


def _options(hint: Any) -> list[str]:
    """The words that a type allows, where it allows only some."""
    if isinstance(hint, type) and issubclass(hint, Enum):
        return [str(member.value) for member in hint]
    if get_origin(hint) is Literal:
        return [str(option) for option in get_args(hint)]
    return [option for part in get_args(hint) for option in _options(part)]


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    from difflib import get_close_matches

    if near := get_close_matches(name, known, 1):
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(known)}." if known else "nothing is expected."


def _is_list(hint: Any) -> bool:
    return getattr(hint, "__origin__", None) is tuple


def _is_moment(hint: Any) -> bool:
    return datetime in getattr(hint, "__args__", ())


def _moment(name: str, text: str) -> datetime:
    # the "+" of an offset means a space in a query, and is seldom escaped
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _bad(
            f"{name} is {text[:80]!r}; give a date and time in ISO 8601, such as 2026-11-22T05:00:00Z "
            "(UTC unless it says otherwise).",
            "query",
        ) from None
