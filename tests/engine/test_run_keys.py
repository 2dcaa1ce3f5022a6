"""Run keys: what succeeded once with a key is not done again, two at once are done once, and force does it anyway."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from microflow import ExecutionResult, Flow, create_flow, map_parallel
from microflow.engine.engine import Engine
from microflow.engine.execution.other_engines import LOOK
from microflow.store import open as open_store
from microflow.store.rows import Opening

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]
KEY = {"run_key": "file.csv"}


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop", max_concurrency=4)


def test_what_failed_is_done_again_and_what_succeeded_is_not(flow: Flow, start: Start, runner: Any, look: Look) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    engine = start(flow)
    runner.answer = lambda attempt: attempt.fail() if runner.started == 1 else attempt.succeed({"rows": 3})

    assert load(KEY).status == "error"
    assert load(KEY).status == "success"
    third = load(KEY)

    assert third.status == "skipped"
    assert third == ExecutionResult({"rows": 3}, status="skipped")
    assert third.reason == "run key 'file.csv' succeeded before, in execution 2"
    assert third.run_key == "file.csv"
    assert runner.started == 2
    row = look(engine, 3)
    assert (row["status"], row["output"], row["run_key"]) == ("skipped", {"rows": 3}, "file.csv")
    assert row["attempt"] == 1


def test_keys_are_of_a_job_and_whole_numbers_are_keys_too(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    other = flow.task(name="other", runner=runner)(lambda a: a)
    start(flow)
    runner.answer = lambda attempt: attempt.succeed({})

    assert load({"run_key": 5}).status == "success"
    assert other({"run_key": 5}).status == "success"
    assert load({"run_key": "5"}).status == "skipped"
    assert load({"run_key": 6}).status == "success"
    assert load({"run_key": None}).run_key is None


def test_managers_have_run_keys_too(flow: Flow, start: Start) -> None:
    ran = []

    @flow.manager
    def manage(a: dict[str, Any]) -> Any:
        ran.append(a)
        return a

    start(flow)

    assert [str(manage(KEY).status) for _ in range(3)] == ["success", "skipped", "skipped"]
    assert ran == [KEY]


def test_only_the_first_input_is_looked_at_and_only_if_it_is_a_dict(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda a, b: a)
    start(flow)
    runner.answer = lambda attempt: attempt.succeed({})

    assert load({}, KEY).run_key is None
    assert load([KEY], KEY).run_key is None
    assert load(KEY, {}).run_key == "file.csv"


@pytest.mark.parametrize("first_succeeds", [True, False])
def test_two_at_once_are_done_one_after_the_other(
    flow: Flow, start: Start, runner: Any, look: Look, first_succeeds: bool
) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    engine = start(flow)
    first = engine.submit(load, [KEY])
    attempt = runner.next()
    second = engine.submit(load, [KEY])
    other = engine.submit(load, [{"run_key": "other"}])

    runner.next().succeed({})
    assert other.future.result().status == "success"
    assert look(engine, second.id)["waiting"] == {
        "reason": "run_key",
        "message": "waits for the execution that runs with run key 'file.csv'",
        "since": look(engine, second.id)["waiting"]["since"],
    }
    assert engine.held_by(second.id) == [first.id]
    attempt.succeed({"n": 1}) if first_succeeds else attempt.fail()
    if not first_succeeds:
        runner.next().succeed({"n": 2})

    assert first.future.result().status == ("success" if first_succeeds else "error")
    result = second.future.result()
    assert result.status == ("skipped" if first_succeeds else "success")
    assert result.output == {"n": 1 if first_succeeds else 2}
    assert runner.started == (2 if first_succeeds else 3)


def test_of_many_threads_with_one_key_one_does_it(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    manage = flow.manager(name="manage")(lambda: map_parallel(load, [KEY] * 20))
    engine = start(flow)
    runner.answer = lambda attempt: attempt.succeed({})

    runs = [engine.submit(manage) for _ in range(5)]

    assert {run.future.result().status for run in runs} <= {"success", "skipped"}
    assert runner.started == 1
    assert all(state.holders == state.waiters == [] for state in engine.concurrency())


def test_force_does_it_anyway(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    engine = start(flow)
    runner.answer = lambda attempt: attempt.succeed({"n": runner.started})

    assert engine.submit(load, [KEY]).future.result() == {"n": 1}
    assert engine.submit(load, [KEY], force=True).future.result() == {"n": 2}
    assert engine.submit(load, [KEY]).future.result().output == {"n": 2}, "the newest success counts"
    assert engine.retry(1).future.result() == {"n": 3}


def test_force_does_not_wait_for_the_one_that_runs(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    engine = start(flow)
    first = engine.submit(load, [KEY])
    attempt = runner.next()

    second = engine.submit(load, [KEY], force=True)
    runner.next().succeed({})

    assert second.future.result().status == "success"
    attempt.succeed({})
    assert first.future.result().status == "success"


def test_a_job_can_set_its_key_afterwards(flow: Flow, start: Start, look: Look) -> None:
    load = flow.task(name="load", runner="thread")(lambda a: ExecutionResult({"n": 1}, run_key="late"))
    engine = start(flow)

    assert load({}).run_key == "late"
    assert look(engine, 1)["run_key"] == "late"
    assert load({"run_key": "late"}).reason == "run key 'late' succeeded before, in execution 1"


def test_a_manager_that_hands_on_a_result_does_not_take_its_key(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    manage = flow.manager(name="manage")(lambda: load(KEY))
    start(flow)
    runner.answer = lambda attempt: attempt.succeed({"n": 1})

    assert manage().run_key is None
    second = manage()
    assert second.status == "skipped", "it hands on the status of its task"
    assert second.output == {"n": 1}


def test_a_skipped_result_with_an_output_counts_as_skipped_and_can_be_read(
    flow: Flow, start: Start, runner: Any
) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    target = flow.task(name="target", runner=runner)(lambda a: a)

    @flow.manager
    def manage() -> Any:
        result = load(KEY)
        return [{"n": result["n"], "target": str(target(result).status)}]

    start(flow)
    runner.answer = lambda attempt: attempt.succeed({"n": 1})

    assert manage() == [{"n": 1, "target": "success"}]
    assert manage() == [{"n": 1, "target": "skipped"}]


# Two engines that share a store


@pytest.fixture
def other_engine(store: str, start: Start, clock: Any) -> Callable[[Any], tuple[Engine, Any]]:
    """Starts an engine as another process would have it, with a flow of its own; returns it and its job ``load``."""

    def start_other(runner: Any) -> tuple[Engine, Any]:
        flow = create_flow("shop", max_concurrency=4)
        load = flow.task(name="load", runner=runner)(lambda a: a)
        return start(flow, clock=clock), load

    return start_other


@pytest.mark.parametrize("first", ["succeeds", "fails"])
def test_what_runs_in_another_engine_is_waited_for(
    flow: Flow, start: Start, runner: Any, other_engine: Any, clock: Any, look: Look, first: str
) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    engine = start(flow)
    runs = engine.submit(load, [KEY])
    attempt = runner.next()
    other, other_load = other_engine(runner)

    waits = other.submit(other_load, [KEY])

    row = look(other, waits.id)
    assert row["status"] == "queued"
    assert row["waiting"]["reason"] == "run_key"
    assert row["waiting"]["message"] == (
        f"waits for execution {runs.id}, which runs with run key 'file.csv' in process {os.getpid()}"
    )
    assert row["waiting"]["held_by"] == [runs.id]
    assert all(state.holders == [] for state in other.concurrency()), "it keeps others from a place while it waits"
    clock.until_asleep(LOOK)
    for _ in range(3):  # it looks again and again
        clock.advance(LOOK)
        clock.until_asleep(LOOK)
    attempt.succeed({"n": 1}) if first == "succeeds" else attempt.fail()
    runs.future.result()
    clock.advance(LOOK)
    if first == "fails":
        runner.next().succeed({"n": 2})

    result = waits.future.result()
    assert result.output == {"n": 1 if first == "succeeds" else 2}
    assert result.status == ("skipped" if first == "succeeds" else "success")
    assert runner.none_began()


def test_what_waits_for_another_engine_can_be_cancelled_and_forced(
    flow: Flow, start: Start, runner: Any, other_engine: Any, clock: Any, look: Look
) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    runs = start(flow).submit(load, [KEY])
    attempt = runner.next()
    other, other_load = other_engine(runner)
    waits = other.submit(other_load, [KEY])
    clock.until_asleep(LOOK)

    forced = other.submit(other_load, [KEY], force=True)
    runner.next().succeed({"n": 3})
    other.cancel(waits.id)

    assert forced.future.result() == {"n": 3}
    assert waits.future.result().status == "cancelled"
    assert look(other, waits.id)["status"] == "cancelled"
    attempt.succeed({})
    assert runs.future.result().status == "success"


def test_what_a_dead_engine_left_running_is_not_waited_for(
    store: str, flow: Flow, start: Start, runner: Any, look: Look
) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    engine = start(flow)
    dead = open_store(store)
    row = {"pid": 2**22, "process_started": 0.0, "kind": "local", "started_at": 1.0}
    dead.engines.own = dead.database.insert("open_engine", row)
    left = Opening(flow="shop", job="load", kind="task", trigger="api", inputs=b"[{}]", run_key="file.csv")
    assert look(engine, dead.executions.open(left, 2.0).id)["status"] == "running"
    dead.close()
    runner.answer = lambda attempt: attempt.succeed({})

    assert load(KEY).status == "success"
