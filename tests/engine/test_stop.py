"""Stopping: no new work, what runs may end by itself, what does not is ended and recorded, twice is fine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from microflow import ConflictError, Flow, create_flow
from microflow.engine.engine import Engine
from microflow.engine.execution.execution import Execution
from microflow.store.sqlite.database import Database

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]
Attempts = Callable[[Engine, int], list[tuple[int, str, str]]]


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


def stopped_while_one_fails(engine: Engine, runner: Any) -> list[bool]:
    """Stop it while an attempt runs that fails then; the next one, which is made all the same, succeeds. What ``stop`` said."""
    attempt = runner.next()
    thread, said = stopping(engine, grace=60)
    while not engine._resources.stopping:
        pass
    attempt.fail()
    runner.next().succeed({})
    thread.join()
    return said


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


def test_a_server_leaves_what_has_an_attempt_left_or_never_began_to_the_next_one(
    flow: Flow, start: Start, runner: Any, store: str, look: Look, attempts: Attempts, until: Any
) -> None:
    load = flow.task(name="load", runner=runner, retries=1)(lambda a: a)
    other = flow.task(name="other", runner=runner)(lambda: {})
    manage = flow.manager(name="manage")(lambda: load({"n": 0}))
    first = start(flow, kind="server")
    running, waiting = first.submit(load, [{"n": 1}]), first.submit(load, [{"n": 2}])
    last, called = first.submit(other), first.submit(manage)
    assert runner.next().request.execution_id == running.id
    until(
        first, lambda: first.store.database.read_text("SELECT count(*) FROM executions") == [(5,)]
    )  # the manager has called

    assert first.stop(grace=0) is False

    assert {error.type for each in (running, waiting, last, called) if (error := each.future.result().error)} == {
        "Interrupted"
    }
    assert rows(store, "job, status, attempt") == [
        ("load", "queued", 1),
        ("load", "queued", 1),
        ("other", "queued", 1),
        ("manage", "error", 1),
        ("load", "error", 1),
    ]
    with closing(Database(store)) as database:
        assert "waits for a server" in database.read_text("SELECT waiting FROM executions WHERE id = 1")[0][0]

    script = start(flow)  # which leaves them alone
    with pytest.raises(ConflictError, match=f"Execution {running.id} has not ended"):
        script.retry(running.id)
    script.stop()
    second = start(flow, kind="server")
    for number, tried in ((1, 2), (2, 1)):
        attempt = runner.next()
        assert (attempt.inputs, attempt.request.attempt) == ([{"n": number}], tried)
        attempt.succeed({})
    until(second, lambda: look(second, waiting.id)["status"] == "success")
    assert look(second, running.id)["status"] == "success"
    assert attempts(second, running.id) == [(1, "error", "Interrupted")]
    assert attempts(second, waiting.id) == []
    attempt = runner.next()
    assert (attempt.request.execution_id, attempt.request.attempt) == (last.id, 1)
    attempt.succeed({})


def test_a_server_knows_how_many_of_its_executions_wait_for_the_next_one(flow: Flow, start: Start, runner: Any) -> None:
    flow.task(name="load", runner=runner, retries=1, retry_delay=3600)(lambda: {})
    engine = start(flow, kind="server")
    beside = start(create_flow("other"))
    for _ in range(2):
        engine.submit(flow.jobs["load"])
        runner.next().fail()

    assert engine.stop()

    assert engine.left == 2
    assert beside.stop()
    assert beside.left == 0, "they are of none of its flows"


def leave_to_the_next_server(flow: Flow, start: Start, runner: Any) -> None:
    """One execution that has an attempt left."""
    load = flow.task(name="load", runner=runner, retries=1)(lambda: {})
    first = start(flow, kind="server")
    first.submit(load)
    runner.next()
    first.stop(grace=0)


def test_what_a_server_left_and_nobody_can_try_again_ends_at_the_next_start(
    flow: Flow, start: Start, runner: Any, store: str, look: Look
) -> None:
    leave_to_the_next_server(flow, start, runner)

    second = start(create_flow("shop"), kind="server")

    assert look(second, 1)["status"] == "error"
    assert look(second, 1)["error"]["type"] == "Interrupted"


def test_what_a_server_left_is_not_ended_by_a_server_of_other_flows(
    flow: Flow, start: Start, runner: Any, look: Look
) -> None:
    leave_to_the_next_server(flow, start, runner)

    other = start(create_flow("warehouse"), kind="server")
    other.recovery.run_once(3.0)
    assert look(other, 1)["status"] == "queued"
    assert "waits for a server" in look(other, 1)["waiting"]["message"]
    other.stop()

    second = start(flow, kind="server")
    attempt = runner.next()
    assert attempt.request.attempt == 2
    attempt.succeed({})
    assert second.stop()


def test_a_manager_that_can_not_be_ended_is_left_to_the_next_server_too(flow: Flow, start: Start, store: str) -> None:
    begun, over = threading.Event(), threading.Event()

    @flow.manager(retries=1)
    def stubborn() -> None:
        begun.set()
        over.wait(60)

    engine = start(flow, kind="server")
    engine.submit(stubborn)
    begun.wait(60)
    engine.hurry()

    assert engine.stop() is False

    over.set()
    assert rows(store, "status, attempt, engine_id") == [("queued", 1, 0)]


def test_what_fails_while_a_server_stops_is_tried_again_by_the_next(
    flow: Flow, start: Start, runner: Any, look: Look, attempts: Attempts, until: Any
) -> None:
    load = flow.task(name="load", runner=runner, retries=2, retry_delay=3600)(lambda a: a)
    engine = start(flow, kind="server")
    engine.submit(load, [{"n": 1}])
    runner.next().fail()
    until(engine, lambda: look(engine, 1)["status"] == "queued")
    engine.submit(load, [{"n": 2}])
    attempt = runner.next()

    thread, said = stopping(engine, grace=60)
    while not engine._resources.stopping:
        pass
    attempt.fail()
    thread.join()

    assert said == [True]  # nobody waits for the delay
    second = start(flow, kind="server")
    for expected in ((1, 2), (2, 2)):
        attempt = runner.next()
        assert (attempt.inputs[0]["n"], attempt.request.attempt) == expected
        attempt.succeed({})
    assert attempts(second, 1) == attempts(second, 2) == [(1, "error", "ValueError")]


def test_what_a_manager_calls_while_its_engine_stops_is_tried_again(
    flow: Flow, start: Start, runner: Any, store: str
) -> None:
    load = flow.task(name="load", runner=runner, retries=1, retry_delay=0)(lambda: {})
    manage = flow.manager(name="manage")(lambda: load())
    engine = start(flow, kind="server")
    engine.submit(manage)

    assert stopped_while_one_fails(engine, runner) == [True]

    assert rows(store, "job, status") == [("manage", "success"), ("load", "success")]


def test_what_a_script_submitted_is_tried_again_although_the_script_has_ended(
    flow: Flow, start: Start, runner: Any, store: str
) -> None:
    load = flow.task(name="load", runner=runner, retries=1, retry_delay=0)(lambda: {})
    engine = start(flow)
    load.submit()

    assert stopped_while_one_fails(engine, runner) == [True]

    assert rows(store, "status") == [("success",)]


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
    folder = engine.store.logs.folder
    assert engine.store.logs.read(1).text == "hello\n"

    engine.stop()

    assert not folder.exists()


def test_one_whose_slot_came_as_its_server_stopped_counts_as_not_begun(
    flow: Flow, start: Start, runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start(flow, kind="server")
    attempt = Execution.attempt

    def stopped_before(self: Execution) -> Any:
        first._resources.stopping = True
        self.cancel("interrupted")
        return attempt(self)

    monkeypatch.setattr(Execution, "attempt", stopped_before)
    number = first.submit(flow.task(name="slow", runner=runner)(lambda a: a), [{"n": 1}]).id
    assert first._resources.live.wait_until_empty(60)
    monkeypatch.undo()
    first.stop(grace=0)
    assert first.left == 1

    second = start(flow, kind="server")
    attempted = runner.next()
    attempted.succeed({})
    assert second._resources.live.wait_until_empty(60)
    row = second.store.database.read_text("SELECT status, attempt FROM executions WHERE id = ?", (number,))
    assert row == [("success", 1)], "it has no retries, and needed none"
