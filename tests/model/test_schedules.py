"""Schedules: expressions and their mistakes, ticks against an independent oracle, what is due, catch-up, overlap."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from microflow.errors import DefinitionError, ScheduleError
from microflow.model.schedules import (
    MOST_RECORDS,
    MOST_RUNS,
    Schedule,
    catch_up_ticks,
    count_ticks,
    cron_mistake,
    decide_overlap,
    describe,
    due,
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


# Mistakes


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
    assert next_ticks(cron, UTC, utc("2026-01-01"), 1)


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
        next_ticks(cron, UTC, utc("2026-01-01"), 1)


@steadily(300)
@given(st.text(alphabet="0123456789*/-,L#W @MONJAN?x", max_size=24))
def test_any_text_is_valid_or_has_a_mistake(cron: str) -> None:
    mistake = cron_mistake(cron)
    if mistake is None:
        assert len(next_ticks(cron, UTC, utc("2000-01-01"), 1)) == 1
    else:
        assert describe(cron) == cron


def test_a_schedule_says_every_mistake_of_its_own() -> None:
    schedule = Schedule("61 * * * *", timezone="Europ/Paris")
    assert schedule.mistake is not None
    assert "'61'" in schedule.mistake
    assert "did you mean 'Europe/Paris'?" in schedule.mistake


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"cron": 5}, "the cron expression is 5"),
        ({"cron": None}, "the cron expression is None"),
        ({"timezone": 1}, "timezone is 1; it must be a string that is not empty, or None"),
        ({"timezone": ""}, "timezone is ''"),
        ({"name": ["a"]}, "name is ['a']"),
        ({"name": ""}, "name is ''"),
        ({"catch_up": "newest"}, "catch_up is 'newest'; it must be one of 'last', 'all', 'none'"),
        ({"catch_up": None}, "catch_up is None"),
        ({"overlap": "wait"}, "overlap is 'wait'; it must be one of 'skip', 'queue', 'allow'"),
        ({"overlap": ["skip"]}, "overlap is ['skip']"),
    ],
)
def test_wrong_arguments_raise_at_once(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        Schedule(**{"cron": "@daily", **arguments})  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_a_schedule_is_itself_and_no_other() -> None:
    one, other = Schedule("@daily", name="a"), Schedule("@daily", name="a")
    assert one != other
    assert len({one, other}) == 2
    assert repr(Schedule("0 8 * * *", timezone="UTC", overlap="queue")) == (
        "Schedule('0 8 * * *', timezone='UTC', overlap='queue')"
    )


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


# What is due

NOON = utc("2026-05-05T12:00")
HOUR = timedelta(hours=1)


def outcomes(**arguments: object) -> list[tuple[str, str]]:
    found = due("0 * * * *", UTC, **arguments)  # type: ignore[arg-type]
    return [(tick.at.strftime("%H:%M"), tick.outcome) for tick in found]


def test_a_schedule_never_served_has_missed_nothing() -> None:
    assert outcomes(since=None, served_since=NOON, now=NOON) == []
    assert outcomes(since=None, served_since=NOON - 5 * HOUR, now=NOON) == [
        (f"{hour:02}:00", "run") for hour in range(8, 13)
    ]


def test_ticks_between_two_looks_of_a_running_server_are_due() -> None:
    assert outcomes(since=NOON - 2 * HOUR, served_since=NOON - 5 * HOUR, now=NOON + MINUTE, catch_up="none") == [
        ("11:00", "run"),
        ("12:00", "run"),
    ]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("last", ["missed", "missed", "run"]),
        ("all", ["run", "run", "run"]),
        ("none", ["missed", "missed", "missed"]),
    ],
)
def test_ticks_missed_while_no_server_ran_fall_under_catch_up(policy: str, expected: list[str]) -> None:
    started = NOON - 30 * MINUTE
    found = outcomes(since=started - 3 * HOUR, served_since=started, now=NOON, catch_up=policy)
    assert found == [*zip(["09:00", "10:00", "11:00"], expected, strict=True), ("12:00", "run")]


def test_reasons_say_why() -> None:
    found = due("0 * * * *", UTC, since=NOON - 2 * HOUR, served_since=NOON + MINUTE, now=NOON + HOUR)
    assert [tick.reason for tick in found] == [
        "Missed: no server ran at that time.",
        "Run late: no server ran at that time.",
        "",
    ]


def test_a_clock_put_back_gives_no_tick_twice() -> None:
    assert outcomes(since=NOON, served_since=NOON - HOUR, now=NOON - 3 * HOUR) == []
    assert outcomes(since=NOON - HOUR, served_since=NOON + 9 * HOUR, now=NOON, catch_up="none") == [("12:00", "missed")]


def test_a_paused_schedule_records_its_ticks() -> None:
    found = due("0 * * * *", UTC, since=NOON - 2 * HOUR, served_since=NOON - HOUR, now=NOON, paused=True)
    assert [(tick.outcome, tick.reason) for tick in found] == [("paused", "The schedule is paused.")] * 2


@pytest.mark.parametrize("policy", ["last", "all", "none"])
def test_a_year_of_missed_minutes_is_bounded_and_counted(policy: str) -> None:
    since = utc("2025-05-05T12:00")
    found = due("* * * * *", BERLIN, since=since, served_since=NOON, now=NOON + MINUTE, catch_up=policy)  # type: ignore[arg-type]
    assert sum(tick.count for tick in found) == 365 * 24 * 60 + 1
    older, *rest = found
    assert (older.outcome, older.first) == ("missed", since + MINUTE)
    assert older.at == rest[0].at - MINUTE
    assert all(tick.count == 1 and tick.first == tick.at for tick in rest)
    runs = Counter(tick.outcome for tick in found)["run"]
    assert runs == {"last": 2, "all": MOST_RUNS + 1, "none": 1}[policy]
    assert len(rest) <= max(MOST_RECORDS, MOST_RUNS) + 2


def test_a_clock_put_forward_by_years_does_not_run_years() -> None:
    found = due("* * * * *", UTC, since=utc("1970-01-01"), served_since=utc("1970-01-01"), now=NOON)
    assert len(found) == MOST_RUNS + 1
    assert found[0].outcome == "missed"
    assert "the newest 1,000 are run" in found[0].reason
    assert sum(tick.count for tick in found) == (NOON - utc("1970-01-01")) // MINUTE


@steadily(60)
@given(
    cron=st.sampled_from(["*/7 * * * *", "30 2 * * *", "0 */3 * * *", "15,45 1-3 * * *"]),
    steps=st.lists(
        st.tuples(st.sampled_from(["look", "look", "look", "restart", "pause", "resume"]), st.integers(1, 2000)),
        max_size=25,
    ),
    policy=st.sampled_from(["last", "all", "none"]),
)
def test_over_restarts_and_pauses_each_tick_is_told_exactly_once(
    cron: str, steps: list[tuple[str, int]], policy: str
) -> None:
    first_served = now = seen = served_since = utc("2026-10-24T00:00")
    paused = False
    told: list[datetime] = []
    for act, minutes in steps:
        now += minutes * MINUTE
        if act == "restart":
            served_since = now
        found = due(cron, BERLIN, since=seen, served_since=served_since, now=now, catch_up=policy, paused=paused)  # type: ignore[arg-type]
        seen = now
        for tick in found:
            told += list(ticks(cron, BERLIN, tick.first - MINUTE, tick.at)) if tick.count > 1 else [tick.at]
            assert tick.count == 1 or tick.outcome != "run"
        runs = [tick.at for tick in found if tick.outcome == "run"]
        if act == "restart" and not paused:
            missed = sum(tick.count for tick in found)
            assert len(runs) == {"last": min(missed, 1), "all": missed, "none": 0}[policy]
        elif not paused:
            assert len(runs) == len(found)
        else:
            assert not runs
        paused = act == "pause" or (paused and act != "resume")
    assert told == list(ticks(cron, BERLIN, first_served, now))


def test_catch_up_is_a_pure_decision() -> None:
    missed = [NOON, NOON + HOUR]
    assert catch_up_ticks(missed, "last") == [(NOON, "missed"), (NOON + HOUR, "run")]
    assert catch_up_ticks(missed, "all") == [(NOON, "run"), (NOON + HOUR, "run")]
    assert catch_up_ticks(missed, "none") == [(NOON, "missed"), (NOON + HOUR, "missed")]
    assert catch_up_ticks([], "last") == []


def test_overlap_is_a_pure_decision() -> None:
    assert [decide_overlap(policy, True) for policy in ("skip", "queue", "allow")] == ["skip", "queue", "run"]
    assert [decide_overlap(policy, False) for policy in ("skip", "queue", "allow")] == ["run"] * 3


# Descriptions


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
