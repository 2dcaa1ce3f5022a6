"""Datetimes and dates as the text that a payload holds, and back.

A datetime is an RFC 3339 instant, followed by the name of its zone in brackets where it has one (RFC 9557). ``[_fold=1]`` follows
where neither says that it is the second of two equal times, when the clocks are put back.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import Any

from ..errors import PayloadError

_FOLD = "[_fold=1]"


def datetime_text(value: datetime) -> str:
    """The text of a datetime."""
    zone = getattr(value.tzinfo, "key", None)  # a ZoneInfo has one
    return f"{value.isoformat()}[{zone}]" if zone else value.isoformat()


def checked_datetime(value: datetime) -> str | None:
    """The text of a datetime if it comes back equal. One that is missing, such as pandas' NaT, or in an unknown zone does not."""
    try:
        text = datetime_text(value)
        back = datetime_from(text)
        if back.fold != value.fold:
            text += _FOLD
            back = datetime_from(text)
        # a time that a zone has twice equals none of another zone, so there the clocks are compared
        is_same = back.utcoffset() == value.utcoffset() and (
            back == value or back.replace(tzinfo=None) == value.replace(tzinfo=None)
        )
    except Exception:  # noqa: BLE001 - a class or a zone of a user's own may do anything, and then it does not come back
        return None
    return text if is_same else None


def checked_date(value: date) -> str | None:
    """The text of a date if it comes back equal."""
    try:
        text = value.isoformat()
        return text if date_from(text) == value else None
    except Exception:  # noqa: BLE001 - as above
        return None


def datetime_from(text: str) -> datetime:
    """The datetime of this text. Raises ``PayloadError`` if it is none."""
    from zoneinfo import ZoneInfo

    is_second = text.endswith(_FOLD)
    instant, _, zone = text.removesuffix(_FOLD).partition("[")
    try:
        value = datetime.fromisoformat(instant)
        if instant[-16:-6] in (
            "+00:00:00.",
            "-00:00:00.",
        ):  # an offset of less than a second, which fromisoformat takes for none
            offset = timedelta(microseconds=int(f"{instant[-16]}{instant[-6:]}"))
            value = value.replace(tzinfo=timezone(offset))
        if zone:
            value = _in_zone(value, ZoneInfo(zone.rstrip("]")))
        return value.replace(fold=1) if is_second else value
    except (ValueError, LookupError, OSError, OverflowError) as error:
        raise PayloadError(f'{{"$datetime": {text!r}}} is not a date and time in ISO 8601: {error}') from None


def _in_zone(value: datetime, zone: tzinfo) -> datetime:
    # the wall clock is kept where the zone has such an offset then, so that a time that a change of the clocks leaves out, or one
    # at the edge of the calendar, comes back as it was
    for fold in (0, 1):
        local = value.replace(tzinfo=zone, fold=fold)
        if value.tzinfo is None or local.utcoffset() == value.utcoffset():
            return local
    return value.astimezone(zone)


def date_from(text: str) -> date:
    """The date of this text. Raises ``PayloadError`` if it is none."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise PayloadError(f'{{"$date": {text!r}}} is not a date in ISO 8601: {error}') from None


def shown(value: Any) -> str:
    """The beginning of a value's own text, whatever its class makes of it."""
    try:
        return str(value).encode("utf-8", "backslashreplace").decode()[:80]
    except Exception as error:  # noqa: BLE001 - a class of a user's own may do anything
        return f"its text can't be read: {type(error).__name__}"
