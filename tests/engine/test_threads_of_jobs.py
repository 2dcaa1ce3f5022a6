"""Threads that a job starts belong to its execution: their calls, prints, context and end; nobody else's threads do."""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import contextvars
import decimal
import io
import logging
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import pytest

from microflow import (
    ExecutionCancelled,
    Flow,
    JobCallInTaskError,
    OutsideExecutionError,
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

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]
Work = Callable[[], Any]

PATIENCE = 60.0


def text_of(engine: Engine, execution_id: int) -> str:
    return engine.logs.read(execution_id).text


def by_thread(work: Work) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def by_subclass(work: Work) -> None:
    class Worker(threading.Thread):
        def run(self) -> None:
            work()

    thread = Worker(daemon=True)
    thread.start()
    thread.join()


def by_timer(work: Work) -> None:
    timer = threading.Timer(0, work)
    timer.start()
    timer.join()


def by_raw_thread(work: Work) -> None:
    done = _thread.allocate_lock()
    done.acquire()

    def run(work: Work, *, release: Callable[[], None]) -> None:
        work()
        release()

    _thread.start_new_thread(run, (work,), {"release": done.release})
    done.acquire()


def by_thread_of_a_thread(work: Work) -> None:
    by_thread(lambda: by_thread(work))


def by_executor(work: Work) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def by_executor_map(work: Work) -> None:
    with ThreadPoolExecutor(1) as pool:
        list(pool.map(lambda _: work(), [1]))


def by_initializer(work: Work) -> None:
    with ThreadPoolExecutor(1, initializer=work) as pool:
        pool.submit(int).result()


def by_callback(work: Work) -> None:
    called = threading.Event()
    go_on = threading.Event()

    def callback(_: Future[Any]) -> None:
        work()
        called.set()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(go_on.wait, PATIENCE).add_done_callback(callback)
        go_on.set()
        assert called.wait(PATIENCE)


def by_thread_pool(work: Work) -> None:
    with ThreadPool(1) as pool:
        pool.apply(work)


def by_to_thread(work: Work) -> None:
    asyncio.run(asyncio.to_thread(work))


def by_run_in_executor(work: Work) -> None:
    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, work)

    asyncio.run(main())


def by_asyncio_task(work: Work) -> None:
    async def step() -> None:
        await asyncio.sleep(0)
        work()

    async def main() -> None:
        await asyncio.gather(asyncio.create_task(step()))

    asyncio.run(main())


def by_loop_in_a_thread(work: Work) -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def step() -> None:
        work()

    asyncio.run_coroutine_threadsafe(step(), loop).result(PATIENCE)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


WAYS = [
    by_thread,
    by_subclass,
    by_timer,
    by_raw_thread,
    by_thread_of_a_thread,
    by_executor,
    by_executor_map,
    by_initializer,
    by_callback,
    by_thread_pool,
    by_to_thread,
    by_run_in_executor,
    by_asyncio_task,
    by_loop_in_a_thread,
]
if sys.version_info >= (3, 14):

    def by_thread_with_a_context(work: Work) -> None:
        thread = threading.Thread(target=work, context=contextvars.Context())
        thread.start()
        thread.join()

    WAYS.append(by_thread_with_a_context)


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

    rows = engine.database.read_text("SELECT parent_id, root_id FROM executions WHERE id > 1", ())
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

    rows = engine.database.read_text("SELECT position FROM executions WHERE parent_id = 1", ())
    assert sorted(position for (position,) in rows) == list(range(8))


def test_a_call_in_a_thread_has_the_tick_of_its_manager(flow: Flow, start: Start, look: Look) -> None:
    from microflow.engine.calls import Call

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


# A thread that outlives its manager


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
def left(flow: Flow, start: Start, pool: ThreadPoolExecutor) -> Iterator[tuple[Engine, Left]]:
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
    assert engine.database.read_text("SELECT count(*) FROM executions", ()) == [(1,)]


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


# Outside of executions


def replaced() -> list[Any]:
    import os
    import subprocess

    return [
        threading.Thread.start,
        _thread.start_new_thread,
        ThreadPoolExecutor.__init__,
        ThreadPoolExecutor.submit,
        Future.add_done_callback,
        subprocess.Popen.__init__,
        os.system,
    ]


def test_the_standard_library_is_its_own_again_once_the_last_engine_has_stopped(tmp_path: Path) -> None:
    before = replaced()
    engines = []
    for n in (1, 2):
        flow = create_flow(f"shop{n}")
        manage = flow.manager(name="manage")(dict)
        engines.append(Engine([flow], store=f"sqlite:///{tmp_path}/{n}.db"))
        engines[-1].start()
        assert (replaced() == before) is (n == 1), "nothing is replaced before it is needed"
        assert manage().status == "success"
    assert not any(now is then for now, then in zip(replaced(), before, strict=True))

    engines[0].stop()
    engines[0].stop()
    assert not any(now is then for now, then in zip(replaced(), before, strict=True))
    engines[1].stop()

    assert replaced() == before


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
    rows = engine.database.read_text("SELECT parent_id, trigger FROM executions", ())
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
