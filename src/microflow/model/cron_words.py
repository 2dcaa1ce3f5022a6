"""What a cron expression means, in English.

The words are made from the values that the expression matches and not from its text, so that they show what surprises:
``*/40`` is minutes 0 and 40 of every hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ..errors import ScheduleError
from .cron import HOUR, MINUTE, MONTH_DAYS, Pattern, expanded
from .cron_reading import read_cron

_DAY_NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTH_NAMES = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_ORDINALS = ("last", "first", "second", "third", "fourth", "fifth")
_MOST_TIMES = 6
"""Of more times of day than these the minutes and the hours are named apart."""
_MOST_LISTED = 10
"""Of more values than these that are evenly spaced, the first three and the last are named."""
_MOST_DATES = 4


def describe(cron: str) -> str:
    """What an expression means; one that is not valid is given back as it is.

    ``*/10 * * * *`` is "every 10 minutes", ``0 8 * * MON-FRI`` is "Monday to Friday at 08:00".
    """
    try:
        pattern = read_cron(cron)
    except ScheduleError:
        return cron
    is_list = ["," in field for field in expanded(cron).split()[:2]]
    days = _days(pattern)
    times = _times(pattern, is_list[1])
    if times is not None:
        comma = "," if any(link in days for link in (" and also ", ", if ", " that has ")) else ""
        return f"{days or 'every day'}{comma} at {_joined(times)}"
    phrase = _minutes(pattern, *is_list)
    return f"{phrase}, {days}" if days else phrase


def named(values: Sequence[int]) -> str:
    """Numbers in words: ``0 and 40``, ``0 to 10 and 30``, ``1, 3, 5 and so on to 59``."""
    step = _even_step(values)
    if len(values) > _MOST_LISTED and step > 1:
        return f"{', '.join(map(str, values[:3]))} and so on to {values[-1]}"
    return _joined([_run(run) for run in _runs(values)])


def months_named(months: Sequence[int]) -> str:
    """Months by name: ``June to August``, ``January and July``."""
    named_runs = [[_MONTH_NAMES[month - 1] for month in run] for run in _runs(months)]
    return _joined([f"{run[0]} to {run[-1]}" if len(run) > 1 else run[0] for run in named_runs])


def weekdays_named(days: Sequence[int], link: str = "and") -> str:
    """Days of the week by name: ``Monday to Friday``, ``Saturday and Sunday``."""
    starts = [day for day in days if (day - 1) % 7 not in days]
    if len(starts) == 1 and len(days) > 2:
        return f"{_DAY_NAMES[starts[0]]} to {_DAY_NAMES[(starts[0] + len(days) - 1) % 7]}"
    monday_first = sorted(days, key=lambda day: day or 7)
    return _joined([_DAY_NAMES[day] for day in monday_first], link)


def _joined(items: Sequence[str], link: str = "and") -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {link} {items[-1]}"


def _plural(noun: str, values: Sequence[int]) -> str:
    return noun if len(values) == 1 else f"{noun}s"


def _run(run: Sequence[int]) -> str:
    return f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0])


def _runs(values: Sequence[int]) -> list[list[int]]:
    """Values in order, three or more that follow on each other together, any other one alone."""
    runs: list[list[int]] = []
    for value in values:
        if runs and runs[-1][-1] + 1 == value:
            runs[-1].append(value)
        else:
            runs.append([value])
    return [part for run in runs for part in ([run] if len(run) > 2 else [[value] for value in run])]


def _even_step(values: Sequence[int]) -> int:
    """The distance of values that are evenly spaced; 0 for any others."""
    steps = {after - before for before, after in pairwise(values)}
    return steps.pop() if len(steps) == 1 else 0


def _period(values: Sequence[int], size: int, *, is_list: bool) -> int:
    """The n of every n minutes or hours, where the values go on evenly from each hour or day to the next; else 0.

    A list is left as one: ``0,30`` is "at minutes 0 and 30".
    """
    if is_list or values[0] != 0:
        return 0
    step = _even_step(values) or size
    return step if len(values) * step == size else 0


def _times(pattern: Pattern, hours_are_list: bool) -> list[str] | None:
    """The times of day, where they are few and do not go on evenly round the clock."""
    is_round = 0 < _period(pattern.hours, HOUR.size, is_list=hours_are_list) < HOUR.size
    if is_round or len(pattern.times) > _MOST_TIMES:
        return None
    return [f"{hour:02}:{minute:02}" for hour in pattern.hours for minute in pattern.minutes]


def _minutes(pattern: Pattern, minutes_are_list: bool, hours_are_list: bool) -> str:
    minutes, hours = pattern.minutes, pattern.hours
    every = _period(minutes, MINUTE.size, is_list=minutes_are_list)
    hour_step = _period(hours, HOUR.size, is_list=hours_are_list) or int(len(hours) == HOUR.size)
    spans = _spans(hours)
    if every == 1 or len(minutes) == MINUTE.size:
        phrase = "every minute"
    elif 1 < every < MINUTE.size:
        phrase = f"every {every} minutes"
    elif hour_step and minutes == [0]:
        return "every hour" if hour_step == 1 else f"every {hour_step} hours"
    elif len(minutes) == 1 and len(spans) == 1 and not hour_step:
        return f"every hour from {hours[0]:02}:{minutes[0]:02} to {hours[-1]:02}:{minutes[0]:02}"
    else:
        phrase = f"at {_plural('minute', minutes)} {named(minutes)}"
        if hour_step:
            return f"{phrase} of {'every hour' if hour_step == 1 else f'every {_ordinal(hour_step)} hour'}"
        phrase += " of every hour" if len(hours) > 1 and len(spans) <= 2 else ""
    if hour_step == 1:
        return phrase
    if len(spans) > 2:
        return f"{phrase} of the hours {named(hours)}"
    return f"{phrase} {_joined([f'from {first:02}:00 to {last:02}:59' for first, last in spans])}"


def _spans(values: Sequence[int]) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for value in values:
        if spans and spans[-1][1] + 1 == value:
            spans[-1] = (spans[-1][0], value)
        else:
            spans.append((value, value))
    return spans


def _ordinal(number: int) -> str:
    return {2: "2nd", 3: "3rd"}.get(number, f"{number}th")


def _days(pattern: Pattern) -> str:
    """The days that match; "" for every day."""
    is_any_date, is_any_weekday = len(pattern.days) == 31, len(pattern.weekdays) == 7
    months = "" if len(pattern.months) == 12 else months_named(pattern.months)
    if (is_any_date and is_any_weekday) or (not pattern.needs_both and (is_any_date or is_any_weekday)):
        return f"every day {_in(months)}" if months else ""
    if is_any_date:
        return _weekdays(pattern, months)
    dates = _dates(pattern, months)
    if is_any_weekday:
        return dates
    return (
        f"{dates}, if it is {_condition(pattern)}"
        if pattern.needs_both
        else f"{dates} and also {_weekdays(pattern, months)}"
    )


def _is_run(months: str) -> bool:
    return " to " in months and " and " not in months


def _in(months: str) -> str:
    return f"from {months}" if _is_run(months) else f"in {months}"


def _of(months: str) -> str:
    if not months:
        return "of every month"
    return f"of every month from {months}" if _is_run(months) else f"of {months}"


def _weekdays(pattern: Pattern, months: str) -> str:
    parts = []
    if pattern.weekdays:
        words = weekdays_named(pattern.weekdays)
        every = words if " to " in words else f"every {words}"
        parts.append(f"{every} {_in(months)}" if months else every)
    if pattern.nth_weekdays:
        parts.append(f"on the {_joined(_nth(pattern))} {_of(months)}")
    return " and ".join(parts)


def _nth(pattern: Pattern) -> list[str]:
    return [
        f"{_ORDINALS[place]} {_DAY_NAMES[day]}{' (if there is one)' if place == 5 else ''}"
        for day, place in pattern.nth_weekdays
    ]


def _condition(pattern: Pattern) -> str:
    plain = weekdays_named(pattern.weekdays, "or") if pattern.weekdays else ""
    parts = [f"a day from {plain}" if " to " in plain else f"a {plain}"] if plain else []
    parts += [f"the {words} of the month" for words in _nth(pattern)]
    return _joined(parts, "or")


def _dates(pattern: Pattern, months: str) -> str:
    days = pattern.days
    ends = ["the last day"] * pattern.last_day + ["the last weekday (Monday to Friday)"] * pattern.last_weekday
    if len(days) == 1 and not ends and len(pattern.months) <= _MOST_DATES:
        existing = [month for month in pattern.months if days[0] <= MONTH_DAYS[month - 1]]
        dates = [f"{days[0]} {_MONTH_NAMES[month - 1]}{_leap(days[0], month)}" for month in existing]
        if dates:
            return f"{'' if existing == [2] and days == [29] else 'every year '}on {_joined(dates)}"
    parts = ([f"{_plural('day', days)} {named(days)}"] if days else []) + ends
    shortest = min(MONTH_DAYS[month - 1] - (month == 2) for month in pattern.months)
    is_rare = bool(days) and not ends and days[0] > shortest
    if is_rare and months:
        parts[-1] += f" (where {'it exists' if len(days) == 1 else 'they exist'})"
    rare = f" that has {'it' if len(days) == 1 else 'them'}" if is_rare and not months else ""
    return f"on {_joined(parts)} {_of(months)}{rare}"


def _leap(day: int, month: int) -> str:
    return " (in leap years)" if (day, month) == (29, 2) else ""
