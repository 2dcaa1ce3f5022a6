"""What is due of schedules is claimed: each tick gets its record, and its run where it has one.

Several schedules share a transaction, so that many that are due at the same time cost little. Where that fails each has its own, so
that none keeps another from running. The runs start once their ticks are committed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import NamedTuple

from ...errors import ConflictError, DefinitionError
from ...model.clock import utc
from ...model.results import Trigger
from ...model.schedules import DueTick, decide_overlap, due, overlap_of, resolve_zone
from ...store import Schedules
from ...store.rows import ScheduleRow, TickRecord, Waiting
from .runs import ScheduleRuns, ServedSchedule

logger = logging.getLogger("microflow")


class Counts(NamedTuple):
    """How many ticks got a run, and how many were recorded without one."""

    started: int = 0
    recorded: int = 0

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(self.started + other.started, self.recorded + other.recorded)


class Claims:
    """Claims the ticks that are due. ``lock``: held during a claim. ``ended``: set when no further run may be started.

    ``watched_since``: since when the schedules have been watched without a break; earlier ticks were missed.
    """

    def __init__(self, store: Schedules, runs: ScheduleRuns, lock: threading.Lock, ended: threading.Event) -> None:
        self.watched_since = 0.0
        self._store = store
        self._runs = runs
        self._lock = lock
        self._ended = ended

    def claim_together(
        self, schedules: Sequence[ServedSchedule], now: float
    ) -> tuple[Counts, Sequence[ServedSchedule]]:
        """Claim the due ticks of several schedules in one transaction. Returns also the schedules to claim with ``claim_alone``.

        These are the schedules with more than one due tick; or all of them, if anything fails: then nothing has happened.
        """
        if len(schedules) == 1:
            return Counts(), schedules
        counts = Counts()
        left: list[ServedSchedule] = []
        try:
            with self._lock, self._runs.transaction():
                for served in schedules:
                    found = self._due(served, now)
                    if len(found) > 1:
                        left.append(served)
                    else:
                        counts = counts.plus(self._claim(served, found, now))
        except Exception as error:  # noqa: BLE001 - whose fault it is shows when each is claimed alone
            logger.debug("%d schedules are looked at one by one: %s", len(schedules), error)
            return Counts(), schedules
        return counts, left

    def claim_alone(self, served: ServedSchedule, now: float) -> Counts:
        """Claim the due ticks of one schedule, each run in its own transaction. Raises ``StoreError``; earlier claims stay."""
        with self._lock:
            return self._claim(served, self._due(served, now), now)

    def _due(self, served: ServedSchedule, now: float) -> list[DueTick]:
        """What is due of a schedule, oldest first."""
        row = self._store.find(*served.key)
        if row is None or row.seen_until > now:
            if row is None:
                self._store.serve(*served.key, served.schedule.cron, str(served.zone), now)
            self._store.rewind(*served.key, now)
            return []
        return due(
            served.schedule.cron,
            served.zone,
            since=utc(row.seen_until),
            now=utc(now),
            served_since=utc(self.watched_since),
            catch_up=served.schedule.catch_up,
            paused=row.paused_at is not None,
        )

    def _claim(self, served: ServedSchedule, found: Sequence[DueTick], now: float) -> Counts:
        """Start the runs of due ticks, and record the ticks that get none."""
        started = recorded = 0
        without_run: list[TickRecord] = []
        for tick in found:
            if self._ended.is_set():
                break  # the next server continues where this one stopped
            running = self._runs.running(served) if tick.outcome == "run" else []
            if tick.outcome != "run":
                without_run.append(_record(tick))
            elif decide_overlap(overlap_of(served.schedule, tick), bool(running)) == "skip":
                reason = f"Skipped: execution {running[-1]}, the run before it, was still going."
                without_run.append(TickRecord(tick.at.timestamp(), "overlap", reason, running[-1]))
            else:
                recorded += self._store.record(*served.key, without_run, now) if without_run else 0
                without_run = []
                started += self._start(served, tick, running, now)
        recorded += self._store.record(*served.key, without_run, now) if without_run else 0
        return Counts(started, recorded)

    def _start(self, served: ServedSchedule, tick: DueTick, running: list[int], now: float) -> int:
        """Claim a tick and start its run; 0 if the tick has a record already, because the clock was set back."""
        at = tick.at.timestamp()
        was_taken = False

        def claim(execution_id: int, waiting: Waiting | None) -> None:
            nonlocal was_taken
            reason = tick.reason
            queued = waiting is not None and bool(running) and served.schedule.overlap != "allow"
            if queued:
                reason = f"{reason} Queued: execution {running[-1]}, the run before it, was still going.".strip()
            record = TickRecord(at, "queued" if queued else "run", reason or None, execution_id)
            if not self._store.claim(*served.key, record, now):
                was_taken = True
                raise ConflictError(f"The tick {tick.at} of schedule {served.name!r} has its record already.")

        try:
            self._runs.start(served, Trigger.SCHEDULE, at, claim)
        except ConflictError:
            if not was_taken or self._runs.in_transaction:  # then nothing of it may be committed
                raise
            return 0
        return 1


def _record(tick: DueTick, reason: str | None = None) -> TickRecord:
    first = tick.first.timestamp()
    return TickRecord(tick.at.timestamp(), tick.outcome, reason or tick.reason or None, None, tick.count, first)


def passed(row: ScheduleRow, now: float, what: str = "") -> list[TickRecord]:
    """The ticks of a schedule as it was served until now that will not run any more; ``what`` has happened to it."""
    if row.served_since is None or row.removed_at is not None:
        return []
    try:
        found = due(
            row.cron,
            resolve_zone(row.timezone),
            since=utc(row.seen_until),
            now=utc(now),
            served_since=utc(now),
            catch_up="none",
            paused=row.paused_at is not None,
        )
    except DefinitionError as error:
        logger.warning("Which ticks of schedule %r were missed can't be told: %s", row.name, error)
        return []
    changed = f"Missed: no server ran at that time, and the schedule {what} before one did." if what else None
    return [_record(tick, changed if tick.outcome == "missed" else None) for tick in found]
