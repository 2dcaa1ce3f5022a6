"""Partitions of a job in a terminal: one sign for each, in colour, as wide as there is room.

With categories there is a row for each, and time goes to the right; of time alone a row is a day of hours, a month of days, a year
of weeks or months, a decade. What does not fit is left out at the old end, and said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from ..model.frequencies import Frequency
from ..model.partitions import ABSENT_LETTER, MISSING_LETTER, STATUS_LETTERS
from .tables import cut, text_width

Part = tuple[str, str | None]
"""A text, and the letter of the status that it has the colour of; None for none."""

SIGNS = {"s": "■", "k": "–", "e": "×", "c": "/", "r": "▸", "q": "…", MISSING_LETTER: "·", ABSENT_LETTER: " "}
"""How a partition is shown; where a terminal has no such signs, it is the letter itself."""

_WORDS = {letter: status for status, letter in STATUS_LETTERS.items()} | {MISSING_LETTER: "missing"}
_NARROWEST = 10
_LONGEST_NAME = 30
_BETWEEN_LABELS = 3


class Sheet(NamedTuple):
    """What is drawn: ``lines`` has a text for each of ``cats`` with a letter for each of ``times``."""

    times: Sequence[str | None]
    cats: Sequence[str | None]
    lines: Sequence[str]
    frequency: Frequency | None


def picture(sheet: Sheet, *, width: int | None, height: int | None, plain: bool = False) -> Iterator[list[Part]]:
    """The lines of the picture. ``width`` and ``height`` None: there is room for everything. ``plain``: letters for signs."""
    if not sheet.lines or not sheet.times:
        yield [("There are no partitions in this range.", None)]
        return
    if sheet.frequency is None:
        yield from _list(sheet, plain)
    elif sheet.cats[0] is None:
        yield from _calendar(sheet, height, plain)
    else:
        yield from _matrix(sheet, width, plain)


def legend(lines: Iterable[str], plain: bool = False) -> list[Part]:
    """What the signs mean, with the number of each that there is."""
    lines = list(lines)
    parts: list[Part] = []
    for letter, word in _WORDS.items():
        if count := sum(line.count(letter) for line in lines):
            parts += [("   ", None)] * bool(parts) + [(_signs(letter, plain), letter), (f" {count:,} {word}", None)]
    return parts


def _matrix(sheet: Sheet, width: int | None, plain: bool) -> Iterator[list[Part]]:
    """A row for each category, the newest partitions on the right."""
    names = [cut(name or "", _LONGEST_NAME) for name in sheet.cats]
    indent = max(map(text_width, names)) + 1
    room = len(sheet.times) if width is None else max(width - indent - 1, _NARROWEST)
    times = [text or "" for text in sheet.times[-room:]]
    yield [(" " * indent + _labels(times), None)]
    for name, line in zip(names, sheet.lines, strict=True):
        yield [(name + " " * (indent - text_width(name)), None), *_cells(line[-room:], plain)]
    if left_out := len(sheet.times) - len(times):
        yield _left_out(left_out, sheet.times[left_out - 1])


def _calendar(sheet: Sheet, height: int | None, plain: bool) -> Iterator[list[Part]]:
    """A row for each day of hours, month of days, year or decade."""
    assert sheet.frequency is not None
    line, frequency = sheet.lines[0], sheet.frequency
    periods: list[tuple[str, int, int]] = []
    for name, group in groupby(sheet.times, key=lambda text: _period(text or "", frequency)):
        begin = periods[-1][2] if periods else 0
        periods.append((name, begin, begin + sum(1 for _ in group)))
    shown = periods if height is None else periods[-max(height, _NARROWEST) :]
    indent = max(len(name) for name, _, _ in shown) + 1
    for name, begin, end in shown:
        space = " " * _place(sheet.times[begin] or "", frequency)
        yield [(name.ljust(indent) + space, None), *_cells(line[begin:end], plain)]
    if left_out := shown[0][1]:
        yield _left_out(left_out, sheet.times[left_out - 1])


def _list(sheet: Sheet, plain: bool) -> Iterator[list[Part]]:
    """A line for each category of a job without time partitions; those that a filter leaves out are not there."""
    for name, line in zip(sheet.cats, sheet.lines, strict=True):
        if line != ABSENT_LETTER:
            yield [(_signs(line, plain), line), (f" {_WORDS[line]:<10}{name}", None)]


def _period(text: str, frequency: Frequency) -> str:
    """The row that a partition stands in."""
    if frequency is Frequency.HOURLY:
        return text[:10]
    if frequency is Frequency.DAILY:
        return text[:7]
    return f"{text[:3]}0s" if frequency in (Frequency.QUARTERLY, Frequency.YEARLY) else text[:4]


def _place(text: str, frequency: Frequency) -> int:
    """How many partitions of its row come before one, so that what is the same in two rows stands one below the other."""
    if frequency is Frequency.HOURLY:
        return int(text[11:13])
    if frequency is Frequency.DAILY:
        return int(text[8:10]) - 1
    if frequency is Frequency.WEEKLY:
        return int(text[6:]) - 1
    if frequency is Frequency.MONTHLY:
        return int(text[5:]) - 1
    year = int(text[3])
    return year * 4 + int(text[6:]) - 1 if frequency is Frequency.QUARTERLY else year


def _labels(times: Sequence[str]) -> str:
    """Times above the columns that they begin at, as many as there is room for."""
    step = len(times[0][:16]) + _BETWEEN_LABELS
    return "".join(text[:16].replace("T", " ").ljust(step) for text in times[::step] if text).rstrip()


def _cells(letters: str, plain: bool) -> list[Part]:
    return [(_signs("".join(run), plain), letter) for letter, run in groupby(letters)]


def _signs(letters: str, plain: bool) -> str:
    return letters if plain else "".join(SIGNS[letter] for letter in letters)


def _left_out(count: int, last: str | None) -> list[Part]:
    return [(f"{count:,} earlier ones are not shown; --to {last} ends with the last of them.", None)]
