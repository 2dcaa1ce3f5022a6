"""What became of a job's partitions: the marks that executions leave, and how they are read as a grid.

The marks are written inside the transactions in which executions open and end. A grid is read as one text per category, with a
letter for each time partition (see ``model/partitions.py``): that is quick with hundreds of thousands of cells, and small.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from ..model.frequencies import Frequency
from ..model.partitions import LETTERLESS, LEVELS, MISSING_LETTER, STATUS_LETTERS, Measure
from ..model.results import Kind
from .database import Database, Readable, Row
from .rows import LivePartition, PartitionRecord, StoredKey

_FORMS = {
    Frequency.HOURLY: ("____-__-__T__:__%", ""),
    Frequency.DAILY: ("____-__-__", ""),
    Frequency.WEEKLY: ("____-W__", ""),
    Frequency.MONTHLY: ("____-__", "____-Q_"),
    Frequency.QUARTERLY: ("____-Q_", ""),
    Frequency.YEARLY: ("____", ""),
}
"""Patterns of what a frequency's texts look like, and of what looks like them and is of another one."""

_KEPT = 16
"""Grids whose lines are kept: a byte for each cell."""
_MANY = 20_000
"""Changed partitions that are read one by one."""

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

        What the result named replaces the one partition it was called for, and is added to a batch. A skip leaves a status as it
        is, and so does an execution that started before the one that the status is of. ``keys`` may be empty where
        they are not known (an engine died): then those that it is the live one of are meant.
        """
        one_by_one: Sequence[StoredKey] = keys if len(keys) == 1 else ()
        if named is not None:
            one_by_one = (named,)
        if len(keys) > 1 or (not keys and named is None):
            values = mark._asdict()
            if self._database.execute("finish_partitions", values) < len(keys):
                one_by_one = (*one_by_one, *keys)  # another batch is the live one of some
            self._database.execute("leave_partitions", values)
        for time, category in one_by_one:
            self._database.execute("record_partition", (flow, job, category, time, *mark))


class PartitionStatuses:
    """Reads what became of partitions. Every method raises ``StoreError`` if the store can't be read.

    The lines of the grids that were read last are kept, since a page reads them again and again while a run is going: then only
    what has changed is read. A status changes by the end of an execution alone, so it is of one that had not ended at
    the look before, or came later (``cursor``).
    """

    def __init__(self, database: Readable) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._known: dict[tuple[Any, ...], _Known] = {}

    def lines(self, flow: str, job: str, times: Sequence[str | None], cats: Sequence[str | None]) -> list[str]:
        """The statuses of a grid, one text for each of ``cats`` with one letter for each of ``times``."""
        axis = _Axis(times)
        names = {"flow": flow, "job": job}
        key = (flow, job, len(axis.times), hash(axis.joined), tuple(cats))
        with self._lock:
            known = self._known.pop(key, None)
        # before what has ended is read, so that what ends meanwhile does not look as if it had never run
        live = self._database.read("live_partitions", names)
        cursor = self._database.read("partition_cursor", names)[0][0]
        lines = self._changed(known, cursor, names, axis) or self._whole(names, axis, cats)
        with self._lock:
            self._known[key] = _Known(cursor, {category: bytes(line) for category, line in lines.items()})
            while len(self._known) > _KEPT:
                del self._known[next(iter(self._known))]
        # the oldest first, so that of several that are at one partition the newest is seen
        for category, text, status, _ in live:
            axis.put(lines.get(category), text, STATUS_LETTERS[status])
        return [line.decode("ascii") for line in lines.values()]

    def _changed(
        self, known: _Known | None, cursor: int, names: dict[str, str], axis: _Axis
    ) -> dict[str, bytearray] | None:
        """What is known, brought up to date; None if that would take longer than reading everything."""
        if known is None or cursor < known.cursor:  # numbers of executions that were deleted may be given again
            return None
        rows = self._database.read("changed_partitions", {**names, "cursor": known.cursor, "limit": _MANY})
        if len(rows) == _MANY:
            return None
        lines = {category: bytearray(line) for category, line in known.lines.items()}
        for category, text, status in rows:
            axis.put(lines.get(category), text, STATUS_LETTERS[status])
        return lines

    def _whole(self, names: dict[str, str], axis: _Axis, cats: Sequence[str | None]) -> dict[str, bytearray]:
        lines = axis.blank(cats, MISSING_LETTER)
        for category, joined, letters in self._rows("partition_statuses", names, axis, cats):
            axis.fill(lines[category], joined, letters)
        return lines

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
        axis = _Axis(times)
        lines = axis.blank(cats, LETTERLESS)
        levels = {f"level_{number}": level for number, level in enumerate(LEVELS[measure])}
        values = {"flow": flow, "job": job, "now": now, **levels}
        for category, joined, letters in self._rows(_MEASURES[measure], values, axis, cats):
            axis.fill(lines[category], joined, letters)
        return [line.decode("ascii") for line in lines.values()]

    def _rows(self, name: str, values: Mapping[str, Any], axis: _Axis, cats: Sequence[str | None]) -> list[Row]:
        """A row for each category that has any: its times, in the order of texts and joined by commas, and their letters."""
        if not axis.times:
            return []
        names = msgspec.json.encode([category or "" for category in cats]).decode()
        return self._database.read(name, {**values, **axis.bounds, "cats": names})

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
        """The partitions whose status is the success of an execution that started after this one."""
        rows = self._database.read("succeeded_partitions", {"flow": flow, "job": job, "after": execution_id})
        return [(time, category) for time, category in rows]

    def failed_before(self, flow: str, job: str, execution_id: int) -> list[StoredKey]:
        """The partitions whose status is the failure of this execution or of one that started before it."""
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

    def seconds_each(self, flow: str, job: str, kind: Kind) -> float | None:
        """How long the newest successes of a kind took for each of the partitions they stood for; None if there is none."""
        rows = self._database.read("partition_run_times", {"flow": flow, "job": job, "kind": str(kind)})
        partitions = sum(max(count, 1) for _, count in rows)
        return sum(max(seconds, 0.0) for seconds, _ in rows) / partitions if partitions else None


class _Known(NamedTuple):
    """Lines that were read, without what was going on then; what ended later is of executions from ``cursor`` on."""

    cursor: int
    lines: dict[str, bytes]


class _Axis:
    """The time partitions of a grid, and where each stands.

    The store has them in the order of texts. That is the order of time but where a clock is put back: of two hours of one
    name the second one has the lower text.
    """

    def __init__(self, times: Sequence[str | None]) -> None:
        self.times = cast("Sequence[str]", times) if times and times[0] is not None else [text or "" for text in times]
        self._ordered = sorted(self.times)
        self.joined = ",".join(self._ordered)
        self._elsewhere: dict[int, int] = {}
        if self._ordered != self.times:
            moved = [index for index, text in enumerate(self.times) if text != self._ordered[index]]
            there = {self.times[index]: index for index in moved}
            self._elsewhere = {index: there[self._ordered[index]] for index in moved}

    @property
    def bounds(self) -> dict[str, str]:
        """The first and the last in the order of texts; there is one."""
        return {"first": self._ordered[0], "last": self._ordered[-1]}

    def blank(self, cats: Sequence[str | None], letter: str) -> dict[str, bytearray]:
        """A line for each category."""
        return {category or "": bytearray(letter.encode() * len(self.times)) for category in cats}

    def put(self, line: bytearray | None, text: str, letter: str) -> None:
        """Put one letter where a time stands, if it stands on the axis."""
        index = bisect_left(self._ordered, text)
        if line is not None and index < len(self._ordered) and self._ordered[index] == text:
            line[self._elsewhere.get(index, index)] = ord(letter)

    def fill(self, line: bytearray, joined: str, letters: str) -> None:
        """Put letters where times stand that are joined by commas, in the order of texts."""
        first = self._run(joined)
        if first is None:
            self._merge(line, joined, letters)
        else:
            line[first : first + len(letters)] = letters.encode()
        moved = {there: line[here] for here, there in self._elsewhere.items()}
        for index, letter in moved.items():
            line[index] = letter

    def _merge(self, line: bytearray, joined: str, letters: str) -> None:
        ordered, index = self._ordered, 0
        for text, letter in zip(joined.split(","), letters.encode(), strict=True):
            while ordered[index] < text:
                index += 1
            if ordered[index] == text:  # else it is of another frequency, from an earlier definition
                line[index] = letter
                index += 1

    def _run(self, joined: str) -> int | None:
        """Where the times stand one after the other in the order of texts; None if they do not. Mostly they do: that is quick."""
        at = self.joined.find(joined.partition(",")[0])
        if at < 0 or not self.joined.startswith(joined, at):
            return None
        end = at + len(joined)
        is_whole = self.joined[at - 1 : at] in ("", ",") and self.joined[end : end + 1] in ("", ",")
        return self.joined.count(",", 0, at) if is_whole else None


def _names(flow: str, job: str, key: StoredKey) -> dict[str, Any]:
    return {"flow": flow, "job": job, "time_partition": key[0], "cat_partition": key[1]}
