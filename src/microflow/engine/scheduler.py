"""The scheduler: the loop that finds what is due, and what people ask of schedules.

What is due, what is caught up and what overlaps are pure rules (``model/schedules.py``). A tick that runs is claimed and its
execution opened in one transaction, so that it fires exactly once, whatever dies. Between ticks the loop waits: until the next one
is due, and not longer than ``longest_wait``, since a machine that slept and a clock that was set tell nobody.
"""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from ..errors import ConflictError, DefinitionError, StoreError, UnknownNameError
from ..model.clock import Clock
from ..model.results import ExecutionResult
from ..model.schedules import DueTick, decide_overlap, due, next_ticks, overlap_of, resolve_zone
from ..store.executions import Waiting
from ..store.schedules import ScheduleRow, Schedules, TickRecord
from .schedule_runs import Key, ScheduleRuns, ServedSchedule

logger = logging.getLogger("microflow")


class SchedulerConfig(msgspec.Struct, frozen=True):
    """Seconds. ``longest_wait``: between two looks. ``jump``: by how much the clock differs after it was set or the machine slept.

    ``ahead``: before a tick, when workers are made ready for it. ``again``: until a tick that the store refused is tried again.
    """

    longest_wait: float = 30.0
    ahead: float = 5.0
    jump: float = 30.0
    again: float = 1.0


class Swept(NamedTuple):
    """What a look at the schedules did: ticks whose run was begun, ticks recorded without one, schedules whose turn failed.

    ``wait``: seconds until the next look.
    """

    begun: int
    recorded: int
    failed: int
    wait: float


class Scheduler:
    """Runs the ticks of schedules. Only a server's is started; pausing, resuming and running now work in every engine."""

    def __init__(
        self,
        config: SchedulerConfig,
        flows: Iterable[str],
        served: Sequence[ServedSchedule],
        store: Schedules,
        runs: ScheduleRuns,
        clock: Clock,
    ) -> None:
        self.served: dict[Key, ServedSchedule] = {schedule.key: schedule for schedule in served}
        self._flows = tuple(flows)
        self._config = config
        self._store = store
        self._runs = runs
        self._clock = clock
        self._lock = threading.Lock()  # one thread at a time looks, pauses, resumes or begins a run
        self._plan: list[tuple[float, int, ServedSchedule]] = []
        self._order = {schedule.key: number for number, schedule in enumerate(served)}
        self._watched_since = 0.0
        self._offset = 0.0
        self._expected = 0.0
        self._prepared_for = 0.0
        self._is_open = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    # Its life

    def start(self) -> None:
        """Begin to serve, and look after the schedules in a thread of its own. If the store fails it is tried again there."""
        self._try_to_open(self._clock.now())
        if self.served or not self._is_open:
            self._thread = threading.Thread(target=self._live, name="microflow-scheduler", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Begin no further run; returns when the look that goes on is over."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def open(self, now: float) -> None:
        """Begin to serve: new and changed schedules count from now, ticks that were claimed and not begun go on.

        1. What each flow's code says is compared with what the store knows, and what differs is written, in one transaction for
           each flow. 2. Runs that a server left queued are taken over. 3. Every schedule is looked at as soon as possible.
        """
        for flow in self._flows:
            self._reconcile(flow, now)
        for opened in self._store.not_begun():
            if opened.flow in self._flows and not self._runs.is_live(opened.id):
                self._runs.take_over_tick(opened, now)
        self._watched_since = now
        self._expected = self._clock.monotonic()
        self._offset = now - self._expected
        self._plan = [(now, order, self.served[key]) for key, order in self._order.items()]
        self._is_open = True

    def _try_to_open(self, now: float) -> None:
        try:
            self.open(now)
        except StoreError as error:
            logger.error("Schedules can't be served yet, and are tried again: %s", error)

    def _reconcile(self, flow: str, now: float) -> None:
        known = self._store.of_flow(flow)
        with self._store.transaction():
            for served in self.served.values():
                if served.flow.name == flow:
                    self._serve(served, known.pop(served.name, None), now)
            for row in known.values():
                if row.removed_at is None:
                    self._store.record(flow, row.name, _passed(row, now, "was removed"), now)
                    self._store.remove(flow, row.name, now)

    def _serve(self, served: ServedSchedule, row: ScheduleRow | None, now: float) -> None:
        """A schedule that is as it was served before goes on where it was; any other one begins now."""
        cron, timezone = served.schedule.cron, str(served.zone)
        if row is not None and row.served_since is not None and row.removed_at is None:
            if (row.cron, row.timezone) == (cron, timezone):
                return
            self._store.record(*served.key, _passed(row, now, "was changed"), now)
        self._store.serve(*served.key, cron, timezone, now)

    def _live(self) -> None:
        while not self._ended.is_set():
            try:
                wait = self.run_once(self._clock.now()).wait if self._is_open else self._config.again
            except Exception:
                # whatever it was, a server whose schedules silently stand still is worse
                logger.exception(
                    "A look at the schedules failed; the next one follows in %g s.", self._config.longest_wait
                )
                wait = self._config.longest_wait
                self._expected = self._clock.monotonic() + wait
            if not self._clock.wait(self._ended, wait) and not self._is_open:
                self._try_to_open(self._clock.now())

    def run_once(self, now: float) -> Swept:
        """Look at every schedule that has a tick by now. What fails is tried again soon, and keeps nothing else from running."""
        self._notice_jumps(now)
        looked: list[tuple[ServedSchedule, float | None]] = []
        begun = recorded = 0
        failures: list[str] = []
        while self._plan and self._plan[0][0] <= now and not self._ended.is_set():
            served = heapq.heappop(self._plan)[2]
            again = None
            try:
                with self._lock:
                    ran, noted = self._look(served, now)
                begun, recorded = begun + ran, recorded + noted
            except StoreError as error:
                failures.append(f"schedule {served.name!r}: {error}")
                again = now + self._config.again
            except Exception:
                logger.exception("Schedule %r of flow %r failed; the others go on.", served.name, served.flow.name)
                failures.append(served.name)
                again = now + self._config.longest_wait
            looked.append((served, again))
        for served, again in looked:  # after what is due has begun, since it takes time
            self._expect(served, now, again)
        if failures:
            logger.error("The ticks of %d schedules are tried again; the first: %s", len(failures), failures[0])
        wait = min(self._prepare(), self._config.longest_wait)
        self._expected = self._clock.monotonic() + wait
        return Swept(begun, recorded, len(failures), wait)

    def _prepare(self) -> float:
        """Have workers ready for what is due next, if that is soon; seconds until the next look."""
        if not self._plan:
            return self._config.longest_wait
        moment = self._plan[0][0]
        left = moment - self._clock.now()
        if left > self._config.ahead:
            return left - self._config.ahead
        if moment != self._prepared_for and left > 0:
            self._prepared_for = moment
            coming = [served for at, _, served in self._plan if at == moment]
            try:
                flows = {served.flow.name for served in coming}
                rows = {(flow, row.name): row for flow in flows for row in self._store.of_flow(flow).values()}
                self._runs.prepare(served for served in coming if served.key in rows and not rows[served.key].paused_at)
            except Exception as error:  # noqa: BLE001 - whatever keeps workers from being ready keeps no tick from its time
                logger.warning("No worker is made ready for the next ticks: %s: %s", type(error).__name__, error)
        return max(moment - self._clock.now(), 0.0)

    # A look

    def _notice_jumps(self, now: float) -> None:
        """Ticks that passed while the machine slept, or that the clock jumped over, were missed; a clock put back is followed."""
        monotonic = self._clock.monotonic()
        shift = now - monotonic - self._offset
        overslept = monotonic - self._expected  # where the monotonic clock goes on while the machine sleeps
        self._offset = now - monotonic
        if max(shift, overslept) > self._config.jump:
            self._watched_since = now
        elif shift < -self._config.jump:
            self._plan = [(now, order, self.served[key]) for key, order in self._order.items()]
        self._watched_since = min(self._watched_since, now)

    def _expect(self, served: ServedSchedule, now: float, again: float | None) -> None:
        """Look at it again when its next tick is due, or at ``again``."""
        if again is None:
            following = next_ticks(served.schedule.cron, served.zone, _moment(now), 1)
            if not following:
                return  # the calendar has no further one
            again = following[0].timestamp()
        heapq.heappush(self._plan, (again, self._order[served.key], served))

    def _look(self, served: ServedSchedule, now: float) -> tuple[int, int]:
        """Deal with what is due of one schedule, oldest first: how many runs were begun, how many ticks recorded without one."""
        row = self._store.find(*served.key)
        if row is None or row.seen_until > now:
            if row is None:
                self._store.serve(*served.key, served.schedule.cron, str(served.zone), now)
            self._store.rewind(*served.key, now)
            return 0, 0
        found = due(
            served.schedule.cron,
            served.zone,
            since=_moment(row.seen_until),
            now=_moment(now),
            served_since=_moment(self._watched_since),
            catch_up=served.schedule.catch_up,
            paused=row.paused_at is not None,
        )
        begun = recorded = 0
        without_run: list[TickRecord] = []
        for tick in found:
            if self._ended.is_set():
                break  # the next server goes on where this one stopped
            running = self._runs.running(served) if tick.outcome == "run" else []
            if tick.outcome != "run":
                without_run.append(_record(tick))
            elif decide_overlap(overlap_of(served.schedule, tick), bool(running)) == "skip":
                reason = f"Skipped: execution {running[-1]}, the run before it, was still going."
                without_run.append(TickRecord(tick.at.timestamp(), "overlap", reason, running[-1]))
            else:
                recorded += self._store.record(*served.key, without_run, now) if without_run else 0
                without_run = []
                begun += self._begin(served, tick, running, now)
        recorded += self._store.record(*served.key, without_run, now) if without_run else 0
        return begun, recorded

    def _begin(self, served: ServedSchedule, tick: DueTick, running: list[int], now: float) -> int:
        """Claim a tick and begin its run; 0 if it has its record already, since the clock was put back."""
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
            self._runs.begin(served, "schedule", at, claim)
        except ConflictError:
            if not was_taken:
                raise
            return 0
        return 1

    # What people ask

    def find(self, flow: str, name: str) -> ServedSchedule:
        """The schedule of these names. Raises ``UnknownNameError``."""
        served = self.served.get((flow, name))
        if served is None:
            known = ", ".join(repr(schedule.name) for schedule in self.served.values() if schedule.flow.name == flow)
            raise UnknownNameError(
                f"There is no schedule {name!r} in flow {flow!r}; {f'there are: {known}' if known else 'it has none'}."
            )
        return served

    def pause(self, served: ServedSchedule) -> None:
        """From now on its ticks are recorded and do not run; what runs or is queued goes on. Twice is once."""
        with self._lock:
            self._store.pause(*served.key, served.schedule.cron, str(served.zone), self._clock.now())

    def resume(self, served: ServedSchedule) -> None:
        """From now on its ticks run again; none of those that passed meanwhile does. Nothing happens if it is not paused."""
        with self._lock:
            now = self._clock.now()
            row = self._store.find(*served.key)
            if row is not None and row.paused_at is not None:
                self._store.resume(*served.key, _passed(row, now), now)

    def run(
        self, served: ServedSchedule, trigger: str, scheduled_at: float | None = None, *, force: bool = False
    ) -> tuple[int, Future[ExecutionResult]]:
        """Begin a run now, paused or not. It is no tick, though it may be another try of one, with its ``scheduled_at``.

        Raises ``ConflictError`` if a run is still going that it must not overlap.
        """
        with self._lock:
            running = self._runs.running(served)
            if decide_overlap(served.schedule.overlap, bool(running)) == "skip":
                raise ConflictError(
                    f"Schedule {served.name!r} is still running (execution {running[-1]}), and its overlap is 'skip'. Wait for its "
                    "end, cancel it, or execute its job by itself."
                )
            return self._runs.begin(served, trigger, scheduled_at, force=force)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _record(tick: DueTick, reason: str | None = None) -> TickRecord:
    first = tick.first.timestamp()
    return TickRecord(tick.at.timestamp(), tick.outcome, reason or tick.reason or None, None, tick.count, first)


def _passed(row: ScheduleRow, now: float, what: str = "") -> list[TickRecord]:
    """The ticks of a schedule as it was served until now that will not run any more; ``what`` has happened to it."""
    if row.served_since is None or row.removed_at is not None:
        return []
    try:
        found = due(
            row.cron,
            resolve_zone(row.timezone),
            since=_moment(row.seen_until),
            now=_moment(now),
            served_since=_moment(now),
            catch_up="none",
            paused=row.paused_at is not None,
        )
    except DefinitionError as error:
        logger.warning("Which ticks of schedule %r were missed can't be told: %s", row.name, error)
        return []
    changed = f"Missed: no server ran at that time, and the schedule {what} before one did." if what else None
    return [_record(tick, changed if tick.outcome == "missed" else None) for tick in found]
