"""Scripts that end, by Ctrl-C or at their last line, while something runs for them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from microflow.store.sqlite.database import Database

Script = Callable[..., "subprocess.Popen[str]"]

UNIX = pytest.mark.skipif(sys.platform == "win32", reason="sessions and signals are Unix's")

INTERRUPTED = """
import sys, time
from microflow import create_flow, map_parallel, run_dag, run_parallel
flow = create_flow("shop", max_concurrency=2, store="sqlite:///store.db")
@flow.task
def wait():
    print("runs", flush=True)
    time.sleep(3600)
@flow.task
def fine(): return {"fine": True}
@flow.manager
def manage(): return wait()
@flow.task
def wait_for(a): return wait.fn()
try:
    {call}
except KeyboardInterrupt:
    print("interrupted")
    if {goes_on}:
        print(fine()["fine"])
    else:
        raise
"""


@UNIX
@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.parametrize(
    "call",
    ["wait()", "manage()", "map_parallel(wait_for, [{}, {}, {}])", "run_parallel(manage, wait)", "run_dag(wait)"],
)
def test_an_interrupted_script_ends_what_it_waits_for(script: Script, tmp_path: Path, call: str, goes_on: bool) -> None:
    process = script(INTERRUPTED.replace("{call}", call).replace("{goes_on}", str(goes_on)))
    assert process.stdout is not None
    assert process.stdout.readline() == "runs\n"

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert "interrupted\n" in out
    assert ("True\n" in out) is goes_on
    assert (process.returncode == 0) is goes_on
    assert ("KeyboardInterrupt" in err) is not goes_on
    assert statuses(tmp_path) <= {"cancelled", "success"}


OVERHEARD = """
import signal, sys, threading, time
from microflow import create_flow, map_parallel
flow = create_flow("shop", max_concurrency=1, store="sqlite:///store.db")
@flow.task
def wait():
    print("runs", flush=True)
    time.sleep(3600)
@flow.manager
def manage(): return wait()
@flow.task
def wait_for(a): return wait.fn()
def interrupt():
    sys.stdin.readline()
    seen = []
    while len(seen) < 20 or len(set(seen[-20:])) > 1:  # until the main thread waits
        frame = sys._current_frames()[threading.main_thread().ident]
        seen.append((frame.f_code, frame.f_lasti))
        del frame
        time.sleep(0.005)
    # to this thread, so that no wait of the main thread's is ended by it
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
{call}
"""


@UNIX
@pytest.mark.parametrize(
    "call", ["manage()", "map_parallel(wait_for, [{}, {}])", "wait.submit(); wait_for({})", "wait.submit()"]
)
def test_an_interrupt_that_came_just_before_the_script_began_to_wait_ends_it_too(script: Script, call: str) -> None:
    process = script(OVERHEARD.replace("{call}", call))
    assert process.stdout is not None
    assert process.stdout.readline() == "runs\n"

    process.communicate("now\n", timeout=60)


@UNIX
def test_a_script_that_is_interrupted_while_it_waits_for_a_future_ends_at_once(script: Script, tmp_path: Path) -> None:
    process = script(INTERRUPTED.replace("{call}", "wait.submit().result()").replace("{goes_on}", "False"))
    assert process.stdout is not None
    assert process.stdout.readline() == "runs\n"

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert statuses(tmp_path) == {"error"}


def test_a_script_that_ends_waits_for_what_it_submitted(script: Script, tmp_path: Path) -> None:
    process = script("""
import time
from microflow import create_flow
flow = create_flow("shop", store="sqlite:///store.db")
@flow.task
def work(): time.sleep(0.2); print("done"); return {}
work.submit()
print("end of the script", flush=True)
""")
    out, err = process.communicate(timeout=60)

    assert out == "end of the script\ndone\n"
    assert err == ""
    assert statuses(tmp_path) == {"success"}


def test_what_a_script_submitted_is_tried_again_and_times_out_after_the_script_has_ended(
    script: Script, tmp_path: Path
) -> None:
    process = script("""
import sys, threading, time, traceback
from microflow import create_flow, current_execution, run_parallel
flow = create_flow("shop", store="sqlite:///store.db")
@flow.task(retries=1, retry_delay=0.01)
def tried(): return {} if current_execution().attempt == 2 else 1 / 0
@flow.task(timeout=0.1)
def slow(): time.sleep(60); return {}
@flow.manager
def inner(): return slow()
@flow.manager
def outer():
    main = threading.main_thread().ident
    while "_shutdown" not in [frame.name for frame in traceback.extract_stack(sys._current_frames()[main])]:
        time.sleep(0.01)
    print(tried().status, *(result.status for result in run_parallel(inner, inner, tried)))
    return {}
outer.submit()
""")
    out, err = process.communicate(timeout=60)

    assert out == "success error error success\n"
    assert err == ""


def statuses(folder: Path) -> set[str]:
    with closing(Database(f"sqlite:///{folder}/store.db")) as database:
        return {status for (status,) in database.read_text("SELECT DISTINCT status FROM executions")}
