"""Time partitions: text and datetime, windows, ranges, on the days the clocks change too."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microflow.errors import PartitionError
from microflow.model.partitions import Frequency, TimePartitions

BERLIN = "Europe/Berlin"
HOUR = timedelta(hours=1)
FREQUENCIES = [str(frequency) for frequency in Frequency]
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "America/St_Johns",
    "America/Havana",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "America/Caracas",
]


def steadily(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def instants(found: list[datetime]) -> list[datetime]:
    return [start.astimezone(UTC) for start in found]


# Text and datetime

FORMS = [
    ("hourly", "2026-11-22T05:00+01:00", "2026-11-22T05:00:00+01:00"),
    ("daily", "2026-11-22", "2026-11-22T00:00:00+01:00"),
    ("weekly", "2026-W47", "2026-11-16T00:00:00+01:00"),
    ("weekly", "2021-W01", "2021-01-04T00:00:00+01:00"),
    ("weekly", "2020-W53", "2020-12-28T00:00:00+01:00"),
    ("monthly", "2026-11", "2026-11-01T00:00:00+01:00"),
    ("quarterly", "2026-Q4", "2026-10-01T00:00:00+02:00"),
    ("yearly", "2026", "2026-01-01T00:00:00+01:00"),
]


@pytest.mark.parametrize(("frequency", "text", "start"), FORMS)
def test_text_date_and_datetime_name_the_same_partition(frequency: str, text: str, start: str) -> None:
    time = TimePartitions(frequency, timezone=BERLIN)
    found = time.parse(text)
    assert found.isoformat() == start
    assert found.tzinfo == ZoneInfo(BERLIN)
    assert time.text(text) == time.text(found) == text
    for same in (found, found.astimezone(UTC), found.replace(tzinfo=None), found.isoformat(), start.replace("T", " ")):
        assert time.parse(same) == found
        assert time.text(same) == text
    if frequency != "hourly":
        assert time.parse(found.date()) == found
        assert time.parse(found.date().isoformat()) == found


@steadily(300)
@given(
    frequency=st.sampled_from(FREQUENCIES),
    zone=st.sampled_from(ZONES),
    moment=st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)),
)
def test_every_moment_is_in_one_partition_and_its_text_leads_back(frequency: str, zone: str, moment: datetime) -> None:
    time = TimePartitions(frequency, timezone=zone)
    instant = moment.replace(tzinfo=UTC)
    start = time.containing(instant)
    assert time.parse(time.text(start)).astimezone(UTC) == start.astimezone(UTC)
    assert time.parse(start.astimezone(UTC)) == start
    low, high = instants(list(time.window(start)))
    assert low <= instant < high
    assert time.next(start).astimezone(UTC) == high
    assert time.previous(time.next(start)).astimezone(UTC) == low
    assert time.next(time.previous(start)).astimezone(UTC) == low
    assert time.containing(instant.astimezone(ZoneInfo("Asia/Tokyo"))).astimezone(UTC) == low


# zone, and a moment shortly before its clock is changed
CHANGES = [
    ("Europe/Berlin", "2026-03-28T12:00"),
    ("Europe/Berlin", "2026-10-24T12:00"),
    ("Australia/Lord_Howe", "2026-04-04T00:00"),
    ("Australia/Lord_Howe", "2026-10-03T00:00"),
    ("America/Sao_Paulo", "2018-11-03T12:00"),
    ("America/Sao_Paulo", "2019-02-16T12:00"),
    ("Africa/Cairo", "2026-04-23T00:00"),
    ("Africa/Cairo", "2026-10-29T00:00"),
    ("America/St_Johns", "2010-11-06T00:00"),
    ("America/Havana", "2026-10-31T12:00"),
    ("America/Caracas", "2016-04-30T12:00"),
    ("Pacific/Apia", "2011-12-28T12:00"),
    ("Asia/Pyongyang", "2018-05-04T00:00"),
]


@pytest.mark.parametrize("frequency", FREQUENCIES)
@pytest.mark.parametrize(("zone", "moment"), CHANGES)
def test_ranges_are_windows_without_gaps_at_clock_changes(frequency: str, zone: str, moment: str) -> None:
    time = TimePartitions(frequency, timezone=zone)
    start = time.containing(utc(moment))
    walked = [start]
    for _ in range(60):
        walked.append(time.next(walked[-1]))
    assert instants(walked) == sorted(set(instants(walked)))
    assert instants(time.range(start, walked[-1])) == instants(walked)
    texts = time.texts(start, walked[-1])
    assert texts == [time.text(one) for one in walked]
    assert len(set(texts)) == len(texts)
    assert instants([time.parse(text) for text in texts]) == instants(walked)
    assert time.count(start, walked[-1]) == 61
    for one in walked[1:]:  # every moment of an hour before belongs to the one before
        assert time.containing(one.astimezone(UTC) - timedelta(seconds=1)).astimezone(UTC) < one.astimezone(UTC)
        assert time.containing(one.astimezone(UTC)).astimezone(UTC) == one.astimezone(UTC)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-06-01", 24),
        ("Europe/Berlin", "2026-10-25", 25),
        ("America/Sao_Paulo", "2018-11-04", 23),
        ("America/Sao_Paulo", "2019-02-16", 25),
        ("Australia/Lord_Howe", "2026-10-04", 24),  # 23 and a half
        ("Australia/Lord_Howe", "2026-04-05", 25),  # 24 and a half
        ("Pacific/Apia", "2011-12-29", 24),
    ],
)
def test_hourly_partitions_on_the_days_the_clocks_change(zone: str, day: str, hours: int) -> None:
    low, high = TimePartitions("daily", timezone=zone).window(day)
    hourly = TimePartitions("hourly", timezone=zone)
    found = hourly.range(low, hourly.previous(high))
    assert len(found) == hours
    assert hourly.next(found[-1]).astimezone(UTC) == high.astimezone(UTC)


def test_an_hour_that_comes_twice_is_told_apart_by_its_offset() -> None:
    time = TimePartitions("hourly", timezone=BERLIN)
    texts = time.texts("2026-10-25T01:00", "2026-10-25T03:00")
    assert texts == [
        "2026-10-25T01:00+02:00",
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T03:00+01:00",
    ]
    with pytest.raises(PartitionError, match=r"happens twice.*'2026-10-25T02:00\+02:00' or '2026-10-25T02:00\+01:00'"):
        time.parse("2026-10-25T02:00")
    wall = datetime(2026, 10, 25, 2)
    assert [time.text(wall), time.text(wall.replace(fold=1))] == texts[1:3]


def test_half_an_hour_of_clock_change_is_a_period_of_half_an_hour() -> None:
    time = TimePartitions("hourly", timezone="Australia/Lord_Howe")
    assert time.texts("2026-04-05T01:00+11:00", "2026-04-05T02:00") == [
        "2026-04-05T01:00+11:00",
        "2026-04-05T01:30+10:30",
        "2026-04-05T02:00+10:30",
    ]
    assert time.texts("2026-10-04T01:00", "2026-10-04T03:00") == [
        "2026-10-04T01:00+10:30",
        "2026-10-04T02:30+11:00",
        "2026-10-04T03:00+11:00",
    ]


@pytest.mark.parametrize(
    ("zone", "day", "start"),
    [
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T01:00:00-02:00"),
        ("Africa/Cairo", "2026-04-24", "2026-04-24T01:00:00+03:00"),
        ("America/Havana", "2026-11-01", "2026-11-01T00:00:00-04:00"),
    ],
)
def test_a_day_starts_with_its_first_instant_where_midnight_is_missing_or_comes_twice(
    zone: str, day: str, start: str
) -> None:
    time = TimePartitions("daily", timezone=zone)
    assert time.parse(day).isoformat() == start
    assert time.text(datetime.fromisoformat(day)) == day  # a naive midnight is the start of its day
    assert time.text(time.parse(day)) == day


def test_a_day_that_a_zone_left_out_is_no_partition() -> None:
    time = TimePartitions("daily", timezone="Pacific/Apia")
    assert time.texts("2011-12-29", "2012-01-01") == ["2011-12-29", "2011-12-31", "2012-01-01"]
    assert time.count("2011-12-29", "2012-01-01") == 3
    with pytest.raises(PartitionError, match="2011-12-30 does not exist in Pacific/Apia"):
        time.parse("2011-12-30")


@pytest.mark.parametrize(
    ("frequency", "given_value", "said"),
    [
        ("daily", "22.11.2026", "'22.11.2026' is no daily partition; write it like '2026-11-22'."),
        ("daily", "2026-02-30", "'2026-02-30' is in no calendar"),
        ("daily", "2026-W47", "is no daily partition"),
        ("daily", "2026-11", "is no daily partition"),
        ("daily", " 2026-11-22", "is no daily partition"),
        ("daily", "20261122", "is no daily partition"),
        ("daily", "2026-11-22T05:00", "is not the start of a day; the day it is in is '2026-11-22'."),
        ("daily", "", "is no daily partition"),
        ("weekly", "2026-W54", "is in no calendar"),
        ("weekly", "2026-11-22", "2026-11-22 is not the start of a week; the week it is in is '2026-W47'."),
        ("monthly", "2026-13", "is in no calendar"),
        ("monthly", date(2026, 11, 22), "is not the start of a month; the month it is in is '2026-11'."),
        ("quarterly", "2026-Q5", "is no quarterly partition; write it like '2026-Q4'."),
        ("yearly", "0999", "years from 1000 to 9998"),
        ("yearly", "9999", "years from 1000 to 9998"),
        ("yearly", "٢٠٢٦", "is no yearly partition"),
        ("yearly", 2026, "2026 is no time partition; give text such as '2026', or a datetime."),
        ("yearly", None, "None is no time partition"),
        ("hourly", "2026-11-22", "2026-11-22 is a whole day; an hourly partition is written like"),
        ("hourly", date(2026, 11, 22), "is a whole day"),
        ("hourly", "2026-11-22T05:30", "is not the start of an hour; the hour it is in is '2026-11-22T05:00+01:00'."),
        ("hourly", "2026-11-22T25:00", "is in no calendar"),
        ("hourly", "2026-03-29T02:00", "does not exist in Europe/Berlin: the clock is put forward over it."),
        ("hourly", datetime(2026, 11, 22, 5, 0, 0, 1), "2026-11-22T05:00:00.000001 is not the start of an hour"),
        ("hourly", datetime(9999, 12, 31, tzinfo=UTC), "years from 1000 to 9998"),
    ],
)
def test_what_is_no_partition_is_refused_with_advice(frequency: str, given_value: object, said: str) -> None:
    with pytest.raises(PartitionError) as caught:
        TimePartitions(frequency, timezone=BERLIN).parse(given_value)  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_subclasses_of_datetime_become_plain() -> None:
    class Stamp(datetime):
        pass

    found = TimePartitions("daily", timezone=BERLIN).parse(Stamp(2026, 11, 22, tzinfo=ZoneInfo(BERLIN)))
    assert type(found) is datetime


@steadily(60)
@given(
    zone=st.sampled_from(ZONES),
    moment=st.datetimes(datetime(2005, 1, 1), datetime(2030, 1, 1)),
    hours=st.integers(0, 2000),
)
def test_quick_ways_agree_with_the_slow_one(zone: str, moment: datetime, hours: int) -> None:
    time = TimePartitions("hourly", timezone=zone)
    first = time.containing(moment.replace(tzinfo=UTC))
    last = time.containing(moment.replace(tzinfo=UTC) + hours * HOUR)
    walked = [first]
    while walked[-1].astimezone(UTC) < last.astimezone(UTC):
        walked.append(time.next(walked[-1]))
    assert instants(time.range(first, last)) == instants(walked)
    assert time.texts(first, last) == [time.text(start) for start in walked]
    assert time.count(first, last) == len(walked)
