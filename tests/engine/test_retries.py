"""Retries and timeouts, with a clock that stands still: attempts recorded, places free while waiting, the reason told."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

import pytest

from microflow import Backoff, Flow, WorkerDied, create_flow
from microflow.engine.engine import Engine
from microflow.engine.runs import fanout

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]
Attempts = Callable[[Engine, int], list[tuple[int, str, str]]]

WAITING_FOR_A_RETRY = "SELECT count(*) FROM executions WHERE status = 'queued' AND waiting LIKE '%retry%'"


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop", max_concurrency=1)


def test_a_failed_attempt_is_tried_again_after_its_delay(
    flow: Flow, start: Start, clock: Any, runner: Any, look: Look, attempts: Attempts
) -> None:
    load = flow.task(name="load", runner=runner, retries=2, retry_delay=[5, 60])(lambda a: a)
    engine = start(flow, clock=clock)
    submitted = engine.submit(load, [{"n": 1}])

    runner.next().fail("OSError")
    clock.until_asleep(5)
    row = look(engine, submitted.id)
    assert row["status"] == "queued"
    assert row["waiting"] == {
        "reason": "retry",
        "message": "attempt 1 of 3 failed (OSError); the next one is in 5 s",
        "since": clock.now(),
        "until": clock.now() + 5,
    }
    assert attempts(engine, submitted.id) == [(1, "error", "OSError")]
    clock.advance(4.5)
    assert runner.none_began()

    clock.advance(0.5)
    second = runner.next()
    assert second.request.attempt == 2
    assert second.inputs == [{"n": 1}]
    assert look(engine, submitted.id)["attempt"] == 2
    second.fail()
    clock.until_asleep(60)
    clock.advance(60)
    runner.next().succeed({"n": 2})

    assert submitted.future.result() == {"n": 2}
    assert attempts(engine, submitted.id) == [(1, "error", "OSError"), (2, "error", "ValueError")]
    row = look(engine, submitted.id)
    assert (row["status"], row["attempt"], row["waiting"]) == ("success", 3, None)


def test_when_the_last_attempt_fails_the_execution_does(
    flow: Flow, start: Start, clock: Any, runner: Any, attempts: Attempts
) -> None:
    load = flow.task(name="load", runner=runner, retries=1, retry_delay=0)(lambda: {})
    engine = start(flow, clock=clock)
    submitted = engine.submit(load)

    runner.next().fail("First")
    runner.next().fail("Second")

    result = submitted.future.result()
    assert result.status == "error"
    assert result.error is not None
    assert result.error.type == "Second"
    assert attempts(engine, submitted.id) == [(1, "error", "First")]


@pytest.mark.parametrize("output", [None, {"n": 1}])
def test_what_is_skipped_or_succeeds_is_not_tried_again(flow: Flow, start: Start, runner: Any, output: Any) -> None:
    load = flow.task(name="load", runner=runner, retries=5)(lambda: {})
    submitted = start(flow).submit(load)

    runner.next().succeed(output)

    submitted.future.result()
    assert runner.started == 1


def test_a_worker_that_died_is_an_attempt_that_failed(
    flow: Flow, start: Start, clock: Any, runner: Any, attempts: Attempts
) -> None:
    load = flow.task(name="load", runner=runner, retries=1, retry_delay=0)(lambda: {})
    engine = start(flow, clock=clock)
    submitted = engine.submit(load)

    runner.next().end(WorkerDied("signal SIGKILL"))
    runner.next().succeed({})

    assert submitted.future.result().status == "success"
    assert attempts(engine, submitted.id) == [(1, "error", "WorkerDied")]


def test_places_are_free_while_it_waits(
    flow: Flow, start: Start, clock: Any, runner: Any, look: Look, until: Callable[..., None]
) -> None:
    load = flow.task(name="load", runner=runner, max_concurrency=1, retries=1, retry_delay=30)(lambda a: a)
    engine = start(flow, clock=clock)
    first = engine.submit(load, [{"n": 1}])
    runner.next().fail()
    clock.until_asleep(30)

    second = engine.submit(load, [{"n": 2}])
    attempt = runner.next()
    assert attempt.inputs == [{"n": 2}]
    assert [state.holders for state in engine.concurrency()] == [[second.id], [second.id]]

    clock.advance(30)  # the first has its turn again, and must wait for the place
    until(engine, lambda: look(engine, first.id)["waiting"]["reason"] == "limit")
    assert engine.held_by(first.id) == [second.id]
    attempt.succeed({})
    runner.next().succeed({})
    assert first.future.result().status == "success"


def test_a_manager_is_tried_again_from_its_beginning(
    flow: Flow, start: Start, clock: Any, runner: Any, look: Look
) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)

    @flow.manager(retries=1, retry_delay=10)
    def manage() -> Any:
        return load({"n": load({"n": 0})["n"]})

    engine = start(flow, clock=clock)
    submitted = engine.submit(manage)
    runner.next().fail()
    clock.until_asleep(10)
    clock.advance(10)
    runner.next().succeed({"n": 1})
    runner.next().succeed({"n": 2})

    assert submitted.future.result() == {"n": 2}
    assert [look(engine, number)["position"] for number in (2, 3, 4)] == [0, 0, 1], (
        "the same code makes the same calls again"
    )


def test_the_delay_may_grow(flow: Flow, start: Start, clock: Any, runner: Any) -> None:
    backoff = Backoff(initial=2, factor=4, maximum=10, jitter=0)
    load = flow.task(name="load", runner=runner, retries=3, retry_delay=backoff)(lambda: {})
    submitted = start(flow, clock=clock).submit(load)

    for delay in (2, 8, 10):
        runner.next().fail()
        clock.until_asleep(delay)
        clock.advance(delay)
    runner.next().succeed({})

    assert submitted.future.result().status == "success"


def test_an_attempt_that_takes_too_long_is_ended_and_tried_again(
    flow: Flow, start: Start, clock: Any, runner: Any, attempts: Attempts
) -> None:
    load = flow.task(name="load", runner=runner, timeout=20, retries=1, retry_delay=5)(lambda: {})
    engine = start(flow, clock=clock)
    submitted = engine.submit(load)

    first = runner.next()
    clock.until_asleep(20)
    clock.advance(20)
    clock.until_asleep(5)
    assert first.observer.stop is not None
    assert attempts(engine, submitted.id) == [(1, "error", "ExecutionTimeout")]
    clock.advance(5)
    second = runner.next()
    clock.until_asleep(20)
    clock.advance(20)

    result = submitted.future.result()
    assert result.error is not None
    assert result.error.type == "ExecutionTimeout"
    assert result.error.message == "attempt 2 took longer than the timeout of 20 s and was ended"
    assert second.request.attempt == 2


def test_an_attempt_that_is_quick_enough_is_left_alone(flow: Flow, start: Start, clock: Any, runner: Any) -> None:
    load = flow.task(name="load", runner=runner, timeout=20)(lambda: {})
    engine = start(flow, clock=clock)
    first = engine.submit(load)
    attempt = runner.next()
    clock.until_asleep(20)
    clock.advance(19)
    attempt.succeed({})
    assert first.future.result().status == "success"

    second = engine.submit(load)
    attempt = runner.next()
    clock.advance(19)  # the first one's deadline passes
    attempt.succeed({})

    assert second.future.result().status == "success"


def test_a_manager_that_takes_too_long_ends_with_all_below_it(
    flow: Flow, start: Start, clock: Any, runner: Any, look: Look
) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})
    said = []

    @flow.manager(timeout=20)
    def manage() -> Any:
        load()
        try:
            load()
        except Exception as error:
            said.append(str(error))
            raise

    engine = start(flow, clock=clock)
    submitted = engine.submit(manage)
    runner.next()
    clock.until_asleep(20)
    clock.advance(20)

    result = submitted.future.result()
    assert result.error is not None
    assert result.error.type == "ExecutionTimeout"
    assert look(engine, 2)["status"] == "cancelled"
    assert said == ["Execution 1 of 'manage' was cancelled or timed out, so it can call nothing more."]


def test_what_waits_for_its_next_attempt_does_not_hold_up_the_rest_of_a_mapping(
    flow: Flow, start: Start, clock: Any, runner: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "DELAYED", 6)
    load = flow.task(name="load", runner=runner, retries=1, retry_delay=30)(lambda a: a)
    engine = start(flow, clock=clock)
    submitted = engine.submit_map(load, [{"n": n} for n in range(12)])

    for number in range(7):
        attempt = runner.next()
        assert attempt.inputs == [{"n": number}]
        attempt.fail()
    until(engine, lambda: engine.store.database.read_text(WAITING_FOR_A_RETRY) == [(7,)])
    engine.cancel(submitted.id)

    assert submitted.future.result().status == "cancelled"
    assert runner.started == 7, "more may wait for their next attempt than that"


def test_cancelling_what_waits_for_its_next_attempt_ends_it(
    flow: Flow, start: Start, clock: Any, runner: Any, look: Look, attempts: Attempts
) -> None:
    load = flow.task(name="load", runner=runner, retries=1, retry_delay=30)(lambda: {})
    engine = start(flow, clock=clock)
    submitted = engine.submit(load)
    runner.next().fail()
    clock.until_asleep(30)

    engine.cancel(submitted.id)

    assert submitted.future.result().status == "cancelled"
    assert look(engine, submitted.id)["status"] == "cancelled"
    clock.advance(30)
    assert attempts(engine, submitted.id) == [(1, "error", "ValueError")]
    assert runner.started == 1


def test_who_is_granted_a_place_at_the_moment_it_begins_to_wait_for_one_is_running(
    flow: Flow, start: Start, clock: Any, runner: Any, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = flow.task(name="load", runner=runner, retries=1, retry_delay=5)(lambda a: a)
    engine = start(flow, clock=clock)
    again = engine.submit(load, [{"n": 1}])
    runner.next().fail("OSError")
    clock.until_asleep(5)
    engine.submit(load, [{"n": 2}])
    other = runner.next()
    park = engine._resources.admission.park
    begun: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def park_and_be_granted(*arguments: Any) -> Any:
        busy = park(*arguments)
        other.succeed({})
        begun.put(runner.next())
        return busy

    monkeypatch.setattr(engine._resources.admission, "park", park_and_be_granted)
    clock.advance(5)
    attempt = begun.get(timeout=60)
    monkeypatch.undo()
    engine._timers.later(0, lambda: begun.put(None))  # in the thread that parked it, once that is done
    begun.get(timeout=60)

    row = look(engine, again.id)
    assert (row["status"], row["attempt"], row["waiting"]) == ("running", 2, None)
    attempt.succeed({})
    assert again.future.result().status == "success"
