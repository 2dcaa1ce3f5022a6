"""Schedules in the store: as they are served, whether they are paused, and what became of each of their ticks.

Moments are seconds since the epoch. The store decides races: a tick has one record, made by the first engine that writes it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from ..model.clock import utc
from ..model.events import Event, EventBus
from .database import Database, Readable
from .engines import Engines
from .options import schedule_of
from .rows import Opened, RunningElsewhere, ScheduleRow, TickRecord, Unserved
from .views import SHOWN_TICKS, TickView, tick_view

_END_OF_TIME = 1e12


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
        return [tick_view(row) for row in self._readable.read("newest_ticks", values)]

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

    def __init__(self, database: Database, engines: Engines, events: EventBus) -> None:
        super().__init__(database)
        self._database = database
        self._engines = engines
        self._events = events

    def transaction(self) -> AbstractContextManager[None]:
        """Commit what this thread writes inside at the end, or nothing of it."""
        return self._database.transaction()

    # Schedules

    def serve(self, flow: str, name: str, cron: str, timezone: str, now: float) -> None:
        """Record that the schedule is served from now on, with this expression; earlier ticks do not belong to it."""
        values = {"flow": flow, "name": name, "cron": cron, "timezone": timezone, "now": now}
        self._database.execute("serve_schedule", values)
        self._publish(flow, name, "served")

    def remove(self, flow: str, name: str, now: float) -> None:
        """Record that the flow is served without it from now on. What is known of the schedule stays."""
        self._database.execute("remove_schedule", {"flow": flow, "name": name, "now": now})
        self._publish(flow, name, "removed")

    def rewind(self, flow: str, name: str, until: float) -> None:
        """The clock was put back to ``until``: later ticks come again, and those that have a record keep it."""
        self._database.execute("rewind_schedule", {"flow": flow, "name": name, "until": until})

    def pause(self, flow: str, name: str, cron: str, timezone: str, now: float) -> None:
        """Let no tick of it run from now on; nothing changes if it is paused already."""
        values = {"flow": flow, "name": name, "cron": cron, "timezone": timezone, "now": now}
        self._database.execute("pause_schedule", values)
        self._publish(flow, name, "paused")

    def resume(self, flow: str, name: str, passed: Sequence[TickRecord], now: float) -> None:
        """Record the ticks that passed while it was paused, and let those after now run, in one transaction."""
        with self._database.transaction():
            for record in passed:
                self._insert(flow, name, record, now)
            self._database.execute("resume_schedule", {"flow": flow, "name": name, "now": now})
            self._publish(flow, name, "resumed")

    # Ticks

    def record(self, flow: str, name: str, records: Iterable[TickRecord], now: float) -> int:
        """Record ticks that do not run, in one transaction, unless they have a record; how many were new."""
        new = 0
        with self._database.transaction():
            for record in records:
                new += self._insert(flow, name, record, now)
                self._publish(flow, name, record.outcome, record.execution_id or 0)
        return new

    def claim(self, flow: str, name: str, record: TickRecord, now: float) -> bool:
        """Record a tick that runs, as part of the transaction that opens its execution; False if it has a record already.

        One that was recorded as missed may still run: the clock was put back, and its time has come again.
        """
        claimed = self._insert(flow, name, record, now, "claim_tick") == 1
        if claimed:
            self._publish(flow, name, record.outcome, record.execution_id or 0)
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
        new = self._database.execute(statement, values)
        self._database.execute("see_schedule", {"flow": flow, "name": name, "until": record.at})
        return new

    # Runs

    def running_elsewhere(self, flow: str, name: str) -> list[RunningElsewhere]:
        """A schedule's runs that other, living engines have running, in the order in which they were opened.

        Inside a transaction, no other engine starts another one before its end.
        """
        rows = self._database.fetch("top_level_elsewhere", {"flow": flow, "engine_id": self._engines.own})
        found = [(id_, engine) for id_, engine, options in rows if schedule_of(options) == name]
        return self._engines.having(found) if found else []

    def not_started(self) -> list[Opened]:
        """The runs of ticks that a server left queued when it ended, before they started, in the order of their ticks."""
        return [
            Opened(id_, flow, job, None, id_, None, attempt, True)
            for id_, flow, job, attempt in self._database.read("ticks_not_started")
        ]

    def _publish(self, flow: str, name: str, status: str, execution_id: int = 0) -> None:
        """Publish the change, once it can be read."""
        if self._events.listened:
            event = Event("schedule", flow=flow, name=name, status=status, id=execution_id)
            self._database.after_commit(lambda: self._events.publish(event))
