"""Threads that a job starts belong to its execution: their calls, prints, context and end."""

from __future__ import annotations

import concurrent.futures
import contextvars
import decimal
import logging
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from microflow import (
    ExecutionCancelled,
    Flow,
    JobCallInTaskError,
    Schedule,
    create_flow,
    current_execution,
    map_parallel,
    map_partitions,
    run_all,
    run_dag,
    run_parallel,
)
from microflow.engine.engine import Engine

from .ways import PATIENCE, WAYS, Work, by_executor, by_initializer, by_run_in_executor, by_thread, text_of

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]


@pytest.fixture(params=WAYS, ids=lambda way: str(way.__name__))
def way(request: pytest.FixtureRequest) -> Callable[[Work], None]:
    """Has work done in another thread, and waits for it."""
    found: Callable[[Work], None] = request.param
    return found


@pytest.fixture
def flow() -> Flow:
    flow = create_flow("shop", max_concurrency=4)

    @flow.task(runner="thread")
    def load(a: Any = None) -> Any:
        return a or {}

    @flow.task(runner="thread", inputs=[load])
    def after(a: Any) -> Any:
        return a

    @flow.task(runner="thread", cat_partitions=["red"])
    def paint(a: Any) -> Any:
        return a

    return flow


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """An executor that belongs to no execution, and has a thread that belongs to none."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        yield pool


def test_a_call_and_a_print_in_a_thread_are_the_managers(
    flow: Flow, start: Start, look: Look, way: Callable[[Work], None]
) -> None:
    load = flow.jobs["load"]

    def work() -> None:
        print("starting", current_execution().id)
        logging.getLogger("toolkit").warning("logged")
        assert load({"n": 1}) == {"n": 1}

    @flow.manager(schedule=Schedule("0 8 * * *"))
    def nightly() -> dict[str, Any]:
        way(work)
        return {}

    engine = start(flow)
    submitted = engine.submit(nightly)

    assert submitted.future.result().status == "success"
    first, second = text_of(engine, 1).splitlines()
    assert first == "starting 1"
    assert second.endswith("WARNING toolkit: logged")
    child = look(engine, 2)
    assert (child["parent_id"], child["root_id"], child["trigger"], child["position"]) == (1, 1, "call", 0)


@pytest.mark.parametrize("call", ["run_parallel", "map_parallel", "run_dag", "map_partitions", "run_all", "submit"])
def test_every_kind_of_call_in_a_thread_is_the_managers(flow: Flow, start: Start, look: Look, call: str) -> None:
    load, after, paint = flow.jobs["load"], flow.jobs["after"], flow.jobs["paint"]
    calls: dict[str, Callable[[], Any]] = {
        "run_parallel": lambda: run_parallel((load, {}), (load, {})),
        "map_parallel": lambda: map_parallel(load, [{}, {}]),
        "run_dag": lambda: run_dag(after),
        "map_partitions": lambda: map_partitions(paint),
        "run_all": lambda: run_all(),
        "submit": lambda: load.submit({}).result(),
    }
    manage = flow.manager(name="manage")(lambda: [by_thread(lambda: calls[call]()), {}][1])
    engine = start(flow)
    engine.submit(manage).future.result()

    rows = engine.store.database.read_text("SELECT parent_id, root_id FROM executions WHERE id > 1", ())
    assert rows
    assert set(rows) == {(1, 1)}


def test_calls_of_many_threads_have_positions_of_their_own(flow: Flow, start: Start) -> None:
    load = flow.jobs["load"]
    together = threading.Barrier(8)

    def work(number: int) -> None:
        together.wait(PATIENCE)
        load({"n": number})

    @flow.manager
    def manage() -> Any:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        return {}

    engine = start(flow)
    assert manage().status == "success"

    rows = engine.store.database.read_text("SELECT position FROM executions WHERE parent_id = 1", ())
    assert sorted(position for (position,) in rows) == list(range(8))


def test_lines_that_threads_print_at_the_same_time_stay_whole(flow: Flow, start: Start) -> None:
    together = threading.Barrier(4)

    def work(number: int) -> None:
        for _ in range(100):
            sys.stdout.write(f"begun by {number}")
            together.wait(PATIENCE)
            print(", ended by", number)

    @flow.manager
    def manage() -> Any:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        return {}

    engine = start(flow)
    assert manage().status == "success"

    lines = text_of(engine, 1).splitlines()
    assert sorted(lines) == sorted(100 * [f"begun by {number}, ended by {number}" for number in range(4)])


def test_a_call_in_a_thread_has_the_tick_of_its_manager(flow: Flow, start: Start, look: Look) -> None:
    from microflow.engine.execution.call import Call

    load = flow.jobs["load"]
    manage = flow.manager(name="manage")(lambda: [by_executor(lambda: load({})), {}][1])
    engine = start(flow)
    engine._outside.start(Call(job=manage, scheduled_at=1_700_000_000.0)).future.result()

    assert look(engine, 2)["scheduled_at"] == look(engine, 1)["scheduled_at"] == 1_700_000_000.0


def test_the_context_and_the_progress_can_be_used_by_many_threads(flow: Flow, start: Start) -> None:
    together = threading.Barrier(8)

    def work(number: int) -> None:
        together.wait(PATIENCE)
        flow.context[f"key{number}"] = number
        current_execution().progress(number, 8)

    @flow.manager
    def manage() -> Any:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        return dict(flow.context)

    start(flow)

    assert manage().output == {f"key{number}": number for number in range(8)}


@pytest.mark.parametrize("reason", ["cancelled", "timeout"])
def test_the_end_of_a_manager_reaches_what_its_threads_have_called(
    flow: Flow, start: Start, runner: Any, look: Look, reason: str
) -> None:
    slow = flow.task(name="slow", runner=runner)(lambda: {})
    seen: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def work() -> None:
        seen.put(str(slow().status))
        try:
            slow()
        except ExecutionCancelled as error:
            seen.put(error)

    @flow.manager(timeout=0.2 if reason == "timeout" else None)
    def manage() -> Any:
        with ThreadPoolExecutor(2) as pool:
            pool.submit(work)
            pool.submit(work)
        return {}

    engine = start(flow)
    submitted = engine.submit(manage)
    runner.next()
    runner.next()
    if reason == "cancelled":
        engine.cancel(submitted.id)

    result = submitted.future.result()
    assert result.status == ("cancelled" if reason == "cancelled" else "error")
    assert [seen.get() for _ in range(4) if not seen.empty()].count("cancelled") == 2
    assert runner.none_began()
    assert [look(engine, number)["status"] for number in (2, 3)] == ["cancelled", "cancelled"]


def test_work_belongs_to_whoever_submits_it(flow: Flow, start: Start, pool: ThreadPoolExecutor, look: Look) -> None:
    load = flow.jobs["load"]
    shared = ThreadPoolExecutor(1)

    @flow.manager
    def first() -> Any:
        shared.submit(lambda: print("of the first")).result()  # this starts the thread
        return {}

    @flow.manager
    def second() -> Any:
        shared.submit(lambda: (print("of the second"), load({}))).result()
        pool.submit(lambda: (print("in a thread of nobody's"), load({}))).result()
        return {}

    engine = start(flow)
    assert first().status == second().status == "success"
    outside = shared.submit(lambda: load({}).status).result()
    shared.shutdown()

    assert outside == "success"
    assert text_of(engine, 1) == "of the first\n"
    assert text_of(engine, 2) == "of the second\nin a thread of nobody's\n"
    assert [look(engine, number)["parent_id"] for number in (3, 4, 5)] == [2, 2, None]


def test_a_callback_of_a_submitted_call_belongs_to_the_manager(flow: Flow, start: Start, look: Look) -> None:
    load = flow.jobs["load"]
    called = threading.Event()

    def callback(future: Future[Any]) -> None:
        print("ended", future.result().status)
        load({})
        called.set()

    @flow.manager
    def manage() -> Any:
        load.submit({}).add_done_callback(callback)
        assert called.wait(PATIENCE)
        return {}

    engine = start(flow)
    assert engine.submit(manage).future.result().status == "success"

    assert text_of(engine, 1) == "ended success\n"
    assert look(engine, 3)["parent_id"] == 1


def test_other_context_variables_are_as_python_says(flow: Flow, start: Start) -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    def in_thread() -> list[Any]:
        found: list[Any] = []
        by_thread(lambda: found.append(variable.get()))
        with ThreadPoolExecutor(1, initializer=lambda: setattr(decimal.getcontext(), "prec", 5)) as pool:
            found.append(pool.submit(lambda: decimal.getcontext().prec).result())
        return found

    @flow.manager
    def manage() -> Any:
        variable.set("set")
        return {"found": in_thread()}

    start(flow)

    assert manage()["found"] == contextvars.copy_context().run(in_thread)


@pytest.mark.parametrize("way", [by_thread, by_executor, by_run_in_executor, by_initializer])
def test_a_task_in_a_thread_owns_its_threads_too(flow: Flow, start: Start, way: Callable[[Work], None]) -> None:
    load = flow.jobs["load"]
    errors = []

    def work() -> None:
        print("in", current_execution().job)
        try:
            load({})
        except JobCallInTaskError as error:
            errors.append(str(error))

    wrong = flow.task(name="wrong", runner="thread")(lambda: [way(work), {}][1])
    engine = start(flow)

    assert wrong().status == "success"
    assert text_of(engine, 1) == "in wrong\n"
    assert errors[0].startswith("Task 'wrong' called job 'load'")


def test_a_task_in_a_process_owns_its_threads_too(flow: Flow, start: Start) -> None:
    load = flow.jobs["load"]

    @flow.task
    def work(a: Any) -> Any:
        import threading
        from concurrent.futures import ThreadPoolExecutor

        from microflow import current_execution

        def one(number: int) -> Any:
            flow.context[str(number)] = a["n"]
            current_execution().progress(number, 2)
            current_execution().logger.warning("logged")
            try:
                load({})
            except Exception as error:
                return str(error)

        errors: list[Any] = []
        thread = threading.Thread(target=lambda: errors.append(one(0)))
        thread.start()
        thread.join()
        with ThreadPoolExecutor(2) as pool:
            errors += pool.map(one, (1, 2))
        return {"errors": errors, "seen": {key: flow.context[key] for key in "012"}}

    engine = start(flow)
    for n in (1, 2):
        output = work({"n": n}).output
        assert output["seen"] == {"0": n, "1": n, "2": n}
        assert [error[:32] for error in output["errors"]] == ["Task 'work' called job 'load'. A"] * 3
        assert text_of(engine, n).count("WARNING shop.work: logged") == 3


# What fails in a thread


def test_what_fails_in_a_thread_is_told_in_the_log_of_the_manager(
    flow: Flow, start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    def fail() -> None:
        raise ValueError("in the thread")

    @flow.manager
    def manage() -> Any:
        import traceback

        by_thread(fail)
        with ThreadPoolExecutor(1, initializer=lambda: [][1]) as pool, pytest.raises(concurrent.futures.BrokenExecutor):
            pool.submit(int).result()
        try:
            {}["key"]
        except KeyError:
            traceback.print_exc()
        return {}

    engine = start(flow)
    assert manage().status == "success"

    text = text_of(engine, 1)
    for part in ("ValueError: in the thread", "Exception in initializer", "KeyError: 'key'"):
        assert part in text
    assert capsys.readouterr() == ("", "")
