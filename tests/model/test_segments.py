"""Axes as stretches, and back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microflow.model.frequencies import Frequency
from microflow.model.partitions import TimePartitions
from microflow.model.segments import expand, segments

ZONES = [
    "UTC",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Cairo",
    "Asia/Kolkata",
    "America/St_Johns",
]


def axis(frequency: str, zone: str, first: datetime, last: datetime) -> list[str]:
    partitions = TimePartitions(frequency, timezone=zone)
    return partitions.texts(partitions.containing(first), partitions.containing(last))


def test_hours_are_cut_where_the_clock_is_changed() -> None:
    texts = axis("hourly", "Europe/Berlin", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, 22, tzinfo=UTC))
    found = segments(texts, Frequency.HOURLY)
    assert [first for first, _ in found] == [
        "2026-01-01T01:00+01:00",
        "2026-03-29T03:00+02:00",
        "2026-10-25T02:00+01:00",
    ]
    assert sum(count for _, count in found) == len(texts) == 8_759
    assert expand(found, Frequency.HOURLY) == texts


def test_a_period_of_half_an_hour_stands_alone() -> None:
    texts = axis("hourly", "Australia/Lord_Howe", datetime(2026, 10, 3, tzinfo=UTC), datetime(2026, 10, 4, tzinfo=UTC))
    found = segments(texts, Frequency.HOURLY)
    assert ("2026-10-04T02:30+11:00", 1) in found
    assert expand(found, Frequency.HOURLY) == texts


def test_a_day_that_was_left_out() -> None:
    texts = axis("daily", "Pacific/Apia", datetime(2011, 12, 28, tzinfo=UTC), datetime(2012, 1, 5, tzinfo=UTC))
    assert segments(texts, Frequency.DAILY) == [("2011-12-27", 3), ("2011-12-31", 6)]


@pytest.mark.parametrize("frequency", ["daily", "weekly", "monthly", "quarterly", "yearly"])
def test_other_periods_are_one_stretch(frequency: str) -> None:
    texts = axis(frequency, "Europe/Berlin", datetime(2015, 6, 1, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC))
    assert segments(texts, Frequency(frequency)) == [(texts[0], len(texts))]


def test_nothing_is_no_stretch() -> None:
    assert segments([], Frequency.HOURLY) == []
    assert expand([], Frequency.HOURLY) == []


@settings(deadline=None)
@given(
    st.sampled_from(list(Frequency)),
    st.sampled_from(ZONES),
    st.datetimes(datetime(1995, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.integers(0, 400),
)
def test_what_was_shortened_can_be_written_out_again(
    frequency: Frequency, zone: str, first: datetime, count: int
) -> None:
    partitions = TimePartitions(frequency, timezone=zone)
    starts = [partitions.containing(first)]
    for _ in range(min(count, 400 if frequency is Frequency.HOURLY else 100)):
        starts.append(partitions.next(starts[-1]))
    texts = partitions.texts(starts[0], starts[-1])
    assert texts == [partitions.text(start) for start in starts]
    assert expand(segments(texts, frequency), frequency) == texts
