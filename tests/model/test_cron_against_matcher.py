"""What an expression fires at, against a matcher of the five fields that shares no code with Microflow or cronsim."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microflow.model.cron_notes import cron_notes
from microflow.model.schedules import cron_mistake, describe, newest_ticks, ticks

MONTHS = dict(zip("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), range(1, 13), strict=True))  # noqa: SIM905
DAYS = dict(zip("SUN MON TUE WED THU FRI SAT".split(), range(7), strict=True))  # noqa: SIM905
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
NAMES: tuple[dict[str, int], ...] = ({}, {}, {}, MONTHS, DAYS)


def number(text: str, index: int) -> int:
    return NAMES[index][text] if text in NAMES[index] else int(text)


def term_matches(term: str, index: int, value: int) -> bool:
    """Whether a value is one of a term's, by counting on from its first one."""
    low, high = BOUNDS[index]
    found = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", term)
    assert found is not None, term
    start, end, step = found.groups()
    first = low if start == "*" else number(start, index)
    if end is not None:
        last = 7 if end == "SUN" and first > 0 else number(end, index)
    else:
        last = high if start == "*" or step is not None else first
    while first <= last:
        if first == value:
            return True
        first += int(step or 1)
    return False


def field_matches(field: str, index: int, value: int) -> bool:
    return any(term_matches(term, index, value) for term in field.split(","))


def day_term_matches(term: str, day: datetime) -> bool:
    length = monthrange(day.year, day.month)[1]
    if term == "L":
        return day.day == length
    if term == "LW":
        rest = [day + timedelta(days=later) for later in range(1, length - day.day + 1)]
        return day.isoweekday() <= 5 and all(after.isoweekday() > 5 for after in rest)
    return term_matches(term, 2, day.day)


def weekday_term_matches(term: str, day: datetime) -> bool:
    weekday = day.isoweekday() % 7
    if term.endswith("L"):
        return number(term[:-1], 4) % 7 == weekday and (day + timedelta(days=7)).month != day.month
    if "#" in term:
        name, _, place = term.partition("#")
        weeks = int(place)
        nth_before, nth = day - timedelta(days=7 * weeks), day - timedelta(days=7 * (weeks - 1))
        return number(name, 4) % 7 == weekday and nth.month == day.month != nth_before.month
    return term_matches(term, 4, weekday) or (weekday == 0 and term_matches(term, 4, 7))


def day_matches(cron: str, day: datetime) -> bool:
    _, _, dates, months, weekdays = cron.upper().split()
    is_date = any(day_term_matches(term, day) for term in dates.split(","))
    is_weekday = any(weekday_term_matches(term, day) for term in weekdays.split(","))
    needs_both = dates.startswith("*") or weekdays.startswith("*")
    return field_matches(months, 3, day.month) and (is_date and is_weekday if needs_both else is_date or is_weekday)


def fired(cron: str, since: datetime, until: datetime) -> list[datetime]:
    """Every minute after ``since`` and up to ``until`` that matches."""
    minutes, hours, *_ = cron.upper().split()
    found = []
    day = since.replace(hour=0, minute=0)
    while day <= until:
        if day_matches(cron, day):
            for hour in range(24):
                if field_matches(hours, 1, hour):
                    found += [
                        day.replace(hour=hour, minute=minute)
                        for minute in range(60)
                        if field_matches(minutes, 0, minute)
                    ]
        day += timedelta(days=1)
    return [moment for moment in found if since < moment <= until]


def terms(index: int) -> st.SearchStrategy[str]:
    """Terms of a field as people write them: right ones, and ones on the edge of it."""
    low, high = BOUNDS[index]
    values = st.integers(low, high).map(str)
    if NAMES[index]:
        names = [*NAMES[index], *(name.lower() for name in NAMES[index])]
        values = st.one_of(values, st.sampled_from(names))
    steps = st.one_of(st.integers(1, high), st.sampled_from([1, 2, 5, high, high + 1, high + 2, 0, 90]))
    spans = st.tuples(values, values).map("-".join)
    bases = st.one_of(st.just("*"), values, spans, values.map(lambda value: f"{value}-{value}"))
    known = [bases, st.tuples(bases, steps).map(lambda drawn: f"{drawn[0]}/{drawn[1]}")]
    if index == 2:
        known.append(st.sampled_from(["L", "LW", "L/2", "LW/1", "L-2", "15W"]))
    if index == 4:
        known.append(
            st.tuples(values, st.sampled_from(["#1", "#2", "#4", "#5", "#6", "L", "#L", "#1/2", "L/2"])).map("".join)
        )
    return st.one_of(*known)


def fields(index: int) -> st.SearchStrategy[str]:
    return st.one_of(st.just("*"), terms(index), st.lists(terms(index), min_size=2, max_size=3).map(",".join))


EXPRESSIONS = st.tuples(*(fields(index) for index in range(5))).map(" ".join)
# minutes and hours that match often, so that most examples look at the days
DAY_EXPRESSIONS = st.tuples(
    st.sampled_from(["0", "*/40", "59"]), st.sampled_from(["0", "23", "*/9"]), fields(2), fields(3), fields(4)
).map(" ".join)


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(
    cron=st.one_of(EXPRESSIONS, DAY_EXPRESSIONS),
    start=st.datetimes(datetime(1996, 1, 1), datetime(2104, 1, 1)),
    days=st.sampled_from([1, 1, 40]),
)
def test_an_accepted_expression_fires_at_the_minutes_that_it_matches_and_no_others(
    cron: str, start: datetime, days: int
) -> None:
    mistake = cron_mistake(cron)
    if mistake is not None:
        assert mistake.startswith("cron expression ")
        assert describe(cron) == cron
        return
    since = start.replace(second=0, microsecond=0, tzinfo=UTC)
    until = since + timedelta(days=days)
    expected = fired(cron, since, until)
    assert list(ticks(cron, UTC, since, until)) == expected
    assert newest_ticks(cron, UTC, since, until, 7) == expected[-7:]
    assert describe(cron) not in ("", cron)
    assert all(cron_notes(cron))


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 0 * * SAT-SUN", [3, 4, 10, 11, 17, 18, 24, 25, 31]),
        ("0 0 * * 5-SUN/2", [2, 4, 9, 11, 16, 18, 23, 25, 30]),
        ("0 0 * * FRIL,sun#1", [4, 30]),
        ("0 0 * * 7L,7#2", [11, 25]),
        ("0 0 13,L * FRI#5", [13, 30, 31]),
        ("0 0 */10 * SAT", [31]),
        ("0 0 LW * *", [30]),
    ],
)
def test_the_matcher_itself_and_the_days_of_january_2026(cron: str, expected: list[int]) -> None:
    since, until = datetime(2025, 12, 31, 23, 59, tzinfo=UTC), datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
    assert [moment.day for moment in fired(cron, since, until)] == expected
    assert [tick.day for tick in ticks(cron, UTC, since, until)] == expected
