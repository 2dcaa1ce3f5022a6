"""A runner that does what a test says, a flow whose jobs do nothing, and a look at what the store holds."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from microflow import ExecutionError, ExecutionStatus, Flow, create_flow
from microflow.engine.engine import Engine
from microflow.model.payloads import decode
from microflow.runners.base import Observer, Outcome, Request

PATIENCE = 60.0


class FakeAttempt:
    """An attempt that runs until the test ends it, or until somebody asks it to stop."""

    def __init__(self, job: Any, request: Request, observer: Observer) -> None:
        self.job = job
        self.request = request
        self.observer = observer
        self.inputs = decode(request.inputs)
        self._ended = threading.Event()
        self._outcome: Outcome | BaseException | None = None

    def succeed(self, output: Any = None, **given: Any) -> None:
        """End it as a success (skipped, if ``output`` is None)."""
        encoded = None if output is None else msgspec.json.encode(output)
        self.end(Outcome(ExecutionStatus.SUCCESS if encoded else ExecutionStatus.SKIPPED, encoded, **given))

    def fail(self, kind: str = "ValueError", message: str = "no") -> None:
        """End it as an error."""
        self.end(Outcome(ExecutionStatus.ERROR, error=ExecutionError(kind, message)))

    def end(self, outcome: Outcome | BaseException) -> None:
        """End it so: return this, or raise this."""
        self._outcome = outcome
        self._ended.set()

    def carry_out(self) -> Outcome:
        self.observer.stop.on_set(self._ended.set)
        assert self._ended.wait(PATIENCE), "the test never ended this attempt"
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome or Outcome(ExecutionStatus.ERROR, error=ExecutionError("Stopped", "it was asked to stop"))


class FakeRunner:
    """A ``microflow.runners.base.Runner`` in which nothing runs: ``next()`` is the next attempt, for the test to end.

    With ``answer`` set, attempts end at once as that function of theirs says.
    """

    def __init__(self) -> None:
        self.answer: Callable[[FakeAttempt], None] | None = None
        self.started = 0
        self.closed = 0
        self._attempts: queue.SimpleQueue[FakeAttempt] = queue.SimpleQueue()

    def run(self, job: Any, request: Request, observer: Observer) -> Outcome:
        self.started += 1
        attempt = FakeAttempt(job, request, observer)
        if self.answer is not None:
            self.answer(attempt)
        else:
            self._attempts.put(attempt)
        return attempt.carry_out()

    def close(self) -> None:
        self.closed += 1

    def next(self) -> FakeAttempt:
        """The next attempt that began."""
        return self._attempts.get(timeout=PATIENCE)

    def none_began(self) -> bool:
        """Whether every attempt that began has been taken by ``next()``."""
        return self._attempts.empty()


@pytest.fixture
def runner() -> FakeRunner:
    return FakeRunner()


@pytest.fixture
def until() -> Callable[[Engine, Callable[[], Any]], None]:
    """``until(engine, condition)`` returns when the condition is true; it looks again whenever the engine tells of a change."""

    def wait(engine: Engine, condition: Callable[[], Any]) -> None:
        happened = threading.Event()
        unsubscribe = engine.events.subscribe(lambda _: happened.set())
        while not condition():
            assert happened.wait(PATIENCE), "nothing happens any more"
            happened.clear()
        unsubscribe()

    return wait


@pytest.fixture
def look() -> Callable[[Engine, int], dict[str, Any]]:
    """``look(engine, id)`` is what the store holds of an execution."""

    def look_at(engine: Engine, execution_id: int) -> dict[str, Any]:
        columns = (
            "status, kind, trigger, parent_id, root_id, position, inputs, output, error, reason, run_key, attempt, waiting, "
            "started_at, ended_at, cpu_seconds, peak_memory, time_partition, cat_partition, progress, scheduled_at"
        )
        (row,) = engine.store.database.read_text(f"SELECT {columns} FROM executions WHERE id = ?", (execution_id,))
        found = dict(zip(columns.split(", "), row, strict=True))
        for name in ("inputs", "output", "error", "waiting", "progress"):
            found[name] = None if found[name] is None else decode(found[name])
        return found

    return look_at


@pytest.fixture
def attempts() -> Callable[[Engine, int], list[tuple[int, str, str]]]:
    """``attempts(engine, id)``: number, status and error type of the failed attempts that the store holds."""

    def read(engine: Engine, execution_id: int) -> list[tuple[int, str, str]]:
        rows = engine.store.database.read_text(
            "SELECT attempt, status, error FROM attempts WHERE execution_id = ? ORDER BY attempt", (execution_id,)
        )
        return [(number, status, decode(error)["type"]) for number, status, error in rows]

    return read


@pytest.fixture
def flow() -> Flow:
    """Jobs of every kind that do nothing, in threads; a test that needs others has a flow of its own."""
    flow = create_flow("shop", max_concurrency=2)

    @flow.task(runner="thread")
    def load(a: dict[str, Any]) -> dict[str, Any]:
        return a

    @flow.task(runner="thread")
    def add(a: dict[str, Any], b: dict[str, Any], c: Any = None) -> dict[str, Any]:
        return a

    @flow.task(runner="thread", cat_partitions=["red"])
    def paint(a: dict[str, Any]) -> dict[str, Any]:
        return a

    @flow.manager
    def manage() -> dict[str, Any]:
        return {}

    return flow


def die(engine: Engine) -> None:
    """The process of this engine is gone: nothing more is written, and nobody said goodbye."""
    database = engine.store.database
    with database._lock:
        if database._writer.in_transaction:
            database._writer.execute("ROLLBACK")
        # another start of the process means that this one is dead
        database._writer.execute(
            "UPDATE engines SET process_started = 0 WHERE id = ? AND ended_at IS NULL", (engine.store.engines.own,)
        )
        engine.store.close()


def bury(engine: Engine) -> None:
    """Let go of whatever an engine has left that died."""
    for execution in engine._resources.live.all():
        execution.stop.set("the process died")
        if execution.call.pause_switch is not None:
            execution.call.pause_switch.release()
    engine._threads.close(wait=True)
    engine._timers.stop()


@pytest.fixture
def kill() -> Iterator[Callable[[Engine], None]]:
    """``kill(engine)``: its process is gone."""
    killed: list[Engine] = []

    def kill_engine(engine: Engine) -> None:
        for part in (engine.scheduler, engine.recovery, engine._housekeeping):
            part.stop()
        die(engine)
        engine._stopped = True
        killed.append(engine)

    yield kill_engine
    for engine in killed:
        bury(engine)


@pytest.fixture(params=["killed", "stopped"])
def end(request: Any, kill: Callable[[Engine], None]) -> Callable[[Engine], None]:
    """Ends a server in one way or the other, which comes to the same for what it has begun."""
    return kill if request.param == "killed" else lambda engine: [engine.stop(grace=0), None][1]


@pytest.fixture
def serve(start: Callable[..., Engine], clock: Any) -> Callable[..., Engine]:
    """Starts servers."""
    return lambda *flows, **given: start(*flows, kind="server", clock=clock, **given)


def recorded(engine: Engine) -> int:
    """How many executions the store has."""
    return int(engine.store.database.read_text("SELECT count(*) FROM executions")[0][0])
