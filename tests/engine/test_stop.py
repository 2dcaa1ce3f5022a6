"""Stopping: no new work, what runs may end by itself, what does not is ended and recorded, twice is fine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from microflow import ConflictError, Flow, create_flow
from microflow.engine.engine import Engine
from microflow.store.database import Database

Start = Callable[..., Engine]


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop", max_concurrency=1)


def rows(store: str, columns: str) -> list[Any]:
    with closing(Database(store)) as database:
        return database.read_text(f"SELECT {columns} FROM executions ORDER BY id")


def stopping(engine: Engine, grace: float) -> tuple[threading.Thread, list[bool]]:
    """Stop it in another thread; what ``stop`` said."""
    said: list[bool] = []
    thread = threading.Thread(target=lambda: said.append(engine.stop(grace)))
    thread.start()
    return thread, said


def test_an_idle_engine_stops_at_once_and_stopping_again_is_fine(
    flow: Flow, start: Start, runner: Any, store: str
) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})
    runner.answer = lambda attempt: attempt.succeed({})
    engine = start(flow)
    load()

    assert engine.stop(reason="the process ended")
    assert engine.stop()

    assert flow.runtime is None
    assert runner.closed == 1
    with closing(Database(store)) as database:
        assert database.read_text("SELECT reason, ended_at > started_at FROM engines") == [("the process ended", 1)]


def test_what_runs_may_end_by_itself_and_call_what_it_needs(flow: Flow, start: Start, runner: Any, store: str) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    manage = flow.manager(name="manage")(lambda: load(load({})))
    engine = start(flow)
    engine.submit(manage)
    attempt = runner.next()

    thread, said = stopping(engine, grace=60)
    attempt.succeed({})
    runner.next().succeed({})
    thread.join()

    assert said == [True]
    assert rows(store, "job, status") == [("manage", "success"), ("load", "success"), ("load", "success")]


def test_no_new_work_is_taken_meanwhile(flow: Flow, start: Start, runner: Any, until: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})
    engine = start(flow)
    engine.submit(load)
    attempt = runner.next()
    thread, said = stopping(engine, grace=60)
    while not engine._resources.stopping:
        pass

    with pytest.raises(ConflictError, match="The engine is stopping and takes no new work"):
        engine.submit(load)

    attempt.succeed({})
    thread.join()
    assert said == [True]


def test_what_does_not_end_is_ended_and_recorded(flow: Flow, start: Start, runner: Any, store: str) -> None:
    load = flow.task(name="load", runner=runner, retries=5)(lambda: {})
    manage = flow.manager(name="manage")(lambda: load())
    engine = start(flow)
    engine.submit(manage)
    running = runner.next()
    engine.submit(load)

    assert engine.stop(grace=0) is False

    assert running.observer.stop.reason == "interrupted"
    assert [status for (status,) in rows(store, "status")] == ["error"] * 3
    assert all('"type":"Interrupted"' in error for (error,) in rows(store, "error"))
    assert runner.started == 1


def test_whoever_is_in_a_hurry_need_not_wait(flow: Flow, start: Start, runner: Any, store: str) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})
    engine = start(flow)
    engine.submit(load)
    runner.next()

    thread, said = stopping(engine, grace=3600)
    engine.hurry()
    thread.join()

    assert said == [False]
    assert [status for (status,) in rows(store, "status")] == ["error"]


def test_what_waits_for_its_next_attempt_is_ended_too(
    flow: Flow, start: Start, runner: Any, clock: Any, store: str
) -> None:
    load = flow.task(name="load", runner=runner, retries=1, retry_delay=3600)(lambda: {})
    engine = start(flow, clock=clock)
    submitted = engine.submit(load)
    runner.next().fail()
    clock.until_asleep(3600)

    engine.stop(grace=0)

    assert submitted.future.result().status == "error"
    assert rows(store, "status, waiting") == [("error", None)]


def test_a_flow_can_be_served_again_by_another_engine(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})
    runner.answer = lambda attempt: attempt.succeed({"n": 1})
    start(flow).stop()

    start(flow)

    assert load() == {"n": 1}


def test_the_memory_store_leaves_no_folder(flow: Flow, start: Start) -> None:
    talk = flow.manager(name="talk")(lambda: (print("hello"), {})[1])
    engine = start(flow, store=":memory:")
    assert talk().status == "success"
    folder = engine.logs.folder
    assert engine.logs.read(1).text == "hello\n"

    engine.stop()

    assert not folder.exists()
