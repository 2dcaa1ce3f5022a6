"""Payloads: what travels between jobs, processes and the store.

A payload is a dict, or a list of dicts, with string keys, of JSON values plus ``datetime`` and ``date``. It is encoded once, as
UTF-8 JSON; those bytes are what the store keeps and what a worker is sent. A date is a tagged object, so that it arrives as the
same type on the other side: ``{"$date": "2026-11-22"}`` and ``{"$datetime": "2026-11-22T05:00:00+01:00[Europe/Berlin]"}`` (see
``timestamps``). A user's own key that begins with ``$`` is escaped by doubling the sign.

Whatever is encoded can be read back: a value that would not come back equal is refused where it is encoded. Plain JSON is checked
at the speed of C. A value that is not plain (a date, an enum, a subclass of a type that JSON has) is compared with what it comes
back as.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from itertools import accumulate
from math import isfinite
from typing import Any

import msgspec

from ..errors import PayloadError, PayloadTooLarge
from .results import ExecutionError, ExecutionResult
from .timestamps import checked_date, checked_datetime, date_from, datetime_from, datetime_text, shown

DEFAULT_MAX_PAYLOAD = 32 * 1024
"""Bytes of an execution's encoded inputs, and of its encoded output, unless the job says otherwise."""

_MAXIMUM_DEPTH = 200

_PARSED_DEPTH = 500
"""Levels of JSON that somebody gave which every version of Python can parse."""

TOO_DEEP = f"This is nested too deeply. At most {_MAXIMUM_DEPTH} levels are allowed."
"""What is said of JSON that somebody gave, on every version of Python."""

_NO_BRACKETS = bytes(code for code in range(256) if code not in b"[]{}")
_NO_BRACKETS_NO_QUOTES = bytes(code for code in range(256) if code not in b'[]{}"')
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def encode_inputs(
    inputs: Sequence[Any], *, job: str, limit: int = DEFAULT_MAX_PAYLOAD, may_lack: Sequence[Any] = ()
) -> bytes:
    """Encode a job's positional inputs as a JSON array of at most ``limit`` bytes.

    ``may_lack`` says, at the place of an input (or of an item of a list) that is another job's result, that it may be None, since
    that job may have ended without data. Raises ``PayloadError`` naming job, argument and path of what no payload can hold,
    ``PayloadTooLarge`` over the limit.
    """
    for index, value in enumerate(inputs):
        if type(value) is dict:  # what nearly all are
            continue
        lacks = may_lack[index] if index < len(may_lack) else None
        if value is not None or not lacks:
            _check_shape(value, f"inputs[{index}]", job, lacks if isinstance(lacks, list) else ())
    encoded = _encode(list(inputs), "inputs", job)
    return _measured(encoded, job, "inputs", limit)


def encode_output(output: Any, *, job: str, limit: int = DEFAULT_MAX_PAYLOAD, may_lack: bool = False) -> bytes:
    """Encode what a job returned; errors as for ``encode_inputs``.

    ``may_lack``: items of a list are of other jobs' results, so they may be None.
    """
    if type(output) is not dict:
        _check_shape(output, "output", job, [True] * len(output) if may_lack and isinstance(output, list) else ())
    encoded = _encode(output, "output", job)
    return _measured(encoded, job, "output", limit)


def encode_value(value: Any, *, job: str, place: str, limit: int | None = None) -> bytes:
    """Encode any one value that a payload may hold, such as a value of ``flow.context``; ``place`` names it in errors.

    Errors as for ``encode_inputs``.
    """
    encoded = _encode(value, place, job)
    return encoded if limit is None else _measured(encoded, job, place, limit)


def encode_moment(moment: datetime) -> bytes:
    """Encode a datetime, as it stands in a payload."""
    return f'{{"$datetime":"{datetime_text(moment)}"}}'.encode()


def check_result(result: ExecutionResult, *, job: str, place: str, limit: int = DEFAULT_MAX_PAYLOAD) -> None:
    """Raise ``PayloadError`` for what a result that a job made itself holds besides its output and can't be recorded."""
    key: object = result.run_key
    if key is not None and (key == "" or isinstance(key, bool) or not isinstance(key, (str, int))):
        raise PayloadError(
            f"Job {job!r}: the run_key of {place} is {key!r}; a run key is a string that is not empty (or a whole number).",
            path=place,
        )
    for name, kind in (("cat_partition", str), ("reason", str), ("error", ExecutionError)):
        value = getattr(result, name)
        if value is not None and not isinstance(value, kind):
            what = "an ExecutionError(type, message)" if kind is ExecutionError else "a string"
            raise PayloadError(f"Job {job!r}: the {name} of {place} is {value!r}; give {what} or None.", path=place)
    for name in ("run_key", "cat_partition"):
        encode_value(getattr(result, name), job=job, place=f"the {name} of {place}", limit=limit)


def key_text(run_key: str | int) -> str:
    """A run key as it is recorded."""
    return plain_text(run_key) if isinstance(run_key, str) else str(int(run_key))


def check_size(encoded: bytes, *, job: str, limit: int = DEFAULT_MAX_PAYLOAD) -> None:
    """Raise ``PayloadTooLarge`` for inputs that were encoded otherwise and take more than ``limit`` bytes."""
    _measured(encoded, job, "inputs", limit)


def decode(encoded: bytes | str) -> Any:
    """The value that was encoded: a fresh copy, dates and times as themselves.

    Raises ``PayloadError`` for anything else, such as damaged text. JSON that somebody gave is asked ``is_too_deep`` before.
    """
    try:
        value = _decoder.decode(encoded)
        tagged = b'"$' in encoded if isinstance(encoded, bytes) else '"$' in encoded
        return _untag(value) if tagged else value
    except RecursionError:
        raise PayloadError(TOO_DEEP) from None
    except ValueError as error:  # those of msgspec are
        raise PayloadError(f"This is not the JSON of a payload: {str(error).partition(' - at ')[0]}.") from None


def is_too_deep(given: bytes | str) -> bool:
    """Whether JSON that somebody gave has too many levels to be parsed.

    How deep a parser goes, and what it says then, depends on the version of Python, so this is asked before. What is parsed and has
    more levels than a payload may is refused where it is encoded, with its place.
    """
    text = given.encode("utf-8", "surrogatepass") if isinstance(given, str) else given
    if text.count(b"[") + text.count(b"{") <= _PARSED_DEPTH:
        return False
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    # what stands between two quotes is a string; two quotes with nothing between them change nothing
    marks = text.translate(None, _NO_BRACKETS_NO_QUOTES).replace(b'""', b"")
    outside = b"".join(marks.split(b'"')[::2])
    return max(accumulate(map(_STEPS.__getitem__, outside)), default=0) > _PARSED_DEPTH


def _encode(value: Any, place: str, job: str) -> bytes:
    # The C encoder takes more than a payload may hold (tuples, sets, NaN …), but then what comes back differs from what went in.
    # So plain JSON, which is nearly everything, is checked at the speed of C, and only the rest is walked.
    try:
        encoded = _encoder.encode(value)
        if b'"$' not in encoded and _decoder.decode(encoded) == value and not _may_be_deep(encoded):
            return encoded
    except Exception:  # noqa: BLE001 - the walk below says where and why, also what a class or a zone of a user's own raises
        pass
    try:
        plain = _tag(value, 0)
    except _Misplaced as found:
        path = found.path if len(found.path) <= _LONG_PATH else f"{found.path[:_LONG_PATH]}…"
        raise PayloadError(f"Job {job!r}: {place}{path} {found.words}", path=f"{place}{path}") from None
    return _encoder.encode(plain)


def _may_be_deep(encoded: bytes) -> bool:
    """Whether JSON may be nested deeper than it may; how deep the C encoder goes depends on the version of Python."""
    if len(encoded) <= 2 * _MAXIMUM_DEPTH:
        return False
    brackets = encoded.translate(None, _NO_BRACKETS)
    for _ in range(_MAXIMUM_DEPTH):
        inner = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(inner) in (0, len(brackets)):  # nothing is left, or what stands in strings is in the way
            break
        brackets = inner
    return bool(inner)


_LONG_PATH = 400
"""Characters of a path that are shown: that of what holds itself would have hundreds of steps."""


class _Misplaced(Exception):
    """What no payload can hold. ``words``: what it is; ``path``: where, put together on the way back, since few need it."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words
        self.path = ""


def _measured(encoded: bytes, job: str, place: str, limit: int) -> bytes:
    if len(encoded) > limit:
        what = {"inputs": "the inputs take", "output": "the output takes"}.get(place, f"{place} takes")
        raise PayloadTooLarge(
            f"Job {job!r}: {what} {len(encoded):,} bytes when encoded, and the limit is {limit:,}. Hand over a key to the data (a "
            "path, a row id) instead of the data, or raise max_payload for this job."
        )
    return encoded


def _check_shape(value: Any, place: str, job: str, may_lack: Sequence[Any]) -> None:
    """Raise ``PayloadError`` unless the value is a dict or a list of dicts."""
    if isinstance(value, Mapping):
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, Mapping) or (item is None and index < len(may_lack) and may_lack[index]):
                continue
            raise PayloadError(
                f"Job {job!r}: {place}[{index}] is {described(item)}, but a list must hold dicts. "
                'Wrap each item, as in [{"value": …}].',
                path=f"{place}[{index}]",
            )
        return
    raise PayloadError(
        f"Job {job!r}: {place} is {described(value)}, but it must be a dict or a list of dicts. "
        'Wrap it in a dict, as in {"value": …}.',
        path=place,
    )


def _tag(value: Any, depth: int) -> Any:
    """The value as plain JSON, dates tagged; raises ``_Misplaced`` for what has no place in a payload."""
    try:
        return _tagged(value, depth)
    except _Misplaced:
        raise
    except Exception as error:  # noqa: BLE001 - a class of the user's may raise anything when it is read
        raise _Misplaced(f"is {described(value)} that can't be read: it raised {type(error).__name__}.") from None


def _tagged(value: Any, depth: int) -> Any:
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return _plain_text(value)
    # numpy.float64 is a float by inheritance; its module tells it apart, so that it is refused on every machine alike.
    if isinstance(value, (int, float)) and type(value).__module__ != "numpy":
        return _plain_number(value)
    if isinstance(value, (Mapping, list)):
        if depth >= _MAXIMUM_DEPTH:
            raise _Misplaced(f"is nested more than {_MAXIMUM_DEPTH} levels deep, or holds itself.")
        return _tag_mapping(value, depth) if isinstance(value, Mapping) else _tag_list(value, depth)
    if isinstance(value, datetime):
        if (text := checked_datetime(value)) is None:
            raise _Misplaced(
                f"is {described(value)} ({shown(value)}) that would not come back equal. Use a plain datetime without a zone, in "
                "UTC or in a zone of the time zone database, or None where there is no time."
            )
        return {"$datetime": text}
    if isinstance(value, date):
        if (text := checked_date(value)) is None:
            raise _Misplaced(
                f"is {described(value)} ({shown(value)}) that would not come back equal. Use a plain date, or None where there is "
                "no date."
            )
        return {"$date": text}
    raise _Misplaced(f"is {described(value)}. {_advice(value)}")


def _tag_mapping(value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    items = value
    if type(value) is not dict:
        items = dict(dict.items(value) if isinstance(value, dict) else value.items())
        _refuse_unequal(value, items, "a dict")
    tagged = {}
    for key, item in items.items():
        if not isinstance(key, str):
            raise _Misplaced(f"has the key {key!r}, {described(key)}; keys must be strings. Use str(key).")
        if broken := _lone_surrogate(key):
            raise _Misplaced(f"has the key {key!r}, which is not valid Unicode (a lone surrogate, {broken!r}).")
        name = plain_text(key)
        if type(key) is not str:
            _refuse_unequal(key, name, "a str", f"has the key {name!r}, which is")
        try:
            tagged["$" + name if name.startswith("$") else name] = _tag(item, depth + 1)
        except _Misplaced as found:
            found.path = f'["{name}"]{found.path}'
            raise
    return tagged


def _tag_list(value: list[Any], depth: int) -> list[Any]:
    items = list(list.__iter__(value))
    if type(value) is not list:
        _refuse_unequal(value, items, "a list")
    tagged = []
    for index, item in enumerate(items):
        try:
            tagged.append(_tag(item, depth + 1))
        except _Misplaced as found:
            found.path = f"[{index}]{found.path}"
            raise
    return tagged


def plain_text(value: str) -> str:
    """The text of a string of any kind, such as a member of an enum, whatever its own ``str()`` says."""
    return str.__str__(value)


def _plain_text(value: str) -> str:
    if broken := _lone_surrogate(value):
        raise _Misplaced(f"is text that is not valid Unicode (a lone surrogate, {broken!r}).")
    text = plain_text(value)
    if type(value) is not str:
        _refuse_unequal(value, text, "a str")
    return text


def _plain_number(value: float) -> float:
    if isinstance(value, float):
        if not isfinite(value):
            raise _Misplaced(f"is {value!r}, which JSON does not have. Use None or a string instead.")
        number: float = float.__float__(value)
    else:
        number = int.__int__(value)
        if not -_ALWAYS_READ < number < _ALWAYS_READ and not _is_read(number):
            raise _Misplaced(
                "is a whole number of thousands of digits, which can't be read back. Use a string instead."
            )
    if type(value) not in (int, float):
        _refuse_unequal(value, number, f"a plain {type(number).__name__}")
    return number


_ALWAYS_READ = 2**64
"""Whole numbers up to this are read by every process; how many digits larger ones may have, a process can set."""


def _is_read(number: int) -> bool:
    try:
        return bool(_decoder.decode(_encoder.encode(number)) == number)
    except ValueError:
        return False


def _refuse_unequal(value: Any, plain: Any, instead: str, what: str = "is") -> None:
    """Raise ``_Misplaced`` unless a value equals what it comes back as."""
    try:
        if plain == value:
            return
    except Exception:  # noqa: BLE001 - a class may do anything when it is compared, and then it is not equal
        pass
    raise _Misplaced(f"{what} {described(value)} that would not come back equal. Turn it into {instead}.")


def _lone_surrogate(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return text[error.start]
    return None


def _untag(value: Any) -> Any:
    if isinstance(value, list):
        return [_untag(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, text),) = value.items()
        if isinstance(text, str):
            if key == "$datetime":
                return datetime_from(text)
            if key == "$date":
                return date_from(text)
    return {key[1:] if key.startswith("$$") else key: _untag(item) for key, item in value.items()}


def described(value: Any) -> str:
    """What a value is, in words: "an int", "a numpy.float64", "None"."""
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return "None" if value is None else f"{'an' if name[0] in 'aeio' else 'a'} {name}"


def _advice(value: Any) -> str:
    if type(value).__module__ == "numpy":
        return "Turn numpy values into Python's own with .item() or .tolist()."
    if isinstance(value, (tuple, set, frozenset)):
        return "Use a list instead."
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "Payloads are text: hand over a path or a key to the bytes, or encode them as base64."
    held = "Payloads hold strings, numbers, booleans, None, lists, dicts with string keys, datetimes and dates."
    if isinstance(value, ExecutionResult):
        return f"{held} Hand over the result as an input of its own, or its .output."
    return held
