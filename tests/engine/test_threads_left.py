"""A thread that outlives the job that started it can do nothing more for it, and is told so."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from microflow import (
    Flow,
    OutsideExecutionError,
    create_flow,
    current_execution,
    map_parallel,
    map_partitions,
    run_all,
    run_dag,
    run_parallel,
)
from microflow.engine.engine import Engine

from .ways import PATIENCE, Work, by_thread, text_of

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]


@pytest.fixture
def flow() -> Flow:
    flow = create_flow("shop", max_concurrency=4)

    @flow.task(runner="thread")
    def load(a: Any = None) -> Any:
        return a or {}

    @flow.task(runner="thread", cat_partitions=["red"])
    def paint(a: Any) -> Any:
        return a

    return flow


class Left:
    """A thread that a manager leaves running, and what it is asked to do once the manager has ended."""

    def __init__(self, how: Callable[[Work], None]) -> None:
        self._asked: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        how(self._live)

    def _live(self) -> None:
        while (work := self._asked.get(timeout=PATIENCE)) is not None:
            try:
                self._answers.put(work())
            except Exception as error:
                self._answers.put(error)

    def do(self, work: Work) -> Any:
        self._asked.put(work)
        return self._answers.get(timeout=PATIENCE)

    def end(self) -> None:
        self._asked.put(None)


def started(work: Work) -> None:
    threading.Thread(target=work, daemon=True).start()


@pytest.fixture
def left(flow: Flow, start: Start) -> Iterator[tuple[Engine, Left]]:
    """An engine whose manager has left a thread running."""
    made: list[Left] = []

    @flow.manager
    def manage() -> Any:
        made.append(Left(started))
        made[0].do(lambda: print("meanwhile"))
        return {}

    engine = start(flow)
    assert manage().status == "success"
    yield engine, made[0]
    made[0].end()


@pytest.mark.parametrize(
    "call", ["call", "submit", "run_parallel", "map_parallel", "run_dag", "run_all", "map_partitions", "in a thread"]
)
def test_a_call_after_the_end_of_the_manager_is_refused(flow: Flow, left: tuple[Engine, Left], call: str) -> None:
    engine, thread = left
    load, paint = flow.jobs["load"], flow.jobs["paint"]

    def in_another() -> Any:
        found: list[Any] = []

        def work() -> None:
            try:
                load({})
            except Exception as error:
                found.append(error)

        by_thread(work)
        return found[0]

    calls: dict[str, Work] = {
        "call": lambda: load({}),
        "submit": lambda: load.submit({}),
        "run_parallel": lambda: run_parallel((load, {})),
        "map_parallel": lambda: map_parallel(load, [{}]),
        "run_dag": lambda: run_dag(load),
        "run_all": lambda: run_all(),
        "map_partitions": lambda: map_partitions(paint),
        "in a thread": in_another,
    }
    error = thread.do(calls[call])

    assert isinstance(error, OutsideExecutionError)
    assert str(error) == (
        "A thread that execution 1 of 'manage' left running when it ended called a job; wait for the thread before the manager "
        "returns, for example with thread.join()."
    )
    assert engine.store.database.read_text("SELECT count(*) FROM executions", ()) == [(1,)]


def test_prints_after_the_end_go_where_the_process_prints(
    left: tuple[Engine, Left], capsys: pytest.CaptureFixture[str]
) -> None:
    engine, thread = left

    thread.do(lambda: print("afterwards"))

    assert text_of(engine, 1) == "meanwhile\n"
    assert capsys.readouterr().out == "afterwards\n"


def test_the_context_after_the_end_is_refused_and_the_progress_ignored(flow: Flow, left: tuple[Engine, Left]) -> None:
    engine, thread = left

    assert isinstance(thread.do(lambda: flow.context.get("key")), OutsideExecutionError)
    error = thread.do(lambda: flow.context.update(key=1))
    assert "left running when it ended" in str(error)
    assert thread.do(lambda: current_execution().progress(1, 2)) is None
    assert engine.progress(1) is None


def test_a_thread_of_a_failed_attempt_can_call_nothing_while_the_next_one_runs(
    flow: Flow, start: Start, look: Look
) -> None:
    load = flow.jobs["load"]
    made: list[Left] = []
    answers = []

    @flow.manager(retries=1, retry_delay=0)
    def manage() -> Any:
        if not made:
            made.append(Left(started))
            raise ValueError("first")
        answers.append(made[0].do(lambda: load({})))
        made[0].end()
        return {"n": load({"n": 1})["n"]}

    engine = start(flow)

    assert manage() == {"n": 1}
    assert isinstance(answers[0], OutsideExecutionError)
    assert look(engine, 2)["position"] == 0


def test_a_call_that_was_made_before_the_end_goes_on_as_a_submitted_one_does(
    flow: Flow, start: Start, runner: Any, look: Look
) -> None:
    slow = flow.task(name="slow", runner=runner)(lambda: {})
    threads: list[threading.Thread] = []
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()

    @flow.manager
    def manage() -> Any:
        threads.append(threading.Thread(target=lambda: results.put(slow())))
        threads[0].start()
        return {"attempt": [runner.next()] and 1, "submitted": slow.submit() and 1}

    attempts: list[Any] = []
    following = runner.next
    runner.next = lambda: attempts.append(following()) or attempts[-1]
    engine = start(flow)
    assert manage().status == "success"
    runner.next()
    for attempt in attempts:
        attempt.succeed({"n": 1})

    assert results.get(timeout=PATIENCE) == {"n": 1}
    threads[0].join()
    assert [look(engine, number)["parent_id"] for number in (2, 3)] == [1, 1]
