"""Ticks: the instants at which a cron expression is due in a time zone.

The rules at clock changes are those of Debian's cron, with one difference that is named below:

- Minute or hour begins with ``*`` (``*/10 * * * *``, ``0 * * * *``): the schedule follows the clock on the wall. What
  the clock jumps over does not happen, what it shows twice happens twice: every ten minutes stays every ten minutes.
- Any other expression (``30 2 * * *``) keeps its appointments: one that the clock jumps over happens at the instant
  of the jump, one that it shows twice happens the first time only. Several appointments that one jump skips are one
  tick; Debian's cron runs each of them (``0,30 2 * * *`` twice at 03:00).

cronsim reads the expression and says which days match. The instants are counted here, day by day from one local
midnight to the next, because cronsim 2.8 loses ticks where a clock is changed by half an hour (``0 */2 * * *`` at
02:00 on 5 April 2026 on Lord Howe) and makes one at a midnight that is jumped over (``*/30 0 * * FRI`` at 01:00 on 24
April 2026 in Cairo).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from .cron import YEARS_AHEAD, Pattern, next_month
from .cron_reading import read_cron
from .zones import DAY, ClockChange, as_instant, change_between, day_start, first_instant, next_clock_change, offset_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

_LAST_YEAR = 9998


def ticks(cron: str, zone: tzinfo, since: datetime, until: datetime, limit: int | None = None) -> Iterator[datetime]:
    """The ticks after ``since`` and up to ``until``, in UTC, oldest first; at most ``limit`` of them.

    Raises ``ScheduleError`` for an expression that is not valid, ``ValueError`` for a moment without a time zone.
    """
    return islice(
        _ascending(read_cron(cron), zone, as_instant(since, "since"), as_instant(until, "until"), limit), limit
    )


def next_ticks(cron: str, zone: tzinfo, after: datetime, count: int) -> list[datetime]:
    """The next ``count`` ticks after a moment (fewer only at the end of the calendar); errors as for ``ticks``."""
    return list(ticks(cron, zone, after, _years_on(as_instant(after, "after"), YEARS_AHEAD), count))


def newest_ticks(cron: str, zone: tzinfo, since: datetime, until: datetime, count: int) -> list[datetime]:
    """The newest ``count`` of the ticks after ``since`` and up to ``until``, oldest first, without counting up to them.

    Errors as for ``ticks``.
    """
    pattern, since, until = read_cron(cron), as_instant(since, "since"), as_instant(until, "until")
    newest: list[datetime] = []
    # the day after, since a clock put back over midnight shows the old day again within the new one's first hours
    day = until.astimezone(zone).date() + DAY
    end = day_start(zone, day + DAY)
    while end > since and len(newest) < count:
        start = day_start(zone, day)
        if _concerns(pattern, day):
            found = _of_day(pattern, zone, day, start, end, since, until)
            newest += [tick for tick in reversed(found) if not newest or tick < newest[-1]]
        day, end = day - DAY, start
    return newest[:count][::-1]


def count_ticks(cron: str, zone: tzinfo, since: datetime, until: datetime) -> int:
    """How many ticks there are after ``since`` and up to ``until``.

    A year of minutes takes no longer than a year of days. Errors as for ``ticks``.
    """
    pattern, since, until = read_cron(cron), as_instant(since, "since"), as_instant(until, "until")
    total = 0
    last = since
    for day, start, end in _days(pattern, zone, since, until):
        if start > last and end <= until and _is_plain(zone, start, end):
            total += len(pattern.times) if pattern.matches_day(day) else 0
            last = end - timedelta(microseconds=1)
            continue
        found = _of_day(pattern, zone, day, start, end, last, until)
        total += len(found)
        last = found[-1] if found else last
    return total


def ticks_around_clock_change(cron: str, zone: tzinfo, after: datetime, count: int = 3) -> list[datetime]:
    """The last ``count`` ticks before the next clock change after a moment, and the first ``count`` from it on, in UTC.

    Empty where the clock is not changed within two years. Errors as for ``ticks``.
    """
    change = next_clock_change(zone, after)
    return [] if change is None else ticks_around(cron, zone, change, count)


def ticks_around(cron: str, zone: tzinfo, change: ClockChange, count: int = 3) -> list[datetime]:
    """The last ``count`` ticks before one clock change, and the first ``count`` from it on; errors as for ``ticks``."""
    instant_before = change.at - timedelta(microseconds=1)
    before = newest_ticks(cron, zone, _years_on(instant_before, -YEARS_AHEAD), instant_before, count)
    return before + next_ticks(cron, zone, instant_before, count)


def _years_on(moment: datetime, years: int) -> datetime:
    return moment.replace(year=min(max(moment.year + years, 2), _LAST_YEAR), day=min(moment.day, 28))


def _ascending(
    pattern: Pattern, zone: tzinfo, since: datetime, until: datetime, limit: int | None
) -> Iterator[datetime]:
    """``limit``: how many will be asked for."""
    last = since
    for day, start, end in _days(pattern, zone, since, until):
        for tick in _of_day(pattern, zone, day, start, end, last, until, limit):
            yield tick
            last = tick


def _days(
    pattern: Pattern, zone: tzinfo, since: datetime, until: datetime
) -> Iterator[tuple[date, datetime, datetime]]:
    """The local days that may have ticks between two instants, each with its first instant and that of the next day."""
    if until <= since:
        return
    day = since.astimezone(zone).date()
    last_day = min(until.astimezone(zone).date() + DAY, date(_LAST_YEAR, 12, 31))
    known: tuple[date, datetime] | None = None
    while day <= last_day:
        if not _concerns(pattern, day):
            # far more days than midnights may have to be looked at, so a midnight is counted only where it is needed
            day = day + DAY if pattern.matches_month(day.month) else next_month(day)
            continue
        start = known[1] if known is not None and known[0] == day else day_start(zone, day)
        if start > until:
            return
        end = day_start(zone, day + DAY)
        yield day, start, end
        day += DAY
        known = day, end


def _concerns(pattern: Pattern, day: date) -> bool:
    """Whether the stretch from this local midnight to the next may have ticks.

    The day before counts too: where a clock is put back just after midnight, its last hour comes again here.
    """
    return pattern.matches_day(day) or pattern.matches_day(day - DAY)


def _is_plain(zone: tzinfo, start: datetime, end: datetime) -> bool:
    return end - start == DAY and offset_at(zone, start) == offset_at(zone, end)


def _of_day(
    pattern: Pattern,
    zone: tzinfo,
    day: date,
    start: datetime,
    end: datetime,
    since: datetime,
    until: datetime,
    limit: int | None = None,
) -> list[datetime]:
    """The ticks of one stretch from local midnight to local midnight that are after ``since`` and up to ``until``.

    Of more than ``limit`` some may be left out, the last ones.
    """
    if _is_plain(zone, start, end):
        if not pattern.matches_day(day):
            return []
        first, end_of_times = (bisect_right(pattern.times, edge - start) for edge in (since, until))
        return [start + since_midnight for since_midnight in pattern.times[first:end_of_times][:limit]]
    found = _followed(pattern, zone, day, start, end) if pattern.wildcard else _kept(pattern, zone, day)
    return [tick for tick in found if since < tick <= until]


def _followed(pattern: Pattern, zone: tzinfo, day: date, start: datetime, end: datetime) -> list[datetime]:
    """The ticks, on a day of a clock change, of a schedule that follows the wall clock: one offset after the other."""
    changed = offset_at(zone, start) != offset_at(zone, end)
    edges = [start, *([change_between(zone, start, end)] if changed else []), end]
    found = []
    for low, high in pairwise(edges):
        offset = offset_at(zone, low)
        for shown in (day - DAY, day):
            if not pattern.matches_day(shown):
                continue
            midnight = datetime.combine(shown, time(), UTC) - offset
            first, end_of_times = (bisect_left(pattern.times, edge - midnight) for edge in (low, high))
            found += [midnight + since_midnight for since_midnight in pattern.times[first:end_of_times]]
    return found


def _kept(pattern: Pattern, zone: tzinfo, day: date) -> list[datetime]:
    """The ticks, on a day of a clock change, of a schedule that keeps its appointments: several on one instant are one."""
    if not pattern.matches_day(day):
        return []
    midnight = datetime.combine(day, time())
    return sorted({first_instant(zone, midnight + since_midnight) for since_midnight in pattern.times})
