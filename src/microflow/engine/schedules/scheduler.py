"""The scheduler: the loop that finds what is due, and what people ask of schedules.

What is due, what is caught up and what overlaps are pure rules (``model/schedules.py``). A tick that runs is claimed and its
execution opened in one transaction (``ticks.py``), so that it fires exactly once, whatever dies. Between ticks the loop waits:
until the next one is due, and not longer than ``longest_wait``, since a machine that slept and a clock that was set tell nobody.
"""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from ...errors import ConflictError, StoreError, UnknownNameError
from ...loop import Loop, log_failure
from ...model.clock import Clock, utc
from ...model.results import Trigger
from ...model.schedules import decide_overlap, next_ticks
from ...store import Schedules
from ...store.rows import Opened, ScheduleRow
from ..runs.caller import Submitted
from .runs import Key, ScheduleRuns, ServedSchedule
from .ticks import Claims, Counts, passed

logger = logging.getLogger("microflow")


class SchedulerConfig(msgspec.Struct, frozen=True):
    """Seconds. ``longest_wait``: between two looks. ``jump``: by how much the clock differs after it was set or the machine slept.

    ``ahead``: before a tick, when workers are made ready for it. ``again``: until a tick that the store refused is tried again.
    ``per_transaction``: how many schedules share a transaction; their runs start once it is committed.
    """

    longest_wait: float = 30.0
    ahead: float = 5.0
    jump: float = 30.0
    again: float = 1.0
    per_transaction: int = 8


DEFAULT_SCHEDULING = SchedulerConfig()


class Swept(NamedTuple):
    """What a look at the schedules did: ticks whose run was started, ticks recorded without a run, schedules that failed.

    ``wait``: seconds until the next look.
    """

    started: int
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
        self._config = config
        self._store = store
        self._runs = runs
        self._clock = clock
        self._looking = threading.Lock()  # held for a whole look; taken before the other one
        self._lock = threading.Lock()  # one thread at a time looks, pauses, resumes or starts a run
        self._plan: list[tuple[float, int, ServedSchedule]] = []
        self._offset = 0.0
        self._expected = 0.0
        self._prepared_for = 0.0
        self._is_open = False
        self._ended = threading.Event()
        self._claims = Claims(store, runs, self._lock, self._ended)
        self._loop = Loop(
            "microflow-scheduler",
            self._take_turn,
            failure=f"A look at the schedules failed; the next one follows in {config.longest_wait:g} s",
            again=config.longest_wait,
            clock=clock,
        )
        self._is_started = False
        self._set(flows, served)

    def _set(self, flows: Iterable[str], served: Sequence[ServedSchedule]) -> None:
        self._flows = tuple(flows)
        self._order = {schedule.key: number for number, schedule in enumerate(served)}
        self.served: dict[Key, ServedSchedule] = {schedule.key: schedule for schedule in served}

    # Its life

    def start(self) -> None:
        """Start to serve, and look after the schedules in a thread of its own. If the store fails, that thread tries again."""
        self._try_to_open(self._clock.now())
        self._is_started = True
        if not self._is_open:
            self._loop.start(after=self._config.again)
        elif self.served:
            self._loop.start()

    def stop(self) -> None:
        """Start no further run, and wait until the look under way is over."""
        self._ended.set()
        self._loop.stop()

    def open(self, now: float) -> None:
        """Start to serve: new and changed schedules count from now; the runs of ticks that were claimed and not started follow.

        1. What each flow's code says is compared with what the store knows, and what differs is written, in one transaction for
           each flow. 2. Runs that a server left queued are taken over. 3. Every schedule is looked at as soon as possible.
        """
        with self._looking:
            self._open(now)

    def _open(self, now: float) -> None:
        for flow in self._flows:
            self._reconcile(flow, self.served.values(), now)
        for opened in self.not_started():
            self._runs.take_over_tick(opened, now)
        self._claims.watched_since = now
        self._expected = self._clock.monotonic()
        self._offset = now - self._expected
        self._look_at_all(now)
        self._is_open = True

    def _look_at_all(self, now: float) -> None:
        self._plan = [(now, order, self.served[key]) for key, order in self._order.items()]

    def serve(
        self, flows: Iterable[str], served: Sequence[ServedSchedule], swapped: Callable[[], None] = lambda: None
    ) -> None:
        """Serve other flows and schedules instead, as a new server would; here no ticks pass between two servers.

        1. The ticks that are due by now start as they were served. 2. What the flows' code says is compared with what the store
        knows, in one transaction: new and changed schedules count from now, and removed ones are recorded. 3. ``swapped`` is
        called, while nobody else starts a run. Raises ``StoreError``; then everything is served as before.
        """
        with self._looking:
            now = self._clock.now()
            if self._is_open:
                self._look(now)
            with self._lock:
                if self._is_open:
                    with self._store.transaction():
                        for flow in flows:
                            self._reconcile(flow, served, now)
                self._set(flows, served)
                swapped()
            self._prepared_for = 0.0
            self._look_at_all(now)
        if self._loop.is_running or (self._is_started and served):
            self._loop.wake()

    def not_started(self) -> list[Opened]:
        """The runs of ticks that a server left queued, and that nobody has taken over yet, in the order of their ticks."""
        return [
            opened
            for opened in self._store.not_started()
            if opened.flow in self._flows and not self._runs.is_live(opened.id)
        ]

    def _try_to_open(self, now: float) -> None:
        try:
            self.open(now)
        except Exception as error:  # noqa: BLE001 - whatever it was, a server without schedules is worse than one that tries again
            log_failure("Schedules can't be served yet, and are tried again", error)

    def _reconcile(self, flow: str, schedules: Iterable[ServedSchedule], now: float) -> None:
        known = self._store.of_flow(flow)
        with self._store.transaction():
            for served in schedules:
                if served.flow.name == flow:
                    self._serve(served, known.pop(served.name, None), now)
            for row in known.values():
                if row.removed_at is None:
                    self._store.record(flow, row.name, passed(row, now, "was removed"), now)
                    self._store.remove(flow, row.name, now)

    def _serve(self, served: ServedSchedule, row: ScheduleRow | None, now: float) -> None:
        """An unchanged schedule continues where it was; a new or changed one starts now."""
        cron, timezone = served.schedule.cron, str(served.zone)
        if row is not None and row.served_since is not None and row.removed_at is None:
            if (row.cron, row.timezone) == (cron, timezone):
                return
            self._store.record(*served.key, passed(row, now, "was changed"), now)
        self._store.serve(*served.key, cron, timezone, now)

    def _take_turn(self) -> float:
        """A turn of the loop; seconds until the next one."""
        if not self._is_open:
            self._try_to_open(self._clock.now())
            if not self._is_open:
                return self._config.again
        try:
            return self.run_once(self._clock.now()).wait
        except BaseException:
            self._expected = self._clock.monotonic() + self._config.longest_wait
            raise

    def run_once(self, now: float) -> Swept:
        """Look at every schedule that has a tick by now. What fails is tried again soon, and keeps nothing else from running."""
        with self._looking:
            return self._look(now)

    def _look(self, now: float) -> Swept:
        self._notice_jumps(now)
        looked: list[ServedSchedule] = []
        counts = Counts()
        failures: list[str] = []
        again: dict[ServedSchedule, float] = {}
        while due_now := self._take_due(now):
            done, left = self._claims.claim_together(due_now, now)
            counts = counts.plus(done)
            for served in left:
                try:
                    counts = counts.plus(self._claims.claim_alone(served, now))
                except StoreError as error:
                    failures.append(f"schedule {served.name!r}: {error}")
                    again[served] = now + self._config.again
                except Exception:
                    logger.exception("Schedule %r of flow %r failed; the others go on.", served.name, served.flow.name)
                    failures.append(served.name)
                    again[served] = now + self._config.longest_wait
            looked += due_now
        for served in looked:  # after the due runs have started, since this takes time
            self._expect(served, now, again.get(served))
        if failures:
            logger.error("The ticks of %d schedules are tried again; the first: %s", len(failures), failures[0])
        wait = min(self._prepare(), self._config.longest_wait)
        self._expected = self._clock.monotonic() + wait
        return Swept(counts.started, counts.recorded, len(failures), wait)

    def _take_due(self, now: float) -> list[ServedSchedule]:
        """The schedules that may have a tick by now, as many as one transaction is for; they are taken from the plan."""
        taken: list[ServedSchedule] = []
        while self._plan and self._plan[0][0] <= now and len(taken) < self._config.per_transaction:
            if self._ended.is_set():
                break
            taken.append(heapq.heappop(self._plan)[2])
        return taken

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
            self._claims.watched_since = now
        elif shift < -self._config.jump:
            self._look_at_all(now)
        self._claims.watched_since = min(self._claims.watched_since, now)

    def _expect(self, served: ServedSchedule, now: float, again: float | None) -> None:
        """Look at it again when its next tick is due, or at ``again``."""
        if again is None:
            following = next_ticks(served.schedule.cron, served.zone, utc(now), 1)
            if not following:
                return  # the calendar has no further one
            again = following[0].timestamp()
        heapq.heappush(self._plan, (again, self._order[served.key], served))

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
                self._store.resume(*served.key, passed(row, now), now)

    def run(
        self, served: ServedSchedule, trigger: Trigger, scheduled_at: float | None = None, *, force: bool = False
    ) -> Submitted:
        """Start a run now, paused or not. It is not a tick, though it may retry one, with that tick's ``scheduled_at``.

        Raises ``ConflictError`` if a run is still going that it must not overlap.
        """
        with self._lock:
            running = self._runs.running(served)
            if decide_overlap(served.schedule.overlap, bool(running)) == "skip":
                raise ConflictError(
                    f"Schedule {served.name!r} is still running (execution {running[-1]}), and its overlap is 'skip'. Wait for its "
                    "end, cancel it, or execute its job by itself."
                )
            return self._runs.start(served, trigger, scheduled_at, force=force)
