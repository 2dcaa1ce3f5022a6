"""``job.submit``: a future whose ``cancel`` cancels the execution, queued or running, also through asyncio."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, as_completed, wait
from typing import Any

import pytest

from microflow import Flow, create_flow
from microflow.engine.engine import Engine

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop", max_concurrency=1)


def test_a_future_is_one_of_the_standard_library(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})
    start(flow)
    future = load.submit()
    assert isinstance(future, Future)
    assert (future.running(), future.done(), future.cancelled()) == (True, False, False)
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    future.add_done_callback(told.put)
    runner.next().succeed({"n": 1})
    assert next(as_completed([future], 60)).result() == {"n": 1}
    assert wait([future], 60).done == {future}
    assert told.get(timeout=60) is future
    assert future.exception() is None


def test_cancelling_the_future_of_a_running_task_ends_it(flow: Flow, start: Start, runner: Any, look: Look) -> None:
    load = flow.task(name="load", runner=runner, retries=3)(lambda: {})
    engine = start(flow)
    future = load.submit()
    attempt = runner.next()

    assert future.cancel() is True

    result = future.result(60)
    assert (result.status, result.reason) == ("cancelled", "it was cancelled while it ran")
    assert attempt.observer.stop.reason == "cancelled"
    assert result.execution_id is not None
    assert look(engine, result.execution_id)["status"] == "cancelled"
    assert runner.started == 1


def test_cancelling_the_future_of_a_queued_task_lets_it_never_start(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})
    start(flow)
    running, queued = load.submit(), load.submit()
    attempt = runner.next()

    assert queued.cancel() is True

    assert queued.result(60).reason == "it was cancelled before it ran"
    attempt.succeed({})
    assert running.result(60).status == "success"
    assert runner.started == 1


def test_a_future_that_is_done_can_t_be_cancelled(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})
    start(flow)
    future = load.submit()
    runner.next().succeed({"n": 1})
    assert future.result(60).status == "success"
    assert future.cancel() is False
    assert future.result().status == "success"

    second = load.submit()
    assert second.cancel() is True
    assert second.result(60).status == "cancelled"
    assert second.cancel() is False


def test_cancelling_the_future_of_a_manager_cancels_all_below_it(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})
    above = flow.manager(name="above")(lambda: load())
    engine = start(flow)
    future = above.submit()
    attempt = runner.next()

    assert future.cancel() is True

    assert future.result(60).status == "cancelled"
    assert attempt.observer.stop.reason is not None
    assert all(state.holders == [] for state in engine.concurrency())


def test_a_manager_cancels_what_it_submitted_and_goes_on(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})

    @flow.manager
    def race() -> Any:
        first, second = load.submit(), load.submit()
        assert second.cancel()
        assert first.cancel()
        return {"first": str(first.result(60).status), "second": str(second.result(60).status)}

    engine = start(flow)
    submitted = engine.submit(race)
    assert submitted.future.result(60) == {"first": "cancelled", "second": "cancelled"}


def test_cancelling_what_awaits_a_future_cancels_the_execution(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})
    start(flow)
    ended = threading.Event()
    futures: list[Any] = []

    async def impatient() -> None:
        futures.append(load.submit())
        futures[0].add_done_callback(lambda _: ended.set())
        waiting = asyncio.ensure_future(asyncio.wrap_future(futures[0]))
        await asyncio.to_thread(runner.next)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await asyncio.to_thread(ended.wait, 60)

    asyncio.run(impatient())
    assert futures[0].result(60).status == "cancelled"


def test_awaiting_a_future_that_is_cancelled_elsewhere_gives_the_cancelled_result(
    flow: Flow, start: Start, runner: Any
) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})
    start(flow)

    async def patient() -> Any:
        future = load.submit()
        waiting = asyncio.ensure_future(asyncio.wrap_future(future))
        await asyncio.to_thread(runner.next)
        assert future.cancel()
        return await waiting

    assert asyncio.run(patient()).status == "cancelled"


def test_a_future_that_is_done_holds_no_execution(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda: {})
    start(flow)
    future: Any = load.submit()
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    runner.next().succeed({})
    assert done.wait(60)
    assert vars(future)["_execution"] is None
