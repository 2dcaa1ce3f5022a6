"""Ticks, against an independent oracle over many time zones and clock changes; and the zones themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from microflow.errors import DefinitionError
from microflow.model.schedules import (
    Schedule,
    count_ticks,
    cron_mistake,
    machine_zone,
    newest_ticks,
    next_clock_change,
    next_ticks,
    resolve_zone,
    ticks,
    ticks_around_clock_change,
    zone_mistake,
)

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)


def steadily(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(found: list[datetime], zone: ZoneInfo) -> list[str]:
    return [tick.astimezone(zone).isoformat(timespec="minutes") for tick in found]


# Time zones


def test_the_zone_is_the_schedules_else_the_flows_else_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tzlocal.get_localzone", lambda: ZoneInfo("Asia/Tokyo"))
    assert Schedule("@daily", timezone="Europe/Berlin").zone("America/New_York") == BERLIN
    assert Schedule("@daily").zone("America/New_York") == ZoneInfo("America/New_York")
    assert Schedule("@daily").zone() == ZoneInfo("Asia/Tokyo")
    assert resolve_zone(None, UTC) is UTC


def test_a_machine_without_a_zone_is_said_to_be_on_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZoneInfoNotFoundError("no such zone: Middle/Earth")

    monkeypatch.setattr("tzlocal.get_localzone", fail)
    with pytest.warns(RuntimeWarning, match="Middle/Earth.*UTC is used"):
        assert machine_zone() is UTC


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "/etc/localtime", "Europe", "a\0b", 7, None])
def test_what_is_no_zone_has_a_mistake(name: object) -> None:
    assert zone_mistake(name) is not None
    if isinstance(name, str):
        with pytest.raises(DefinitionError, match="there is no such time zone"):
            resolve_zone(name)


def test_the_next_clock_change() -> None:
    change = next_clock_change(BERLIN, utc("2026-11-22"))
    assert change is not None
    assert (change.at, change.before, change.after) == (utc("2027-03-28T01:00"), 60 * MINUTE, 120 * MINUTE)
    assert change.shift == 60 * MINUTE
    following = next_clock_change(BERLIN, change.at)
    assert following is not None
    assert following.at == utc("2027-10-31T01:00")
    before = next_clock_change(BERLIN, change.at - timedelta(microseconds=1))
    assert before is not None
    assert before.at == change.at
    assert next_clock_change(ZoneInfo("Asia/Kolkata"), utc("2026-01-01")) is None
    assert next_clock_change(UTC, utc("2026-01-01")) is None


# Ticks

# zone, and a day in UTC near which its clock is changed
CHANGES = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-04"),  # half an hour back
    ("Australia/Lord_Howe", "2026-10-03"),  # half an hour forward
    ("Africa/Cairo", "2026-04-23"),  # forward at midnight
    ("Africa/Cairo", "2026-10-29"),  # back to 23:00 of the day before
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/Sao_Paulo", "2019-02-17"),
    ("America/Havana", "2026-11-01"),
    ("America/St_Johns", "2010-11-07"),  # back over midnight, one minute after it
    ("America/St_Johns", "2011-03-13"),
    ("America/Caracas", "2016-05-01"),  # half an hour forward, at half past two
    ("Asia/Pyongyang", "2018-05-04"),  # 23:30 to midnight
    ("Antarctica/Troll", "2026-03-29"),  # two hours
    ("Antarctica/Troll", "2026-10-25"),
    ("Pacific/Apia", "2011-12-30"),  # a whole day is left out
    ("Africa/Casablanca", "2026-02-15"),  # Ramadan
    ("Asia/Kathmandu", "2026-06-01"),  # no change, and an offset of 5:45
]


@cache
def minutes_around(zone_name: str, day: str) -> list[tuple[datetime, datetime, bool, list[datetime]]]:
    """Every minute of four days: the instant, the wall, whether it is shown the first time, the walls jumped over."""
    zone = ZoneInfo(zone_name)
    start = utc(day) - timedelta(days=2)
    minutes = []
    previous: datetime | None = None
    for index in range(4 * 24 * 60):
        instant = start + index * MINUTE
        shown = instant.astimezone(zone)
        wall = shown.replace(tzinfo=None, fold=0)
        jumped = []
        if previous is not None and wall - previous > MINUTE:
            jumped = [previous + step * MINUTE for step in range(1, (wall - previous) // MINUTE)]
        minutes.append((instant, wall, shown.fold == 0, jumped))
        previous = wall
    return minutes


class Fields:
    """Five fields as text and as what they mean, so that the oracle need not read any expression."""

    def __init__(self, fields: tuple[tuple[str, frozenset[int]], ...]) -> None:
        texts = [text for text, _ in fields]
        self.cron = " ".join(texts)
        self.minutes, self.hours, self.days, self.months, weekdays = (values for _, values in fields)
        self.weekdays = {value % 7 for value in weekdays}
        self.both = texts[2].startswith("*") or texts[4].startswith("*")
        self.follows = texts[0].startswith("*") or texts[1].startswith("*")

    def matches(self, wall: datetime) -> bool:
        day, weekday = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        return (
            wall.minute in self.minutes
            and wall.hour in self.hours
            and wall.month in self.months
            and (day and weekday if self.both else day or weekday)
        )

    def __repr__(self) -> str:
        return self.cron


Field = tuple[str, frozenset[int]]


def every(low: int, high: int) -> Field:
    return "*", frozenset(range(low, high + 1))


def some(low: int, high: int) -> st.SearchStrategy[Field]:
    """Values, ranges with steps, and lists of them."""
    single = st.integers(low, high).map(lambda value: (str(value), frozenset({value})))
    # two ends that differ: cronsim reads "5-5/2" as "5/2", from 5 to the end
    span = st.tuples(st.integers(low, high - 1), st.integers(1, high), st.integers(1, 5)).map(
        lambda drawn: (
            f"{drawn[0]}-{min(drawn[0] + drawn[1], high)}/{drawn[2]}",
            frozenset(range(drawn[0], min(drawn[0] + drawn[1], high) + 1, drawn[2])),
        )
    )
    term = st.one_of(single, span)
    return st.one_of(
        term,
        st.lists(term, min_size=2, max_size=3).map(
            lambda terms: (",".join(text for text, _ in terms), frozenset().union(*(values for _, values in terms)))
        ),
    )


def anything(low: int, high: int) -> st.SearchStrategy[Field]:
    steps = st.integers(1, high).map(lambda step: (f"*/{step}", frozenset(range(low, high + 1, step))))
    return st.one_of(st.just(every(low, high)), some(low, high), steps)


DAYS = (
    st.one_of(st.just(every(1, 31)), anything(1, 31)),
    st.one_of(st.just(every(1, 12)), anything(1, 12)),
    st.one_of(st.just(every(0, 7)), anything(0, 7)),
)
FIELDS = st.builds(Fields, st.tuples(anything(0, 59), anything(0, 23), *DAYS))
# clocks are changed at night, and most of the examples look there
NIGHTLY = st.builds(
    Fields,
    st.tuples(
        anything(0, 59),
        st.one_of(some(0, 3), st.just(("23", frozenset({23}))), anything(0, 23)),
        st.just(every(1, 31)),
        st.just(every(1, 12)),
        st.one_of(st.just(every(0, 7)), some(0, 7)),
    ),
)


def oracle(fields: Fields, minutes: list[tuple[datetime, datetime, bool, list[datetime]]]) -> list[datetime]:
    """Debian's rules, minute by minute: nothing but walls, and which of them are shown again or jumped over."""
    found = []
    for instant, wall, is_first, jumped in minutes:
        if fields.follows:
            due_now = fields.matches(wall)
        else:
            due_now = (is_first and fields.matches(wall)) or any(fields.matches(missing) for missing in jumped)
        if due_now:
            found.append(instant)
    return found


@pytest.mark.parametrize(("zone_name", "day"), CHANGES)
@steadily(20)
@given(fields=st.one_of(NIGHTLY, NIGHTLY, FIELDS))
def test_ticks_agree_with_a_minute_by_minute_oracle(zone_name: str, day: str, fields: Fields) -> None:
    if cron_mistake(fields.cron) is not None:
        return  # a day that never comes
    zone, minutes = ZoneInfo(zone_name), minutes_around(zone_name, day)
    start, end = minutes[0][0], minutes[-1][0]
    expected = oracle(fields, minutes[1:])
    found = list(ticks(fields.cron, zone, start, end))
    assert found == expected
    assert newest_ticks(fields.cron, zone, start, end, 5) == expected[-5:]
    assert newest_ticks(fields.cron, zone, start, end, 10_000) == expected
    assert count_ticks(fields.cron, zone, start, end) == len(expected)
    for cut in range(7, len(minutes), 611):  # wherever it is cut in two, nothing is lost or told twice
        middle = minutes[cut][0]
        halves = [*ticks(fields.cron, zone, start, middle), *ticks(fields.cron, zone, middle, end)]
        assert halves == expected


ZONES = sorted(zone for zone in available_timezones() if "/" in zone)


@steadily(60)
@given(zone_name=st.sampled_from(ZONES), after=st.datetimes(datetime(1975, 1, 1), datetime(2036, 1, 1)), fields=NIGHTLY)
def test_ticks_agree_with_the_oracle_at_any_clock_change_of_any_zone(
    zone_name: str, after: datetime, fields: Fields
) -> None:
    zone = ZoneInfo(zone_name)
    change = next_clock_change(zone, after.replace(tzinfo=UTC))
    if change is None or (change.before % MINUTE or change.after % MINUTE) or cron_mistake(fields.cron) is not None:
        return  # an oracle that looks at whole minutes
    minutes = minutes_around.__wrapped__(zone_name, change.at.date().isoformat())  # not kept: it is seen once
    start, end = minutes[0][0], minutes[-1][0]
    expected = oracle(fields, minutes[1:])
    assert list(ticks(fields.cron, zone, start, end)) == expected
    assert newest_ticks(fields.cron, zone, start, end, 10_000) == expected
    assert count_ticks(fields.cron, zone, start, end) == len(expected)


@steadily(60)
@given(fields=FIELDS, start=st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)))
def test_ticks_agree_with_cronsim_where_no_clock_is_changed(fields: Fields, start: datetime) -> None:
    if cron_mistake(fields.cron) is not None:
        return
    after = start.replace(tzinfo=UTC)
    theirs = CronSim(fields.cron, after)
    assert next_ticks(fields.cron, UTC, after, 20) == [next(theirs) for _ in range(20)]


@pytest.mark.parametrize(
    ("cron", "zone_name", "since", "expected"),
    [
        # keeps its appointment at the jump
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        # several on one instant are one
        ("0,30 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00", ["2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00"]),
        # the first time only
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        # also for one who asks between the two
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10", ["2026-10-26T02:30+01:00"]),
        # follows the clock
        ("30 * * * *", "Europe/Berlin", "2026-03-29T00:00", ["2026-03-29T01:30+01:00", "2026-03-29T03:30+02:00"]),
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-10-24T23:35",
            ["2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00", "2026-10-25T03:30+01:00"],
        ),
        # what cronsim 2.8 loses or makes up: see ticks.py
        ("0 */2 * * *", "Australia/Lord_Howe", "2026-04-04T14:00", ["2026-04-05T02:00+10:30"]),
        ("*/30 0 * * FRI", "Africa/Cairo", "2026-04-23T12:00", ["2026-05-01T00:00+03:00"]),
        # keeps its appointment although its whole day is left out
        ("0 8 30 12 *", "Pacific/Apia", "2011-12-01T00:00", ["2011-12-31T00:00+14:00", "2012-12-30T08:00+14:00"]),
        # either day, or both where one begins with a star
        ("0 0 13 * FRI", "UTC", "2026-02-01T00:00", ["2026-02-06T00:00+00:00", "2026-02-13T00:00+00:00"]),
        ("0 0 */13 * FRI", "UTC", "2026-02-01T00:00", ["2026-02-27T00:00+00:00", "2026-03-27T00:00+00:00"]),
        ("0 0 29 2 *", "UTC", "2097-01-01T00:00", ["2104-02-29T00:00+00:00"]),
        ("@yearly", "Asia/Tokyo", "2026-05-05T00:00", ["2027-01-01T00:00+09:00"]),
    ],
)
def test_ticks_at_clock_changes_and_on_odd_days(cron: str, zone_name: str, since: str, expected: list[str]) -> None:
    zone = ZoneInfo(zone_name)
    assert local(next_ticks(cron, zone, utc(since), len(expected)), zone) == expected


def test_ticks_are_after_since_up_to_until_and_limited() -> None:
    start, end = utc("2026-01-01T00:10"), utc("2026-01-01T00:30")
    assert list(ticks("*/10 * * * *", UTC, start, end)) == [utc("2026-01-01T00:20"), end]
    assert list(ticks("*/10 * * * *", UTC, start, end, limit=1)) == [utc("2026-01-01T00:20")]
    assert list(ticks("*/10 * * * *", UTC, end, start)) == []
    assert list(ticks("*/10 * * * *", UTC, start, start)) == []
    assert newest_ticks("*/10 * * * *", UTC, end, start, 5) == []
    assert all(tick.tzinfo is UTC for tick in next_ticks("0 8 * * *", BERLIN, start, 3))


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="since is 2026-01-01T00:00:00, which has no time zone"):
        next(ticks("@daily", UTC, datetime(2026, 1, 1), utc("2026-01-02")))


def test_ticks_around_the_next_clock_change() -> None:
    assert local(ticks_around_clock_change("30 2 * * *", BERLIN, utc("2026-01-01"), count=2), BERLIN) == [
        "2026-03-27T02:30+01:00",
        "2026-03-28T02:30+01:00",
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:30+02:00",
    ]
    assert ticks_around_clock_change("30 2 * * *", ZoneInfo("Asia/Tokyo"), utc("2026-01-01")) == []
