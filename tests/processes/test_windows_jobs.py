"""Windows: a worker is in a job object, which ends with the engine and takes all that the worker started along."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from microflow import Flow, create_flow
from microflow.engine.engine import Engine

from ..conftest import IS_WINE, PATIENCE

if sys.platform != "win32":
    pytest.skip("only Windows has job objects", allow_module_level=True)

from microflow.runners.windows_jobs import CREATE_SUSPENDED, JobObject, contained

WAITS = [sys.executable, "-c", "import time; time.sleep(3600)"]
DETACHED = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
STARTS = f"""
import subprocess, time
started = [subprocess.Popen({WAITS!r}, creationflags=flags).pid for flags in (0, {DETACHED})]
print(*started, flush=True)
time.sleep(3600)
"""

Ended = Callable[..., None]


def started_in_a_job() -> tuple[JobObject, subprocess.Popen[str], list[int]]:
    """A job object, the process in it, and the numbers of this and of the processes that it has started."""
    process = subprocess.Popen(
        [sys.executable, "-c", STARTS], stdout=subprocess.PIPE, text=True, creationflags=CREATE_SUSPENDED
    )
    job = contained(process.pid)
    assert process.stdout is not None
    with process.stdout as printed:
        return job, process, [process.pid, *map(int, printed.readline().split())]


def test_all_that_is_in_a_job_object_ends_with_it(ended: Ended) -> None:
    job, process, pids = started_in_a_job()
    assert len(pids) == 3

    job.end()

    ended(*pids)
    assert process.wait(PATIENCE) == 1
    job.close()


def test_all_ends_when_nobody_holds_the_job_object_any_more(ended: Ended) -> None:
    job, process, pids = started_in_a_job()

    job.close()

    ended(*pids)
    process.wait(PATIENCE)


def test_a_process_that_has_ended_cannot_be_put_into_one() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    pid = process.pid
    del process
    job = JobObject(ends_with_us=False)

    with pytest.raises(OSError, match=r"WinError"):
        job.add(pid)
    job.close()


def test_it_counts_the_time_of_all_that_was_in_it() -> None:
    job = JobObject(ends_with_us=False)
    assert job.cpu_seconds() == 0.0
    works = "import time\nwhile time.process_time() < 0.2: pass"
    process = subprocess.Popen([sys.executable, "-c", works], creationflags=CREATE_SUSPENDED)
    job.add(process.pid)
    psutil.Process(process.pid).resume()
    process.wait(PATIENCE)

    if not IS_WINE:  # its job objects count no time
        assert job.cpu_seconds() >= 0.2
    job.close()


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop")


@pytest.mark.parametrize("runner", ["process", "fresh"])
def test_a_cancel_ends_what_a_task_has_detached(
    flow: Flow, start: Callable[..., Engine], ended: Ended, until_printed: Callable[..., None], runner: str
) -> None:
    @flow.task(runner=runner, cancel_grace=0)
    def detach() -> None:
        import subprocess
        import time

        subprocess.run([sys.executable, "-c", STARTS.removesuffix("time.sleep(3600)\n")], check=True)
        print("ready", os.getpid(), flush=True)
        time.sleep(3600)

    engine = start(flow)
    submitted = engine.submit(detach)
    until_printed(engine, submitted.id, "ready")
    text = engine.logs.read(submitted.id).text
    pids = [int(word) for word in text.split() if word.isdecimal()]
    assert len(pids) == 3, text

    engine.cancel(submitted.id)

    assert submitted.future.result(PATIENCE).status == "cancelled"
    ended(*pids)


def test_a_worker_that_dies_takes_what_its_task_started_along(
    flow: Flow, start: Callable[..., Engine], ended: Ended
) -> None:
    @flow.task
    def crash() -> None:
        import subprocess

        process = subprocess.Popen(WAITS)
        print(process.pid, flush=True)
        os._exit(3)

    engine = start(flow)
    submitted = engine.submit(crash)

    error: Any = submitted.future.result(PATIENCE).error
    assert error.type == "WorkerDied"
    assert "exit code 3" in error.message
    ended(int(engine.logs.read(submitted.id).text))
