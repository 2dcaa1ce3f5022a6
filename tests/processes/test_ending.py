"""Timeouts, cancels and dead engines: the worker and every process it started are ended, those in sessions of their own too."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from microflow import Flow, create_flow, map_parallel
from microflow.engine.engine import Engine
from microflow.runners.base import Request
from microflow.runners.local import process_tree
from microflow.runners.local.control import ControlPipe
from microflow.runners.local.frames import Hello, Pickled, Run, framed
from microflow.runners.local.workers import Worker

Serve = Callable[..., Engine]
Ended = Callable[..., None]
Script = Callable[..., "subprocess.Popen[str]"]

UNIX = pytest.mark.skipif(
    sys.platform == "win32", reason="there a job object ends a worker and all it started, in one call"
)


@pytest.fixture
def flow() -> Flow:
    flow = create_flow("shop", max_concurrency=4)

    @flow.task
    def fine() -> dict[str, bool]:
        return {"fine": True}

    return flow


def start_others_and_wait() -> None:
    """Start processes in every way that makes them hard to find, print all numbers, and never end."""
    import subprocess
    import time

    waits = [sys.executable, "-c", "import time; time.sleep(3600)"]
    starts = "import subprocess, sys, time; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); time.sleep(3600)"
    child = subprocess.Popen(waits)
    own_session = subprocess.Popen(waits, start_new_session=True)
    parent = subprocess.Popen([sys.executable, "-c", starts, *waits], stdout=subprocess.PIPE, text=True)
    orphan = subprocess.run(
        [
            sys.executable,
            "-c",
            starts.replace("argv[1:]", "argv[1:], stdout=-3").replace("time.sleep(3600)", "0"),
            *waits,
        ],
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
        check=True,
    )
    assert parent.stdout is not None
    pids = [os.getpid(), child.pid, own_session.pid, parent.pid, int(parent.stdout.readline()), int(orphan.stdout)]
    print("pids", *pids, flush=True)
    time.sleep(3600)


def pids_of(engine: Engine, execution_id: int) -> list[int]:
    """The numbers that the task printed, when it has."""
    printed = threading.Event()
    unsubscribe = engine.events.subscribe(lambda event: printed.set() if event.topic == "log" else None)
    while not (found := re.search(r"pids ([\d ]+)\n", engine.store.logs.read(execution_id).text)):
        assert printed.wait(60)
        printed.clear()
    unsubscribe()
    return [int(pid) for pid in found.group(1).split()]


@pytest.mark.parametrize("runner", ["process", "fresh"])
def test_a_cancel_ends_the_worker_and_all_it_started(flow: Flow, serve: Serve, ended: Ended, runner: str) -> None:
    wait = flow.task(name="wait", runner=runner)(start_others_and_wait)
    engine = serve(flow)
    submitted = engine.submit(wait)
    pids = pids_of(engine, submitted.id)
    assert len(set(pids)) == 6

    engine.cancel(submitted.id)

    assert submitted.future.result().status == "cancelled"
    ended(*pids)
    assert flow.jobs["fine"]() == {"fine": True}


def test_a_timeout_ends_the_worker_and_all_it_started(flow: Flow, serve: Serve, ended: Ended, clock: Any) -> None:
    wait = flow.task(name="wait", timeout=100)(start_others_and_wait)
    engine = serve(flow, clock=clock)
    submitted = engine.submit(wait)
    pids = pids_of(engine, submitted.id)

    clock.until_asleep(100)
    clock.advance(100)

    result = submitted.future.result()
    assert result.error is not None
    assert result.error.type == "ExecutionTimeout"
    ended(*pids)
    assert flow.jobs["fine"]() == {"fine": True}


def test_a_stopped_engine_ends_what_runs(flow: Flow, serve: Serve, ended: Ended) -> None:
    wait = flow.task(name="wait")(start_others_and_wait)
    engine = serve(flow)
    submitted = engine.submit(wait)
    pids = pids_of(engine, submitted.id)

    assert engine.stop(grace=0) is False

    ended(*pids)
    error = submitted.future.result().error
    assert error is not None
    assert error.type == "Interrupted"


def test_cancelling_one_of_many_leaves_its_neighbours_alone(flow: Flow, serve: Serve, tmp_path: Path) -> None:
    path = str(tmp_path / "go on")

    @flow.task
    def wait(a: dict[str, Any]) -> dict[str, Any]:
        import time

        print("pids", os.getpid(), flush=True)
        while not os.path.exists(path):
            time.sleep(0.01)
        return a

    manage = flow.manager(name="manage")(lambda: map_parallel(wait, [{"n": n} for n in range(3)]))
    engine = serve(flow)
    submitted = engine.submit(manage)
    for execution_id in (2, 3, 4):
        pids_of(engine, execution_id)

    engine.cancel(3)
    with open(path, "w"):
        pass

    assert submitted.future.result().status == "error"
    rows = engine.store.database.read_text("SELECT status FROM executions WHERE parent_id = 1 ORDER BY id")
    assert [status for (status,) in rows] == ["success", "cancelled", "success"]


def test_a_task_that_cannot_be_interrupted_is_ended(flow: Flow, serve: Serve, ended: Ended) -> None:
    @flow.task(cancel_grace=0.1)
    def stubborn() -> None:
        import signal

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        print("pids", os.getpid(), flush=True)
        while True:
            try:
                sum(range(1000))
            except BaseException:
                continue

    engine = serve(flow)
    submitted = engine.submit(stubborn)
    pids = pids_of(engine, submitted.id)

    engine.cancel(submitted.id)

    assert submitted.future.result().status == "cancelled"
    ended(*pids)


ENGINE = """
import os, subprocess, sys, time
from microflow import create_flow, map_parallel
flow = create_flow("shop", max_concurrency=3, store="sqlite:///store.db")
@flow.task
def fine(): return {}
@flow.task
def wait():
    waits = [sys.executable, "-c", "import time; time.sleep(3600)"]
    child = subprocess.Popen(waits)
    own_session = subprocess.Popen(waits, start_new_session=True)
    print("pids", os.getpid(), child.pid, own_session.pid, flush=True)
    time.sleep(3600)
@flow.task
def busy():
    print("pids", os.getpid(), flush=True)
    while True: pass
@flow.manager
def manage():
    return [wait.submit().result(), busy.submit().result()]
fine()
wait.submit()
busy.submit()
time.sleep(3600)
"""


def test_a_killed_engine_leaves_no_process_behind(script: Script, ended: Ended) -> None:
    engine = script(ENGINE)
    assert engine.stdout is not None
    pids = [int(pid) for _ in range(2) for pid in engine.stdout.readline().removeprefix("pids").split()]
    assert len(pids) == 4

    engine.kill()
    engine.wait()

    ended(*pids)


def test_the_next_server_ends_or_tries_again_what_a_killed_one_left(
    script: Script, start: Callable[..., Engine], store: str
) -> None:
    server = script(
        """
import sys, threading, time
from microflow import create_flow
from microflow.engine.engine import Engine
flow = create_flow("shop", max_concurrency=1)
@flow.task
def fine(): return {"n": 1}
@flow.task
def wait(): print("runs", flush=True); time.sleep(3600)
@flow.task(retries=1)
def again(): return {}
@flow.manager
def manage(): return wait()
runs = threading.Event()
engine = Engine([flow], store=sys.argv[1], kind="server", echo=lambda _: runs.set())
engine.start()
engine.submit(fine).future.result()
engine.submit(manage)
runs.wait()
engine.submit(again)
print("all there", flush=True)
time.sleep(3600)
""",
        store,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "all there\n"
    server.kill()
    server.wait()

    flow = create_flow("shop", max_concurrency=1)
    again = flow.task(name="again", retries=1)(lambda: {"n": 2})
    engine = start(flow, kind="server")
    again()  # queued behind the one that is tried again

    rows = engine.store.database.read_text("SELECT job, status, attempt, output FROM executions ORDER BY id")
    assert rows == [
        ("fine", "success", 1, '{"n":1}'),
        ("manage", "error", 1, None),
        ("wait", "error", 1, None),
        ("again", "success", 1, '{"n":2}'),
        ("again", "success", 1, '{"n":2}'),
    ]
    assert engine.store.database.read_text("PRAGMA integrity_check") == [("ok",)]


@UNIX
def test_a_worker_whose_engine_died_before_it_began_does_not_begin_or_ends(ended: Ended, tmp_path: Path) -> None:
    """Its request and the end of the pipe may come together."""
    import cloudpickle

    def wait() -> None:
        import time

        time.sleep(3600)

    request = Request(execution_id=1, flow="shop", job="wait", inputs=b"[]", max_payload=1000, job_key=1)
    frames = framed(Hello(sys.path)) + framed(Run([request], Pickled(cloudpickle.dumps(wait))))
    for _ in range(3):
        control = ControlPipe()
        child = control.launch(
            [sys.executable, "-m", "microflow.runners.local.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "MICROFLOW_WORKER": f"test {os.getpid()}"},
            start_new_session=True,
        )
        try:
            child.communicate(frames, timeout=60)
        finally:
            child.kill()
            control.close()
        ended(child.pid)


def test_an_idle_worker_ends_with_its_engine(script: Script, ended: Ended) -> None:
    engine = script("""
import os, time
from microflow import create_flow
flow = create_flow("shop", store="sqlite:///store.db")
@flow.task
def who(): return {"pid": os.getpid()}
print(who()["pid"], flush=True)
time.sleep(3600)
""")
    assert engine.stdout is not None
    pid = int(engine.stdout.readline())

    engine.kill()
    engine.wait()

    ended(pid)


STARTS_ANOTHER = """
import subprocess, sys
session = sys.argv[1] == "its own session"
started = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=session)
print(started.pid, flush=True)
input()
"""


@UNIX
@pytest.mark.parametrize(("place", "tries"), [("its own session", 3), ("its group", sys.maxsize)])
def test_all_is_ended_though_too_many_files_are_open_to_look_for_it(
    monkeypatch: pytest.MonkeyPatch, ended: Ended, place: str, tries: int
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STARTS_ANOTHER, place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, process_tree.MARKER: "of this test"},
        start_new_session=True,
    )
    assert process.stdout is not None
    started = int(process.stdout.readline())
    failures = 0

    def fail(*_: Any, **__: Any) -> Any:
        nonlocal failures
        failures += 1
        if failures == tries:
            monkeypatch.undo()
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(process_tree, "_PAUSE", 0.0)
    monkeypatch.setattr(psutil.Process, "children", fail)
    monkeypatch.setattr(psutil, "process_iter", fail)

    process_tree.end_tree(process.pid, "of this test", None)

    ended(process.pid, started)
    assert failures >= 3
    process.communicate()


@UNIX
def test_a_worker_is_ended_though_a_second_interrupt_comes_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(process: psutil.Process, recursive: bool) -> None:
        raise KeyboardInterrupt

    worker = Worker()
    with monkeypatch.context() as patched:
        patched.setattr(psutil.Process, "children", interrupted)
        with pytest.raises(KeyboardInterrupt):
            worker.end()

    assert worker._process.wait(60) != 0
    worker.close()


@UNIX
def test_what_is_just_becoming_a_program_is_ended_too(monkeypatch: pytest.MonkeyPatch, ended: Ended) -> None:
    marked = {**os.environ, process_tree.MARKER: "of this test"}
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=marked)
    environ, looks = psutil.Process.environ, 0

    def environ_of(looked_at: psutil.Process) -> dict[str, str]:
        nonlocal looks
        looks += looked_at.pid == process.pid
        return {} if looked_at.pid == process.pid and looks < 3 else environ(looked_at)

    monkeypatch.setattr(psutil.Process, "environ", environ_of)

    process_tree.end_marked("of this test")

    ended(process.pid)
    assert looks >= 3
    process.communicate()
