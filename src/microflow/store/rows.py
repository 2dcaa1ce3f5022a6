"""The values that the store's parts take and return: executions, partitions, schedules, engines, logs.

Moments are seconds since the epoch. Payloads, errors and options are encoded JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from ..model.events import Event
from ..model.results import ExecutionError, ExecutionStatus, Kind, Trigger

StoredKey = tuple[str, str]
"""(time, category) of a partition, as text; "" for a dimension that the job does not have."""

TickState = Literal["run", "queued", "overlap", "missed", "paused"]


class Waiting(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a queued execution does not run: a machine's ``reason``, a person's ``message``, ``since`` (seconds since the epoch).

    ``held_by``: the execution of another process that it waits for. Which of its own executions it waits for, the engine knows.
    """

    reason: str
    message: str
    since: float
    until: float | None = None
    held_by: tuple[int, ...] = ()


Claim = Callable[[int, Waiting | None], None]
"""Takes what an execution is for, such as a tick, given its number and why it waits; raises if another has taken it."""


class Opening(msgspec.Struct, kw_only=True):
    """An execution that is about to be opened: running if ``waiting`` is None, else queued."""

    flow: str
    job: str
    kind: Kind
    trigger: Trigger
    inputs: bytes
    parent_id: int | None = None
    root_id: int | None = None
    position: int = 0
    run_key: str | None = None
    time_partition: str | None = None
    cat_partition: str | None = None
    scheduled_at: float | None = None
    waiting: Waiting | None = None
    options: bytes | None = None
    partitions: Sequence[StoredKey] = ()


class Ending(msgspec.Struct, kw_only=True):
    """How an execution ended. ``context`` holds the encoded values its code wrote, None for a key it deleted.

    ``partition`` is the one that its result said afterwards that it stands for; ``time_partition`` and ``cat_partition`` are that
    one's texts in the row.
    """

    status: ExecutionStatus
    output: bytes | None = None
    error: ExecutionError | None = None
    reason: str | None = None
    run_key: str | None = None
    time_partition: str | None = None
    cat_partition: str | None = None
    partition: StoredKey | None = None
    context: Mapping[str, bytes | None] = {}
    progress: bytes | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None


class Opened(NamedTuple):
    """What is known of an execution that is open: the part that its later events and changes need.

    ``partitioned``: it stands for partitions; ``partitions`` are these, or empty where a dead engine alone knew them.
    """

    id: int
    flow: str
    job: str
    parent_id: int | None
    root_id: int
    started_at: float | None = None
    attempt: int = 1
    partitioned: bool = False
    partitions: Sequence[StoredKey] = ()

    def started(self, at: float) -> Opened:
        """The same execution, started at this moment (seconds since the epoch)."""
        return Opened(*self[:5], at, *self[6:])

    def event(self, status: str) -> Event:
        """The event that says that the execution has this status now."""
        return Event("execution", self.flow, self.job, self.id, self.parent_id, self.root_id, status)


class StoredCall(NamedTuple):
    """What an execution's row holds of the call that made it."""

    flow: str
    job: str
    kind: Kind
    status: str
    trigger: Trigger
    inputs: bytes
    time_partition: str | None
    cat_partition: str | None
    scheduled_at: float | None
    options: str | None
    waiting: Waiting | None
    engine_id: int


def waiting_for_server(kind: Kind, began: bool, now: float) -> Waiting:
    """Why an execution of this kind, which ``began`` or has not, is queued until a server resumes it."""
    if not kind.has_code:
        return Waiting("server", "waits for a server to resume it: the one that had it ended", now)
    if not began:
        return Waiting("server", "waits for a server to begin it: the one that had accepted it ended", now)
    return Waiting(
        "retry", "waits for a server to try it again: the one that had it ended, and an attempt is left", now
    )


NOBODY = 0
"""The engine that owns what a stopped server left queued, until the next server takes it over."""


class DeadEngine(NamedTuple):
    """An engine that died without recording its end. ``process`` names its process in messages, such as "process 4711"."""

    id: int
    kind: str
    process: str


class RunningElsewhere(NamedTuple):
    """An execution that another, living engine has running. ``process`` names that engine's process, such as "process 4711"."""

    execution_id: int
    process: str


class ServerState(NamedTuple):
    """Whether a server runs on a store: the number of its process as text (None: none runs), and what is known of the last one.

    ``started_at`` and ``ended_at`` are those of the newest server, in seconds since the epoch; ``started_at`` is None if no server
    has ever run, ``ended_at`` if the last one did not say that it ended.
    """

    process: str | None
    started_at: float | None
    ended_at: float | None


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


class ScheduleRow(NamedTuple):
    """What the store knows of a schedule.

    ``served_since``: since when it has been served as it is now (None: never). ``seen_until``: every tick up to this moment has its
    record. ``removed_at``: since when its flow has been served without it.
    """

    name: str
    cron: str
    timezone: str
    served_since: float | None
    seen_until: float
    paused_at: float | None
    removed_at: float | None


class TickRecord(msgspec.Struct, frozen=True):
    """What became of a tick. ``count`` above 1: of so many ticks, from ``first_at`` to ``at``, none of which ran."""

    at: float
    outcome: TickState
    reason: str | None = None
    execution_id: int | None = None
    count: int = 1
    first_at: float | None = None


class Unserved(NamedTuple):
    """The schedules of a flow that no server runs, and the moment until which their ticks are recorded."""

    flow: str
    names: tuple[str, ...]
    seen_until: datetime


class StoredMapping(NamedTuple):
    """A mapping whose inputs are in the store; ``size`` is how many calls it makes."""

    id: int
    size: int


class LogPart(NamedTuple):
    """A stretch of a log: its ``text``, the offset after it, and how many bytes before it are no longer kept."""

    text: str
    next: int
    left_out: int


class RetentionStep(NamedTuple):
    """What a step did: how many executions it deleted, and after which number the next step resumes (None: nothing is left)."""

    deleted: int
    next: int | None
