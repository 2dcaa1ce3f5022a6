"""The engine's own threads: whatever is raised in one of them is logged, and it goes on."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from microflow import Flow, Schedule, StoreError, create_flow
from microflow.engine.background.housekeeping import Housekeeping, HousekeepingConfig
from microflow.engine.background.timers import Timers
from microflow.engine.engine import Engine
from microflow.engine.recovery.dead_engines import LOOK, Recovery
from microflow.engine.schedules.runs import ScheduleRuns
from microflow.loop import Loop
from microflow.model.events import Event, EventBus
from microflow.runners.local.channels import Silence, ThreadedChannel
from microflow.runners.local.pool import ProcessPool
from microflow.store.sqlite.checkpoints import Checkpoints
from microflow.store.sqlite.database import Database

Start = Callable[..., Engine]

ERRORS = [RuntimeError("odd"), KeyError("odd"), StoreError("odd"), SystemExit("odd")]


def throw(error: BaseException) -> Callable[..., Any]:
    def raised(*_: Any, **__: Any) -> Any:
        raise error

    return raised


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_timers_go_on(
    clock: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    done: list[int] = []
    monkeypatch.setattr(Loop, "wake", lambda loop: None)  # no thread: the test is it
    timers = Timers(clock)
    timers.later(1, throw(error))
    timers.later(1, lambda: done.append(1))

    timers.run_once(clock.monotonic() + 1)

    assert done == [1]
    assert "Something that was due failed" in caplog.text


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_recovery_looks_again(
    clock: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    nothing: Any = None
    recovery = Recovery(nothing, nothing, nothing, nothing, clock)
    monkeypatch.setattr("microflow.engine.recovery.dead_engines.take_over", throw(error))
    recovery.start([], [], looks=True)

    for _ in range(3):
        clock.until_asleep(LOOK)
        clock.advance(LOOK)
    clock.until_asleep(LOOK)
    recovery.stop()

    assert caplog.text.count("What dead engines left can't be cleared up now") == 3


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_housekeeping_begins_another_round(clock: Any, caplog: pytest.LogCaptureFixture, error: BaseException) -> None:
    class Retention:
        steps = staticmethod(throw(error))

    config = HousekeepingConfig(rest=50)
    retention: Any = Retention()
    housekeeping = Housekeeping(config, retention, clock)
    housekeeping.start()

    for _ in range(3):
        clock.until_asleep(50)
        clock.advance(50)
    clock.until_asleep(50)
    housekeeping.stop()

    assert caplog.text.count("Old history can't be deleted now") == 3


def test_what_can_not_be_taken_over_ends_and_the_rest_goes_on(
    serve: Start, runner: Any, kill: Callable[[Engine], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = create_flow("shop", max_concurrency=3)
    load = flow.task(name="load", runner=runner, retries=1)(lambda a: a)
    first = serve(flow)
    for number in range(3):
        first.submit(load, [{"n": number}])
        runner.next()
    kill(first)
    errors = iter([StoreError("busy"), RuntimeError("odd"), None])
    begin = ScheduleRuns.take_over

    def take_over(self: ScheduleRuns, call: Any) -> Any:
        error = next(errors, None)
        if error is not None:
            raise error
        return begin(self, call)

    monkeypatch.setattr(ScheduleRuns, "take_over", take_over)

    second = serve(flow)
    second.recovery.run_once(second._clock.now())  # the store refused the first one: all are resumed in their order now
    runner.next().succeed({})
    runner.next().succeed({})

    assert second._resources.live.wait_until_empty(60)
    rows = second.store.database.read_text("SELECT status, error FROM executions ORDER BY id")
    assert [status for status, _ in rows] == ["error", "success", "success"]
    assert "odd" in rows[0][1]


def test_a_row_that_makes_no_sense_keeps_no_server_from_starting(
    serve: Start, runner: Any, kill: Callable[[Engine], None]
) -> None:
    flow = create_flow("shop")
    load = flow.task(name="load", runner=runner, retries=1, cat_partitions=["red"])(lambda a: a)
    first = serve(flow)
    run = first.submit_partitions(load, _all(), trigger="api")
    runner.next()
    first.store.database.execute_text('UPDATE executions SET options = \'{"batch_size":"x"}\' WHERE id = ?', (run.id,))
    kill(first)

    second = serve(flow)

    rows = second.store.database.read_text("SELECT status, error FROM executions WHERE id = ?", (run.id,))
    assert rows[0][0] == "error"
    assert "It can't be resumed" in rows[0][1]


def _all() -> Any:
    from microflow.runtime import PartitionSelection

    return PartitionSelection()


def test_the_scheduler_tries_again_whatever_its_beginning_raises(
    start: Start, clock: Any, monkeypatch: pytest.MonkeyPatch, runner: Any, caplog: pytest.LogCaptureFixture
) -> None:
    flow = create_flow("shop")
    flow.task(name="load", runner=runner, schedule=Schedule("* * * * *"))(lambda: {})
    failures = iter([RuntimeError("odd"), RuntimeError("odd")])
    open_ = Engine.__init__.__globals__["Scheduler"].open

    def opening(self: Any, now: float) -> None:
        if (error := next(failures, None)) is not None:
            raise error
        open_(self, now)

    monkeypatch.setattr("microflow.engine.schedules.scheduler.Scheduler.open", opening)

    start(flow, kind="server", clock=clock)
    clock.until_asleep(1)
    clock.advance(1)
    clock.until_asleep(1)
    clock.advance(1)
    clock.until_asleep(30)
    clock.advance(30)
    clock.until_asleep(23)  # five seconds before the next minute, when workers are made ready
    clock.advance(28)
    runner.next().succeed({})

    assert caplog.text.count("Schedules can't be served yet") == 2


@pytest.mark.parametrize("error", [RuntimeError("odd"), StoreError("odd")], ids=repr)
def test_checkpoints_go_on(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    turns: queue.SimpleQueue[int] = queue.SimpleQueue()

    def checkpoint() -> None:
        turns.put(1)
        raise error

    checkpoints = Checkpoints(checkpoint)
    for number in range(1, 4):
        checkpoints.wrote(number * 10_000)
        turns.get(timeout=60)
    checkpoints.close()

    assert caplog.text.count("could not be moved to its file") >= 2


def test_a_listener_that_raises_keeps_an_event_from_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    events, heard = EventBus(), []
    events.subscribe(throw(RuntimeError("odd")))
    events.subscribe(heard.append)

    events.publish(Event("execution"))

    assert len(heard) == 1
    assert "A listener failed" in caplog.text


def test_what_follows_a_commit_follows_it_whatever_another_follower_raises(
    store: str, caplog: pytest.LogCaptureFixture
) -> None:
    database, done = Database(store), []
    with database.transaction():
        database.after_commit(throw(RuntimeError("odd")))
        database.after_commit(lambda: done.append(1))
    database.after_commit(throw(RuntimeError("odd")))
    database.close()

    assert done == [1]
    assert caplog.text.count("Something that follows a commit failed") == 2


@pytest.mark.parametrize("seam", ["microflow.runners.local.channels._read_some", "subprocess.Popen.wait"])
def test_who_uses_a_worker_is_told_of_its_end_whatever_its_readers_raise(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, seam: str
) -> None:
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)
    with monkeypatch.context() as patch:
        patch.setattr(seam, throw(MemoryError()))
        channel = ThreadedChannel(process)
        if seam.endswith("wait"):
            watchers = [thread for thread in threading.enumerate() if thread.name == "microflow-process"]
            for watcher in watchers:
                watcher.join(60)
            process.kill()
        assert channel.receive(lambda _: None) is None
    channel.close()
    process.kill()
    process.wait()
    assert "can't be" in caplog.text


def test_a_channel_that_can_not_be_polled_calls_when_there_is_input() -> None:
    pipe = subprocess.PIPE
    code = (
        "import sys; print('one', end='', file=sys.stderr, flush=True); input(); print('two', end='', file=sys.stderr)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)
    channel = ThreadedChannel(process)
    called = threading.Event()
    printed: list[bytes] = []
    channel.on_ready(called.set)

    assert called.wait(60)
    assert channel.receive(printed.append, wait=False) is Silence.SO_FAR
    assert printed == [b"one"]

    called.clear()
    channel.on_ready(called.set)
    assert not called.is_set()  # there is nothing new
    channel.on_ready(None)
    assert process.stdin is not None
    process.stdin.write(b"\n")
    assert channel.receive(printed.append) is None
    assert not called.is_set()
    channel.drain(printed.append)
    channel.close()
    assert b"".join(printed) == b"onetwo"


def test_idle_workers_are_swept_also_where_one_can_not_be_ended(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    later: list[tuple[float, Callable[[], None]]] = []
    pool = ProcessPool(lambda seconds, act: later.append((seconds, act)), now=clock.monotonic, idle_seconds=10)

    class Stubborn:
        executions = 1
        idle_since = 0.0

        def close(self) -> None:
            raise PermissionError("not mine")

    for _ in range(2):
        worker: Any = Stubborn()
        pool._give_back(worker, "")
        clock.advance(5)
    clock.advance(1)
    later[-1][1]()
    assert len(later) == 2  # the other one is looked at again
    clock.advance(10)
    later[-1][1]()

    assert pool._idle == []
    assert caplog.text.count("could not be ended in an orderly way") == 2


def test_a_thread_that_refuses_goes_on_with_what_else_is_refused(
    flow: Flow, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[int] = []
    threads = start(flow)._threads
    threads.refuse(lambda: threads.refuse(lambda: done.append(1)) or throw(RuntimeError("odd"))())

    assert done == [1]
    assert "What no thread could carry out could not be ended" in caplog.text
