"""Cron expressions: read by ``cronsim``, with what is wrong in one and where, and what one means in English.

The five fields of a crontab (minute, hour, day of month, month, day of week; POSIX ``crontab(5)``) with lists,
ranges, steps and names, what Debian's cron and cronsim add to them (``L``, ``LW``, ``5#2``, ``5L``), and the
nicknames of Vixie cron (``@daily``). Where both days are restricted either may match, unless one of them begins with
``*``: then both must.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ScheduleError

if TYPE_CHECKING:
    from collections.abc import Iterator

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

_LONGEST = 1_000
_MOST_TOLD = 10
"""Of more mistakes than these in one expression the first are told."""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class _Field(NamedTuple):
    name: str
    allowed: str
    names: str = ""
    first: int = 0
    last: int = 0


_FIELDS = (
    _Field("minute", "0 to 59", last=59),
    _Field("hour", "0 to 23", last=23),
    _Field("day of month", "1 to 31, or L for the last one", first=1, last=31),
    _Field("month", "1 to 12, or JAN to DEC", "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC", first=1, last=12),
    _Field("day of week", "0 to 7 (0 and 7 are Sunday), or MON to SUN", "SUN MON TUE WED THU FRI SAT", last=7),
)


class Pattern:
    """What a valid expression matches, by the wall clock.

    ``times`` are the times of day, as time since midnight, in order. ``wildcard`` says that the minute or the hour
    begins with ``*``: such a schedule follows the wall clock through its changes, any other one keeps its
    appointments (see ``ticks.py``).
    """

    __slots__ = ("_parsed", "times", "wildcard")

    def __init__(self, parsed: CronSim) -> None:
        self._parsed = parsed
        self.times = tuple(
            timedelta(hours=hour, minutes=minute) for hour in sorted(parsed.hours) for minute in sorted(parsed.minutes)
        )
        self.wildcard = parsed.parts[1].startswith("*") or parsed.parts[2].startswith("*")

    def matches_month(self, month: int) -> bool:
        """Whether any day of the month (1 to 12) can match."""
        return month in self._parsed.months

    def matches_day(self, day: date) -> bool:
        """Whether the expression's times happen on this day."""
        return day.month in self._parsed.months and self._parsed.match_day(day)

    def days_from(self, day: date) -> Iterator[date]:
        """The matching days from ``day`` on, in order, for ``YEARS_AHEAD`` years."""
        last_year = min(day.year + YEARS_AHEAD, 9998)
        while day.year <= last_year:
            if not self.matches_month(day.month):
                day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
                continue
            if self._parsed.match_day(day):
                yield day
            day += timedelta(days=1)


# A memo of a pure function: a thousand schedules are read once, not at each look.
@lru_cache(maxsize=4096)
def read_cron(cron: str) -> Pattern:
    """What an expression matches. Raises ``ScheduleError`` with what ``cron_mistake`` says of one that is not valid."""
    mistake = cron_mistake(cron)
    if mistake is not None:
        raise ScheduleError(mistake)
    return Pattern(_parse(_expanded(cron)))


def cron_mistake(cron: object) -> str | None:
    """What is wrong with a cron expression, each mistake with its field and column; None if it is valid."""
    if not isinstance(cron, str):
        return f"the cron expression is {cron!r}; give a string of five fields, such as '*/10 * * * *', or '@daily'."
    shown = f"cron expression {cron if len(cron) <= 60 else cron[:57] + '...'!r}"
    if len(cron) > _LONGEST:
        return f"{shown} has {len(cron):,} characters; the most is {_LONGEST:,}. Use ranges and steps, such as '*/10'."
    words = [(match.group(), match.start() + 1) for match in re.finditer(r"\S+", _expanded(cron))]
    if len(words) != len(_FIELDS):
        return f"{shown} {_count_mistake(cron, len(words))}"
    if _matches_any_day(" ".join(word for word, _ in words)):
        return None
    found = [
        f"field {number + 1} ({_FIELDS[number].name}), column {place}: {text!r} {problem}"
        for number, (word, column) in enumerate(words)
        for place, text, problem in _field_mistakes(number, word, column)
    ]
    if found:
        return f"{shown}: {' Also, '.join(found[:_MOST_TOLD])}"
    (day, column), (month, _), (weekday, _) = words[2:]
    return (
        f"{shown}: field 3 (day of month), column {column}: no day ever matches day {day!r}, month {month!r} and day "
        f"of week {weekday!r} together."
    )


def _expanded(cron: str) -> str:
    return NICKNAMES.get(cron.strip().lower(), cron)


def _parse(cron: str) -> CronSim:
    from cronsim import CronSim

    return CronSim(cron, _EPOCH)


def _is_valid(number: int, text: str) -> bool:
    from cronsim import CronSimError

    words = ["*"] * len(_FIELDS)
    words[number] = text
    try:
        _parse(" ".join(words))
    except CronSimError:
        return False
    return True


def _count_mistake(cron: str, count: int) -> str:
    order = "minute, hour, day of month, month, day of week"
    name = cron.strip().lower()
    if name == "@reboot":
        return "is no time: a server's start is not a tick. Run the job from the script that starts the server."
    if name.startswith("@") and count == 1:
        return f"is no known nickname; known are {', '.join(NICKNAMES)}."
    if count == 6:
        return f"has six fields; seconds (and years) are not supported. Give five: {order}."
    if count == 0:
        return f"is empty; give five fields: {order}."
    return f"has {count} field{'' if count == 1 else 's'}; it must have five: {order}."


def _field_mistakes(number: int, word: str, column: int) -> Iterator[tuple[int, str, str]]:
    """Column, text and problem of the bad terms of a comma-separated list."""
    for term in word.split(","):
        if not _is_valid(number, term):
            offset, text, problem = _term_problem(number, term)
            yield column + offset, text, problem
        column += len(term) + 1


def _term_problem(number: int, term: str) -> tuple[int, str, str]:
    """The part of a bad term that is to blame: its offset, its text, and what is wrong with it."""
    field = _FIELDS[number]
    base, slash, step = term.partition("/")
    if slash and not (step.isascii() and step.isdigit() and len(step) <= 9 and int(step) > 0):
        return len(base) + 1, step, "is no step; a step is a whole number from 1 on, as in '*/10'."
    start, dash, end = base.partition("-")
    if dash and _is_valid(number, start) and _is_valid(number, end):
        return 0, base, "is a range that ends before it starts; write it as two, separated by a comma."
    offset, text = (len(start) + 1, end) if dash and _is_valid(number, start) else (0, start)
    if text == "":
        return 0, term, f"lacks a value; allowed are {field.allowed}."
    if text == "?":
        return offset, text, "is not known to crontab; write '*' for any."
    return offset, text, f"is not allowed here; allowed are {field.allowed}, or '*' for any."


def _matches_any_day(cron: str) -> bool:
    from cronsim import CronSimError

    try:
        return any(True for _ in Pattern(_parse(cron)).days_from(_EPOCH.date()))
    except CronSimError:
        return False


def describe(cron: str) -> str:
    """What an expression means in English, for its common shapes; the expression itself for the others, and for
    invalid ones.

    ``*/10 * * * *`` is "every 10 minutes", ``0 8 * * MON-FRI`` is "Monday to Friday at 08:00".
    """
    if cron_mistake(cron) is not None:
        return cron
    minute, hour, day, month, weekday = _expanded(cron).upper().split()
    days = _days_phrase(day, month, weekday)
    if days is None:
        return cron
    times = _times(minute, hour)
    if times is not None:
        return f"{days or 'every day'} at {_joined(times)}"
    phrase = _minutes_phrase(minute, hour)
    if phrase is None:
        return cron
    return f"{phrase}, {days}" if days else phrase


_DAY_NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTH_NAMES = tuple(
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
_MOST_TIMES = 4


def _joined(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _values(number: int, text: str) -> list[int] | None:
    """The values of a plain list such as ``1,15`` or ``MON,FRI``; None for anything with ranges, steps or stars."""
    field = _FIELDS[number]
    values = []
    for term in text.split(","):
        if term in field.names.split():
            values.append(field.names.split().index(term) + field.first)
        elif term.isascii() and term.isdigit():
            values.append(int(term))
        else:
            return None
    return sorted(set(values))


def _span(number: int, text: str) -> tuple[int, int] | None:
    """The two ends of a plain range such as ``1-5`` or ``MON-FRI``."""
    ends = [_values(number, end) for end in text.split("-")]
    if len(ends) != 2 or ends[0] is None or ends[1] is None or len(ends[0]) != 1 or len(ends[1]) != 1:
        return None
    return ends[0][0], ends[1][0]


def _step(number: int, text: str) -> int | None:
    """The n of ``*/n`` (1 for ``*``) if the steps are even, that is, n divides the field's whole range."""
    if text == "*":
        return 1
    if not text.startswith("*/"):
        return None
    step = int(text[2:])
    return step if (_FIELDS[number].last + 1) % step == 0 else None


def _times(minute: str, hour: str) -> list[str] | None:
    minutes, hours = _values(0, minute), _values(1, hour)
    if minutes is None or hours is None or len(minutes) * len(hours) > _MOST_TIMES:
        return None
    return [f"{h:02}:{m:02}" for h in hours for m in minutes]


def _minutes_phrase(minute: str, hour: str) -> str | None:
    minutes, minute_step, hour_step, span = _values(0, minute), _step(0, minute), _step(1, hour), _span(1, hour)
    if minute_step is not None:
        every = "every minute" if minute_step == 1 else f"every {minute_step} minutes"
        if hour_step == 1:
            return every
        return f"{every} from {span[0]:02}:00 to {span[1]:02}:59" if span else None
    if minutes is None or len(minutes) > _MOST_TIMES:
        return None
    at = f"at minute{'' if len(minutes) == 1 else 's'} {_joined([str(value) for value in minutes])}"
    if hour_step == 1:
        return "every hour" if minutes == [0] else f"{at} of every hour"
    if hour_step is not None:
        return f"every {hour_step} hours" if minutes == [0] else f"{at} of every {_ordinal(hour_step)} hour"
    if span and len(minutes) == 1:
        return f"every hour from {span[0]:02}:{minutes[0]:02} to {span[1]:02}:{minutes[0]:02}"
    return None


def _days_phrase(day: str, month: str, weekday: str) -> str | None:
    """ "" for every day, None for what has no common shape."""
    if day != "*":
        return _dates_phrase(day, month) if weekday == "*" else None
    months = _months_phrase(month)
    if months is None:
        return None
    if weekday == "*":
        return f"every day{months}" if months else ""
    span, values = _span(4, weekday), _values(4, weekday)
    if span and span[1] - span[0] >= 6:
        return f"every day{months}" if months else ""
    if span:
        return f"{_DAY_NAMES[span[0]]} to {_DAY_NAMES[span[1]]}{months}"
    if values is None:
        return None
    # Monday first, and Sunday once, whether it was written 0 or 7
    return f"every {_joined([_DAY_NAMES[value] for value in sorted({value or 7 for value in values})])}{months}"


def _months_phrase(month: str) -> str | None:
    if month == "*":
        return ""
    span, values = _span(3, month), _values(3, month)
    if span:
        return f" from {_MONTH_NAMES[span[0] - 1]} to {_MONTH_NAMES[span[1] - 1]}"
    return None if values is None else f" in {_joined([_MONTH_NAMES[value - 1] for value in values])}"


def _dates_phrase(day: str, month: str) -> str | None:
    values, months = _values(2, day), _values(3, month)
    if values is None:
        last = {"L": "the last day", "LW": "the last weekday (Monday to Friday)"}.get(day)
        return f"on {last} of every month" if last and month == "*" else None
    if month == "*":
        return f"on day{'' if len(values) == 1 else 's'} {_joined([str(value) for value in values])} of every month"
    if months is None or len(values) > 1:
        return None
    return f"every year on {_joined([f'{values[0]} {_MONTH_NAMES[value - 1]}' for value in months])}"


def _ordinal(number: int) -> str:
    return {2: "2nd", 3: "3rd"}.get(number, f"{number}th")
