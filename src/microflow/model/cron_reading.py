"""Cron expressions are read here, and what is wrong with one is named with its place.

Refused are also expressions that cronsim reads and that do not mean what they say: a step that its field or its range
has no room for (``*/90``, ``0-0/5``), a step after ``L``. Each message names what was given, what is allowed and what
to write.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from ..errors import ScheduleError
from .cron import DAY, FIELDS, MINUTE, NICKNAMES, WEEKDAY, Field, Pattern, Term, expanded, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 1_000
_MOST_REPORTED = 10
"""Of more mistakes than these in one expression the first are reported."""
_ORDER = "minute, hour, day of month, month, day of week"
_NICKNAMES_ELSEWHERE = {
    "@minutely": "* * * * *",
    "@every_minute": "* * * * *",
    "@quarterly": "0 0 1 */3 *",
    "@semiannually": "0 0 1 */6 *",
}
"""Nicknames of systemd and FreeBSD's cron, and what to write for them."""
_FIELD_LIKE = re.compile(
    f"(?:[0-9*/,?#~LWH-]|{'|'.join(name for field in FIELDS for name in field.names)})+", re.IGNORECASE
)


# A memo of a pure function: a thousand schedules are read once, not at each look.
@lru_cache(maxsize=4096)
def read_cron(cron: str) -> Pattern:
    """What an expression matches. Raises ``ScheduleError`` with what ``cron_mistake`` says of one that is not valid."""
    mistake = cron_mistake(cron)
    if mistake is not None:
        raise ScheduleError(mistake)
    return parse(expanded(cron))


def cron_mistake(cron: object) -> str | None:
    """What is wrong with a cron expression, each mistake with its field and column; None if it is valid."""
    if not isinstance(cron, str):
        return f"the cron expression is {cron!r}; give a string of five fields, such as '*/10 * * * *', or '@daily'."
    shown = f"cron expression {cron if len(cron) <= 60 else cron[:57] + '...'!r}"
    if len(cron) > _LONGEST:
        return f"{shown} has {len(cron):,} characters; the most is {_LONGEST:,}. Use ranges and steps, such as '*/10'."
    words = [(match.group(), match.start() + 1) for match in re.finditer(r"\S+", expanded(cron))]
    if len(words) != len(FIELDS):
        return f"{shown} {_shape_mistake([word for word, _ in words])}"
    pattern = _parsed(" ".join(word for word, _ in words))
    found = [
        f"field {number} ({field.name}), column {place}: {text!r} {problem}"
        for number, field, (word, column) in zip(range(1, 6), FIELDS, words, strict=True)
        for place, text, problem in _field_mistakes(field, word, column, is_readable=pattern is not None)
    ]
    if found:
        return f"{shown}: {' Also, '.join(found[:_MOST_REPORTED])}"
    if pattern is not None and pattern.matches_any_day():
        return None
    (day, column), (month, _), (weekday, _) = words[2:]
    return (
        f"{shown}: field 3 (day of month), column {column}: no day ever matches day {day!r}, month {month!r} and day "
        f"of week {weekday!r} together."
    )


def _shape_mistake(words: list[str]) -> str:
    """What is wrong with an expression that does not have five fields."""
    if not words:
        return f"is empty; give five fields: {_ORDER}."
    first, count = words[0], len(words)
    if variable := re.fullmatch(r"([A-Za-z_]\w*)=(.*)", first):
        if variable[1].upper() not in ("CRON_TZ", "TZ"):
            return f"starts with {first!r}, a line of a crontab that is not an expression; leave it out."
        rest, zone = " ".join(words[1:]) or "0 8 * * *", variable[2].strip("\"'") or "Europe/Paris"
        return f"starts with {first!r}; a zone is not part of it: use timezone=, as in Schedule({rest!r}, timezone={zone!r})."
    if first.startswith("@"):
        return _nickname_mistake(first.lower(), count)
    if count > len(FIELDS) and all(map(_FIELD_LIKE.fullmatch, words[:5])):
        command = [word for word in words[5:] if not _FIELD_LIKE.fullmatch(word)]
        if command:
            rest = " ".join(words[5:])
            return (
                f"has {rest if len(rest) <= 60 else rest[:57] + '...'!r} after its five fields; leave the command out: what "
                "runs is the job's function."
            )
        if count == 6:
            is_year = re.fullmatch(r"[0-9]{4}([-,/][0-9]+)*", words[5])
            surplus = (
                f"the year {words[5]!r}" if is_year else "the seconds (the first field in Quartz, the last in croniter)"
            )
            return (
                f"has six fields; seconds (and years) are not supported. Leave out {surplus} and give five: {_ORDER}."
            )
        return f"has {count} fields; seconds and years are not supported. Give five: {_ORDER}."
    if count == 1 and f"@{first.lower()}" in NICKNAMES:
        return f"has 1 field; did you mean '@{first.lower()}'?"
    return f"has {count} field{'' if count == 1 else 's'}; it must have five: {_ORDER}."


def _nickname_mistake(name: str, count: int) -> str:
    if name == "@reboot":
        return "is no time: a server's start is not a tick. Run the job from the script that starts the server."
    if name in NICKNAMES:
        return f"has more than the nickname {name!r}; leave the command out: what runs is the job's function."
    if name in _NICKNAMES_ELSEWHERE:
        return f"has a nickname that is not supported; write {_NICKNAMES_ELSEWHERE[name]!r}."
    if name == "@every":
        return "has a period that is not supported; write it as a step, such as '*/5 * * * *' for every 5 minutes."
    known = f"is no known nickname; known are {', '.join(NICKNAMES)}."
    return known if count == 1 else f"starts with {name!r}, which {known}"


def _field_mistakes(field: Field, word: str, column: int, *, is_readable: bool) -> Iterator[tuple[int, str, str]]:
    """Column, text and problem of the bad terms of a comma-separated list; ``is_readable``: cronsim accepts them all."""
    for text in word.split(","):
        term = Term.read(text)
        problem = _extension_problem(field, term) or _step_problem(field, text, term)
        if problem:
            yield column, text, problem
        elif not is_readable and not _is_valid(field, text):
            offset, part, problem = _term_problem(field, text, term)
            yield column + offset, part, problem
        column += len(text) + 1


def _extension_problem(field: Field, term: Term) -> str | None:
    """What is wrong with a term that has the form of an addition to crontab: ``L``, ``W``, ``#``, ``~``, ``H``."""
    start = term.start.upper()
    if field is DAY and start.startswith("L") and term.end is not None:
        return "is not supported: days can't be counted from the end of a month. Write 'L' for its last day, or days from 1 to 31."
    if field is DAY and re.fullmatch(r"[0-9]+W", start):
        return "is not supported: only LW is, the last weekday (Monday to Friday) of a month. Write it, or a day from 1 to 31."
    if field is WEEKDAY and re.fullmatch(r"\w+#L", start):
        return f"is not supported; write {_last_weekday(field, start[:-2])!r} for the last one of a month."
    if field is WEEKDAY and start == "L":
        return "lacks a day; write '5L' for the last Friday of a month, or '6' for Saturday."
    if field is WEEKDAY and (("#" in start and not re.fullmatch(r"\w+#[1-5]", start)) or "#" in (term.end or "")):
        return "is not allowed here; allowed before # is one day of the week, and after it 1 to 5, as in '5#2'."
    has_no_steps = start in ("L", "LW") if field is DAY else field is WEEKDAY and bool(re.search(r"#|.L$", start))
    if term.step is not None and has_no_steps:
        return f"has a step, which means nothing after {term.start!r}; write {term.start!r}."
    if "~" in start or start == "H":
        return "is not supported: a tick is never at a random time. Write a value."
    return None


def _last_weekday(field: Field, day: str) -> str:
    value = field.value(day)
    return f"{5 if value is None else value}L"


def _step_problem(field: Field, text: str, term: Term) -> str | None:
    """What is wrong with a valid step that there is no room for: its field or its range is too short."""
    span = term.values(field)
    if span is None or term.step is None or not _is_step(term.step):
        return None
    (first, last), step = span, int(term.step)
    if last < first:
        return None
    if step > field.size:
        advice = f"Write {str(first)!r} for every {field.period}, or a step up to {field.size}"
        if field is MINUTE and step % 60 == 0 and 24 % (step // 60) == 0:
            advice = f"Write '{first} {'0' if step == 1440 else f'*/{step // 60}'}' as minute and hour"
        return f"{field.unit} is every {field.period}; a cron expression can't say every {step} {field.unit}. {advice}."
    starts_over = term.end is None and step == field.size  # every 60 minutes, from minute 5 on
    if step <= last - first or starts_over:
        return None
    if first == last and term.end is not None:
        return f"is a range of one value, so its step adds nothing; write {term.start!r}."
    return f"has a step that leads beyond {last}, so that only {term.start} is left; write {term.start!r}."


def _is_step(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0


def _term_problem(field: Field, text: str, term: Term) -> tuple[int, str, str]:
    """The part of a bad term that is to blame: its offset, its text, and what is wrong with it."""
    start, end, step = term
    if step is not None and not _is_step(step):
        return text.index("/") + 1, step, "is no step; a step is a whole number from 1 on, as in '*/10'."
    span = term.values(field)
    if end is not None and span is not None:
        base = f"{start}-{end}"
        advice = (
            "write it as two, separated by a comma" if step is not None else f"write {_wrapped(field, start, end)!r}"
        )
        return 0, base, f"is a range that ends before it starts; {advice}."
    offset, part = (len(start) + 1, end) if end is not None and _is_valid(field, start) else (0, start)
    if part == "":
        return 0, text, f"lacks a value; allowed are {field.allowed}."
    if part == "?":
        return offset, part, "is not known to crontab; write '*' for any."
    return offset, part, f"is not allowed here; allowed are {field.allowed}, or '*' for any."


def _wrapped(field: Field, start: str, end: str) -> str:
    """The two ranges of one that goes over the end of its field: ``FRI-SUN,MON`` for ``FRI-MON``."""
    first, last = 1 if field is WEEKDAY else field.first, field.last
    low, high = str(first), str(last)
    if start.upper() in field.names:
        low, high = field.names[first - field.first], field.names[(last - field.first) % field.size]
    until = start if field.value(start) == last else f"{start}-{high}"
    if field is WEEKDAY and field.value(end) == 0:
        return until
    return f"{until},{end if field.value(end) == first else f'{low}-{end}'}"


def _is_valid(field: Field, text: str) -> bool:
    return text != "" and _parsed(" ".join(text if field is other else "*" for other in FIELDS)) is not None


def _parsed(cron: str) -> Pattern | None:
    from cronsim import CronSimError

    try:
        return parse(cron)
    except CronSimError:  # not silent: the caller looks for the term that is to blame
        return None
