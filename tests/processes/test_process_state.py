"""Whatever a task changes around itself, the next one finds a worker as good as new, or a new one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

from microflow import Flow, create_flow
from microflow.engine.engine import Engine

Serve = Callable[..., Engine]
Log = Callable[..., str]

UNIX = pytest.mark.skipif(sys.platform == "win32", reason="this is Unix's")


@pytest.fixture
def flow() -> Flow:
    flow = create_flow("shop", max_concurrency=1)

    @flow.task
    def look() -> dict[str, Any]:
        import io
        import logging
        import signal
        import threading

        print("looking around")
        logging.getLogger("look").warning("logged")
        return {
            "pid": os.getpid(),
            "folder": os.getcwd(),
            "environment": {
                name: value for name, value in os.environ.items() if name.startswith(("SHOP", "HOME", "PATH"))
            },
            "handlers": [
                getattr(signal.getsignal(number), "__qualname__", "") for number in (signal.SIGINT, signal.SIGTERM)
            ],
            "streams": [type(stream).__name__ for stream in (sys.stdin, sys.stdout, sys.stderr)],
            "closed": [stream.closed for stream in (sys.stdin, sys.stdout, sys.stderr)],
            "text": isinstance(sys.stdout, io.TextIOBase),
            "recursion": sys.getrecursionlimit(),
            "threads": threading.active_count(),
            "mask": [os.umask(0o022), os.umask(0o022)][0],
        }

    return flow


def without_pid(seen: Any) -> dict[str, Any]:
    return {key: value for key, value in seen.output.items() if key != "pid"}


def leave_traces() -> dict[str, Callable[[], Any]]:
    """What a task may do, by name; those in ``SAME_WORKER`` leave a worker that can be used again."""

    def change_directory() -> None:
        os.chdir("/")

    def lose_directory() -> None:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            os.rmdir(folder)
            os.mkdir(folder)  # for whoever cleans up
            os.chdir(folder)
        # the folder it stands in is gone now

    def change_environment() -> None:
        os.environ["SHOP"] = "open"
        del os.environ["PATH"]
        os.environ["HOME"] = "/nowhere"

    def clear_environment() -> None:
        os.environ.clear()

    def ignore_signals() -> None:
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, lambda *_: None)

    def set_alarm() -> None:
        import signal

        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        signal.setitimer(signal.ITIMER_REAL, 3600)

    def replace_streams() -> None:
        import io

        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        print("into nothing")

    def drop_streams() -> None:
        sys.stdout = sys.stderr = None  # type: ignore[assignment]

    def odd_streams() -> None:
        class Odd:
            def flush(self) -> None:
                raise RuntimeError("never")

        sys.stdout = Odd()  # type: ignore[assignment]

    def close_streams() -> None:
        sys.stdout.close()
        sys.stderr.close()

    def close_descriptors() -> None:
        os.close(1)
        os.close(2)

    def redirect_descriptors() -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)

    def raise_recursion_limit() -> None:
        sys.setrecursionlimit(5000)

    def leave_a_thread() -> None:
        import threading

        threading.Thread(target=threading.Event().wait, daemon=True).start()

    def leave_a_thread_that_must_end() -> None:
        import threading

        threading.Thread(target=threading.Event().wait).start()

    def leave_a_process() -> None:
        import subprocess

        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)

    def leave_a_zombie() -> None:
        import subprocess

        process = subprocess.Popen([sys.executable, "-c", ""])
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    def lower_a_limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    def forget_modules() -> None:
        sys.modules.clear()

    def hide_new_files() -> None:
        os.umask(0o777)

    def fork() -> None:
        if os.fork() == 0:
            print("the copy")
            return  # and comes back into the worker

    return {name: value for name, value in locals().items() if callable(value)}


TRACES = leave_traces()
SAME_WORKER = {
    "change_directory",
    "lose_directory",
    "change_environment",
    "clear_environment",
    "ignore_signals",
    "set_alarm",
    "replace_streams",
    "drop_streams",
    "odd_streams",
    "raise_recursion_limit",
    "leave_a_zombie",
    "hide_new_files",
}
UNIX_ONLY = {
    "lose_directory",
    "set_alarm",
    "lower_a_limit",
    "fork",
    "leave_a_zombie",
    "redirect_descriptors",
    "close_descriptors",
}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("trace", [pytest.param(name, marks=UNIX if name in UNIX_ONLY else ()) for name in TRACES])
def test_the_next_task_finds_everything_as_it_was(
    flow: Flow, serve: Serve, log_of: Log, workers_of: Callable[[Engine], list[int]], trace: str
) -> None:
    change = TRACES[trace]

    @flow.task
    def leave() -> dict[str, int]:
        change()
        return {"pid": os.getpid()}

    engine = serve(flow)
    look = flow.jobs["look"]
    before = look()
    left = leave()
    after = look()

    assert left.status == "success", left
    assert left["pid"] == before["pid"]
    assert without_pid(after) == without_pid(before)
    assert "looking around\n" in log_of(engine, 3)
    assert "WARNING look: logged" in log_of(engine, 3)
    if trace != "fork":  # the copy may have ended before anyone looks, and then it is no trace
        assert (after["pid"] == before["pid"]) is (trace in SAME_WORKER)
    assert workers_of(engine) == [after["pid"]]


@pytest.mark.parametrize("end", ["raise", "exit"])
def test_traces_of_a_task_that_failed_are_gone_too(flow: Flow, serve: Serve, end: str) -> None:
    @flow.task
    def fail() -> None:
        os.environ["SHOP"] = "open"
        sys.stdout = None  # type: ignore[assignment]
        os.chdir("/")
        if end == "exit":
            sys.exit(1)
        raise ValueError("no")

    serve(flow)
    look = flow.jobs["look"]
    before = look()

    assert fail().status == "error"
    assert without_pid(look()) == without_pid(before)


def test_a_process_left_running_is_ended_with_its_worker(flow: Flow, serve: Serve, ended: Callable[..., None]) -> None:
    @flow.task
    def leave() -> dict[str, int]:
        import subprocess

        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
        return {"pid": process.pid}

    serve(flow)

    ended(leave()["pid"])


def test_a_worker_that_keeps_much_memory_is_replaced(flow: Flow, serve: Serve) -> None:
    @flow.task
    def hoard() -> dict[str, int]:
        import builtins

        builtins.hoard = bytearray(os.urandom(1024)) * (300 * 1024)  # type: ignore[attr-defined]
        return {"pid": os.getpid()}

    serve(flow)

    hoarder = hoard()["pid"]

    assert flow.jobs["look"]()["pid"] != hoarder


def test_what_a_task_imports_stays_for_the_next(flow: Flow, serve: Serve) -> None:
    """That is what a warm worker is for."""

    @flow.task
    def use() -> dict[str, bool]:
        was_there = "wave" in sys.modules
        import wave

        return {"was_there": was_there, "works": wave.WAVE_FORMAT_PCM == 1}

    serve(flow)

    assert [use()["was_there"], use()["was_there"]] == [False, True]
