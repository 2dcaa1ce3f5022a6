"""What the page of a job's partitions shows besides the picture: the newest as a table, all of them as one bar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import PartitionError
from ...model.partitions import ABSENT_LETTER, MISSING_LETTER, STATUS_LETTERS, Partitions

if TYPE_CHECKING:
    from ...engine.partitions.grids import PartitionGrids
    from ...jobs import Job
    from ...model.time_partitions import TimePartitions

MOST_TIMES = 30
"""Time partitions in the table, the newest ones."""
MOST_CATEGORIES = 20
"""Columns of the table, or its rows for a job without time partitions times ten."""

QUICKLY_COUNTED = 20_000
"""Up to so many partitions are counted with every change of a job's page; more only when it is opened."""

OFFERED_TIMES = 60
"""Time partitions, the newest ones, that the form which runs a job offers."""

_STATES = {letter: status for status, letter in STATUS_LETTERS.items()} | {MISSING_LETTER: "missing"}

STATES = ("error", "cancelled", "running", "queued", "success", "skipped", "missing")
"""The states of partitions, as a legend lists them."""

_SELECTED = {"missing": "missing", "error": "failed", "cancelled": "failed"}
_STACKED = ("success", "skipped", "running", "queued", "missing", "cancelled", "error")


class Cell(NamedTuple):
    """A partition in the table; ``status`` is "missing" for one that was never executed, "" for one that there is not."""

    status: str
    time: str | None
    cat: str | None


class Row(NamedTuple):
    """A line of the table."""

    name: str
    cells: list[Cell]


class Table(NamedTuple):
    """The newest partitions. ``left_out`` says what is not shown, in words."""

    flow: str
    job: str
    columns: list[str]
    rows: list[Row]
    left_out: str


class Share(NamedTuple):
    """A state's part of a bar, in percent; ``select`` is how the page of the partitions selects these."""

    state: str
    number: int
    x: float
    width: float
    select: str


class Shares(NamedTuple):
    """How many partitions are in each state, as the parts of one bar and in words.

    ``is_quick``: there are so few that they can be counted with every change. ``mistake``: why they can't be counted.
    ``newest`` are the newest time partitions, the newest first.
    """

    parts: list[Share]
    told: str
    is_quick: bool = True
    mistake: str = ""
    newest: Sequence[str] = ()


class Bounds(NamedTuple):
    """The first and the last partition of the table, as text; "" where there is none."""

    first: str
    last: str


def newest_table(grids: PartitionGrids, job: Job[Any], start: str, end: str, now: datetime) -> Table:
    """The newest partitions of a range with their states. Raises ``PartitionError`` for an end that is no partition."""
    partitions = job.partitions
    assert partitions is not None
    categories = partitions.categories()
    many = MOST_CATEGORIES if partitions.time is not None else MOST_CATEGORIES * 10
    shown = [name for name in categories[:many] if name is not None]
    first, last = _newest(grids, job, partitions, start, end, now)
    grid = grids.grid(job, first, last, shown or None)
    rest = len(categories) - many
    left_out = f"{rest:,} more categories are not shown." if rest > 0 else ""
    if grid.axis is None:
        rows = [
            Row(str(name), [Cell(_state(line[0]), None, name)])
            for name, line in zip(grid.cats, grid.lines, strict=True)
        ]
        return Table(job.flow.name, job.name, [""], rows, left_out)
    rows = [
        Row(
            text,
            [Cell(_state(line[index]), text, name) for name, line in zip(grid.cats, grid.lines, strict=True)],
        )
        for index, text in reversed(list(enumerate(grid.axis.texts)))
    ]
    return Table(job.flow.name, job.name, [name or "" for name in grid.cats], rows, left_out)


def _state(letter: str) -> str:
    return "" if letter == ABSENT_LETTER else _STATES[letter]


def _newest(
    grids: PartitionGrids, job: Job[Any], partitions: Partitions, start: str, end: str, now: datetime
) -> tuple[str | None, str | None]:
    """The ends of the newest part of a range, without going through all of it."""
    time = partitions.time
    if time is None:
        return None, None
    low = partitions.check(start or None, None)[0] or time.first or _earliest(grids, job, partitions)
    ends = [time.containing(now), time.last, partitions.check(end or None, None)[0]]
    high = min((moment for moment in ends if moment is not None), key=datetime.timestamp)
    if low is None or low.timestamp() > high.timestamp():
        return (start or None, end or None) if low is None or start else (time.text(high), time.text(high))
    return time.text(_back(time, high, low)), time.text(high)


def _earliest(grids: PartitionGrids, job: Job[Any], partitions: Partitions) -> datetime | None:
    time = partitions.time
    assert time is not None
    text = grids.statuses.earliest(job.flow.name, job.name, time.kind, partitions.categories())
    return None if text is None else time.parse(text)


def _back(time: TimePartitions, high: datetime, low: datetime) -> datetime:
    found = high
    for _ in range(MOST_TIMES - 1):
        if found.timestamp() <= low.timestamp():
            return low
        found = time.previous(found)
    return found


def job_shares(grids: PartitionGrids, job: Job[Any], is_live: bool = False) -> Shares | None:
    """How many partitions of a job are in each state; None for a job without partitions.

    ``is_live``: a page that is kept up to date asks, and it does so only where ``is_quick``.
    """
    if job.partitions is None:
        return None
    try:
        if is_live and _is_large(job, grids):
            return Shares([], "", is_quick=False)
        grid = grids.grid(job)
    except PartitionError as error:  # a filter that fails, for one
        return Shares([], "", mistake=str(error))
    newest = [text for text in grid.times[: -OFFERED_TIMES - 1 : -1] if text is not None]
    return shares(grid.lines)._replace(is_quick=len(grid.times) * len(grid.cats) <= QUICKLY_COUNTED, newest=newest)


def _is_large(job: Job[Any], grids: PartitionGrids) -> bool:
    grid = grids.grid(job, with_statuses=False)
    return len(grid.times) * len(grid.cats) > QUICKLY_COUNTED


def shares(lines: Sequence[str]) -> Shares:
    """How many partitions of a grid are in each state."""
    counts = {state: sum(line.count(letter) for line in lines) for letter, state in _STATES.items()}
    total = sum(counts.values())
    parts, x = [], 0.0
    for state in _STACKED:
        if count := counts[state]:
            width = count / total * 100
            parts.append(Share(state, count, round(x, 3), round(max(width, 0.4), 3), _SELECTED.get(state, "")))
            x += width
    return Shares(parts, ", ".join(f"{part.number:,} {part.state}" for part in parts) or "none")
