"""A server whose scheduler is stepped by hand: a real store and engine, a clock and a runner that do as the test says."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from microflow import Flow, Schedule, create_flow
from microflow.engine.engine import Engine
from microflow.engine.execution.state import State
from microflow.engine.schedules.scheduler import SchedulerConfig, Swept
from microflow.model.results import ExecutionStatus
from microflow.runners.base import Outcome
from microflow.store.views import ExecutionView

from ..conftest import bury, die

PATIENCE = 60.0
LONGEST_WAIT = 1e9
JUMP = 30.0


def utc(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class SteppedClock:
    """The wall clock and the monotonic one, each of which moves as the test says."""

    def __init__(self, now: datetime) -> None:
        self.wall = now.timestamp()
        self._monotonic = 1_000.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self._monotonic

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        return event.wait(PATIENCE)

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self._monotonic += seconds

    def sleep(self, seconds: float) -> None:
        """The machine sleeps, or somebody sets the clock: backwards if negative."""
        self.wall += seconds


class HoldingRunner:
    """Runs nothing; what it is told to hold goes on until it is released, or until it is asked to stop."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.runs: Counter[tuple[str, float | None]] = Counter()
        self.held: set[str] = set()
        self.holding: set[int] = set()
        self.output: bytes | None = b"{}"

    def run(self, job: Any, request: Any, observer: Any) -> Outcome:
        observer.stop.on_set(self._look)
        with self.changed:
            self.runs[request.job, request.scheduled_at] += 1
            self.holding.add(request.execution_id)
            self.changed.notify_all()
            released = self.changed.wait_for(lambda: request.job not in self.held or observer.stop.reason, PATIENCE)
            self.holding.discard(request.execution_id)
        assert released, "nobody released the job"
        status = ExecutionStatus.SUCCESS if self.output is not None else ExecutionStatus.SKIPPED
        return Outcome(status, self.output)

    def _look(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def hold(self, *jobs: str) -> None:
        with self.changed:
            self.held.update(jobs)

    def release(self, *jobs: str) -> None:
        with self.changed:
            self.held.difference_update(jobs or set(self.held))
            self.changed.notify_all()

    def close(self) -> None:
        """Nothing is left."""


class Server:
    """Serves flows on one store, again and again, at the times that the test says."""

    def __init__(self, store: str, now: datetime) -> None:
        self.clock = SteppedClock(now)
        self.runner = HoldingRunner()
        self.engine: Engine | None = None
        self._store = store
        self._graveyard: list[Engine] = []

    # Its life

    def start(self, *flows: Flow, opened: bool = True) -> None:
        assert self.engine is None
        config = SchedulerConfig(longest_wait=LONGEST_WAIT, jump=JUMP)
        engine = self.engine = Engine(flows, store=self._store, clock=self.clock, scheduling=config)
        engine.start()
        self._watch(engine)
        if opened:
            engine.scheduler.open(self.clock.now())

    def stop(self) -> None:
        """As a signal would have it: what runs is ended."""
        assert self.engine is not None
        engine, self.engine = self.engine, None
        assert engine.stop(grace=0) or not engine._resources.live.all()

    def die(self) -> None:
        """The process is gone: nothing more is written, and nobody said goodbye."""
        assert self.engine is not None
        engine, self.engine = self.engine, None
        die(engine)
        self._graveyard.append(engine)

    def bury(self) -> None:
        """Let go of whatever a test left."""
        if self.engine is not None:
            self.runner.release()
            self.engine.stop(grace=0)
        for engine in self._graveyard:
            self.runner.release()
            bury(engine)

    # Time

    def look(self) -> Swept:
        """One turn of the loop, and all that ends by itself has ended."""
        assert self.engine is not None
        swept = self.engine.scheduler.run_once(self.clock.now())
        self.settle()
        return swept

    def advance_to(self, moment: datetime) -> None:
        """What the loop does until then."""
        swept = self.look()
        while self.clock.now() + swept.wait <= moment.timestamp():
            self.clock.advance(max(swept.wait, 0.001))
            swept = self.look()
        self.clock.advance(moment.timestamp() - self.clock.now())

    def settle(self) -> None:
        """Return when nothing lives but what is held, and what waits."""
        assert self.engine is not None
        live = self.engine._resources.live

        def is_quiet(execution: Any) -> bool:
            if execution.state is State.PARKED:
                return True
            children = tuple(execution.children)
            if children:
                return all(map(is_quiet, children))
            return execution.id in self.runner.holding and execution.job.name in self.runner.held

        with self.runner.changed:
            assert self.runner.changed.wait_for(lambda: all(map(is_quiet, live.all())), PATIENCE), live.all()

    def _watch(self, engine: Engine) -> None:
        """Have ``settle`` look again whenever an execution is gone."""
        live = engine._resources.live
        remove = live.remove

        def remove_and_tell(execution: Any) -> None:
            remove(execution)
            with self.runner.changed:
                self.runner.changed.notify_all()

        live.remove = remove_and_tell  # type: ignore[method-assign]

    # What became of it

    def ticks(self, flow: str, name: str) -> list[tuple[str, str]]:
        """(moment, outcome) of every tick, oldest first."""
        assert self.engine is not None
        found = self.engine.store.schedules.ticks(flow, name, 100_000)
        return [(tick.at.strftime("%m-%dT%H:%M"), tick.outcome) for tick in reversed(found)]

    def executions(self) -> list[ExecutionView]:
        """Everything that was executed, oldest first."""
        assert self.engine is not None
        return self.engine.store.reading.executions(limit=100_000).items[::-1]


@pytest.fixture
def make_server(tmp_path: Any) -> Iterator[Callable[..., Server]]:
    """Makes servers, each with a store of its own unless one is named."""
    made: list[Server] = []

    def make(now: str = "2026-05-04T00:00", store: str | None = None) -> Server:
        url = f"sqlite:///{tmp_path.as_posix()}/{store or len(made)}.db"
        server = Server(url, utc(now))
        made.append(server)
        return server

    yield make
    for server in made:
        server.bury()


def flow_with(
    runner: Any, schedule: Schedule | str, *, name: str = "shop", job: str = "load", **arguments: Any
) -> Flow:
    """A flow with one scheduled task."""
    flow = create_flow(name, timezone="UTC")

    @flow.task(name=job, schedule=schedule, runner=runner, **arguments)
    def load() -> dict[str, Any]:
        return {}

    return flow


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    """One server, not yet started."""
    return make_server()
