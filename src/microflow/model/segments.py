"""A time axis in few words: the stretches in which one partition follows the other evenly.

100,000 hourly partitions are 2.2 MB as texts and two segments for each year as stretches, since the offset of the clock changes
twice. Within a segment the texts follow from its first one and a count, without a calendar of time zones: an hour is 3,600 seconds
later with the same offset, a day is the next date, a week the next ISO 8601 week, and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta

from .frequencies import HOUR, Frequency, hour_text

Segment = tuple[str, int]
"""The first partition of a stretch, as text, and how many there are in it."""

_DAY = timedelta(days=1)


def segments(texts: Sequence[str], frequency: Frequency) -> list[Segment]:
    """The stretches of an axis: of partitions in order, as ``TimeAxis.texts`` has them."""
    if not texts:
        return []
    if frequency is Frequency.DAILY:
        return list(_even(texts))
    if frequency is not Frequency.HOURLY:
        return [(texts[0], len(texts))]
    found: list[Segment] = []
    first = 0
    while first < len(texts):
        behind = _end_of_offset(texts, first)
        found += _even(texts[first:behind])
        first = behind
    return found


def _end_of_offset(texts: Sequence[str], first: int) -> int:
    """The index behind the hours from ``first`` on that have the same offset; a day at a time, since there are many."""
    offset, behind = texts[first][16:], first
    while behind + 24 < len(texts) and texts[behind + 24][16:] == offset:
        behind += 24
    while behind < len(texts) and texts[behind][16:] == offset:
        behind += 1
    return behind


def _even(texts: Sequence[str]) -> Iterator[Segment]:
    """Stretches of hours with one offset, or of days: mostly one. A zone may have left out a day, or have an hour of 30 minutes."""
    begin = 0
    while begin < len(texts):
        count = len(texts) - begin
        while count > 1 and not _is_even(texts[begin], texts[begin + count - 1], count):
            # what is uneven stands at the ends of a stretch between two changes of the clock, or is a single day
            count = 1 if _is_even(texts[begin + 1], texts[-1], len(texts) - begin - 1) else count - 1
        yield texts[begin], count
        begin += count


def _is_even(first: str, last: str, count: int) -> bool:
    step = _DAY if len(first) == len("2026-11-22") else HOUR
    return datetime.fromisoformat(last) - datetime.fromisoformat(first) == step * (count - 1)


def expand(stretches: Iterable[Segment], frequency: Frequency) -> list[str]:
    """The texts of all partitions again."""
    return [text for first, count in stretches for text in _texts(first, count, frequency)]


def _texts(first: str, count: int, frequency: Frequency) -> Iterator[str]:
    if frequency is Frequency.HOURLY:
        start = datetime.fromisoformat(first)
        yield from (hour_text(start + HOUR * number) for number in range(count))
        return
    day: date | None = frequency.read(first)
    assert day is not None, f"{first!r} is no {frequency} partition"
    for _ in range(count):
        yield frequency.text(day)
        day = frequency.next_day(day)
