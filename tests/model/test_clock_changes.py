"""What an expression fires at where clocks are changed: 45 cases in nine zones, of changes that have happened.

Many well-known programs lose or double a tick in some of these. Each case was worked out by the rules of ``ticks.py``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from microflow.model.schedules import newest_ticks, next_ticks


@pytest.mark.parametrize(
    ("cron", "zone_name", "since", "expected"),
    [
        # Europe/Berlin: forward at 02:00
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", "03-29T03:00+0200 03-30T02:30+0200 03-31T02:30+0200"),
        ("0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", "03-29T03:00+0200 03-30T02:00+0200 03-30T02:30+0200"),
        (
            "30 1-3 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00",
            "03-29T01:30+0100 03-29T03:00+0200 03-29T03:30+0200 03-30T01:30+0200 03-30T02:30+0200",
        ),
        (
            "*/30 2-3 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00",
            "03-29T03:00+0200 03-29T03:30+0200 03-30T02:00+0200 03-30T02:30+0200 03-30T03:00+0200",
        ),
        ("0 * * * *", "Europe/Berlin", "2026-03-29T00:30", "03-29T01:00+0100 03-29T03:00+0200 03-29T04:00+0200"),
        # Europe/Berlin: back at 03:00
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", "10-25T02:30+0200 10-26T02:30+0100 10-27T02:30+0100"),
        ("0,30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", "10-25T02:00+0200 10-25T02:30+0200 10-26T02:00+0100"),
        (
            "*/30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00",
            "10-25T02:00+0200 10-25T02:30+0200 10-25T02:00+0100 10-25T02:30+0100 10-26T02:00+0100",
        ),
        # Australia/Lord_Howe: half an hour back at 02:00
        ("45 1 * * *", "Australia/Lord_Howe", "2024-04-06T12:00", "04-07T01:45+1100 04-08T01:45+1030 04-09T01:45+1030"),
        ("0 2 * * *", "Australia/Lord_Howe", "2024-04-06T12:00", "04-07T02:00+1030 04-08T02:00+1030 04-09T02:00+1030"),
        (
            "*/15 1 * * *",
            "Australia/Lord_Howe",
            "2024-04-06T12:00",
            "04-07T01:00+1100 04-07T01:15+1100 04-07T01:30+1100 04-07T01:45+1100 04-07T01:30+1030",
        ),
        (
            "0 */2 * * *",
            "Australia/Lord_Howe",
            "2024-04-06T23:30",
            "04-07T00:00+1100 04-07T02:00+1030 04-07T04:00+1030",
        ),
        # Australia/Lord_Howe: half an hour forward at 02:00
        ("15 2 * * *", "Australia/Lord_Howe", "2024-10-05T12:00", "10-06T02:30+1100 10-07T02:15+1100 10-08T02:15+1100"),
        (
            "0,15 2 * * *",
            "Australia/Lord_Howe",
            "2024-10-05T12:00",
            "10-06T02:30+1100 10-07T02:00+1100 10-07T02:15+1100",
        ),
        (
            "*/15 2 * * *",
            "Australia/Lord_Howe",
            "2024-10-05T12:00",
            "10-06T02:30+1100 10-06T02:45+1100 10-07T02:00+1100 10-07T02:15+1100 10-07T02:30+1100",
        ),
        # Antarctica/Troll: two hours forward at 01:00
        ("30 1 * * *", "Antarctica/Troll", "2024-03-30T12:00", "03-31T03:00+0200 04-01T01:30+0200 04-02T01:30+0200"),
        ("30 1,2 * * *", "Antarctica/Troll", "2024-03-30T12:00", "03-31T03:00+0200 04-01T01:30+0200 04-01T02:30+0200"),
        ("0 * * * *", "Antarctica/Troll", "2024-03-30T23:30", "03-31T00:00+0000 03-31T03:00+0200 03-31T04:00+0200"),
        # Antarctica/Troll: two hours back at 03:00
        ("30 1 * * *", "Antarctica/Troll", "2024-10-26T12:00", "10-27T01:30+0200 10-28T01:30+0000 10-29T01:30+0000"),
        (
            "0,30 1-2 * * *",
            "Antarctica/Troll",
            "2024-10-26T12:00",
            "10-27T01:00+0200 10-27T01:30+0200 10-27T02:00+0200 10-27T02:30+0200 10-28T01:00+0000",
        ),
        (
            "*/30 1-2 * * *",
            "Antarctica/Troll",
            "2024-10-26T12:00",
            "10-27T01:00+0200 10-27T01:30+0200 10-27T02:00+0200 10-27T02:30+0200 10-27T01:00+0000",
        ),
        # Asia/Beirut: forward at midnight
        ("0 0 * * *", "Asia/Beirut", "2024-03-30T12:00", "03-31T01:00+0300 04-01T00:00+0300 04-02T00:00+0300"),
        ("30 0 * * SUN", "Asia/Beirut", "2024-03-30T12:00", "03-31T01:00+0300 04-07T00:30+0300 04-14T00:30+0300"),
        (
            "*/30 0 * * *",
            "Asia/Beirut",
            "2024-03-30T12:00",
            "04-01T00:00+0300 04-01T00:30+0300 04-02T00:00+0300 04-02T00:30+0300 04-03T00:00+0300",
        ),
        # Asia/Beirut: back at midnight, to the day before
        ("0 0 * * *", "Asia/Beirut", "2024-10-26T12:00", "10-27T00:00+0200 10-28T00:00+0200 10-29T00:00+0200"),
        ("30 23 * * *", "Asia/Beirut", "2024-10-26T12:00", "10-26T23:30+0300 10-27T23:30+0200 10-28T23:30+0200"),
        (
            "*/30 23 * * SAT",
            "Asia/Beirut",
            "2024-10-26T12:00",
            "10-26T23:00+0300 10-26T23:30+0300 10-26T23:00+0200 10-26T23:30+0200 11-02T23:00+0200",
        ),
        # Africa/Cairo: forward at midnight
        ("0 0 * * *", "Africa/Cairo", "2024-04-25T12:00", "04-26T01:00+0300 04-27T00:00+0300 04-28T00:00+0300"),
        (
            "*/30 0 * * FRI",
            "Africa/Cairo",
            "2024-04-25T12:00",
            "05-03T00:00+0300 05-03T00:30+0300 05-10T00:00+0300 05-10T00:30+0300 05-17T00:00+0300",
        ),
        # Africa/Cairo: back at midnight, to the day before
        ("30 23 * * THU", "Africa/Cairo", "2024-10-31T12:00", "10-31T23:30+0300 11-07T23:30+0200 11-14T23:30+0200"),
        (
            "*/30 23 * * *",
            "Africa/Cairo",
            "2024-10-31T12:00",
            "10-31T23:00+0300 10-31T23:30+0300 10-31T23:00+0200 10-31T23:30+0200 11-01T23:00+0200",
        ),
        # America/Havana: forward at midnight
        ("0 0 * * *", "America/Havana", "2024-03-09T12:00", "03-10T01:00-0400 03-11T00:00-0400 03-12T00:00-0400"),
        (
            "*/20 0 * * SUN",
            "America/Havana",
            "2024-03-09T12:00",
            "03-17T00:00-0400 03-17T00:20-0400 03-17T00:40-0400 03-24T00:00-0400 03-24T00:20-0400",
        ),
        # America/Havana: back at 01:00, to midnight of the same day
        ("0 0 * * *", "America/Havana", "2024-11-02T12:00", "11-03T00:00-0400 11-04T00:00-0500 11-05T00:00-0500"),
        ("30 0 * * *", "America/Havana", "2024-11-02T12:00", "11-03T00:30-0400 11-04T00:30-0500 11-05T00:30-0500"),
        (
            "*/30 0 * * SUN",
            "America/Havana",
            "2024-11-02T12:00",
            "11-03T00:00-0400 11-03T00:30-0400 11-03T00:00-0500 11-03T00:30-0500 11-10T00:00-0500",
        ),
        # Africa/Casablanca: back at 03:00, at the start of Ramadan
        ("30 2 * * *", "Africa/Casablanca", "2024-03-09T12:00", "03-10T02:30+0100 03-11T02:30+0000 03-12T02:30+0000"),
        ("0 * * * *", "Africa/Casablanca", "2024-03-10T00:30", "03-10T01:00+0100 03-10T02:00+0100 03-10T02:00+0000"),
        # Africa/Casablanca: forward at 02:00, at its end
        ("30 2 * * *", "Africa/Casablanca", "2024-04-13T12:00", "04-14T03:00+0100 04-15T02:30+0100 04-16T02:30+0100"),
        ("30 * * * *", "Africa/Casablanca", "2024-04-14T01:00", "04-14T01:30+0000 04-14T03:30+0100 04-14T04:30+0100"),
        # Pacific/Apia: 30 December 2011 is left out
        ("0 8 30 12 *", "Pacific/Apia", "2011-12-29T12:00", "12-31T00:00+1400 12-30T08:00+1400 12-30T08:00+1400"),
        ("0 8 * * *", "Pacific/Apia", "2011-12-29T12:00", "12-31T00:00+1400 12-31T08:00+1400 01-01T08:00+1400"),
        ("0 */12 * * *", "Pacific/Apia", "2011-12-29T12:00", "12-31T00:00+1400 12-31T12:00+1400 01-01T00:00+1400"),
        # Pacific/Kwajalein: 21 August 1993 is left out
        ("0 8 21 8 *", "Pacific/Kwajalein", "1993-08-20T12:00", "08-22T00:00+1200 08-21T08:00+1200 08-21T08:00+1200"),
        ("30 6 * * *", "Pacific/Kwajalein", "1993-08-20T12:00", "08-22T00:00+1200 08-22T06:30+1200 08-23T06:30+1200"),
    ],
)
def test_ticks_where_a_clock_is_changed(cron: str, zone_name: str, since: str, expected: str) -> None:
    zone = ZoneInfo(zone_name)
    start = datetime.fromisoformat(since).replace(tzinfo=zone).astimezone(UTC)
    count = len(expected.split())

    found = next_ticks(cron, zone, start, count)

    assert " ".join(tick.astimezone(zone).strftime("%m-%dT%H:%M%z") for tick in found) == expected
    assert newest_ticks(cron, zone, start, found[-1], count) == found


@pytest.mark.parametrize("start", range(2026, 2108, 9))
def test_29_february_is_in_every_leap_year(start: int) -> None:
    found = next_ticks("0 12 29 2 *", ZoneInfo("Europe/Berlin"), datetime(start, 3, 1, tzinfo=UTC), 3)
    leap = [year for year in range(start + 1, start + 20) if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)]
    assert [(tick.year, tick.month, tick.day) for tick in found] == [(year, 2, 29) for year in leap[:3]]
