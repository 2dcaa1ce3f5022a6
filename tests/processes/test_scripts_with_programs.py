"""Scripts whose manager starts threads and programs: the log has what the script shows, and the script ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Script = Callable[..., "subprocess.Popen[str]"]

PATIENCE = 60.0

LATE = """
import os, sys, time
os.write(1, b"early\\n")
while not os.path.exists(sys.argv[1]): time.sleep(0.01)
print("late", flush=True)
"""


def test_a_program_that_outlives_its_manager_does_not_hold_it_up(script: Script, tmp_path: Path) -> None:
    """What it writes afterwards goes where the process prints."""
    process = script(f"""
import subprocess, sys
from microflow import create_flow
flow = create_flow("shop")
left = []

@flow.manager
def manage():
    left.append(subprocess.Popen([sys.executable, "-c", {LATE!r}, "go on"]))
    while not open_log().read_text().startswith("early\\n"): pass
    print("the manager has ended")
    return {{}}

def open_log():
    from pathlib import Path
    path = Path(".microflow/store.db.logs/0000/1.log")
    while not path.exists(): pass
    return path

print(manage().status, flush=True)
open("go on", "w").close()
left[0].wait()
import threading
for thread in threading.enumerate():
    if thread.name == "microflow-programs":
        thread.join()
""")
    out, err = process.communicate(timeout=PATIENCE)

    assert err == ""
    assert out == "early\nthe manager has ended\nsuccess\nlate\n"
    assert (tmp_path / ".microflow/store.db.logs/0000/1.log").read_text() == "early\nthe manager has ended\n"


@pytest.mark.skipif(sys.platform == "win32", reason="fork is Unix's")
def test_a_manager_of_a_script_may_fork_by_multiprocessing(script: Script, tmp_path: Path) -> None:
    """The copy of the process must not close the engine: it is not its own."""
    process = script("""
import multiprocessing
from microflow import create_flow
flow = create_flow("shop")

def work():
    print("in the copy")

@flow.manager
def manage():
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    print("after the copy")
    return {"code": process.exitcode}

if __name__ == "__main__":
    print(manage().output, flush=True)
""")
    out, err = process.communicate(timeout=PATIENCE)

    assert "DeprecationWarning" in err or err == ""  # newer Pythons warn of a fork with threads
    assert out.endswith("after the copy\n{'code': 0}\n")
    assert "in the copy" in out


MODULE_LEVEL = """
import logging, subprocess, sys, threading, warnings
from microflow import create_flow
flow = create_flow("shop")

def work():
    warnings.warn("take care")
    logging.getLogger("toolkit").warning("logged")
    raise ValueError("in the thread")

@flow.manager
def manage():
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    subprocess.run([sys.executable, "-c", "print('from a program')"])
    return {}

assert manage().status == "success"
"""


def test_a_script_has_in_its_log_what_it_shows(script: Script, tmp_path: Path) -> None:
    out, err = script(MODULE_LEVEL).communicate(timeout=PATIENCE)

    log = (tmp_path / ".microflow/store.db.logs/0000/1.log").read_text()
    assert err == ""
    assert out == log
    parts = ["UserWarning: take care", "WARNING toolkit: logged", "ValueError: in the thread", "from a program\n"]
    assert [part for part in parts if part in log] == parts
    assert sorted(map(log.index, parts)) == list(map(log.index, parts))


def test_the_standard_library_is_its_own_again_once_the_last_engine_has_stopped(script: Script) -> None:
    process = script("""
import _thread, os, subprocess, threading
from concurrent.futures import Future, ThreadPoolExecutor
from microflow import create_flow
from microflow.engine.engine import Engine

def functions():
    return [
        threading.Thread.start, _thread.start_new_thread, ThreadPoolExecutor.__init__, ThreadPoolExecutor.submit,
        Future.add_done_callback, subprocess.Popen.__init__, os.system,
    ]

before, engines = functions(), []

def replaced():
    return sum(now is not then for now, then in zip(functions(), before))

for n in (1, 2):
    flow = create_flow(f"shop{n}")
    manage = flow.manager(name="manage")(dict)
    engines.append(Engine([flow], store=f"sqlite:///{n}.db"))
    engines[-1].start()
    print("started", replaced())
    assert manage().status == "success"
    print("used", replaced())
for engine in engines:
    engine.stop()
    engine.stop()
    print("stopped", replaced())
""")
    out, err = process.communicate(timeout=PATIENCE)

    assert err == ""
    assert out.splitlines() == ["started 0", "used 7", "started 7", "used 7", "stopped 7", "stopped 0"]
