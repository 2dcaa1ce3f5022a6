"""Schedules: what one says, what is due, catch-up, overlap."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microflow.errors import ScheduleError
from microflow.model.schedules import (
    MOST_RECORDS,
    MOST_RUNS,
    Schedule,
    catch_up_ticks,
    decide_overlap,
    due,
    overlap_of,
    ticks,
)

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)


def steadily(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


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


@pytest.mark.parametrize("policy", ["skip", "queue", "allow"])
def test_all_that_is_caught_up_is_queued_where_it_would_be_skipped(policy: str) -> None:
    arguments = {"since": NOON - 3 * HOUR, "now": NOON + HOUR, "served_since": NOON}
    *late, in_time = due("0 * * * *", UTC, catch_up="all", **arguments)  # type: ignore[arg-type]
    assert [tick.late for tick in late] == [True] * 3
    assert not in_time.late
    every = Schedule("0 * * * *", catch_up="all", overlap=policy)  # type: ignore[arg-type]
    newest = Schedule("0 * * * *", overlap=policy)  # type: ignore[arg-type]
    assert overlap_of(every, late[0]) == ("queue" if policy == "skip" else policy)
    assert {overlap_of(every, in_time), overlap_of(newest, late[-1]), overlap_of(newest, in_time)} == {policy}


def test_a_tick_that_does_not_run_is_never_late() -> None:
    found = due("0 * * * *", UTC, since=NOON - 3 * HOUR, now=NOON, served_since=NOON, catch_up="none")
    assert [(tick.outcome, tick.late) for tick in found] == [("missed", False)] * 3
