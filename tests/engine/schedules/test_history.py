"""Months of serving, stopping, dying, sleeping, pausing and editing: every due tick has its record, every run its execution."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microflow import Flow, Schedule, create_flow
from microflow.errors import ConflictError
from microflow.model.schedules import ticks

CRONS = ["0 */3 * * *", "30 2 * * *", "*/30 1-3 * * *", "15 8,20 * * MON-FRI", "0 0 * * *"]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]
STARTS = ["2026-03-20T12:00", "2026-03-05T00:00", "2026-10-20T05:30", "2026-10-28T23:59"]

LATE = {"run", "queued"}
"""Of runs that are begun at once, it depends on the moment whether one has ended when the next is begun."""


@dataclass
class Expected:
    """What a schedule must do, kept beside the server by plain bookkeeping."""

    name: str
    cron: str
    zone: str
    catch_up: Any
    overlap: Any
    is_dag: bool
    seen: datetime
    paused: bool = False
    removed: bool = False
    going: int = 0
    runs_now: int = 0
    records: dict[datetime, set[str]] = field(default_factory=dict)

    def schedule(self) -> Schedule:
        return Schedule(self.cron, timezone=self.zone, name=self.name, catch_up=self.catch_up, overlap=self.overlap)

    def _due(self, now: datetime) -> list[datetime]:
        if self.removed:
            return []
        found = list(ticks(self.cron, ZoneInfo(self.zone), self.seen, now))
        self.seen = now
        return found

    def in_time(self, now: datetime, held: bool) -> None:
        """A server served until now."""
        for tick in self._due(now):
            self._runs(tick, held, {"run"})

    def missed(self, now: datetime, held: bool) -> None:
        """No server ran until now, or the machine slept; now one looks."""
        due = self._due(now)
        for tick in due:
            if self.catch_up == "all" or (self.catch_up == "last" and tick == due[-1]):
                self._runs(tick, held, LATE if self.catch_up == "all" else {"run"}, late=True)
            else:
                self.records.setdefault(tick, {"paused" if self.paused else "missed"})

    def dropped(self, now: datetime) -> None:
        """No server ran until now, and then it was paused or had changed."""
        for tick in self._due(now):
            self.records.setdefault(tick, {"paused" if self.paused else "missed"})

    def _runs(self, tick: datetime, held: bool, outcomes: set[str], late: bool = False) -> None:
        queues = self.overlap == "queue" or (late and self.catch_up == "all" and self.overlap == "skip")
        if self.paused:
            self.records.setdefault(tick, {"paused"})
        elif self.going and not queues and self.overlap == "skip":
            self.records.setdefault(tick, {"overlap"})
        elif self.records.get(tick, {"missed"}) == {"missed"}:  # where the clock was put back it may come again
            self.records[tick] = {"queued"} if self.going and queues else outcomes
            self.going += held

    def server_ended(self) -> None:
        """What ran has ended with it; what was queued goes on with the next one."""
        self.going = 0 if self.overlap == "allow" else max(self.going - 1, 0)

    def remove_or_bring_back(self, now: datetime) -> None:
        """The next server is without it, and cancels what was queued; or is with it again, and begins anew."""
        self.dropped(now)
        self.removed = not self.removed
        self.going = 0
        self.seen = now


class Simulation:
    """A server, and what it must do."""

    def __init__(self, server: Any, schedules: list[Expected]) -> None:
        self.server = server
        self.schedules = schedules
        self.held = False
        self.server.start(self._flow())
        self.server.look()

    def _flow(self) -> Flow:
        flow = create_flow("shop", max_concurrency=10_000)
        for expected in self.schedules:
            if expected.removed:
                continue
            schedule = expected.schedule()

            @flow.task(name=expected.name, schedule=schedule, runner=self.server.runner)
            def load() -> dict[str, Any]:
                return {}

            if expected.is_dag:
                flow.task(name=f"{expected.name} after", schedule=schedule, inputs=[load], runner=self.server.runner)(
                    lambda: {}
                )
        return flow

    def _served(self, number: int) -> Expected | None:
        expected = self.schedules[number % len(self.schedules)]
        return None if expected.removed else expected

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.server.clock.now(), UTC)

    def advance(self, hours: int) -> None:
        until = self.now + timedelta(hours=hours)
        self.server.advance_to(until)
        self.server.look()
        for expected in self.schedules:
            expected.in_time(until, self.held)

    def down(self, how: str, hours: int, edit: tuple[int, str, str] | None, moved: int | None = None) -> None:
        getattr(self.server, how)()
        self.server.clock.advance(hours * 3600 + 1)
        for expected in self.schedules:
            expected.server_ended()
        if edit is not None:
            number, cron, zone = edit
            edited = self.schedules[number % len(self.schedules)]
            if (edited.cron, edited.zone) != (cron, zone):
                edited.dropped(self.now)
                edited.cron, edited.zone = cron, zone
        if moved is not None:
            self.schedules[moved % len(self.schedules)].remove_or_bring_back(self.now)
        self.server.start(self._flow())
        self.server.look()
        for expected in self.schedules:
            expected.missed(self.now, self.held)
            expected.going *= self.held

    def sleep(self, minutes: int) -> None:
        self.server.clock.sleep(minutes * 60)
        self.server.look()
        for expected in self.schedules:
            expected.missed(self.now, self.held)

    def put_back(self, minutes: int) -> None:
        self.server.clock.sleep(-minutes * 60)
        self.server.look()
        for expected in self.schedules:
            expected.seen = self.now

    def pause(self, number: int) -> None:
        if expected := self._served(number):
            self.server.engine.pause_schedule("shop", expected.name)
            expected.paused = True

    def resume(self, number: int) -> None:
        if expected := self._served(number):
            self.server.engine.resume_schedule("shop", expected.name)
            expected.paused = False

    def run_now(self, number: int) -> None:
        """Only where no run goes on: one that is queued is nobody's tick, and would not outlive the server."""
        expected = self._served(number)
        if expected is not None and not expected.going:
            self.server.engine.run_schedule("shop", expected.name)
            self.server.settle()
            expected.runs_now += 1
            expected.going = int(self.held)
        elif expected is not None and expected.overlap == "skip":
            with pytest.raises(ConflictError):
                self.server.engine.run_schedule("shop", expected.name)

    def hold(self) -> None:
        self.held = True
        self.server.runner.hold(*(expected.name for expected in self.schedules))

    def release(self) -> None:
        self.held = False
        self.server.runner.release()
        self.server.settle()
        for expected in self.schedules:
            expected.going = 0

    def check(self) -> None:
        """Every due tick has its one record, every record of a run its one execution, every execution its record."""
        self.release()
        every = [execution for execution in self.server.executions() if execution.trigger != "call"]
        runs = [execution for execution in every if execution.trigger == "schedule"]
        by_hand = Counter(execution.job for execution in every if execution.trigger == "python")
        assert by_hand == Counter(
            {expected.name: expected.runs_now for expected in self.schedules if expected.runs_now}
        )
        assert all(execution.status.final for execution in self.server.executions())
        fired = Counter((execution.job, execution.scheduled_at) for execution in runs)
        assert not fired or fired.most_common(1)[0][1] == 1, "a tick fired twice"
        for expected in self.schedules:
            recorded = {
                tick.at: tick for tick in self.server.engine.store.schedules.ticks("shop", expected.name, 100_000)
            }
            assert all(tick.count == 1 for tick in recorded.values())
            found = {at: tick.outcome for at, tick in recorded.items()}
            wrong = {
                at.isoformat(): (found.get(at), expected.records.get(at))
                for at in {*found, *expected.records}
                if found.get(at) not in expected.records.get(at, set())
            }
            assert wrong == {}, expected
            ran = {at for at, tick in recorded.items() if tick.outcome in LATE}
            assert ran == {at for job, at in fired if job == expected.name}
            by_id = {execution.id: execution for execution in runs}
            assert all(by_id[recorded[at].execution_id].scheduled_at == at for at in ran)
        # a run by hand may be as of the very moment of a tick
        roots = {execution.id for execution in every if execution.trigger == "python"}
        by_hand = Counter(
            (execution.job, execution.scheduled_at.timestamp())
            for execution in self.server.executions()
            if execution.root_id in roots and execution.kind == "task"
        )
        times = [count - by_hand[key] for key, count in self.server.runner.runs.items()]
        assert max(times, default=1) <= 1, "a function ran twice for one tick"


moments = st.integers(1, 72)
edits = st.none() | st.tuples(st.integers(0, 1), st.sampled_from(CRONS), st.sampled_from(ZONES))
actions = st.one_of(
    st.tuples(st.just("advance"), moments),
    st.tuples(st.just("advance"), moments),
    st.tuples(st.just("down"), st.sampled_from(["stop", "die"]), st.integers(0, 72), edits),
    st.tuples(st.just("down"), st.just("die"), st.integers(0, 72), edits, st.integers(0, 1)),
    st.tuples(st.just("sleep"), st.integers(2, 900)),
    st.tuples(st.just("put_back"), st.integers(1, 300)),
    st.tuples(st.sampled_from(["pause", "resume", "run_now"]), st.integers(0, 1)),
    st.tuples(st.sampled_from(["hold", "release"])),
)
policies = st.tuples(
    st.sampled_from(CRONS),
    st.sampled_from(ZONES),
    st.sampled_from(["last", "all", "none"]),
    st.sampled_from(["skip", "queue", "allow"]),
    st.booleans(),
)


@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    start=st.sampled_from(STARTS),
    policies=st.lists(policies, min_size=1, max_size=2),
    actions=st.lists(actions, min_size=3, max_size=25),
)
def test_every_tick_of_a_long_story_is_accounted_for(
    make_server: Any, start: str, policies: list[Any], actions: list[Any]
) -> None:
    server = make_server(start)
    now = datetime.fromtimestamp(server.clock.now(), UTC)
    simulation = Simulation(server, [Expected(f"job_{n}", *policy, now) for n, policy in enumerate(policies)])
    for name, *arguments in actions:
        getattr(simulation, name)(*arguments)
    simulation.check()
    server.bury()


@pytest.mark.parametrize("overlap", ["skip", "queue", "allow"])
def test_half_a_year_of_both_clock_changes(make_server: Any, overlap: str) -> None:
    server = make_server("2026-10-01T00:00")
    now = datetime.fromtimestamp(server.clock.now(), UTC)
    schedules = [
        Expected("often", "*/30 1-3 * * *", "Europe/Berlin", "last", overlap, False, now),
        Expected("daily", "30 2 * * *", "Europe/Berlin", "all", overlap, True, now),
    ]
    simulation = Simulation(server, schedules)
    for week in range(26):
        simulation.advance(6 * 24)
        simulation.down("die" if week % 2 else "stop", 24, None)
    simulation.check()

    assert len(schedules[1].records) == 182
