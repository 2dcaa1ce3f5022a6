"""What became of a job's partitions: the marks that executions leave, and how they are read as a grid.

The marks are written inside the transactions in which executions open and end. A grid is read as one text per category, with a
letter for each time partition (see ``model/partitions.py``): that is quick with hundreds of thousands of cells, and small.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..model.frequencies import Frequency
from ..model.partitions import LETTERLESS, LEVELS, MISSING_LETTER, STATUS_LETTERS, Measure
from .database import Database, Row

StoredKey = tuple[str, str]
"""(time, category) in text; "" for a dimension that the job does not have."""

_FORMS = {
    Frequency.HOURLY: ("____-__-__T__:__%", ""),
    Frequency.DAILY: ("____-__-__", ""),
    Frequency.WEEKLY: ("____-W__", ""),
    Frequency.MONTHLY: ("____-__", "____-Q_"),
    Frequency.QUARTERLY: ("____-Q_", ""),
    Frequency.YEARLY: ("____", ""),
}
"""Patterns of what a frequency's texts look like, and of what looks like them and is of another one."""

_MEASURES = {"duration": "partition_durations", "age": "partition_ages"}


class Mark(NamedTuple):
    """An execution that ended, as far as partitions are concerned. Times are seconds since the epoch."""

    execution_id: int
    status: str
    started_at: float | None
    ended_at: float
    attempt: int


class PartitionMarks:
    """Writes what became of partitions; everything here is called inside a transaction of ``Executions``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, flow: str, job: str, execution_id: int, keys: Iterable[StoredKey]) -> None:
        """The execution is queued or running for these partitions now, which are more than one: its row can't hold them."""
        for key in keys:
            self._database.execute("open_partition", {**_names(flow, job, key), "execution_id": execution_id})

    def finish(self, flow: str, job: str, mark: Mark, keys: Sequence[StoredKey], named: StoredKey | None) -> None:
        """The execution ended that stood for ``keys``; ``named`` is the partition that its result says it stands for.

        What the result named takes the place of the one partition it was called for; to a batch it is added. A skip leaves a
        status as it is, and so does an execution that began before the one that the status is of. ``keys`` may be empty where
        they are not known (an engine died): then those that it is the live one of are meant.
        """
        values = mark._asdict()
        one_by_one = [*(keys if len(keys) == 1 and named is None else ()), *([] if named is None else [named])]
        if len(keys) > 1 or (not keys and named is None):
            changed = self._database.execute("finish_partitions", values).rowcount
            one_by_one += keys if changed < len(keys) else ()  # another batch is the live one of some
            self._database.execute("leave_partitions", values)
        for key in one_by_one:
            self._database.execute("record_partition", {**_names(flow, job, key), **values})


class PartitionRecord(NamedTuple):
    """The execution that a partition's status is of. Times are seconds since the epoch."""

    status: str
    execution_id: int
    started_at: float | None
    ended_at: float
    attempt: int


class LivePartition(NamedTuple):
    """The execution that is queued or running for a partition. Times are seconds since the epoch."""

    execution_id: int
    status: str
    queued_at: float
    started_at: float | None
    attempt: int


class PartitionStatuses:
    """Reads what became of partitions. Every method raises ``StoreError`` if the store can't be read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lines(self, flow: str, job: str, times: Sequence[str | None], cats: Sequence[str | None]) -> list[str]:
        """The statuses of a grid, one text for each of ``cats`` with one letter for each of ``times``."""
        grid = _Grid(times, cats, MISSING_LETTER)
        for category, joined, statuses in self._rows("partition_statuses", flow, job, times):
            grid.put(category, joined, _letters(statuses))
        for category, text, status in self._database.read("live_partitions", {"flow": flow, "job": job}):
            grid.put(category, text, STATUS_LETTERS[status])
        return grid.lines()

    def measured(
        self,
        flow: str,
        job: str,
        times: Sequence[str | None],
        cats: Sequence[str | None],
        measure: Measure,
        now: float,
    ) -> list[str]:
        """How long the executions took, or how long ago they ended, as ``lines``: a letter for each of the measure's levels."""
        grid = _Grid(times, cats, LETTERLESS)
        levels = {f"level_{number}": level for number, level in enumerate(LEVELS[measure])}
        for category, joined, letters in self._rows(_MEASURES[measure], flow, job, times, now=now, **levels):
            grid.put(category, joined, letters)
        return grid.lines()

    def _rows(self, name: str, flow: str, job: str, times: Sequence[str | None], **values: Any) -> list[Row]:
        known = [text or "" for text in times]
        if not known:
            return []
        # in the order of texts, in which two hours of the same name stand the other way round than in time
        bounds = {"first": min(known), "last": max(known)}
        return self._database.read(name, {"flow": flow, "job": job, **bounds, **values})

    def earliest(self, flow: str, job: str, frequency: Frequency, cats: Iterable[str | None]) -> str | None:
        """The text of the earliest time partition of this frequency that was executed, in any of these categories."""
        form, other = _FORMS[frequency]
        values = {"flow": flow, "job": job, "form": form, "other": other}
        found = [
            self._database.read("earliest_partition", {**values, "cat_partition": category or ""})[0][0]
            for category in cats
        ]
        return min((text for text in found if text is not None), default=None)

    def succeeded_after(self, flow: str, job: str, execution_id: int) -> list[StoredKey]:
        """The partitions whose status is the success of an execution that began after this one."""
        rows = self._database.read("succeeded_partitions", {"flow": flow, "job": job, "after": execution_id})
        return [(time, category) for time, category in rows]

    def failed_before(self, flow: str, job: str, execution_id: int) -> list[StoredKey]:
        """The partitions whose status is the failure of this execution or of one that began before it."""
        rows = self._database.read("failed_partitions", {"flow": flow, "job": job, "before": execution_id})
        return [(time, category) for time, category in rows]

    def record(self, flow: str, job: str, key: StoredKey) -> PartitionRecord | None:
        """The execution that a partition's status is of; None if none has ended."""
        rows = self._database.read("partition", _names(flow, job, key))
        return PartitionRecord(*rows[0]) if rows and rows[0][0] is not None else None

    def live(self, flow: str, job: str, key: StoredKey) -> LivePartition | None:
        """The newest execution that is queued or running for a partition."""
        rows = self._database.read("live_partition", _names(flow, job, key))
        return LivePartition(*rows[0]) if rows else None

    def seconds_each(self, flow: str, job: str, kind: str) -> float | None:
        """How long the newest successes of a kind took for each of the partitions they stood for; None if there is none."""
        rows = self._database.read("partition_run_times", {"flow": flow, "job": job, "kind": kind})
        partitions = sum(max(count, 1) for _, count in rows)
        return sum(max(seconds, 0.0) for seconds, _ in rows) / partitions if partitions else None


class _Grid:
    """Lines that are filled with what the store has, as far as it is on the axes."""

    def __init__(self, times: Sequence[str | None], cats: Sequence[str | None], blank: str) -> None:
        self._times = [text or "" for text in times]
        self._joined = ",".join(self._times)
        self._positions: dict[str, int] = {}
        self._lines = {category or "": bytearray(blank.encode() * len(self._times)) for category in cats}

    def put(self, category: str, joined: str, letters: str) -> None:
        """Put letters at the times that are named, joined by commas."""
        line = self._lines.get(category)
        if line is None:
            return
        first = self._run(joined)
        if first is not None:
            line[first : first + len(letters)] = letters.encode()
            return
        if not self._positions:
            self._positions = {text: index for index, text in enumerate(self._times)}
        position = self._positions.get
        for text, letter in zip(joined.split(","), letters.encode(), strict=True):
            if (index := position(text)) is not None:
                line[index] = letter

    def _run(self, joined: str) -> int | None:
        """Where the times stand one after the other on the axis; None if they do not. Mostly they do, and that is quick."""
        at = self._joined.find(joined)
        end = at + len(joined)
        is_whole = at >= 0 and self._joined[at - 1 : at] in ("", ",") and self._joined[end : end + 1] in ("", ",")
        return self._joined.count(",", 0, at) if is_whole else None

    def lines(self) -> list[str]:
        return [line.decode("ascii") for line in self._lines.values()]


def _letters(statuses: str) -> str:
    """One letter for each of the statuses, which stand one after the other without anything between them."""
    # capitals first: no status has any, so what has been replaced is not taken for a part of the next one
    for status, letter in STATUS_LETTERS.items():
        statuses = statuses.replace(status, letter.upper())
    return statuses.lower()


def _names(flow: str, job: str, key: StoredKey) -> dict[str, Any]:
    return {"flow": flow, "job": job, "time_partition": key[0], "cat_partition": key[1]}
