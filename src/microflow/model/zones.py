"""Time zones: found by name, and the instants at which a zone's clock is changed.

A *wall* is what the clock on the wall shows: a naive ``datetime``. An *instant* is an aware ``datetime`` in UTC.
Where a clock is put back, one wall is two instants (the first one counts as ``fold=0``, PEP 495); where it is put
forward, some walls are no instant.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo

import msgspec

from ..errors import DefinitionError

DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_HORIZON = timedelta(days=800)
"""How far ahead a clock change is looked for: every zone that changes its clock each year does so within it."""


class ClockChange(msgspec.Struct, frozen=True):
    """A zone's clock is put forward or back, at the instant ``at`` (UTC), from one offset to another."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def shift(self) -> timedelta:
        """How far the clock is put forward; negative where it is put back."""
        return self.after - self.before


def machine_zone() -> tzinfo:
    """The machine's own time zone, as ``tzlocal`` finds it; UTC, with a ``RuntimeWarning``, where it finds none."""
    from tzlocal import get_localzone

    try:
        return get_localzone()
    except (LookupError, ValueError, OSError) as error:
        import warnings

        warnings.warn(
            f"The machine's time zone can't be found ({error}), so UTC is used; set the variable TZ to an IANA name, "
            "such as 'Europe/Paris', or give the flow a timezone.",
            RuntimeWarning,
            stacklevel=2,
        )
        return UTC


def zone_mistake(zone: object) -> str | None:
    """What is wrong with a time zone that was given, as one sentence; None if it is the name of one."""
    if not isinstance(zone, str):
        return f"timezone is {zone!r}; give the name of a time zone as a string, such as 'Europe/Paris' or 'UTC'."
    if _zone(zone) is not None:
        return None
    from difflib import get_close_matches
    from zoneinfo import available_timezones

    known = {name.casefold(): name for name in available_timezones()}
    near = get_close_matches(zone.casefold(), sorted(known), 1)
    advice = f"did you mean {known[near[0]]!r}?" if near else "give an IANA name such as 'Europe/Paris', or 'UTC'."
    return f"timezone is {zone!r}, and there is no such time zone; {advice}"


def resolve_zone(*candidates: str | tzinfo | None) -> tzinfo:
    """The first candidate that is not None (a name or a zone), else the machine's own zone.

    Raises ``DefinitionError`` for a name that is no time zone.
    """
    for candidate in candidates:
        if isinstance(candidate, tzinfo):
            return candidate
        if candidate is not None:
            zone = _zone(candidate) if isinstance(candidate, str) else None
            if zone is None:
                raise DefinitionError(zone_mistake(candidate))
            return zone
    return machine_zone()


def _zone(name: str) -> tzinfo | None:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # Not silent: the caller says what is wrong. Which of the three it is depends on what the name is as a path.
        return None


def as_instant(moment: datetime, name: str = "moment") -> datetime:
    """An aware ``datetime`` in UTC.

    Raises ``ValueError`` for a naive one, which would silently mean the machine's zone.
    """
    if moment.utcoffset() is None:
        raise ValueError(f"{name} is {moment.isoformat()}, which has no time zone; give an aware datetime.")
    return moment.astimezone(UTC)


def offset_at(zone: tzinfo, instant: datetime) -> timedelta:
    """How far the zone's clock is ahead of UTC at an instant."""
    return instant.astimezone(zone).utcoffset() or timedelta()


def change_between(zone: tzinfo, low: datetime, high: datetime) -> datetime:
    """The instant after ``low`` and up to ``high`` at which the zone's clock is changed, to the second.

    The two offsets must differ, and the clock be changed once in between.
    """
    before = offset_at(zone, low)
    while high - low > _SECOND:
        middle = low + (high - low) // 2
        if offset_at(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high if high.microsecond == 0 else high.replace(microsecond=0)


def first_instant(zone: tzinfo, wall: datetime) -> datetime:
    """The first instant at which the zone's clock shows ``wall``; where the clock jumps over it, that of the jump."""
    local = wall.replace(tzinfo=zone, fold=0)
    offset = local.utcoffset() or timedelta()
    instant = (wall - offset).replace(tzinfo=UTC)
    if offset_at(zone, instant) == offset:
        return instant
    # Jumped over. PEP 495: fold=0 counts with the offset before the jump, which leads to after it, and fold=1 the
    # other way round.
    after = local.replace(fold=1).utcoffset() or timedelta()
    return change_between(zone, (wall - after).replace(tzinfo=UTC), instant)


def day_start(zone: tzinfo, day: date) -> datetime:
    """The first instant of a day in a zone.

    It is not 00:00 where the clock jumps over midnight (in Cairo, and in São Paulo before 2019). A day that a zone left
    out (30 December 2011 in Apia) starts when the next one does.
    """
    return first_instant(zone, datetime.combine(day, time()))


def next_clock_change(zone: tzinfo, after: datetime) -> ClockChange | None:
    """The next time after a moment that the zone's clock is put forward or back; None if not within two years.

    Raises ``ValueError`` for a moment without a time zone.
    """
    low = as_instant(after, "after")
    end = low + _HORIZON
    before = offset_at(zone, low)
    while low < end:
        high = low + DAY
        if offset_at(zone, high) != before:
            at = change_between(zone, low, high)
            return ClockChange(at, before, offset_at(zone, at))
        low = high
    return None


def read_moment(text: str, zone: tzinfo) -> datetime:
    """The aware datetime that a text names, such as ``2026-11-22T06:30:00+01:00``; without an offset it is one of this zone.

    A date is its midnight. Raises ``ValueError``, in words, for any other text.
    """
    try:
        found = datetime.fromisoformat(text)
        moment = found.replace(tzinfo=zone) if found.tzinfo is None else found
        if not _EARLIEST <= moment.astimezone(UTC) <= _LATEST:
            raise ValueError
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text[:80]!r} is not a moment from 1970 to 9998; give one such as 2026-11-22T06:30:00+01:00 or 2026-11-22T06:30."
        ) from None
    return moment


_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, tzinfo=UTC)
