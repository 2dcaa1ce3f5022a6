"""How values are written: durations, sizes, numbers, JSON."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microflow import ExecutionError
from microflow.model.payloads import encode_inputs, encode_output
from microflow.views import formats
from microflow.views.json_view import inputs_line, json_html, json_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (-3, "0 ms"),
        (0, "0 ms"),
        (0.0002, "< 1 ms"),
        (0.24, "240 ms"),
        (0.9994, "999 ms"),
        (0.9999, "1.00 s"),
        (2.345, "2.35 s"),
        (9.999, "10.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (245, "4 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (273600, "3 d 4 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0025, "2.5 ms"),
        (0.5, "500 ms"),
        (5.0, "5 s"),
        (2.5, "2.5 s"),
        (600, "10 min"),
        (5400, "1 h 30 min"),
        (86400, "1 d"),
    ],
)
def test_a_round_duration_says_no_more_than_it_is(seconds: float, text: str) -> None:
    assert formats.round_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "–"), (812, "812 B"), (32 * 1024, "32.0 KiB"), (3 << 29, "1.5 GiB"), (5 << 41, "10.0 TiB")],
)
def test_a_size_has_the_unit_that_fits(count: int | None, text: str) -> None:
    assert formats.size(count) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (3.0, "3"), (1234567, "1,234,567"), (0.5, "0.5"), (1234.567, "1,234.57")]
)
def test_a_number_has_no_needless_fraction(value: float, text: str) -> None:
    assert formats.number(value) == text


def test_a_time_is_in_utc_and_says_so() -> None:
    moment = datetime(2026, 11, 22, 5, 0, 1, 250_000, ZoneInfo("Europe/Berlin"))
    assert formats.iso(moment) == "2026-11-22T04:00:01.250Z"
    assert formats.timestamp(moment) == "2026-11-22 04:00:01 UTC"
    assert formats.clock(moment) == "04:00"


def test_an_error_in_one_line_is_its_type_and_first_line() -> None:
    assert formats.short_error(ExecutionError("ValueError", "no\nsecond line")) == "ValueError: no"
    assert formats.short_error(ExecutionError("KeyError", "")) == "KeyError"


def plain(html: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", html))


def test_short_json_is_one_line_and_long_json_is_indented() -> None:
    assert plain(json_html(encode_output({"a": 1, "b": [True, None]}, job="x"))) == '{"a": 1, "b": [true, null]}'
    long = {"name": "x" * 40, "rows": [{"page": 1, "size": 2}, {}], "more": "y" * 40}
    assert plain(json_html(encode_output(long, job="x"))).splitlines() == [
        "{",
        f'  "name": "{long["name"]}",',
        '  "rows": [{"page": 1, "size": 2}, {}],',
        f'  "more": "{long["more"]}"',
        "}",
    ]


def test_dates_are_read_as_dates() -> None:
    output = {"day": date(2026, 11, 22), "at": datetime(2026, 11, 22, 5, tzinfo=UTC)}
    html = json_html(encode_output(output, job="x"))
    assert '<span class="d">2026-11-22</span>' in html
    assert '<span class="d">2026-11-22 05:00:00+00:00</span>' in html


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), json_values, max_size=5))
def test_any_payload_reads_as_the_json_it_is(payload: dict[str, object]) -> None:
    import json

    html = json_html(encode_output(payload, job="x", limit=1 << 20))
    assert json.loads(plain(html)) == payload


def test_inputs_in_one_line_say_what_differs() -> None:
    def line(*inputs: object, **options: bool) -> str:
        return inputs_line(encode_inputs(inputs, job="x", limit=1 << 20), **options)

    assert line() == line({}) == line([]) == ""
    assert line({"a": 1}, {"b": "x"}) == '{"a": 1}, {"b": "x"}'
    assert line({"time_partition": "2026", "a": 1}, partition_shown=True) == '{"a": 1}'
    assert len(line({"text": "x" * 500})) < 170
    assert line({"text": "x" * 50_000}).endswith("x…")


def test_json_to_type_in_keeps_its_tags() -> None:
    assert json_text({"day": {"$date": "2026-11-22"}}) == '{"day": {"$date": "2026-11-22"}}'
    assert json_text({"name": "Emma", "pages": 474, "of": 1}) == '{\n  "name": "Emma",\n  "pages": 474,\n  "of": 1\n}'


def test_of_a_very_large_payload_the_beginning_is_shown_as_it_is_stored() -> None:
    stored = encode_output({"rows": [{"text": "ü<b>" * 10}] * 10_000}, job="load", limit=10**7)

    html = json_html(stored)

    assert html.startswith("{&#34;rows&#34;:[{&#34;text&#34;:&#34;ü&lt;b&gt;")
    assert html.endswith(f'<span class="w">… {len(stored) - 32 * 1024:,} bytes more</span>')
    assert len(html) < 300_000
