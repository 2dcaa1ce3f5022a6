"""Schedules in the store: as they are served, whether they are paused, and what became of each of their ticks.

Moments are seconds since the epoch. The store decides races: a tick has one record, made by whoever comes first.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from ..model.clock import utc
from ..model.events import Event, EventBus
from ..model.results import ExecutionStatus
from .database import Database
from .executions import Opened
from .readers import Readable, Row
from .views import Moment, error_view

TickState = Literal["run", "queued", "overlap", "missed", "paused"]

SHOWN_TICKS = 100
"""How many ticks of a schedule are shown."""

LONGEST_REASON = 500
"""Characters of an error's message that are shown of a tick whose run failed."""

_END_OF_TIME = 1e12


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


class TickView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a tick, as it is shown.

    ``outcome`` is "run", "queued" (it runs after the runs before it), "overlap" (it did not run, since the run before it was still
    going), "missed" or "paused"; ``reason`` says why in words. ``execution_id`` is the tick's run, for an overlap the run that was
    still going; ``status`` is that execution's now (null: deleted with old history). ``run_reason`` says of the tick's run why it
    failed or was skipped. ``count`` above 1: the record stands for so many ticks, from ``first`` to ``at``, none of which ran.
    """

    at: Moment
    outcome: TickState
    reason: str | None
    execution_id: int | None
    status: ExecutionStatus | None
    run_reason: str | None = None
    count: int
    first: Moment
    recorded_at: Moment


class RunOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept as the options of an execution that is a schedule's run: its name, and whether run keys are disregarded."""

    schedule: str = ""
    force: bool = False


_options = msgspec.json.Decoder(RunOptions)


def schedule_of(options: str | bytes | None) -> str:
    """The schedule whose run has these options; "" if it is no schedule's."""
    return _options.decode(options).schedule if options else ""


class Unserved(NamedTuple):
    """The schedules of a flow that no server runs, and the moment until which their ticks are recorded."""

    flow: str
    names: tuple[str, ...]
    seen_until: datetime


class ScheduleHistory:
    """Reads schedules and what became of their ticks; usable from every thread, also of a store that is only looked at.

    Every method raises ``StoreError`` if the store can't be read.
    """

    def __init__(self, database: Readable) -> None:
        self._readable = database

    def of_flow(self, flow: str) -> dict[str, ScheduleRow]:
        """Every schedule that the flow has ever had, by name."""
        return {row[0]: ScheduleRow(*row) for row in self._readable.read("schedules_of_flow", {"flow": flow})}

    def find(self, flow: str, name: str) -> ScheduleRow | None:
        """One schedule; None if it has never been served or paused."""
        rows = self._readable.read("schedule", {"flow": flow, "name": name})
        return ScheduleRow(*rows[0]) if rows else None

    def unserved(self, flows: Container[str]) -> list[Unserved]:
        """The schedules of other flows than these, which a server ran once and which this store's server does not run."""
        found: dict[str, list[tuple[str, float]]] = {}
        for flow, name, seen_until in self._readable.read("served_schedules"):
            if flow not in flows:
                found.setdefault(flow, []).append((name, seen_until))
        return [
            Unserved(flow, tuple(name for name, _ in known), utc(max(seen for _, seen in known)))
            for flow, known in found.items()
        ]

    def ticks(self, flow: str, name: str, limit: int = SHOWN_TICKS, before: datetime | None = None) -> list[TickView]:
        """What became of the newest ticks, newest first; of those before a moment, if one is given."""
        edge = _END_OF_TIME if before is None else before.timestamp()
        values = {"flow": flow, "schedule": name, "before": edge, "limit": limit}
        return [_tick_view(row) for row in self._readable.read("newest_ticks", values)]

    def running(self) -> dict[tuple[str, str], list[int]]:
        """The executions that are runs of schedules and have not ended, oldest first, by (flow, schedule)."""
        found: dict[tuple[str, str], list[int]] = {}
        for id_, flow, options in self._readable.read("open_top_level"):
            if name := schedule_of(options):
                found.setdefault((flow, name), []).append(id_)
        return found


class Schedules(ScheduleHistory):
    """Reads and writes schedules and their ticks; usable from every thread and beside a server that runs.

    Every method raises ``StoreError`` if the store fails.
    """

    def __init__(self, database: Database, events: EventBus) -> None:
        super().__init__(database)
        self._database = database
        self._events = events

    def transaction(self) -> AbstractContextManager[None]:
        """What is written inside is committed together."""
        return self._database.transaction()

    # Schedules

    def serve(self, flow: str, name: str, cron: str, timezone: str, now: float) -> None:
        """From now on the schedule is served, with this expression; ticks before now are none of its own."""
        values = {"flow": flow, "name": name, "cron": cron, "timezone": timezone, "now": now}
        self._database.execute("serve_schedule", values)
        self._tell(flow, name, "served")

    def remove(self, flow: str, name: str, now: float) -> None:
        """From now on the flow is served without it. What is known of it stays."""
        self._database.execute("remove_schedule", {"flow": flow, "name": name, "now": now})
        self._tell(flow, name, "removed")

    def rewind(self, flow: str, name: str, until: float) -> None:
        """The clock was put back to ``until``: later ticks come again, and those that have a record keep it."""
        self._database.execute("rewind_schedule", {"flow": flow, "name": name, "until": until})

    def pause(self, flow: str, name: str, cron: str, timezone: str, now: float) -> None:
        """From now on its ticks do not run; nothing changes if it is paused already."""
        values = {"flow": flow, "name": name, "cron": cron, "timezone": timezone, "now": now}
        self._database.execute("pause_schedule", values)
        self._tell(flow, name, "paused")

    def resume(self, flow: str, name: str, passed: Sequence[TickRecord], now: float) -> None:
        """Record the ticks that passed while it was paused, and let those after now run, in one transaction."""
        with self._database.transaction():
            for record in passed:
                self._insert(flow, name, record, now)
            self._database.execute("resume_schedule", {"flow": flow, "name": name, "now": now})
            self._tell(flow, name, "resumed")

    # Ticks

    def record(self, flow: str, name: str, records: Iterable[TickRecord], now: float) -> int:
        """Record ticks that do not run, in one transaction, unless they have a record; how many were new."""
        new = 0
        with self._database.transaction():
            for record in records:
                new += self._insert(flow, name, record, now)
                self._tell(flow, name, record.outcome, record.execution_id or 0)
        return new

    def claim(self, flow: str, name: str, record: TickRecord, now: float) -> bool:
        """Record a tick that runs, as part of the transaction that opens its execution; False if it has a record already.

        One that was recorded as missed may still run: the clock was put back, and its time has come again.
        """
        claimed = self._insert(flow, name, record, now, "claim_tick") == 1
        if claimed:
            self._tell(flow, name, record.outcome, record.execution_id or 0)
        return claimed

    def _insert(self, flow: str, name: str, record: TickRecord, now: float, statement: str = "record_tick") -> int:
        values = {
            "flow": flow,
            "schedule": name,
            "at": record.at,
            "outcome": record.outcome,
            "reason": record.reason,
            "execution_id": record.execution_id,
            "count": record.count,
            "first_at": record.at if record.first_at is None else record.first_at,
            "recorded_at": now,
        }
        new = self._database.execute(statement, values).rowcount
        self._database.execute("see_schedule", {"flow": flow, "name": name, "until": record.at})
        return new

    # Runs

    def running_elsewhere(self, flow: str, name: str, engine_id: int) -> list[tuple[int, int, float]]:
        """(execution, pid, when its process started) of a schedule's runs that other engines than this one have running.

        In a transaction, nobody begins another one before its end.
        """
        found = self._database.execute("top_level_elsewhere", {"flow": flow, "engine_id": engine_id})
        return [(id_, pid, started) for id_, pid, started, options in found if schedule_of(options) == name]

    def not_started(self) -> list[Opened]:
        """The runs of ticks that a server left queued when it ended, in the order of their ticks."""
        return [
            Opened(id_, flow, job, None, id_, None, attempt, True)
            for id_, flow, job, attempt in self._database.read("ticks_not_started")
        ]

    def _tell(self, flow: str, name: str, status: str, execution_id: int = 0) -> None:
        """Tell whoever listens, once it can be read."""
        if self._events.listened:
            event = Event("schedule", flow=flow, name=name, status=status, id=execution_id)
            self._database.after_commit(lambda: self._events.publish(event))


def _tick_view(row: Row) -> TickView:
    at, outcome, reason, execution_id, status, count, first_at, recorded_at, error, run_reason = row
    failure = error_view(error)
    if failure is not None:
        run_reason = f"{failure.type}: {failure.message[:LONGEST_REASON]}"
    return TickView(
        at=utc(at),
        outcome=outcome,
        reason=reason,
        execution_id=execution_id,
        status=None if status is None else ExecutionStatus(status),
        run_reason=run_reason,
        count=count,
        first=utc(first_at),
        recorded_at=utc(recorded_at),
    )
