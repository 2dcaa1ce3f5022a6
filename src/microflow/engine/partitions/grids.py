"""Partitions of a job as a grid of statuses: of a range, of chosen times, of any areas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ...errors import PartitionError
from ...jobs import Job
from ...model.clock import Clock, utc
from ...model.partitions import ABSENT_LETTER, MISSING_LETTER, Partitions, TimeAxis
from ...runtime import PartitionArea, PartitionSelection
from ...store import PartitionStatuses
from ...store.rows import StoredKey


class Grid(NamedTuple):
    """Partitions of a job with their statuses: ``lines`` has a text for each of ``cats`` with a letter for each of ``times``."""

    axis: TimeAxis | None
    times: Sequence[str | None]
    cats: Sequence[str | None]
    lines: list[str]

    def without(self, keys: Sequence[StoredKey]) -> Grid:
        """The same without these cells."""
        rows = {category or "": index for index, category in enumerate(self.cats)}
        columns = {text or "": index for index, text in enumerate(self.times)}
        lines = [bytearray(line.encode()) for line in self.lines]
        for text, category in keys:
            row, column = rows.get(category), columns.get(text)
            if row is not None and column is not None:
                lines[row][column] = ord(ABSENT_LETTER)
        return self._replace(lines=[line.decode() for line in lines])

    def behind(self, key: StoredKey, order: str) -> Grid:
        """The same without this cell and those that a run in this order takes before it.

        Raises ``PartitionError`` if there is no such cell.
        """
        text, category = key
        columns, rows = [known or "" for known in self.times], [known or "" for known in self.cats]
        if text not in columns or category not in rows:
            raise PartitionError(
                f"it has come to partition {' of '.join(filter(None, key))}, which does not exist any more."
            )
        column, row = columns.index(text), rows.index(category)

        def rest(line: str, is_taken: bool) -> str:
            if order == "desc":
                return line[: column + (not is_taken)] + ABSENT_LETTER * (len(line) - column - (not is_taken))
            return ABSENT_LETTER * (column + is_taken) + line[column + is_taken :]

        return self._replace(lines=[rest(line, number <= row) for number, line in enumerate(self.lines)])


class PartitionGrids:
    """Reads grids. Every method raises ``PartitionError`` for a job without partitions, and for a filter that fails."""

    def __init__(self, statuses: PartitionStatuses, clock: Clock) -> None:
        self.statuses = statuses
        self._clock = clock

    def grid(
        self,
        job: Job[Any],
        start: Any = None,
        end: Any = None,
        cats: Sequence[str] | None = None,
        *,
        times: Sequence[Any] | None = None,
        with_statuses: bool = True,
    ) -> Grid:
        """The partitions from ``start`` to ``end`` that exist now (or those of ``times``), with their statuses.

        Raises ``PartitionError`` for an end that is no partition and for an unknown category.
        """
        partitions = partitions_of(job)
        if times is None:
            axis = self._axis(job, partitions, start, end)
        elif start is None and end is None:
            axis = partitions.time_axis_of(times)
        else:
            raise PartitionError("Give either time_partitions, or start and end: not both.")
        return self._read(job, axis, partitions.categories(cats), with_statuses)

    def selected(self, job: Job[Any], selection: PartitionSelection, with_statuses: bool) -> Grid:
        """The partitions that a selection is about, whatever their status.

        Raises ``PartitionError`` for one that is named by itself, instead of by a range, and that the filter leaves out.
        """
        if selection.areas is None:
            grid = self.grid(
                job,
                selection.start,
                selection.end,
                selection.cat_partitions,
                times=selection.time_partitions,
                with_statuses=with_statuses,
            )
            _refuse_absent(job, selection, grid)
            return grid
        others = (selection.start, selection.end, selection.time_partitions, selection.cat_partitions)
        if any(given is not None for given in others):
            raise PartitionError("Give either areas, or a range and categories: not both.")
        return self._within(job, selection.areas, with_statuses)

    def _read(self, job: Job[Any], axis: TimeAxis | None, cats: Sequence[str | None], with_statuses: bool) -> Grid:
        texts: Sequence[str | None] = (None,) if axis is None else axis.texts
        if with_statuses:
            lines = self.statuses.lines(job.flow.name, job.name, texts, cats)
        else:
            lines = [MISSING_LETTER * len(texts)] * len(cats)
        return Grid(axis, texts, cats, partitions_of(job).mark_absent(lines, axis, cats))

    def _axis(self, job: Job[Any], partitions: Partitions, start: Any, end: Any) -> TimeAxis | None:
        earliest = None
        if partitions.time is not None:
            _refuse_backwards(partitions, start, end)
            if start is None and partitions.time.start is None:
                cats = partitions.categories()
                earliest = self.statuses.earliest(job.flow.name, job.name, partitions.time.kind, cats)
        now = utc(self._clock.now())
        return partitions.time_axis(start, end, now, earliest)

    def _within(self, job: Job[Any], areas: Sequence[PartitionArea], with_statuses: bool) -> Grid:
        """The whole grid, with spaces where no area is."""
        partitions = partitions_of(job)
        axis = self._axis(job, partitions, None, None)
        columns = _Columns(partitions, axis)
        before = columns.before(areas)
        if before is not None:
            axis = self._axis(job, partitions, before, None)
            columns = _Columns(partitions, axis)
        grid = self._read(job, axis, partitions.categories(), with_statuses)
        rows = {category: index for index, category in enumerate(grid.cats)}
        lines = [bytearray(ABSENT_LETTER.encode() * len(grid.times)) for _ in grid.cats]
        for area in areas:
            first, behind = columns.of(area)
            for category in partitions.categories(area.cat_partitions):
                row = rows[category]
                lines[row][first:behind] = grid.lines[row][first:behind].encode()
        return grid._replace(lines=[line.decode() for line in lines])


class _Columns:
    """Where areas begin and end on an axis. Texts that are on it are looked up, which is quick with thousands of areas."""

    def __init__(self, partitions: Partitions, axis: TimeAxis | None) -> None:
        self._partitions = partitions
        self._axis = axis
        self._positions = {} if axis is None else {text: index for index, text in enumerate(axis.texts)}

    def before(self, areas: Sequence[PartitionArea]) -> datetime | None:
        """The earliest start of an area, if it is before the axis."""
        found = [self._start(given) for given in self._ends(areas) if given not in self._positions]
        earliest = min(found, key=lambda start: start.astimezone(UTC), default=None)
        if earliest is None or self._axis is None or not len(self._axis):
            return earliest
        return earliest if earliest.astimezone(UTC) < self._start(self._axis.texts[0]).astimezone(UTC) else None

    def of(self, area: PartitionArea) -> tuple[int, int]:
        """The first column of an area, and the one behind its last. Columns that do not exist yet are left out."""
        if self._axis is None:
            _refuse_times(self._partitions, area)
            return 0, 1
        if area.start is not None and area.end is not None and self._is_backwards(area.start, area.end):
            raise PartitionError(f"start is {area.start}, after end, which is {area.end}; both are included.")
        first = 0 if area.start is None else self._column(area.start)
        last = len(self._axis) - 1 if area.end is None else self._column(area.end)
        return first, last + 1

    def _is_backwards(self, start: Any, end: Any) -> bool:
        first, last = self._positions.get(start), self._positions.get(end)
        if first is not None and last is not None:
            return first > last
        return self._start(start).astimezone(UTC) > self._start(end).astimezone(UTC)

    def _column(self, given: Any) -> int:
        assert self._axis is not None
        known = self._positions.get(given) if isinstance(given, str) else None
        if known is None:
            assert self._partitions.time is not None
            known = self._positions.get(self._partitions.time.text(self._start(given)), len(self._axis))
        return known

    def _start(self, given: Any) -> datetime:
        return self._partitions.period(given)

    @staticmethod
    def _ends(areas: Sequence[PartitionArea]) -> Iterator[Any]:
        return (given for area in areas for given in (area.start, area.end) if given is not None)


def partitions_of(job: Job[Any]) -> Partitions:
    """The partitions of a job. Raises ``PartitionError`` for a job that has none."""
    if job.partitions is None:
        raise PartitionError(
            f"Job {job.name!r} has no partitions; declare time_partitions or cat_partitions, or call it as it is."
        )
    return job.partitions


def _refuse_absent(job: Job[Any], selection: PartitionSelection, grid: Grid) -> None:
    named: Iterable[tuple[str | None, Iterable[str]]] = ()
    if selection.time_partitions is not None:
        named = zip(grid.times, zip(*grid.lines, strict=True), strict=False)  # no categories, no lines
    elif grid.axis is None and selection.cat_partitions is not None:
        named = zip(grid.cats, grid.lines, strict=True)
    for name, letters in named:
        if all(letter == ABSENT_LETTER for letter in letters):
            raise PartitionError(f"Job {job.name!r}: partition {name} is left out by partition_filter.")


def _refuse_backwards(partitions: Partitions, start: Any, end: Any) -> None:
    if start is None or end is None:
        return
    if partitions.period(start).astimezone(UTC) > partitions.period(end).astimezone(UTC):
        message = f"start is {start}, after end, which is {end}; both are included."
        raise PartitionError(message, time_partition=start)


def _refuse_times(partitions: Partitions, area: PartitionArea) -> None:
    if area.start is not None or area.end is not None:
        partitions.check(area.start if area.start is not None else area.end, None)
