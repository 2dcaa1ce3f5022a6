"""What a payload accepts comes back equal and of its type; what would not is refused where it is given, with its place."""

from __future__ import annotations

import io
import math
import struct
import sys
from collections import OrderedDict, UserDict
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microflow import PayloadError
from microflow.model.payloads import decode, encode_inputs, encode_output, encode_value

BERLIN = ZoneInfo("Europe/Berlin")


class Colour(Enum):
    RED = "red"


class Word(StrEnum):
    HELLO = "hello"


def refusal(*inputs: Any) -> str:
    with pytest.raises(PayloadError) as raised:
        encode_inputs(inputs, job="load")
    assert isinstance(raised.value, TypeError)
    return str(raised.value)


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


# What would not come back is refused at once


class Never(datetime):
    """Like ``pandas.NaT``: a datetime that is none."""

    def isoformat(self, *_: Any, **__: Any) -> str:
        return "never"


class Nanosecond(datetime):
    """Like ``pandas.Timestamp``: more exact than a datetime."""

    nanosecond = 0

    def __eq__(self, other: object) -> bool:
        return not self.nanosecond and datetime.__eq__(self, other)

    __hash__ = datetime.__hash__


class Exact(Nanosecond):
    nanosecond = 1


class Yesterday(date):
    def isoformat(self) -> str:
        return date.isoformat(date(self.year, self.month, self.day) - timedelta(1))


class Shouted(str):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shouted) and str.__eq__(self, other)

    __hash__ = str.__hash__

    def __str__(self) -> str:
        return self.upper()


class Money(float):
    def __eq__(self, other: object) -> bool:
        raise TypeError("money is compared with money")

    __hash__ = float.__hash__


class Count(int):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Count) and int.__eq__(self, other)

    __hash__ = int.__hash__


class Several(dict[str, Any]):
    """Like Django's ``QueryDict``: of several values of a key it tells the last."""

    def items(self) -> Any:
        return [(key, value[-1]) for key, value in super().items()]


class Pairs(UserDict[str, Any]):
    """No dict by inheritance, and equal to nothing but itself."""

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = None  # type: ignore[assignment]


class Bag(list[Any]):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bag)

    __hash__ = None  # type: ignore[assignment]


class Lunch(tzinfo):
    """A zone of somebody's own, with an offset that is not always the same."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=1 + (moment.fold if moment else 0))

    def dst(self, moment: datetime | None) -> timedelta | None:
        return None


class Broken(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        raise RuntimeError("no offset today")


def zone_of(key: str | None) -> ZoneInfo:
    """Berlin's rules under another name, read from a file (RFC 8536: one offset, then a rule)."""
    block = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lBB", 3600, 0, 0) + b"CET\0"
    return ZoneInfo.from_file(io.BytesIO(2 * block + b"\nCET-1CEST,M3.5.0,M10.5.0/3\n"), key=key)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (Never(2026, 1, 1), "Never (never) that would not come back equal. Use a plain datetime"),
        (Exact(2026, 1, 1), "Exact (2026-01-01 00:00:00) that would not come back equal."),
        (datetime(2026, 1, 1, tzinfo=Broken()), "a datetime.datetime"),
        (Yesterday(2026, 1, 1), "Yesterday (2025-12-31) that would not come back equal. Use a plain date"),
        (Shouted("a"), "Shouted that would not come back equal. Turn it into a str."),
        (Money(1.5), "Money that would not come back equal. Turn it into a plain float."),
        (Count(3), "Count that would not come back equal. Turn it into a plain int."),
        (Pairs({"a": 1}), "Pairs that would not come back equal. Turn it into a dict."),
        (Bag([1]), "Bag that would not come back equal. Turn it into a list."),
        (10**5000, "a whole number of thousands of digits, which can't be read back. Use a string instead."),
        (-(10**4300), "a whole number of thousands of digits"),
    ],
    ids=lambda given: given if type(given) is str else type(given).__name__,
)
def test_what_would_not_come_back_equal_is_named_with_its_path(value: Any, what: str) -> None:
    for found in (refusal({"rows": [value]}), refusal({"$": 1, "at": date(2026, 1, 1), "rows": [value]})):
        assert found.startswith("Job 'load': inputs[0][\"rows\"][0] is ")
        assert what in found
    with pytest.raises(PayloadError, match=r'output\["newest"\] is '):
        encode_output({"newest": value}, job="load")
    with pytest.raises(PayloadError, match=r"flow\.context\['k'\] is "):
        encode_value(value, job="load", place="flow.context['k']")


def test_a_key_that_would_not_come_back_equal_is_named() -> None:
    assert refusal({"rows": {Shouted("a"): 1}}) == (
        f"Job 'load': inputs[0][\"rows\"] has the key 'a', which is a {__name__}.Shouted that would not come back equal. "
        "Turn it into a str."
    )


def test_a_zone_that_nobody_else_can_name_is_refused_and_one_without_a_name_comes_back_as_its_offset() -> None:
    moment = datetime(2026, 1, 1, tzinfo=zone_of("Office/HQ"))
    assert "Use a plain datetime without a zone, in UTC or in a zone of the time zone database" in refusal(
        {"at": moment}
    )

    for zone in (zone_of(None), Lunch()):
        for fold in (0, 1):
            moment = datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=zone)
            back = decode(encode_output({"at": moment}, job="load"))["at"]
            assert (back.replace(tzinfo=None), back.utcoffset(), back.fold) == (
                moment.replace(tzinfo=None),
                moment.utcoffset(),
                fold,
            )


@pytest.mark.parametrize("zone", [None, UTC, BERLIN, timezone(timedelta(hours=5))], ids=str)
def test_the_second_of_two_equal_times_comes_back_as_the_second(zone: Any) -> None:
    for moment in (datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=zone), datetime(2026, 7, 1, 12, fold=1, tzinfo=zone)):
        back = decode(encode_output({"at": moment}, job="load"))["at"]
        assert same(back, moment)
        assert back.fold == 1


def test_a_whole_number_of_as_many_digits_as_can_be_read_comes_back() -> None:
    for number in (10**4300 - 1, -(10**4299) + 1):
        assert decode(encode_output({"n": number, "on": date(2026, 1, 1)}, job="load"))["n"] == number


def test_a_process_that_allows_more_digits_allows_no_more_in_a_payload() -> None:
    before = sys.get_int_max_str_digits()
    try:
        for limit in (0, 100_000):
            sys.set_int_max_str_digits(limit)
            assert "a whole number of thousands of digits" in refusal({"n": 10**5000})
    finally:
        sys.set_int_max_str_digits(before)


class Plain(str):
    """A string that only says that it is one of a kind."""


class Size(int, Enum):
    SMALL = 1


class Name(str, Enum):  # noqa: UP042 - its str() is not its value, which matters here
    ANY = "any"


odd = st.one_of(
    plain,
    st.dates(),
    st.datetimes(timezones=zones, allow_imaginary=True).flatmap(
        lambda moment: st.sampled_from([moment, moment.replace(fold=1), moment.replace(tzinfo=Lunch(), fold=1)])
    ),
    st.sampled_from(
        [
            *(Never(2026, 1, 1), Exact(2026, 1, 1), Nanosecond(2026, 1, 1), Yesterday(2026, 1, 1)),
            *(Shouted("a"), Plain("a"), Money(1.0), Count(1), Size.SMALL, Name.ANY, Word.HELLO, Colour.RED),
            *(
                Several(a=[1]),
                Pairs(),
                Bag(),
                10**4000,
                10**4299,
                -(10**4299),
                -0.0,
                math.nan,
                "\ud800",
                "\0",
                "$",
                b"",
                (),
                {1: 2},
            ),
            *({"$datetime": "never"}, {"$date": 1}, {"$$date": {}}, {"$datetime": "2026-01-01", "a": 1}, {Name.ANY: 1}),
        ]
    ),
)
odd_values = st.recursive(
    odd, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
)


def comes_back(given_value: Any, back: Any) -> bool:
    """Equal, and of the type itself where it was of a subclass of one that JSON has."""
    if isinstance(given_value, dict):
        return (
            type(back) is dict
            and list(map(str.__str__, given_value)) == list(back)
            and all(comes_back(given_value[key], back[str.__str__(key)]) for key in given_value)
        )
    if isinstance(given_value, list):
        return type(back) is list and len(back) == len(given_value) and all(map(comes_back, given_value, back))
    if isinstance(given_value, datetime):
        return (
            type(back) is datetime
            and back.fold == given_value.fold
            and (same(back, given_value) or back.replace(tzinfo=None) == given_value.replace(tzinfo=None))
        )
    kind = next(kind for kind in (bool, int, float, str, date, type(None)) if isinstance(given_value, kind))
    return type(back) is kind and bool(back == given_value) and (kind is not float or back.hex() == given_value.hex())


@settings(deadline=None, derandomize=True, database=None, max_examples=400)
@given(odd_values)
def test_whatever_is_accepted_comes_back_equal(value: Any) -> None:
    try:
        encoded = encode_output({"value": value}, job="load", limit=10**9)
    except PayloadError:
        return  # what is said then, the tests above look at
    assert comes_back(value, decode(encoded)["value"])
    assert encode_output(decode(encoded), job="load", limit=10**9) == encoded


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
        ({"word": Name.ANY, "on": date(2026, 1, 1)}, {"word": "any", "on": date(2026, 1, 1)}),
        ({Name.ANY: Size.SMALL, "on": date(2026, 1, 1)}, {"any": 1, "on": date(2026, 1, 1)}),
        ({"at": Nanosecond(2026, 1, 1)}, {"at": datetime(2026, 1, 1)}),
        (Several(a=[1, 2]), {"a": [1, 2]}),
        (Several(a=[1, date(2026, 1, 1)]), {"a": [1, date(2026, 1, 1)]}),
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
