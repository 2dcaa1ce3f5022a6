"""Threads outside of executions run as ever, and what others put in place of the standard library's functions stays."""

from __future__ import annotations

import concurrent.futures
import io
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from microflow import (
    Flow,
    create_flow,
)
from microflow.engine.engine import Engine

from .ways import PATIENCE, by_thread, text_of

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]


@pytest.fixture
def flow() -> Flow:
    flow = create_flow("shop", max_concurrency=4)

    @flow.task(runner="thread")
    def load(a: Any = None) -> Any:
        return a or {}

    return flow


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """An executor that belongs to no execution, and has a thread that belongs to none."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        yield pool


def test_what_others_put_in_place_of_ours_stays(flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine([flow], store=f"sqlite:///{tmp_path}/store.db")
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.start)  # so that it is put back after this test
    engine.start()
    flow.manager(name="first")(dict)()
    ours, calls = threading.Thread.start, []

    def theirs(self: threading.Thread) -> None:
        calls.append(self)
        ours(self)

    monkeypatch.setattr(threading.Thread, "start", theirs)
    manage = flow.manager(name="manage")(lambda: [by_thread(lambda: print("in the log")), {}][1])
    assert manage().status == "success"
    text = text_of(engine, 2)
    engine.stop()
    by_thread(lambda: None)

    assert text == "in the log\n"
    assert threading.Thread.start is theirs
    assert len(calls) >= 2


def test_threads_of_nobody_run_as_ever(flow: Flow, start: Start, pool: ThreadPoolExecutor) -> None:
    engine = start(flow)
    load = flow.jobs["load"]
    found: list[Any] = []

    by_thread(lambda: found.append(load({}).status))
    found.append(pool.submit(lambda: load({}).status).result())
    thread = threading.Thread(target=int)
    thread.start()
    with pytest.raises(RuntimeError, match="threads can only be started once"):
        thread.start()

    assert found == ["success", "success"]
    rows = engine.store.database.read_text("SELECT parent_id, trigger FROM executions", ())
    assert rows == [(None, "python"), (None, "python")]


def test_a_thread_that_can_not_be_started_is_as_it_was(flow: Flow, start: Start) -> None:
    kept: list[threading.Thread] = []

    @flow.manager
    def manage() -> Any:
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        with pytest.raises(RuntimeError, match="threads can only be started once"):
            thread.start()
        kept.append(thread)
        return {}

    start(flow)

    assert manage().status == "success"
    assert "_bootstrap" not in vars(kept[0])


def test_threads_that_the_engine_starts_for_a_manager_are_not_its_own(flow: Flow, start: Start) -> None:
    from microflow.runtime import active_runtime, start_thread

    found: queue.SimpleQueue[Any] = queue.SimpleQueue()

    @flow.manager
    def manage() -> Any:
        start_thread(lambda: found.put(active_runtime.get()), "own")
        return {"runtime": str(found.get(timeout=PATIENCE))}

    start(flow)

    assert manage() == {"runtime": "None"}


@pytest.mark.skipif(sys.version_info < (3, 14), reason="the executor of interpreters came with Python 3.14")
def test_work_for_another_interpreter_is_left_alone(flow: Flow, start: Start) -> None:
    @flow.manager
    def manage() -> Any:
        with concurrent.futures.InterpreterPoolExecutor(1, initializer=int) as pool:  # type: ignore[attr-defined]
            return {"n": pool.submit(abs, -1).result()}

    start(flow)

    assert manage() == {"n": 1}


def test_bytes_that_a_manager_prints_are_in_its_log(flow: Flow, start: Start) -> None:
    @flow.manager
    def manage() -> Any:
        print("text", end=" ")
        sys.stdout.buffer.write(b"bytes\n")
        io.TextIOWrapper(sys.stderr.buffer, "utf-8", write_through=True).write(
            "wrapped\n"
        )  # closes it when it is freed
        sys.stdout.close()
        print("goes on")
        return {}

    engine = start(flow)
    manage()

    assert text_of(engine, 1) == "text bytes\nwrapped\ngoes on\n"
    assert not sys.stdout.closed
    assert not sys.stderr.closed
