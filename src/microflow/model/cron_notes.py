"""What may surprise in a valid cron expression: it means something else in other crons, or steps unevenly.

What other programs do was seen with the versions that ``docs/cron.md`` names.
"""

from __future__ import annotations

from collections.abc import Iterator

from .cron import DAY, FIELDS, MONTH, MONTH_DAYS, WEEKDAY, Field, Pattern, Term, expanded
from .cron_reading import read_cron
from .cron_words import months_named, named, weekdays_named


def cron_notes(cron: str) -> list[str]:
    """What may surprise in an expression, each as one sentence. Raises ``ScheduleError`` for one that is not valid."""
    pattern = read_cron(cron)
    words = expanded(cron).split()
    found = list(_both_days(pattern, words[2], words[4]))
    for field, word in zip(FIELDS, words, strict=True):
        for text in dict.fromkeys(word.split(",")):
            found += _uneven(field, text)
            found += _other_crons(field, text)
    return found + list(_missing_days(pattern))


def _both_days(pattern: Pattern, day: str, weekday: str) -> Iterator[str]:
    if day == "*" or weekday == "*":
        return
    given = f"the day of month ({day}) and the day of week ({weekday}) are both given"
    if pattern.needs_both:
        yield f"{given}, and both must match, since one starts with '*'; croniter (Airflow) and Kubernetes mean either."
    else:
        yield f"{given}, and either is enough; APScheduler, Celery and Huey mean both."


def _uneven(field: Field, text: str) -> Iterator[str]:
    """A step that goes to the end of its field and does not lead to where the field starts over."""
    term = Term.read(text)
    span = term.values(field)
    if span is None or term.step is None or span[1] != field.last or (term.end is not None and span[0] != field.first):
        return
    step = int(term.step)
    values = list(range(span[0], span[1] + 1, step))
    if field is WEEKDAY:
        values = sorted({value % 7 for value in values})
    if step == 1 or (field is not DAY and field.size % step == 0):
        return
    words = months_named(values) if field is MONTH else weekdays_named(values) if field is WEEKDAY else named(values)
    why = "months differ in length" if field is DAY else f"{step} does not divide {field.size}"
    yield f"{field.name} {text!r} is {words} of every {field.period}, where it starts over, since {why}."


def _other_crons(field: Field, text: str) -> Iterator[str]:
    """What Debian's cron refuses or misreads."""
    shown, upper = f"{field.name} {text!r}", text.upper()
    term = Term.read(text)
    span = term.values(field)
    if field is WEEKDAY and "#" in upper:
        day = weekdays_named([(WEEKDAY.value(upper.partition("#")[0]) or 0) % 7])
        yield f"{shown} is every {day} in Debian's cron, which ignores the rest; cronie refuses it."
    elif (field is DAY and upper in ("L", "LW")) or (field is WEEKDAY and upper.endswith("L")):
        yield f"{shown} is refused by Debian's cron."
    elif span is not None and term.step is not None and term.end is None and term.start != "*":
        same = f"{span[0]}-{span[1]}/{term.step}"
        yield f"{shown} is refused by Debian's cron and by cronie; {same!r} means the same in all."
    elif field is WEEKDAY and span is not None and span[1] == field.last and (term.end or "").upper() == "SUN":
        same = f"{span[0]}-{span[1]}{'' if term.step is None else f'/{term.step}'}"
        yield f"{shown} never matches in Debian's cron, where SUN is 0; {same!r} means the same in both."


def _missing_days(pattern: Pattern) -> Iterator[str]:
    """Months that are named and have none of the days that are."""
    if not pattern.days or pattern.last_day or pattern.last_weekday or len(pattern.months) == len(MONTH_DAYS):
        return
    missing = [month for month in pattern.months if pattern.days[0] > MONTH_DAYS[month - 1]]
    if missing:
        have = "has" if len(missing) == 1 else "have"
        days = f"day{'' if len(pattern.days) == 1 else 's'} {named(pattern.days)}"
        yield f"{months_named(missing)} never {have} the {days}, so no tick falls there."
