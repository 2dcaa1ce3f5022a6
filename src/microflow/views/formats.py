"""How values are written on a page: durations, sizes, numbers, times, errors in one line."""

from __future__ import annotations

from datetime import UTC, datetime

from ..model.results import ExecutionError

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def duration(seconds: float | None) -> str:
    """Seconds in two units at most: "240 ms", "12.3 s", "4 min 05 s", "2 h 05 min", "3 d 4 h". static/js/times.js does the same."""
    if seconds is None:
        return "–"
    seconds = max(seconds, 0.0)
    if seconds < 0.0005:
        return "0 ms" if seconds == 0 else "< 1 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def round_duration(seconds: float) -> str:
    """A round number of seconds, as on an axis: "2.5 s", "10 s", "5 min", "1 h 30 min"; what is no more says nothing."""
    if seconds < 1:
        return f"{seconds * 1000:g} ms"
    if seconds < _MINUTE:
        return f"{seconds:g} s"
    days, rest = divmod(round(seconds), _DAY)
    hours, rest = divmod(rest, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def size(count: int | None) -> str:
    """Bytes in the unit that fits: "812 B", "32.0 KiB", "1.4 GiB"."""
    if count is None:
        return "–"
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1024:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"


def number(value: float) -> str:
    """A number with separated thousands, without a fraction where there is none."""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    return f"{int(value):,}"


def iso(when: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def timestamp(when: datetime) -> str:
    """A date and a time to the second, in UTC, saying so."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def clock(when: datetime) -> str:
    """Hours and minutes, in UTC."""
    return f"{when.astimezone(UTC):%H:%M}"


def short_error(error: ExecutionError) -> str:
    """An error's type and the first line of its message."""
    lines = error.message.strip().splitlines()
    return f"{error.type}: {lines[0][:200]}" if lines else error.type
