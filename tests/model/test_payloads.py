"""Payloads: what no payload can hold is refused with its place and advice; everything else comes back equal and of its type."""

from __future__ import annotations

import math
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microflow import ExecutionResult, PayloadError, PayloadTooLarge
from microflow.model.payloads import decode, encode_inputs, encode_output, encode_value

BERLIN = ZoneInfo("Europe/Berlin")


class FakeFloat64(float):
    """Like ``numpy.float64``: a float by inheritance."""


class FakeInt64:
    """Like ``numpy.int64``: no int by inheritance."""


class FakeArray:
    """Like ``numpy.ndarray``: compared with anything it has no truth."""

    def __eq__(self, other: object) -> Any:
        raise ValueError("The truth value of an array with more than one element is ambiguous.")

    __hash__ = None  # type: ignore[assignment]


for _kind, _name in ((FakeFloat64, "float64"), (FakeInt64, "int64"), (FakeArray, "ndarray")):
    _kind.__module__, _kind.__qualname__ = "numpy", _name


class Colour(Enum):
    RED = "red"


class Word(StrEnum):
    HELLO = "hello"


def refusal(*inputs: Any) -> str:
    with pytest.raises(PayloadError) as raised:
        encode_inputs(inputs, job="load")
    assert isinstance(raised.value, TypeError)
    return str(raised.value)


# What an input may not be


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("text", "a str"),
        (5, "an int"),
        (2.5, "a float"),
        (True, "a bool"),
        (None, "None"),
        (b"bytes", "a bytes"),
        ((1, 2), "a tuple"),
        ({1, 2}, "a set"),
        (date(2026, 11, 22), "a datetime.date"),
        (Path("file"), "pathlib."),
        (FakeInt64(), "a numpy.int64"),
        (iter([{}]), "a list_iterator"),
    ],
)
def test_an_input_that_is_no_dict_and_no_list_is_refused(value: Any, what: str) -> None:
    message = refusal({"fine": 1}, value)

    assert message.startswith(
        f"Job 'load': inputs[1] is {what}" if what[-1] != "." else "Job 'load': inputs[1] is a pathlib."
    )
    assert message.endswith('but it must be a dict or a list of dicts. Wrap it in a dict, as in {"value": …}.')


@pytest.mark.parametrize(("item", "what"), [("text", "a str"), (1, "an int"), (None, "None"), ([{}], "a list")])
def test_a_list_of_anything_but_dicts_is_refused(item: Any, what: str) -> None:
    assert refusal([{"a": 1}, item]) == (
        f"Job 'load': inputs[0][1] is {what}, but a list must hold dicts. Wrap each item, as in [{{\"value\": …}}]."
    )


# What may not be inside


@pytest.mark.parametrize(
    ("value", "what", "advice"),
    [
        ((3, 4), "a tuple", "Use a list instead."),
        ((), "a tuple", "Use a list instead."),
        ({3}, "a set", "Use a list instead."),
        (frozenset(), "a frozenset", "Use a list instead."),
        (b"x", "a bytes", "hand over a path or a key to the bytes, or encode them as base64."),
        (bytearray(b"x"), "a bytearray", "hand over a path or a key to the bytes"),
        (memoryview(b"x"), "a memoryview", "hand over a path or a key to the bytes"),
        (math.nan, "nan", "Use None or a string instead."),
        (math.inf, "inf", "Use None or a string instead."),
        (-math.inf, "-inf", "Use None or a string instead."),
        (FakeFloat64(1.5), "a numpy.float64", ".item() or .tolist()"),
        (FakeInt64(), "a numpy.int64", ".item() or .tolist()"),
        (FakeArray(), "a numpy.ndarray", ".item() or .tolist()"),
        (Decimal("1.5"), "a decimal.Decimal", "Payloads hold strings, numbers"),
        (UUID(int=5), "a uuid.UUID", "Payloads hold strings, numbers"),
        (time(5, 0), "a datetime.time", "Payloads hold strings, numbers"),
        (timedelta(1), "a datetime.timedelta", "Payloads hold strings, numbers"),
        (Colour.RED, "Colour", "Payloads hold strings, numbers"),
        (1j, "a complex", "Payloads hold strings, numbers"),
        (object(), "an object", "Payloads hold strings, numbers"),
        (Path("x"), "a pathlib.", "Payloads hold strings, numbers"),
        (len, "a builtin_function_or_method", "Payloads hold strings, numbers"),
        (ExecutionResult({"a": 1}), "ExecutionResult", "Hand over the result as an input of its own, or its .output."),
    ],
)
def test_a_value_that_no_payload_can_hold_is_named_with_its_path_and_advice(value: Any, what: str, advice: str) -> None:
    message = refusal({"rows": [{"x": 1}, {"x": 2}, {"x": 3}, {"x": value}]})

    assert message.startswith('Job \'load\': inputs[0]["rows"][3]["x"] is ')
    assert what in message
    assert advice in message


@pytest.mark.parametrize(
    ("key", "what"), [(1, "an int"), (None, "None"), (2.5, "a float"), (True, "a bool"), (b"k", "a bytes")]
)
def test_a_key_that_is_no_string_is_named_with_its_path(key: Any, what: str) -> None:
    assert refusal({"rows": [{key: 1}]}) == (
        f"Job 'load': inputs[0][\"rows\"][0] has the key {key!r}, {what}; keys must be strings. Use str(key)."
    )


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop

    assert refusal(loop).endswith("is nested more than 200 levels deep, or holds itself.")


def test_half_a_character_is_refused_with_its_path() -> None:
    assert refusal({"rows": [{"text": "a\ud800"}]}) == (
        "Job 'load': inputs[0][\"rows\"][0][\"text\"] is text that is not valid Unicode (a lone surrogate, '\\ud800')."
    )
    assert refusal({"rows": [{"a\udfff": 1}]}) == (
        "Job 'load': inputs[0][\"rows\"][0] has the key 'a\\udfff', which is not valid Unicode (a lone surrogate, '\\udfff')."
    )


def test_what_a_job_returned_is_named_as_its_output() -> None:
    with pytest.raises(PayloadError, match=r"Job 'load': output is a str, but it must be a dict or a list of dicts\."):
        encode_output("text", job="load")
    with pytest.raises(PayloadError, match=r'Job \'load\': output\[1\]\["a"\] is a tuple\. Use a list instead\.'):
        encode_output([{}, {"a": (1,)}], job="load")


def test_a_value_of_the_context_is_named_by_its_place() -> None:
    with pytest.raises(PayloadError, match=r"Job 'load': flow\.context\['k'\]\[0\] is a set\."):
        encode_value([{1}], job="load", place="flow.context['k']")


# Too large


def test_inputs_over_the_limit_are_refused_with_both_figures() -> None:
    with pytest.raises(PayloadTooLarge) as raised:
        encode_inputs([{"text": "x" * 40_000}], job="load")

    assert isinstance(raised.value, PayloadError)
    assert str(raised.value) == (
        "Job 'load': the inputs take 40,013 bytes when encoded, and the limit is 32,768. Hand over a key to the data (a path, a "
        "row id) instead of the data, or raise max_payload for this job."
    )


def test_an_output_over_the_limit_is_refused_with_both_figures() -> None:
    with pytest.raises(PayloadTooLarge, match=r"the output takes 111 bytes when encoded, and the limit is 100\."):
        encode_output({"text": "x" * 100}, job="load", limit=100)


def test_the_limit_itself_is_allowed() -> None:
    assert len(encode_output({"text": "x" * 89}, job="load", limit=100)) == 100
    assert len(encode_inputs([{"text": "x" * 87}], job="load", limit=100)) == 100


def test_the_limit_counts_bytes_not_characters() -> None:
    with pytest.raises(PayloadTooLarge):
        encode_output({"text": "€" * 30}, job="load", limit=100)


# What comes back

plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
zones = st.one_of(
    st.none(),
    st.just(UTC),
    st.sampled_from(
        [ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia")]
    ),
    st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone),
)
moments = st.datetimes(timezones=zones)
keys = st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["$date", "$datetime", "$$", "$"]))
values = st.recursive(
    plain | st.dates() | moments,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
payloads = st.dictionaries(keys, values, max_size=5) | st.lists(st.dictionaries(keys, values, max_size=3), max_size=4)


def same(one: Any, other: Any) -> bool:
    """Equal and of the same types, all the way down; a moment with the same wall clock, offset and zone."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, datetime):
        zone = one.tzinfo.key if isinstance(one.tzinfo, ZoneInfo) else None
        other_zone = other.tzinfo.key if isinstance(other.tzinfo, ZoneInfo) else None
        return one.replace(tzinfo=None) == other.replace(tzinfo=None) and (one.utcoffset(), zone) == (
            other.utcoffset(),
            other_zone,
        )
    if isinstance(one, float):
        return one.hex() == other.hex()
    return bool(one == other)


def nested(depth: int) -> dict[str, Any]:
    payload: dict[str, Any] = {"[text]{": ["}", "]"], "rows": [{"x": []} for _ in range(500)]}
    for _ in range(depth):
        payload = {"x": payload}
    return payload


def test_what_is_nested_too_deeply_is_refused_by_every_python() -> None:
    assert decode(encode_output(nested(150), job="load")) == nested(150)
    for depth in (250, 5_000):
        with pytest.raises(PayloadError, match="nested more than 200 levels deep"):
            encode_output(nested(depth), job="load")


@pytest.mark.parametrize("microseconds", [1, -1, 999_999, -999_999])
def test_an_offset_of_less_than_a_second_comes_back(microseconds: int) -> None:
    payload = {"at": datetime(2000, 1, 1, tzinfo=timezone(timedelta(microseconds=microseconds)))}

    assert same(decode(encode_output(payload, job="load")), payload)


@settings(deadline=None, derandomize=True, database=None, max_examples=120)
@given(payloads)
def test_whatever_a_payload_holds_comes_back_equal_and_of_the_same_type(payload: Any) -> None:
    assert same(decode(encode_output(payload, job="load", limit=10**9)), payload)
    assert same(decode(encode_inputs([payload, payload], job="load", limit=10**9)), [payload, payload])


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 10, 25, 2, 30, fold=0, tzinfo=BERLIN),
        datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN),
        datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN),
        datetime.min.replace(tzinfo=ZoneInfo("Asia/Tokyo")),
        datetime.max.replace(tzinfo=ZoneInfo("America/New_York")),
        datetime(1883, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam")),
        datetime(2026, 1, 1, 0, 0, 0, 1),
    ],
    ids=str,
)
def test_a_moment_that_is_hard_to_tell_comes_back(moment: datetime) -> None:
    assert same(decode(encode_output({"at": moment}, job="load")), {"at": moment})


@pytest.mark.parametrize(
    ("given_value", "comes_back"),
    [
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        ({"word": Word.HELLO}, {"word": "hello"}),
        ({"n": 2**70}, {"n": 2**70}),
        ({"n": -(2**70), "at": date(2026, 1, 1)}, {"n": -(2**70), "at": date(2026, 1, 1)}),
    ],
)
def test_what_is_nearly_json_comes_back_as_json(given_value: Any, comes_back: Any) -> None:
    assert same(decode(encode_output(given_value, job="load")), comes_back)


def test_what_comes_back_is_a_copy() -> None:
    rows: list[Any] = []
    payload = {"rows": rows}

    decode(encode_output(payload, job="load"))["rows"].append(1)

    assert rows == []


# What somebody else wrote


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01T00:00:00", "2026-01-01T00:00:00[No/Where]", "2026-01-01T00:00[../x]"]
)
def test_a_tagged_moment_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(PayloadError, match="is not a date and time in ISO 8601"):
        decode(f'{{"at": {{"$datetime": "{text}"}}}}')


def test_a_tagged_date_that_is_none_is_refused() -> None:
    with pytest.raises(PayloadError, match=r'\{"\$date": \'2026-02-30\'\} is not a date in ISO 8601'):
        decode('{"$date": "2026-02-30"}')


def test_a_tag_with_something_else_beside_it_is_a_key_like_any_other() -> None:
    assert decode('{"$date": "2026-01-01", "more": 1}') == {"$date": "2026-01-01", "more": 1}
