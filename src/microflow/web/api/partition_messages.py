"""What the REST API takes and gives about partitions, as types."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from ...runtime import PartitionArea, PartitionSelection
from .messages import LONGEST_WAIT, Count

Only = Literal["all", "missing", "failed", "missing_or_failed"]
Order = Literal["asc", "desc"]


class PartitionsQuery(msgspec.Struct, frozen=True, kw_only=True, rename={"start": "from", "end": "to"}):
    """Which partitions, and how they are written.

    ``from`` and ``to`` are partitions, both included. ``cat``: only these categories,
    each given apart, or with commas between them. ``form``: ``plain`` has a word for
    each cell, ``compact`` a letter; ``auto`` is plain up to 2,000 cells. ``measure`` adds how long the executions took, or
    how long ago they ended.
    """

    start: str | None = None
    end: str | None = None
    cat: tuple[str, ...] = ()
    form: Literal["auto", "plain", "compact"] = "auto"
    measure: Literal["duration", "age"] | None = None


class PartitionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One partition: a value for each dimension that the job has."""

    time_partition: str | None = None
    cat_partition: str | None = None


class AreaMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rectangle of partitions: from ``start`` (null: the first one) to ``end`` (null: the newest), of some categories.

    ``cat_partitions`` null: of all.
    """

    start: str | None = None
    end: str | None = None
    cat_partitions: tuple[str, ...] | None = None


class PlannedRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which partitions are to be executed, and how.

    ``start`` and ``end`` are partitions, both included; without them, from the first one on, up to now.
    ``time_partitions`` names single ones instead, ``areas`` rectangles instead of a range and categories: all that is in
    one of them. ``batch_size``: one execution gets a list of so many. ``with_inputs``: each is a DAG run.
    """

    time_partitions: tuple[str, ...] | None = None
    cat_partitions: tuple[str, ...] | None = None
    start: str | None = None
    end: str | None = None
    areas: tuple[AreaMessage, ...] | None = None
    only: Only = "all"
    order: Order = "asc"
    batch_size: Count | None = None
    max_concurrency: Count | None = None
    with_inputs: bool = False

    @property
    def selection(self) -> PartitionSelection:
        """Which partitions are meant."""
        areas = None
        if self.areas is not None:
            areas = [PartitionArea(area.start, area.end, area.cat_partitions) for area in self.areas]
        return PartitionSelection(
            self.time_partitions, self.cat_partitions, self.start, self.end, self.only, self.order, areas
        )


class NewPartitionRun(PlannedRun, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run over partitions. ``wait``: seconds to wait for the end before answering."""

    wait: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_WAIT)] = 0


class PartitionCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many partitions each value of ``only`` would take."""

    all: int
    missing: int
    failed: int
    missing_or_failed: int


class PartitionPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would be.

    ``concurrency``: how many executions at once. ``seconds_each``: how long a partition took lately, ``seconds``: how long
    the run is likely to take (null: no execution has succeeded yet).
    """

    partitions: int
    executions: int
    concurrency: int
    seconds_each: float | None
    seconds: float | None
    counts: PartitionCounts


class PartitionEnd(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that ended. ``duration`` is in seconds, null for one that never ran."""

    execution_id: int
    status: str
    started_at: datetime | None
    ended_at: datetime
    duration: float | None
    attempt: int


class PartitionView(msgspec.Struct, frozen=True, kw_only=True):
    """One partition, with the execution that its status is of.

    ``status`` may be ``missing``. ``start`` and ``end`` are those of its period. ``duration`` is in seconds. ``last``: while
    one is queued or running, the newest that ended and was not skipped.
    """

    time_partition: str | None
    cat_partition: str | None
    start: datetime | None
    end: datetime | None
    status: str
    execution_id: int | None
    queued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    duration: float | None
    attempt: int | None
    last: PartitionEnd | None
