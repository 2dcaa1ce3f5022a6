"""Cron expressions: the dialect, and what an expression matches by the wall clock.

An expression has the five fields of a crontab (minute, hour, day of month, month, day of week; POSIX ``crontab(5)``)
with lists, ranges, steps and names, or is a nickname of Vixie cron (``@daily``). ``L``, ``LW``, ``5#2`` and ``5L``
are cronsim's additions; Debian's cron does not know them. Where both days are restricted, either may match, as in
Debian's cron, unless one of the two fields starts with ``*``: then both must match.

``cronsim`` reads the fields. It sees only what ``cron_reading.py`` accepts, because cronsim 2.8 reads a range of one
value with a step (``0-0/5``) as one that goes to the end of the field, and ignores a step after ``L``.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cronsim import CronSim

NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
YEARS_AHEAD = 50
"""An expression that no day of so many years matches is a mistake (a fifth Monday in February comes every 28 or 40
years).
"""
MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""The most days that each month has."""

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class Field(NamedTuple):
    """One of the five fields: what it is called, what it allows in words, its values, and the names of these.

    ``size`` is how many values there are until they start over; it is 7 for the days of the week, where 0 and 7 are
    the same. ``unit`` is what it counts, and ``period`` what starts when it starts over.
    """

    name: str
    allowed: str
    first: int
    last: int
    size: int
    unit: str
    period: str
    names: tuple[str, ...] = ()

    def value(self, text: str) -> int | None:
        """The value that a number or a name stands for; None for any other text."""
        name = text.upper()
        if name in self.names:
            return self.names.index(name) + self.first
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            return None
        return int(text) if self.first <= int(text) <= self.last else None


MINUTE = Field("minute", "0 to 59", 0, 59, 60, "minutes", "hour")
HOUR = Field("hour", "0 to 23", 0, 23, 24, "hours", "day")
DAY = Field("day of month", "1 to 31, or L for the last one", 1, 31, 31, "days", "month")
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
MONTH = Field("month", "1 to 12, or JAN to DEC", 1, 12, 12, "months", "year", _MONTH_NAMES)
WEEKDAY = Field(
    "day of week", "0 to 7 (0 and 7 are Sunday), or MON to SUN", 0, 7, 7, "days of the week", "week", _WEEKDAY_NAMES
)
FIELDS = (MINUTE, HOUR, DAY, MONTH, WEEKDAY)


class Term(NamedTuple):
    """One term of a field's list, as it is written: ``start``, ``start-end``, each with or without ``/step``."""

    start: str
    end: str | None
    step: str | None

    @classmethod
    def read(cls, text: str) -> Term:
        """The parts of a term; none of them is checked."""
        base, slash, step = text.partition("/")
        start, dash, end = base.partition("-")
        return cls(start, end if dash else None, step if slash else None)

    def values(self, field: Field) -> tuple[int, int] | None:
        """The first and the last value that it spans, before its step is looked at; None if it is not a span.

        ``*`` spans the field, and ``5/15`` goes to the end of it. ``SAT-SUN`` ends with 7.
        """
        if self.start == "*":
            return (field.first, field.last) if self.end is None else None
        start = field.value(self.start)
        if start is None:
            return None
        if self.end is None:
            return start, start if self.step is None else field.last
        end = field.value(self.end)
        if end == 0 < start and field is WEEKDAY and self.end.upper() == "SUN":
            end = field.last
        return None if end is None else (start, end)


class Pattern:
    """What a valid expression matches, by the wall clock.

    ``times`` are the times of day, as time since midnight, in order. ``wildcard`` says that the minute or the hour
    starts with ``*``: such a schedule follows the wall clock through its changes, any other one keeps its
    appointments (see ``ticks.py``). ``minutes``, ``hours`` and ``months`` are in order. ``days`` are days of the month,
    ``last_day`` and ``last_weekday`` stand for ``L`` and ``LW``. ``weekdays`` are 0 (Sunday) to 6; ``nth_weekdays``
    are those of ``5#2``, as (5, 2), and of ``5L``, as (5, 0). ``needs_both`` says that both days must match.
    """

    __slots__ = (
        "_parsed",
        "days",
        "hours",
        "last_day",
        "last_weekday",
        "minutes",
        "months",
        "needs_both",
        "nth_weekdays",
        "times",
        "weekdays",
        "wildcard",
    )

    def __init__(self, parsed: CronSim) -> None:
        self._parsed = parsed
        self.minutes = sorted(parsed.minutes)
        self.hours = sorted(parsed.hours)
        self.months = sorted(parsed.months)
        self.days = sorted(day for day in parsed.days if day > 0)
        self.last_day = parsed.LAST in parsed.days
        self.last_weekday = parsed.LAST_WEEKDAY in parsed.days
        weekdays = parsed.weekdays
        self.weekdays = sorted({day % 7 for day in weekdays if isinstance(day, int)})
        self.nth_weekdays = sorted(
            {(day[0] % 7, max(day[1], 0)) for day in weekdays if not isinstance(day, int)},
            key=lambda day: (day[1] or 6, day[0]),
        )
        self.needs_both = parsed.day_and
        self.times = tuple(timedelta(hours=hour, minutes=minute) for hour in self.hours for minute in self.minutes)
        self.wildcard = parsed.parts[1].startswith("*") or parsed.parts[2].startswith("*")

    def matches_month(self, month: int) -> bool:
        """Whether any day of the month (1 to 12) can match."""
        return month in self._parsed.months

    def matches_day(self, day: date) -> bool:
        """Whether the expression's times happen on this day."""
        return day.month in self._parsed.months and self._parsed.match_day(day)

    def matches_any_day(self) -> bool:
        """Whether it ever matches, as far as ``YEARS_AHEAD`` tells."""
        day, last_year = _EPOCH.date(), _EPOCH.year + YEARS_AHEAD
        while day.year <= last_year:
            if self.matches_day(day):
                return True
            day = day + timedelta(days=1) if self.matches_month(day.month) else next_month(day)
        return False


def next_month(day: date) -> date:
    """The first day of the month after a day."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def expanded(cron: str) -> str:
    """The five fields that a nickname stands for; any other text as it is."""
    return NICKNAMES.get(cron.strip().lower(), cron)


def parse(cron: str) -> Pattern:
    """What an expression of five fields matches; ``cronsim.CronSimError`` where cronsim refuses it."""
    from cronsim import CronSim

    fields = [
        ",".join(_for_cronsim(field, term) for term in word.upper().split(","))
        for field, word in zip(FIELDS, cron.split(), strict=True)
    ]
    return Pattern(CronSim(" ".join(fields), _EPOCH))


def _for_cronsim(field: Field, text: str) -> str:
    """A term in the form that cronsim reads: the last day of a week is 7 at the end of a range, ``FRIL`` is ``5L``."""
    if field is WEEKDAY:
        term = Term.read(text)
        if term.end == "SUN" and (values := term.values(field)) is not None and values[1] == field.last:
            return text.replace("-SUN", f"-{field.last}")
        if text.endswith("L") and (value := field.value(text[:-1])) is not None:
            return f"{value}L"
    return text
