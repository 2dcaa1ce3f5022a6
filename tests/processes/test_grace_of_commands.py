"""The processes that a task started: they are asked to end before they are killed, and the task may wait for them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from microflow import Flow, create_flow
from microflow.engine.engine import Engine

Serve = Callable[..., Engine]
LogOf = Callable[..., str]
UntilPrinted = Callable[..., None]

UNIX = pytest.mark.skipif(sys.platform == "win32", reason="signals are Unix's")
LONG = 3600.0


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop", max_concurrency=2)


CLEANS_UP = """
import os, signal, sys, time
def end(number, frame):
    time.sleep(0.1)
    os.remove(sys.argv[1])
    print("child cleaned up", flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, end)
open(sys.argv[1], "x").close()
print("ready", flush=True)
time.sleep(3600)
"""


@UNIX
@pytest.mark.parametrize("how", ["run", "with", "left behind", "own session", "orphan"])
def test_the_processes_of_a_task_are_asked_to_end(
    flow: Flow, serve: Serve, until_printed: UntilPrinted, log_of: LogOf, tmp_path: Path, how: str
) -> None:
    path = str(tmp_path / "lock")
    command = [sys.executable, "-c", CLEANS_UP, path]

    @flow.task(cancel_grace=LONG)
    def wait() -> None:
        if how == "run":
            print(subprocess.run(command, check=False).returncode)
        elif how == "with":
            with subprocess.Popen(command):
                time.sleep(LONG)
        elif how == "orphan":
            start = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True)"
            subprocess.run([sys.executable, "-c", start, *command], check=True)
            try:
                time.sleep(LONG)
            finally:
                while os.path.exists(path):
                    time.sleep(0.01)
        else:
            subprocess.Popen(command, start_new_session=how == "own session")
            time.sleep(LONG)

    engine = serve(flow)
    submitted = engine.submit(wait)
    until_printed(engine, submitted.id)

    engine.cancel(submitted.id)

    assert submitted.future.result(60).status == "cancelled"
    assert not os.path.exists(path)
    assert "child cleaned up\n" in log_of(engine)


@UNIX
def test_a_command_that_ignores_the_signal_does_not_take_the_tasks_own_time(
    flow: Flow, serve: Serve, until_printed: UntilPrinted, log_of: LogOf
) -> None:
    ignores = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(3600)"

    @flow.task(cancel_grace=4)
    def wait() -> None:
        try:
            subprocess.run([sys.executable, "-c", ignores], check=False)
        finally:
            print("cleaned up", flush=True)

    engine = serve(flow)
    submitted = engine.submit(wait)
    until_printed(engine, submitted.id)

    engine.cancel(submitted.id)

    assert submitted.future.result(60).status == "cancelled"
    assert log_of(engine) == "ready\ncleaned up\n"


@UNIX
def test_a_command_that_has_just_been_started_is_asked_to_end_too_and_no_further_one_is_waited_for(
    flow: Flow, serve: Serve, until_printed: UntilPrinted, log_of: LogOf
) -> None:
    @flow.task(cancel_grace=LONG)
    def work() -> None:
        print("ready", flush=True)
        while True:
            subprocess.run([sys.executable, "-c", "import time; time.sleep(3600)"], check=False)

    engine = serve(flow)
    submitted = engine.submit(work)
    until_printed(engine, submitted.id)

    engine.cancel(submitted.id)

    assert submitted.future.result(60).status == "cancelled"
