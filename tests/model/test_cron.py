"""Cron expressions: what is wrong in one and where, and what one means in English."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microflow.errors import ScheduleError
from microflow.model.schedules import Schedule, cron_mistake, describe, next_ticks

START = datetime(2026, 1, 1, tzinfo=UTC)


def steadily(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


@pytest.mark.parametrize(
    "cron",
    [
        "* * * * *",
        "*/10 * * * *",
        "0 8 * * MON-FRI",
        "0 0 1,15 JAN,jul *",
        "5-55/10 0 L * *",
        "0 0 * * 5#2",
        "0 0 * * 5L",
        "0 0 LW * *",
        "0 0 29 2 *",
        "0 0 * 2 MON#5",
        "  0\t8 * * 7 ",
        "@daily",
        "@Hourly",
        "@weekly",
        "@monthly",
        "@yearly",
        "@annually",
        "@midnight",
    ],
)
def test_valid_expressions_have_no_mistake(cron: str) -> None:
    assert cron_mistake(cron) is None
    assert Schedule(cron).mistake is None
    assert next_ticks(cron, UTC, START, 1)


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("61 * * * *", "field 1 (minute), column 1: '61' is not allowed here; allowed are 0 to 59"),
        ("* 1,25 * * *", "field 2 (hour), column 5: '25'"),
        ("* 1,, * * *", "field 2 (hour), column 5: '' lacks a value"),
        ("  * * 0 * *", "field 3 (day of month), column 7: '0'"),
        ("* * * JANUARY *", "field 4 (month), column 7: 'JANUARY'"),
        ("0 8 * * MON-FRY", "field 5 (day of week), column 13: 'FRY'"),
        ("0 8 * * SAT-MON", "column 9: 'SAT-MON' is a range that ends before it starts"),
        ("*/0 * * * *", "column 3: '0' is no step"),
        ("1/x * * * *", "column 3: 'x' is no step"),
        ("0 0 ? * *", "column 5: '?' is not known to crontab; write '*'"),
        ("0 0 30 2 *", "field 3 (day of month), column 5: no day ever matches day '30', month '2'"),
        ("0 0 31 4,6 *", "no day ever matches"),
        ("0 0 */8 2 MON#5", "no day ever matches"),
        ("* * * *", "has 4 fields; it must have five: minute, hour"),
        ("0 0 8 * * *", "has six fields; seconds (and years) are not supported"),
        ("1 2 3 4 5 6 7", "has 7 fields"),
        ("", "is empty"),
        ("   ", "is empty"),
        ("@reboot", "a server's start is not a tick"),
        ("@dayly", "is no known nickname; known are @hourly"),
        ("9" * 5000, "5,000 characters"),
        ("9" * 900 + " * * * *", "is not allowed here"),
        ("٣ * * * *", "'٣' is not allowed here"),
    ],
)
def test_a_bad_expression_is_told_with_its_place(cron: str, said: str) -> None:
    mistake = cron_mistake(cron)
    assert mistake is not None
    assert said in mistake
    assert Schedule(cron).mistake == mistake  # reported, not raised
    with pytest.raises(ScheduleError, match="cron expression"):
        next_ticks(cron, UTC, START, 1)


def test_all_that_is_wrong_in_an_expression_is_told_at_once() -> None:
    mistake = cron_mistake("61,5,70 25 32 13/0 FRY") or ""
    assert [int(column) for column in re.findall(r"column (\d+):", mistake)] == [1, 6, 9, 12, 18, 20]
    assert (cron_mistake(",".join(["60"] * 300) + " * * * *") or "").count("column") == 10


@steadily(300)
@given(st.text(alphabet="0123456789*/-,L#W @MONJAN?x", max_size=24))
def test_any_text_is_valid_or_has_a_mistake(cron: str) -> None:
    mistake = cron_mistake(cron)
    if mistake is None:
        assert len(next_ticks(cron, UTC, START, 1)) == 1
    else:
        assert describe(cron) == cron


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("* * * * *", "every minute"),
        ("*/10 * * * *", "every 10 minutes"),
        ("10 * * * *", "at minute 10 of every hour"),
        ("0,30 * * * *", "at minutes 0 and 30 of every hour"),
        ("0 * * * *", "every hour"),
        ("@hourly", "every hour"),
        ("0 */6 * * *", "every 6 hours"),
        ("15 */2 * * *", "at minute 15 of every 2nd hour"),
        ("0 8 * * *", "every day at 08:00"),
        ("0 8,20 * * MON-FRI", "Monday to Friday at 08:00 and 20:00"),
        ("30 9 * * 0,6,7", "every Saturday and Sunday at 09:30"),
        ("0 0 * * 0-6", "every day at 00:00"),
        ("@weekly", "every Sunday at 00:00"),
        ("@monthly", "on day 1 of every month at 00:00"),
        ("0 6 1,15 * *", "on days 1 and 15 of every month at 06:00"),
        ("0 0 L * *", "on the last day of every month at 00:00"),
        ("@yearly", "every year on 1 January at 00:00"),
        ("0 8 * jun-aug *", "every day from June to August at 08:00"),
        ("0 8 * 1,7 MON", "every Monday in January and July at 08:00"),
        ("*/15 9-17 * * 1-5", "every 15 minutes from 09:00 to 17:59, Monday to Friday"),
        ("30 9-17 * * *", "every hour from 09:30 to 17:30"),
        # no common shape, or not valid: the expression itself
        ("*/7 * * * *", "*/7 * * * *"),
        ("0 0 13 * FRI", "0 0 13 * FRI"),
        ("0 0 * * 5#2", "0 0 * * 5#2"),
        ("1-59/2 3 * * *", "1-59/2 3 * * *"),
        ("nonsense", "nonsense"),
    ],
)
def test_descriptions(cron: str, said: str) -> None:
    assert describe(cron) == said
