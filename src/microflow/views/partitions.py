"""Partitions of a job as they are shown: a grid of words or of letters, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ..engine.partitions.grids import Grid, partitions_of
from ..model.frequencies import Frequency
from ..model.partitions import ABSENT_LETTER, LEVELS, MISSING_LETTER, STATUS_LETTERS, Measure
from ..model.segments import expand, segments

if TYPE_CHECKING:
    from ..jobs import Job

MOST_PLAIN = 2_000
"""Cells up to which each has a word of its own, unless the request says otherwise."""

LEGEND: dict[str, str | None] = {
    **{letter: status for status, letter in STATUS_LETTERS.items()},
    MISSING_LETTER: "missing",
    ABSENT_LETTER: None,
}
"""What the letters of the compact form mean."""


class PartitionMatrix(msgspec.Struct, frozen=True, kw_only=True):
    """Partitions of a job with their statuses: ``cells`` has a row for each category, with a cell for each time partition.

    In the plain form ``time`` and ``cat`` are the names along the two axes (one that is null where the job has no such
    dimension), and a cell is a word: a status, ``missing``, or null where a filter leaves out the partition. In the compact
    form a row is a string with a letter for each cell, which ``legend`` explains, and ``time`` has stretches of partitions
    that follow one another evenly: the first one, and how many; an axis that the job does not have is null. ``counts``: how
    many cells have each status. ``measured``: rows of letters, where "a" is below the first of ``levels`` (seconds), "b"
    below the second, and a space was never measured.
    """

    form: Literal["plain", "compact"]
    frequency: str | None
    timezone: str | None
    time: list[str | tuple[str, int] | None] | None
    cat: list[str | None] | None
    cells: list[str | list[str | None]]
    legend: dict[str, str | None]
    counts: dict[str, int]
    measured: list[str] | None = None
    levels: list[float] | None = None


def texts_of(shown: PartitionMatrix) -> list[str | None]:
    """The time partitions of a matrix, in whichever form it is; None where the job has none."""
    texts: list[str | None] = []
    for entry in [None] if shown.time is None else shown.time:
        if isinstance(entry, (tuple, list)):
            texts += expand([(entry[0], entry[1])], Frequency(shown.frequency or ""))
        else:
            texts.append(entry)
    return texts


def is_small(grid: Grid) -> bool:
    """Whether the grid is given in words, unless somebody asks for another form."""
    return len(grid.times) * len(grid.cats) <= MOST_PLAIN


def matrix(
    job: Job[Any], grid: Grid, is_plain: bool, measured: list[str] | None = None, measure: Measure | None = None
) -> PartitionMatrix:
    """A grid as the API gives it."""
    time = partitions_of(job).time
    times: Any = list(grid.times)
    cats: Any = list(grid.cats)
    cells: Any = [[LEGEND[letter] for letter in line] for line in grid.lines] if is_plain else grid.lines
    if not is_plain:
        times = None if time is None or grid.axis is None else segments(grid.axis.texts, time.kind)
        cats = None if cats == [None] else cats
    counted = {word: sum(line.count(letter) for line in grid.lines) for letter, word in LEGEND.items()}
    return PartitionMatrix(
        form="plain" if is_plain else "compact",
        frequency=None if time is None else str(time.kind),
        timezone=None if time is None else str(time.zone),
        time=times,
        cat=cats,
        cells=cells,
        legend=LEGEND,
        counts={word: count for word, count in counted.items() if word is not None and count},
        measured=measured,
        levels=None if measure is None else list(LEVELS[measure]),
    )
