"""The pool: warm workers are used again, ended when idle or worn out, replaced when dead; none can be started: a clear error."""

from __future__ import annotations

import errno
import os
import select
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from microflow import Flow, create_flow, map_parallel
from microflow.engine.engine import Engine
from microflow.runners.local.pool import IDLE_SECONDS
from microflow.runners.local.workers import Worker, ending_of, open_channel

from ..conftest import IS_WINE

Serve = Callable[..., Engine]
WorkersOf = Callable[[Engine], list[int]]


@pytest.fixture
def flow() -> Flow:
    flow = create_flow("shop", max_concurrency=2)

    @flow.task
    def who() -> dict[str, int]:
        return {"pid": os.getpid()}

    return flow


# No worker


def test_no_worker_can_be_started(flow: Flow, serve: Serve) -> None:
    engine = serve(flow)
    working = engine._pool._start_worker

    def fail() -> Worker:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    engine._pool._start_worker = fail
    error = flow.jobs["who"]().error
    assert error is not None
    assert error.type == "WorkerDied"
    assert error.message == "No worker process could be started: [Errno 11] Resource temporarily unavailable."
    results = map_parallel(flow.task(name="many")(lambda a: a), [{}, {}, {}])
    assert [result.error.type for result in results] == ["WorkerDied"] * 3

    engine._pool._start_worker = working
    assert flow.jobs["who"]().status == "success"
    assert all(state.holders == [] for state in engine.concurrency())


def test_a_worker_that_cannot_be_talked_to_is_not_left_running(flow: Flow, serve: Serve) -> None:
    engine = serve(flow)
    started: list[int] = []

    def opener(process: Any) -> Any:
        started.append(process.pid)
        raise OSError(errno.EMFILE, "Too many open files")

    engine._pool._start_worker = partial(Worker, opener)
    error = flow.jobs["who"]().error

    assert error is not None
    assert error.message == "No worker process could be started: [Errno 24] Too many open files."
    assert len(started) == 1
    assert not psutil.pid_exists(started[0])


@pytest.mark.skipif(sys.platform == "win32", reason="limits of descriptors are Unix's")
def test_too_many_open_files(script: Callable[..., Any], tmp_path: Path) -> None:
    process = script("""
import os, resource
from microflow import create_flow
flow = create_flow("shop", store="sqlite:///store.db")
@flow.task
def who(): return {"pid": os.getpid()}
assert who().status == "success"
flow.runtime._resources.timers  # the worker that is warm now stays out of this
busy = [who.submit() for _ in range(1)][0].result()
held = []
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
fresh = flow.task(name="fresh", runner="fresh")(lambda: {})
assert fresh().status == "success"
try:
    while True:
        held.append(open(os.devnull))
except OSError:
    pass
result = fresh()
assert result.error.type == "WorkerDied", result
print(result.error.message)
for file in held:
    file.close()
print(fresh().status, who().status)
""")
    out, err = process.communicate(timeout=60)

    assert err == ""
    assert out == "No worker process could be started: [Errno 24] Too many open files.\nsuccess success\n"


# Workers come and go


def test_a_warm_worker_is_used_again(flow: Flow, serve: Serve, workers_of: WorkersOf) -> None:
    engine = serve(flow)
    who = flow.jobs["who"]

    assert len({who()["pid"] for _ in range(5)}) == 1
    assert workers_of(engine) == [who()["pid"]]


def test_a_fresh_one_is_not(flow: Flow, serve: Serve, workers_of: WorkersOf, ended: Callable[..., None]) -> None:
    fresh = flow.task(name="fresh", runner="fresh")(lambda: {"pid": os.getpid()})
    engine = serve(flow)

    pids = [fresh()["pid"] for _ in range(3)]

    assert len(set(pids)) == 3
    assert workers_of(engine) == []
    ended(*pids)


def test_a_worn_out_worker_is_replaced(flow: Flow, serve: Serve, ended: Callable[..., None]) -> None:
    engine = serve(flow)
    engine._pool._maximum_executions = 3
    who = flow.jobs["who"]

    pids = [who()["pid"] for _ in range(7)]

    assert [pids.index(pid) for pid in pids] == [0, 0, 0, 3, 3, 3, 6]
    ended(pids[0], pids[3])


def test_idle_workers_are_ended(
    flow: Flow, serve: Serve, clock: Any, workers_of: WorkersOf, ended: Callable[..., None]
) -> None:
    engine = serve(flow, clock=clock)
    who = flow.jobs["who"]
    first = who()["pid"]
    clock.until_asleep(IDLE_SECONDS)
    clock.advance(IDLE_SECONDS - 1)
    assert who()["pid"] == first

    clock.advance(1)  # a look at a worker that has just been used
    clock.until_asleep(IDLE_SECONDS - 1)
    assert workers_of(engine) == [first]
    clock.advance(IDLE_SECONDS - 1)

    ended(first)
    assert workers_of(engine) == []
    assert who()["pid"] != first


def test_a_worker_that_died_while_it_had_nothing_to_do_is_replaced(flow: Flow, serve: Serve) -> None:
    engine = serve(flow)
    who = flow.jobs["who"]
    first = who()["pid"]
    (worker,) = engine._pool._idle
    psutil.Process(first).kill()
    while worker._process.poll() is None:
        pass

    assert who().status == "success"


def test_so_is_one_that_has_never_had_anything_to_do(flow: Flow, serve: Serve) -> None:
    engine = serve(flow)
    who = flow.jobs["who"]
    engine._pool.warm([who])
    (worker,) = engine._pool._idle
    psutil.Process(worker.pid).kill()
    while worker._process.poll() is None:
        pass

    assert who().status == "success"


def test_an_engine_that_stops_ends_its_workers(
    flow: Flow, serve: Serve, workers_of: WorkersOf, ended: Callable[..., None]
) -> None:
    engine = serve(flow)
    flow.jobs["who"]()
    pids = workers_of(engine)

    engine.stop()

    ended(*pids)
    assert len(pids) == 1


def test_no_descriptor_is_lost(flow: Flow, serve: Serve) -> None:
    @flow.task
    def crash() -> None:
        os._exit(1)

    serve(flow)
    crash()
    process = psutil.Process()
    count = process.num_handles if sys.platform == "win32" else process.num_fds
    before = count()

    for _ in range(5):
        crash()

    assert count() <= before


# What is recorded


def test_cpu_seconds_and_peak_memory_are_recorded(flow: Flow, serve: Serve) -> None:
    @flow.task
    def work(a: dict[str, Any]) -> dict[str, Any]:
        import subprocess
        import time

        held = bytearray(os.urandom(1024)) * (a["megabytes"] * 1024)
        code = f"import time\nend = time.process_time() + {a['child']}\nwhile time.process_time() < end: pass"
        subprocess.run([sys.executable, "-c", code], check=True)
        end = time.process_time() + a["own"]
        while time.process_time() < end:
            pass
        return {"size": len(held)}

    engine = serve(flow)
    work({"megabytes": 100, "own": 0.2, "child": 0.1})
    work({"megabytes": 1, "own": 0.0, "child": 0.0})
    manage = flow.manager(name="manage")(lambda: work({"megabytes": 1, "own": 0.0, "child": 0.0}))
    manage()

    rows = engine.store.database.read_text("SELECT cpu_seconds, peak_memory FROM executions ORDER BY id")
    assert rows[0][0] >= (0.2 if IS_WINE else 0.3), "job objects of Wine count no time"
    assert rows[0][1] >= 100 * 2**20
    assert rows[1][0] < rows[0][0]
    assert rows[1][0] > 0 or sys.platform == "win32", "its clock of the CPU ticks 64 times a second"
    assert rows[2] == (None, None), "a manager runs in the engine's own process"


def test_how_a_process_ended_in_words() -> None:
    assert ending_of(3) == "exit code 3"
    assert ending_of(0xC0000005) == "exit code 0xC0000005 (an access violation)"
    assert ending_of(0xC0000999) == "exit code 0xC0000999"
    if sys.platform != "win32":
        assert ending_of(-15) == "signal SIGTERM"
        assert ending_of(-11) == "signal SIGSEGV (a segmentation fault)"
        assert ending_of(-250) == "signal 250"


def test_a_worker_that_ends_before_it_is_greeted_leaves_nothing_open() -> None:
    channels: list[Any] = []

    def opened(process: subprocess.Popen[bytes]) -> Any:
        process.kill()
        if sys.platform == "win32":
            process.wait()
        else:
            poll = select.poll()
            poll.register(process.stdin.fileno(), select.POLLOUT)
            while not poll.poll()[0][1] & select.POLLERR:  # until nobody can read any more what is written there
                pass
        channels.append(open_channel(process))
        return channels[0]

    with pytest.raises(OSError, match=r"pipe|Invalid"):
        Worker(opened)

    (channel,) = channels
    assert getattr(channel, "_process_descriptor", -1) == -1
    assert all(pipe.closed for pipe in getattr(channel, "_pipes", ()))


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes are Unix's")
@pytest.mark.parametrize(("seconds", "status"), [(150, "success"), (161, "error")])
def test_the_time_that_a_new_worker_takes_to_load_what_it_runs_is_not_the_attempts(
    flow: Flow, serve: Serve, clock: Any, tmp_path: Path, seconds: float, status: str
) -> None:
    class OpenedWhenLoaded:
        def __init__(self, name: str) -> None:
            self.path = str(tmp_path / name)
            os.mkfifo(self.path)

        def __reduce__(self) -> Any:  # who opens one end of it waits for who opens the other
            return open, (self.path,)

    begins, goes_on = OpenedWhenLoaded("begins"), OpenedWhenLoaded("goes on")
    load = flow.task(name="load", timeout=100)(lambda: {"loaded": [begins.closed, goes_on.closed]})  # type: ignore[attr-defined]
    submitted = serve(flow, clock=clock).submit(load)
    open(begins.path, "w").close()

    clock.until_asleep(100)
    clock.advance(seconds)
    if status == "success":
        open(goes_on.path, "w").close()

    assert submitted.future.result().status == status
