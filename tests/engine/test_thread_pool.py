"""Threads: as many as are needed and no more; where none can be started, executions end with the system's words and all goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from microflow import Flow, create_flow, map_parallel
from microflow.engine.background.thread_pool import ThreadPool
from microflow.engine.engine import Engine
from microflow.errors import WorkerDied

Start = Callable[..., Engine]
NO_THREAD = "No thread could be started: can't start new thread."


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], pytest.MonkeyPatch]:
    """From the call on no thread can be started; what it returns can undo that."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def begin() -> pytest.MonkeyPatch:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        return monkeypatch

    return begin


def test_a_thread_that_is_idle_is_used_again() -> None:
    pool, names = ThreadPool(10, 10), []
    for _ in range(5):
        done = threading.Event()
        pool.start(lambda done=done: (names.append(threading.get_ident()), done.set()))
        done.wait(60)
        while not pool._idle:
            pass
    assert len(set(names)) == 1
    pool.close(wait=True)


def test_there_are_never_more_than_the_maximum_and_what_must_wait_has_its_turn() -> None:
    pool, gate, done = ThreadPool(2, 2), threading.Event(), threading.Semaphore(0)
    for _ in range(5):
        pool.start(lambda: (gate.wait(60), done.release()))
    assert pool._threads == 2
    gate.set()
    assert all(done.acquire(timeout=60) for _ in range(5))
    pool.close(wait=True)
    with pytest.raises(WorkerDied, match="the engine has stopped"):
        pool.start(gate.set)


def test_what_fails_does_not_end_its_thread(caplog: pytest.LogCaptureFixture) -> None:
    pool, done = ThreadPool(1, 1), threading.Event()
    pool.start(lambda: 1 / 0)
    pool.start(done.set)
    assert done.wait(60)
    assert "ZeroDivisionError" in caplog.text
    pool.close(wait=True)


def test_what_was_refused_is_not_done_later(no_threads: Callable[[], pytest.MonkeyPatch]) -> None:
    pool, done, refused = ThreadPool(2, 2), threading.Event(), threading.Event()
    patch = no_threads()
    with pytest.raises(WorkerDied, match="can't start new thread"):
        pool.start(refused.set)
    assert pool.try_start(refused.set) is False
    patch.undo()

    pool.start(done.set)

    assert done.wait(60)
    pool.close(wait=True)
    assert not refused.is_set()


def test_executions_end_and_the_engine_goes_on_when_threads_can_be_started_again(
    start: Start, runner: Any, no_threads: Callable[[], pytest.MonkeyPatch]
) -> None:
    flow: Flow = create_flow("shop", max_concurrency=1)
    load = flow.task(name="load", runner=runner)(lambda a: a)
    manage = flow.manager(name="manage", max_concurrency=1)(lambda a: load(a))
    many = flow.manager(name="many")(lambda a: map_parallel(manage, [a, a, a]))
    engine = start(flow)
    running = engine.submit(load, [{}])
    attempt = runner.next()
    queued = [engine.submit(load, [{}]) for _ in range(300)]  # each begins when the one before it ends

    patch = no_threads()
    refused = [engine.submit(job, [{}]) for job in (manage, many)]
    attempt.succeed({})
    ended = [submitted.future.result(60) for submitted in (running, *queued, *refused)]
    patch.undo()

    assert ended[0].status == "success"
    assert {result.error.message for result in ended[1:] if result.error is not None} == {NO_THREAD}
    assert [result.status for result in ended[1:]] == ["error"] * 302
    assert all(state.holders == [] for state in engine.concurrency())
    runner.answer = lambda attempt: attempt.succeed({})
    assert many({}).status == "success"


def test_a_mapping_carries_out_itself_what_no_thread_can_be_started_for(
    start: Start, runner: Any, no_threads: Callable[[], pytest.MonkeyPatch]
) -> None:
    flow: Flow = create_flow("shop", max_concurrency=2)
    load = flow.task(name="load", runner=runner)(lambda a: a)
    start(flow)
    runner.answer = lambda attempt: attempt.succeed({})

    no_threads()

    assert [str(result.status) for result in map_parallel(load, [{}, {}, {}])] == ["success"] * 3
