"""Before a task is killed, it and the processes that it started get a moment to clean up; nobody else is interrupted."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microflow import Flow, TaskStopped, create_flow, current_execution, map_parallel
from microflow.engine.engine import Engine

Serve = Callable[..., Engine]
LogOf = Callable[..., str]
UntilPrinted = Callable[..., None]

UNIX = pytest.mark.skipif(sys.platform == "win32", reason="asyncio handles no signals there")
LONG = 3600.0


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop", max_concurrency=2)


def locks(path: str) -> Callable[[], None]:
    """A task that holds a lock file while it works, and works for ever."""

    def lock() -> None:
        with open(path, "x"):
            pass
        try:
            print("ready", flush=True)
            time.sleep(LONG)
        except TaskStopped as stopped:
            print(f"stopped: {stopped}")
            raise
        finally:
            os.remove(path)
            print("cleaned up")

    return lock


@pytest.mark.parametrize("runner", ["process", "fresh"])
@pytest.mark.parametrize("how", ["cancel", "manager", "timeout", "stop"])
def test_finally_runs_however_a_task_is_ended(
    flow: Flow,
    serve: Serve,
    until_printed: UntilPrinted,
    clock: Any,
    log_of: LogOf,
    tmp_path: Path,
    how: str,
    runner: str,
) -> None:
    path = tmp_path / "lock"
    timeout = 100 if how == "timeout" else None
    lock = flow.task(name="lock", runner=runner, timeout=timeout, cancel_grace=LONG)(locks(str(path)))
    manage = flow.manager(name="manage")(lambda: lock())
    engine = serve(flow, clock=clock)
    submitted = engine.submit(manage if how == "manager" else lock)
    execution_id = submitted.id + (1 if how == "manager" else 0)
    until_printed(engine, execution_id)
    assert path.exists()

    if how == "timeout":
        clock.until_asleep(100)
        clock.advance(100)
    elif how == "stop":
        engine.stop(grace=0)
    else:
        engine.cancel(submitted.id)

    result = submitted.future.result(60)
    assert not path.exists()
    why = {"timeout": "The attempt took longer than its timeout.", "stop": "The engine stops."}
    expected = why.get(how, "The execution was cancelled.")
    assert log_of(engine, execution_id) == f"ready\nstopped: {expected}\ncleaned up\n"
    assert result.status == ("cancelled" if how in ("cancel", "manager") else "error")
    if how == "timeout":
        assert result.error is not None
        assert result.error.type == "ExecutionTimeout"
        assert result.error.message == "attempt 1 took longer than the timeout of 100 s and was ended"


def test_an_async_task_has_its_asyncio_task_cancelled(
    flow: Flow, serve: Serve, until_printed: UntilPrinted, log_of: LogOf
) -> None:
    @flow.task(cancel_grace=LONG)
    async def wait() -> None:
        import asyncio

        try:
            print("ready", flush=True)
            await asyncio.sleep(LONG)
        finally:
            await asyncio.sleep(0)
            print("cleaned up")

    engine = serve(flow)
    submitted = engine.submit(wait)
    until_printed(engine, submitted.id)

    engine.cancel(submitted.id)

    assert submitted.future.result(60).status == "cancelled"
    assert log_of(engine) == "ready\ncleaned up\n"


def test_a_function_that_returns_after_all_stays_cancelled_and_what_it_wrote_is_dropped(
    flow: Flow, serve: Serve, until_printed: UntilPrinted, log_of: LogOf
) -> None:
    @flow.task(cancel_grace=LONG)
    def stays() -> dict[str, Any]:
        try:
            print("ready", flush=True)
            while True:
                time.sleep(0.01)
        except TaskStopped:
            flow.context["seen"] = flow.context.get("seen", 0) + 1
            current_execution().progress(1, 1)
            print("returns", flush=True)
        return {"n": 1}

    engine = serve(flow)
    submitted = engine.submit(stays)
    until_printed(engine, submitted.id)

    engine.cancel(submitted.id)

    result = submitted.future.result(60)
    assert (result.status, result.output) == ("cancelled", None)
    assert log_of(engine) == "ready\nreturns\n"
    assert engine.store.executions.context("shop", "stays") == ({}, {})


def test_one_that_swallows_it_gets_no_second_and_is_killed(
    flow: Flow, serve: Serve, until_printed: UntilPrinted, log_of: LogOf
) -> None:
    @flow.task(cancel_grace=1)
    def stubborn() -> None:
        try:
            print("ready", flush=True)
            time.sleep(LONG)
        except BaseException as error:
            print("swallowed", type(error).__name__, flush=True)
        while True:
            time.sleep(0.001)

    engine = serve(flow)
    submitted = engine.submit(stubborn)
    until_printed(engine, submitted.id)

    engine.cancel(submitted.id)

    assert submitted.future.result(60).status == "cancelled"
    assert log_of(engine) == "ready\nswallowed TaskStopped\n"


def test_without_a_grace_nothing_is_raised(
    flow: Flow, serve: Serve, until_printed: UntilPrinted, log_of: LogOf
) -> None:
    @flow.task(cancel_grace=0)
    def wait() -> None:
        try:
            print("ready", flush=True)
            time.sleep(LONG)
        finally:
            print("cleaned up", flush=True)

    engine = serve(flow)
    submitted = engine.submit(wait)
    until_printed(engine, submitted.id)

    engine.cancel(submitted.id)

    assert submitted.future.result(60).status == "cancelled"
    assert log_of(engine) == "ready\n"


@pytest.mark.parametrize("is_async", [False, pytest.param(True, marks=UNIX)])
def test_a_tasks_own_handler_for_sigterm_is_called_instead(
    flow: Flow, serve: Serve, until_printed: UntilPrinted, log_of: LogOf, is_async: bool
) -> None:
    @flow.task(name="plain", cancel_grace=LONG)
    def plain() -> dict[str, Any]:
        asked = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: asked.set())
        print("ready", flush=True)
        while not asked.is_set():
            time.sleep(0.01)
        print("asked")
        return {}

    @flow.task(name="coroutine", cancel_grace=LONG)
    async def coroutine() -> dict[str, Any]:
        import asyncio

        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
        print("ready", flush=True)
        await asked.wait()
        print("asked")
        return {}

    engine = serve(flow)
    submitted = engine.submit(coroutine if is_async else plain)
    until_printed(engine, submitted.id)

    engine.cancel(submitted.id)

    assert submitted.future.result(60).status == "cancelled"
    assert log_of(engine) == "ready\nasked\n"


def waits_in_the_grace(flow: Flow, **arguments: Any) -> Any:
    """A task that does not end while it has its grace."""

    def wait() -> None:
        try:  # from before anybody knows that it runs
            print("ready", flush=True)
            time.sleep(LONG)
        except TaskStopped:
            print("in its grace", flush=True)
            time.sleep(LONG)

    return flow.task(name="wait", **arguments)(wait)


def test_what_is_cancelled_while_it_times_out_is_not_tried_again(
    flow: Flow, serve: Serve, until_printed: UntilPrinted, clock: Any
) -> None:
    wait = waits_in_the_grace(flow, timeout=100, retries=3, cancel_grace=50)
    engine = serve(flow, clock=clock)
    submitted = engine.submit(wait)
    until_printed(engine, submitted.id)
    clock.until_asleep(100)
    clock.advance(100)
    until_printed(engine, submitted.id, "in its grace")

    engine.cancel(submitted.id)
    clock.until_asleep(50)
    clock.advance(50)

    assert submitted.future.result(60).status == "cancelled"
    assert engine.store.database.read_text("SELECT attempt FROM executions") == [(1,)]


def test_an_execution_that_ends_holds_its_places_until_its_process_is_gone(
    flow: Flow, serve: Serve, until_printed: UntilPrinted, clock: Any
) -> None:
    wait = waits_in_the_grace(flow, max_concurrency=1, cancel_grace=50)
    engine = serve(flow, clock=clock)
    submitted = engine.submit(wait)
    until_printed(engine, submitted.id)

    engine.cancel(submitted.id)
    until_printed(engine, submitted.id, "in its grace")

    assert {state.name: state.holders for state in engine.concurrency()} == {"shop": [1], "wait": [1]}
    clock.until_asleep(50)
    clock.advance(50)
    submitted.future.result(60)
    assert all(not state.holders for state in engine.concurrency())


@pytest.mark.parametrize("cancelled_before", [False, True])
def test_whoever_is_in_a_hurry_does_not_wait_for_a_grace(
    flow: Flow, serve: Serve, until_printed: UntilPrinted, cancelled_before: bool
) -> None:
    wait = waits_in_the_grace(flow, cancel_grace=LONG)
    engine = serve(flow)
    submitted = engine.submit(wait)
    until_printed(engine, submitted.id)
    if cancelled_before:
        engine.cancel(submitted.id)
    stopping = threading.Thread(target=engine.stop, args=(LONG if cancelled_before else 0,))
    stopping.start()
    until_printed(engine, submitted.id, "in its grace")

    engine.hurry()

    stopping.join(60)
    assert not stopping.is_alive()
    assert submitted.future.result(0).status == ("cancelled" if cancelled_before else "error")


class Slow:
    """What takes for ever to arrive in a worker."""

    def __reduce__(self) -> Any:
        return load_for_ever, ()


def load_for_ever() -> None:
    print("ready", flush=True)
    time.sleep(LONG)


def test_what_is_cancelled_while_it_is_loaded_does_not_begin_and_has_no_grace(
    flow: Flow, serve: Serve, until_printed: UntilPrinted, log_of: LogOf
) -> None:
    slow = Slow()

    @flow.task(cancel_grace=LONG)
    def work() -> dict[str, Any]:
        print("began", slow, flush=True)
        return {}

    engine = serve(flow)
    submitted = engine.submit(work)
    until_printed(engine, submitted.id)

    engine.cancel(submitted.id)

    assert submitted.future.result(60).status == "cancelled"
    assert log_of(engine) == "ready\n"


def test_the_neighbours_in_a_line_are_not_interrupted(
    flow: Flow, serve: Serve, until_printed: UntilPrinted, tmp_path: Path
) -> None:
    path = str(tmp_path / "go on")

    @flow.task(cancel_grace=LONG)
    def work(a: dict[str, Any]) -> dict[str, Any]:
        if a["n"] == 150:
            print("ready", flush=True)
            while not os.path.exists(path):
                time.sleep(0.001)
        return a

    manage = flow.manager(name="manage")(lambda: map_parallel(work, [{"n": n} for n in range(300)]))
    engine = serve(flow)
    submitted = engine.submit(manage)
    until_printed(engine, submitted.id + 151)

    engine.cancel(submitted.id + 151)
    with open(path, "w"):
        pass

    submitted.future.result(60)
    rows = engine.store.database.read_text(
        "SELECT status, count(*) FROM executions WHERE parent_id = 1 GROUP BY 1 ORDER BY 1"
    )
    assert rows == [("cancelled", 1), ("success", 299)]
