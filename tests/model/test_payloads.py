"""Payloads: what no payload can hold is refused with its place and advice; everything else comes back equal and of its type."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from microflow import ExecutionResult, PayloadError, PayloadTooLarge
from microflow.model.payloads import decode, encode_inputs, encode_output, encode_value, is_too_deep

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


def nested(depth: int) -> dict[str, Any]:
    payload: dict[str, Any] = {"[text]{": ["}", "]"], "rows": [{"x": []} for _ in range(500)]}
    for _ in range(depth):
        payload = {"x": payload}
    return payload


def test_what_is_nested_too_deeply_is_refused_by_every_python() -> None:
    assert decode(encode_output(nested(150), job="load")) == nested(150)
    for depth in (250, 5_000):
        with pytest.raises(PayloadError, match="nested more than 200 levels deep") as raised:
            encode_output(nested(depth), job="load")
        assert len(str(raised.value)) < 600


def wrapped(levels: int, inner: str = "1") -> str:
    return '{"x":[' * (levels // 2) + inner + "]}" * (levels // 2)


@pytest.mark.parametrize("inner", ["1", '"]}]}"', '"[{"', r'"\\"', r'"\""', "[]", '{"a":"[","b":"]"}', ""])
def test_too_many_levels_are_counted_without_what_stands_in_strings(inner: str) -> None:
    many = f"[{','.join([inner or '2'] * 600)}]"
    assert not is_too_deep(wrapped(490, inner))
    assert is_too_deep(wrapped(502, inner))
    assert is_too_deep(wrapped(502, inner).encode())
    assert not is_too_deep(many)
    assert not is_too_deep(wrapped(480, many))
    assert is_too_deep(wrapped(504, many))


def test_brackets_without_an_end_are_too_deep() -> None:
    assert is_too_deep("[" * 12_000)
    assert not is_too_deep("[]" * 12_000)
    assert not is_too_deep('"' + "[" * 12_000 + '"')


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a":', "This is not the JSON of a payload: Input data was truncated."),
        ("nonsense", "This is not the JSON of a payload: "),
        (b'{"a": "\xff"}', "This is not the JSON of a payload: "),
        ("9" * 5_000, "This is not the JSON of a payload: Integer value out of range."),
        ('{"at": {"$datetime": "NaT"}}', "{\"$datetime\": 'NaT'} is not a date and time in ISO 8601"),
        ("[" * 100_000 + "]" * 100_000, "This is nested too deeply. At most 200 levels are allowed."),
    ],
)
def test_what_is_not_a_payload_is_told_when_it_is_read(text: str | bytes, told: str) -> None:
    with pytest.raises(PayloadError) as raised:
        decode(text)
    assert told in str(raised.value)


class Unreadable(Mapping[str, Any]):
    """Like the row of a connection that was closed."""

    def __getitem__(self, key: str) -> Any:
        raise OSError("closed")

    def __iter__(self) -> Iterator[str]:
        raise OSError("closed")

    def __len__(self) -> int:
        return 1


class Unshown:
    def __repr__(self) -> str:
        raise OSError("closed")


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (
            {"rows": [1, Unreadable()]},
            r'output\["rows"\]\[1\] is a .*Unreadable that can\'t be read: it raised OSError',
        ),
        ({"rows": {Unshown(): 1}}, r'output\["rows"\] is a dict that can\'t be read: it raised OSError'),
    ],
)
def test_what_raises_while_it_is_read_is_named_with_its_path(value: Any, what: str) -> None:
    with pytest.raises(PayloadError, match=what):
        encode_output(value, job="load")


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ([{}, {"n": {1}}], 'inputs[1]["n"]'),
        ([5], "inputs[0]"),
        ([[{}, 5]], "inputs[0][1]"),
    ],
)
def test_an_error_has_the_path_of_the_wrong_value(inputs: list[Any], path: str) -> None:
    with pytest.raises(PayloadError) as raised:
        encode_inputs(inputs, job="load")

    assert raised.value.path == path
