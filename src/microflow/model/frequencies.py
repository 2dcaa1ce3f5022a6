"""Frequencies: how the calendar is cut into periods, and how a period is written.

Periods of days (a day, an ISO 8601 week, a month, a quarter, a year) are known by the date they start with. Hours are
known by the instant they start at: an hour begins when the clock on the wall shows a full hour, or when the clock is
changed. So an hour that the clock shows twice is two periods, one that it jumps over is none, and where a clock is
changed by half an hour (Lord Howe) there is a period of half an hour.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from .zones import DAY, change_between, day_start, offset_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

HOUR = timedelta(hours=1)


class Frequency(StrEnum):
    """How long the periods of a time partition are."""

    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    YEARLY = "yearly"

    @property
    def period(self) -> str:
        """What one period is called: "hour", "day", …"""
        return "day" if self is Frequency.DAILY else self.removesuffix("ly")

    @property
    def example(self) -> str:
        """How a partition of this frequency is written."""
        return _EXAMPLES[self]

    def first_day(self, day: date) -> date:
        """The date that the period containing ``day`` starts with; for hours the day itself."""
        if self is Frequency.WEEKLY:
            return day - timedelta(days=day.weekday())
        months = _MONTHS.get(self)
        return day if months is None else date(day.year, (day.month - 1) // months * months + 1, 1)

    def next_day(self, first: date) -> date:
        """The date that the period after the one starting with ``first`` starts with; for hours the next day."""
        months = _MONTHS.get(self)
        if months is None:
            return first + timedelta(days=7 if self is Frequency.WEEKLY else 1)
        month = first.year * 12 + first.month - 1 + months
        return date(month // 12, month % 12 + 1, 1)

    def periods(self, first: date, last: date) -> int:
        """How many periods there are from the one starting with ``first`` to the one starting with ``last``."""
        months = _MONTHS.get(self)
        if months is None:
            return (last - first).days // (7 if self is Frequency.WEEKLY else 1) + 1
        return ((last.year - first.year) * 12 + last.month - first.month) // months + 1

    def text(self, first: date) -> str:
        """How the period of days starting with ``first`` is written: ``2026-11-22``, ``2026-W47``, ``2026-11``, …"""
        if self is Frequency.WEEKLY:
            year, week, _ = first.isocalendar()
            return f"{year:04}-W{week:02}"
        if self is Frequency.QUARTERLY:
            return f"{first.year:04}-Q{(first.month + 2) // 3}"
        return first.isoformat()[: _LENGTHS[self]]

    def read(self, text: str) -> date | None:
        """The date that the period written ``text`` starts with; None if it is written otherwise.

        Raises ``ValueError`` for one that is written rightly and does not exist (``2026-W60``, ``2026-13``).
        """
        form = _FORMS.get(self)
        match = form.fullmatch(text) if form is not None else None
        if match is None:
            return None
        year, *rest = (int(number) for number in match.groups())
        if self is Frequency.WEEKLY:
            return date.fromisocalendar(year, rest[0], 1)
        if self is Frequency.QUARTERLY:
            return date(year, rest[0] * 3 - 2, 1)
        return date(year, *rest, *[1] * (2 - len(rest)))


_EXAMPLES = {
    Frequency.HOURLY: "2026-11-22T05:00+01:00",
    Frequency.DAILY: "2026-11-22",
    Frequency.WEEKLY: "2026-W47",
    Frequency.MONTHLY: "2026-11",
    Frequency.QUARTERLY: "2026-Q4",
    Frequency.YEARLY: "2026",
}
_MONTHS = {Frequency.MONTHLY: 1, Frequency.QUARTERLY: 3, Frequency.YEARLY: 12}
_LENGTHS = {Frequency.DAILY: 10, Frequency.MONTHLY: 7, Frequency.YEARLY: 4}
_FORMS = {
    Frequency.DAILY: re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII),
    Frequency.WEEKLY: re.compile(r"(\d{4})-W(\d{2})", re.ASCII),
    Frequency.MONTHLY: re.compile(r"(\d{4})-(\d{2})", re.ASCII),
    Frequency.QUARTERLY: re.compile(r"(\d{4})-Q([1-4])", re.ASCII),
    Frequency.YEARLY: re.compile(r"(\d{4})", re.ASCII),
}


def hour_start(zone: tzinfo, instant: datetime) -> datetime:
    """The instant (UTC) at which the hour containing an instant began."""
    local = instant.astimezone(zone)
    start = instant - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    if offset_at(zone, start) == local.utcoffset():
        return start
    return change_between(zone, start, instant)


def next_hour(zone: tzinfo, start: datetime) -> datetime:
    """The instant (UTC) at which the hour after the one that began at ``start`` begins."""
    local = start.astimezone(zone)
    end = start + HOUR - timedelta(minutes=local.minute, seconds=local.second)
    return end if offset_at(zone, end) == local.utcoffset() else change_between(zone, start, end)


def hour_text(start: datetime) -> str:
    """How the hour that began at a local aware datetime is written: RFC 3339 to the minute, with the offset."""
    # seconds only where a clock was changed by odd seconds, as some were until the 1970s
    return start.isoformat(timespec="seconds" if start.second else "minutes")


def hour_starts(zone: tzinfo, first: datetime, last: datetime) -> list[datetime]:
    """The starts of the hours from ``first`` to ``last`` (instants at which hours begin), as datetimes in the zone."""
    found: list[datetime] = []
    for day, _, starts in _hours_by_day(zone, first, last):
        if starts is None:
            year, month, number = day.year, day.month, day.day
            found += [datetime(year, month, number, hour, 0, 0, 0, zone) for hour in range(24)]
        else:
            found += starts
    return found


def hour_texts(zone: tzinfo, first: datetime, last: datetime) -> list[str]:
    """The texts of the hours from ``first`` to ``last``, the same as ``hour_text`` of ``hour_starts``, but quickly."""
    # in UTC, where no two of the moments that a clock shows twice are equal
    return list(_hour_texts(zone, first.astimezone(UTC), last.astimezone(UTC)))


@lru_cache(maxsize=2)
def _hour_texts(zone: tzinfo, first: datetime, last: datetime) -> list[str]:
    """Kept for who looks at the same hours again, as a page that follows a run does: 200,000 texts take 20 ms and 15 MB."""
    pieces: list[str] = []
    whole_days: dict[timedelta, str] = {}
    for day, offset, starts in _hours_by_day(zone, first, last):
        if starts is not None:
            pieces += map(hour_text, starts)
            continue
        if offset not in whole_days:
            sample = datetime(2000, 1, 1, tzinfo=timezone(offset))
            whole_days[offset] = ",".join("|" + hour_text(sample.replace(hour=hour))[10:] for hour in range(24))
        pieces.append(whole_days[offset].replace("|", day.isoformat()))
    # one long text, cut up at once: quicker than a text for each hour
    return ",".join(pieces).split(",") if pieces else []


def count_hours(zone: tzinfo, first: datetime, last: datetime) -> int:
    """How many hours there are from ``first`` to ``last``, both included."""
    return sum(24 if starts is None else len(starts) for _, _, starts in _hours_by_day(zone, first, last))


def _hours_by_day(
    zone: tzinfo, first: datetime, last: datetime
) -> Iterator[tuple[date, timedelta, list[datetime] | None]]:
    """Day by day the offset it begins with and the starts of hours; None stands for a whole day of 24 at 00:00 to 23:00.

    Nearly every day is one of those, and 200,000 hours are quick because they are not looked at one by one.
    """
    first, last = first.astimezone(UTC), last.astimezone(UTC)
    day = first.astimezone(zone).date()
    low = day_start(zone, day)
    offset = offset_at(zone, low)
    is_midnight = low.astimezone(zone).time() == time()
    while low <= last:
        high = low + DAY
        # from midnight to midnight without a change: then it is a day of 24 hours, and the next one begins with its own midnight
        if is_midnight and first <= low and high <= last and offset_at(zone, high) == offset:
            yield day, offset, None
        else:
            high = day_start(zone, day + DAY)
            yield day, offset, list(_walk(zone, max(low, first), high, last))
            offset = offset_at(zone, high)
            is_midnight = high.astimezone(zone).time() == time()
        day, low = day + DAY, high


def _walk(zone: tzinfo, start: datetime, end: datetime, last: datetime) -> Iterator[datetime]:
    while start < end and start <= last:
        yield start.astimezone(zone)
        start = next_hour(zone, start)
