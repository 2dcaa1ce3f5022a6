"""Cancelling: what waits never starts, what runs is told to end, what a manager called ends with it, whenever it comes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from microflow import ConcurrencyGroup, ConflictError, ExecutionCancelled, Flow, create_flow, map_parallel
from microflow.engine.engine import Engine
from microflow.model.events import Event
from microflow.store import Executions
from microflow.store.database import Values
from microflow.store.sqlite.database import Database

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop", max_concurrency=1)


def free(engine: Engine) -> bool:
    """Whether nobody holds a place or waits for one."""
    return all(state.holders == [] and state.waiters == [] for state in engine.concurrency())


def test_a_running_task_is_told_to_end(flow: Flow, start: Start, runner: Any, look: Look) -> None:
    load = flow.task(name="load", runner=runner, retries=3)(lambda: {})
    engine = start(flow)
    submitted = engine.submit(load)
    attempt = runner.next()

    engine.cancel(submitted.id)

    assert submitted.future.result().status == "cancelled"
    assert attempt.observer.stop.reason == "cancelled"
    row = look(engine, submitted.id)
    assert (row["status"], row["reason"]) == ("cancelled", "it was cancelled while it ran")
    assert row["error"]["type"] == "ExecutionCancelled"
    assert free(engine)
    with pytest.raises(ConflictError):
        engine.cancel(submitted.id)


def test_a_task_that_succeeds_although_it_was_told_to_end_is_cancelled(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})
    engine = start(flow)

    def answer(attempt: Any) -> None:
        engine.cancel(attempt.request.execution_id)
        attempt.succeed({"n": 1})

    runner.answer = answer

    assert engine.submit(load).future.result().status == "cancelled"


def test_a_queued_task_never_starts(flow: Flow, start: Start, runner: Any, look: Look) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})
    engine = start(flow)
    running, queued = engine.submit(load), engine.submit(load)
    attempt = runner.next()
    assert look(engine, queued.id)["waiting"]["message"] == "waits for a slot: the limit of 1 of 'shop' is reached"

    engine.cancel(queued.id)

    assert queued.future.result().reason == "it was cancelled before it ran"
    row = look(engine, queued.id)
    assert (row["status"], row["started_at"], row["waiting"]) == ("cancelled", None, None)
    attempt.succeed({})
    assert running.future.result().status == "success"
    assert runner.started == 1
    assert free(engine)


@pytest.mark.parametrize("kind", ["task", "manager"])
def test_what_is_cancelled_the_moment_it_may_run_never_runs(flow: Flow, start: Start, runner: Any, kind: str) -> None:
    ran = []
    group = ConcurrencyGroup(1, name="group")
    first = flow.task(name="first", runner=runner, max_concurrency=group)(lambda: {})
    second = getattr(flow, kind)(name="second", max_concurrency=group)(lambda: ran.append(1))
    engine = start(flow)
    running, queued = engine.submit(first), engine.submit(second)

    def listen(event: Event) -> None:
        if event.id == queued.id and event.status == "running":
            engine.cancel(queued.id)

    engine.events.subscribe(listen)
    runner.next().succeed({})

    assert running.future.result().status == "success"
    assert queued.future.result().status == "cancelled"
    assert queued.future.result().reason == "it was cancelled before it ran"
    assert ran == []
    assert free(engine)


def test_what_another_process_runs_can_only_be_cancelled_there(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})
    engine, other = start(flow), start(create_flow("other"))
    submitted = engine.submit(load)
    attempt = runner.next()

    with pytest.raises(ConflictError) as raised:
        other.cancel(submitted.id)

    assert str(raised.value) == "Execution 1 is running in another process; cancel it there."
    attempt.succeed({})
    submitted.future.result()


def test_what_no_engine_has_can_only_be_cancelled_by_a_server_of_its_flow(
    flow: Flow, start: Start, runner: Any
) -> None:
    load = flow.task(name="load", runner=runner, retries=1, retry_delay=3600)(lambda: {})
    engine, other = start(flow, kind="server"), start(create_flow("other"))
    submitted = engine.submit(load)
    runner.next().fail()
    engine.stop()

    with pytest.raises(ConflictError) as raised:
        other.cancel(submitted.id)

    assert str(raised.value) == f"Execution 1 waits for a server of flow {flow.name!r}; cancel it there."


def test_cancelling_a_manager_cancels_all_below_it_and_its_next_call_says_so(
    flow: Flow, start: Start, runner: Any, look: Look
) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: {})
    inner = flow.manager(name="inner")(lambda: map_parallel(load, [{}, {}, {}]))
    said: list[Exception] = []

    @flow.manager
    def outer() -> Any:
        inner()
        try:
            return load({})
        except ExecutionCancelled as error:
            said.append(error)
            raise

    engine = start(flow)
    submitted = engine.submit(outer)
    runner.next()

    engine.cancel(submitted.id)

    assert submitted.future.result().status == "cancelled"
    assert str(said[0]) == "Execution 1 of 'outer' was cancelled or timed out, so it can call nothing more."
    rows = engine.store.database.read_text("SELECT status, count(*) FROM executions GROUP BY status")
    assert [status for status, _ in rows] == ["cancelled"]
    assert runner.started == 1
    assert free(engine)


@pytest.mark.parametrize("status", ["running", "queued"])
def test_a_manager_cancelled_the_moment_its_call_is_recorded_ends_with_it(
    flow: Flow, start: Start, runner: Any, look: Look, status: str
) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})
    manage = flow.manager(name="manage")(lambda: load())
    engine = start(flow)
    if status == "queued":
        engine.submit(load)
        other = runner.next()

    def listen(event: Event) -> None:
        if event.parent_id is not None and event.status == status:
            engine.cancel(event.parent_id)

    engine.events.subscribe(listen)
    submitted = engine.submit(manage)

    assert submitted.future.result().status == "cancelled"
    assert look(engine, submitted.id + 1)["status"] == "cancelled"
    if status == "queued":
        other.succeed({})


def test_a_manager_that_swallows_the_cancel_is_cancelled_all_the_same(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})

    @flow.manager
    def manage() -> Any:
        load()
        try:
            load()
        except ExecutionCancelled:
            return {"fine": True}

    engine = start(flow)
    submitted = engine.submit(manage)
    runner.next()
    engine.cancel(submitted.id)

    result = submitted.future.result()
    assert result.status == "cancelled"
    assert result.output is None


def test_what_a_manager_submitted_ends_with_it(flow: Flow, start: Start, runner: Any, look: Look) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})
    go_on = threading.Event()

    @flow.manager
    def manage() -> Any:
        future = load.submit()
        go_on.wait()
        return future.result()

    engine = start(flow)
    submitted = engine.submit(manage)
    attempt = runner.next()
    engine.cancel(submitted.id)
    go_on.set()

    assert submitted.future.result().status == "cancelled"
    assert attempt.observer.stop.reason == "cancelled"
    assert look(engine, submitted.id + 1)["status"] == "cancelled"


def test_a_mapping_that_is_cancelled_begins_nothing_more(flow: Flow, start: Start, runner: Any, look: Look) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    engine = start(flow)
    submitted = engine.submit_map(load, [{} for _ in range(50)])
    runner.next().succeed({})
    runner.next()

    engine.cancel(submitted.id)

    assert submitted.future.result().status == "cancelled"
    assert look(engine, submitted.id)["status"] == "cancelled"
    rows = engine.store.database.read_text(
        "SELECT status, count(*) FROM executions WHERE parent_id IS NOT NULL GROUP BY 1"
    )
    assert dict(rows)["success"] == 1
    assert sum(count for _, count in rows) <= 4
    assert runner.started == 2
    assert free(engine)


def test_a_cancel_while_a_failed_attempt_is_being_recorded_ends_it_once(
    flow: Flow, start: Start, clock: Any, runner: Any, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = flow.task(name="load", runner=runner, retries=1)(lambda: {})
    engine = start(flow, clock=clock)
    submitted = engine.submit(load)
    attempt = runner.next()
    carry_out = Database.execute_text

    def execute_text(self: Database, text: str, values: Values) -> Any:
        if text == "BEGIN IMMEDIATE":  # of the transaction that records the attempt
            monkeypatch.undo()
            engine.cancel(submitted.id)
        return carry_out(self, text, values)

    monkeypatch.setattr(Database, "execute_text", execute_text)
    attempt.fail()

    assert submitted.future.result().status == "cancelled"
    assert look(engine, submitted.id)["status"] == "cancelled"
    assert runner.started == 1
    assert free(engine)
    assert engine._resources.live.all() == []


def test_many_cancels_among_many_executions_leave_nothing_behind(start: Start, runner: Any) -> None:
    flow = create_flow("shop", max_concurrency=3)
    group = ConcurrencyGroup(2, name="group")
    load = flow.task(name="load", runner=runner, max_concurrency=group)(lambda a: a)
    other = flow.task(name="other", runner=runner)(lambda a: a)
    manage = flow.manager(name="manage")(lambda: map_parallel(load, ({} for _ in range(6))))
    runner.answer = lambda attempt: attempt.succeed({})
    engine = start(flow)
    submitted = []

    def submit() -> None:
        for number in range(30):
            submitted.append(engine.submit([load, other, manage][number % 3], [] if number % 3 == 2 else [{}]))  # noqa: PERF401 - cancelled meanwhile

    def cancel() -> None:
        for number in range(1, 150):
            try:
                engine.cancel(number)
            except LookupError:
                threading.Event().wait(0)
            except ConflictError:
                continue

    threads = [threading.Thread(target=target) for target in (submit, cancel, submit, cancel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in submitted:
        one.future.result(60)

    assert free(engine)
    assert engine._resources.live.all() == []
    rows = engine.store.database.read_text("SELECT DISTINCT status FROM executions ORDER BY status")
    assert {status for (status,) in rows} <= {"success", "cancelled", "error"}


def test_one_that_is_cancelled_just_when_its_attempt_has_failed_ends_once(
    flow: Flow, start: Start, runner: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    load = flow.task(name="load", runner=runner, retries=3, retry_delay=0)(lambda: {})
    engine = start(flow)
    queue, finish, ends = Executions.retry, Executions.finish, []

    def retry(self: Executions, opened: Any, *arguments: Any) -> bool:
        engine.cancel(opened.id)
        return queue(self, opened, *arguments)

    def finish_once(self: Executions, opened: Any, *arguments: Any) -> bool:
        ends.append(opened.id)
        return finish(self, opened, *arguments)

    monkeypatch.setattr(Executions, "retry", retry)
    monkeypatch.setattr(Executions, "finish", finish_once)
    submitted = engine.submit(load)
    runner.next().fail()

    assert submitted.future.result().status == "cancelled"
    engine.stop()
    assert ends == [submitted.id]
    assert not caplog.records
    assert runner.started == 1
