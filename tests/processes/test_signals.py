"""Signals from outside: they end no worker, and Ctrl-C in a script gives its tasks their grace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from microflow import Flow, create_flow
from microflow.engine.engine import Engine

Serve = Callable[..., Engine]
Script = Callable[..., "subprocess.Popen[str]"]
UntilPrinted = Callable[..., None]

UNIX = pytest.mark.skipif(sys.platform == "win32", reason="signals are Unix's")
FORKING = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop", max_concurrency=2)


@UNIX
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_from_outside_ends_no_worker(flow: Flow, serve: Serve, until_printed: UntilPrinted, name: str) -> None:
    number = getattr(signal, name)
    before = set(psutil.Process().children())  # of other tests

    @flow.task
    def work() -> dict[str, int]:
        print("ready", flush=True)
        for _ in range(20):
            time.sleep(0.01)
        return {"pid": os.getpid()}

    engine = serve(flow)
    submitted = engine.submit(work)
    until_printed(engine, submitted.id)
    (child,) = set(psutil.Process().children()) - before

    child.send_signal(number)

    assert submitted.future.result(60).output == {"pid": child.pid}
    child.send_signal(number)
    child.send_signal(signal.SIGINT)  # nor does Ctrl-C, when it has nothing to do
    assert work() == {"pid": child.pid}


@UNIX
@FORKING
def test_what_a_task_starts_has_the_default_handlers(flow: Flow, serve: Serve) -> None:
    names = ("SIGTERM", "SIGHUP", "SIGINT")

    @flow.task
    def look() -> dict[str, Any]:
        import json

        text = f"import json, signal; print(json.dumps([str(signal.getsignal(getattr(signal, n))) for n in {names!r}]))"
        started = json.loads(subprocess.run([sys.executable, "-c", text], stdout=subprocess.PIPE, check=True).stdout)
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.write(writing, json.dumps([str(signal.getsignal(getattr(signal, n))) for n in names]).encode())
            os._exit(0)
        os.wait()
        return {"started": started, "forked": json.loads(os.read(reading, 4096))}

    serve(flow)
    seen = look()

    expected = [str(signal.SIG_DFL), str(signal.SIG_DFL), str(signal.default_int_handler)]
    assert [text.split(" at ")[0] for text in seen["started"]] == [text.split(" at ")[0] for text in expected]
    assert [text.split(" at ")[0] for text in seen["forked"]] == [text.split(" at ")[0] for text in expected]


SCRIPT = """
import time
from microflow import create_flow, map_parallel
flow = create_flow("shop", max_concurrency=2, store="sqlite:///store.db")
@flow.task(cancel_grace=3600)
def wait(a):
    try:
        print("ready", flush=True)
        time.sleep(3600)
    finally:
        print("cleaning up", flush=True)
        if a["stays"]:
            time.sleep(3600)
        print("cleaned up", flush=True)
@flow.manager
def manage(a): return wait(a)
{call}
"""

CALLS = {
    "one": "wait({'stays': STAYS})",
    "many": "map_parallel(wait, [{'stays': STAYS}] * 2)",
    "in a manager": "manage({'stays': STAYS})",
    "submitted": "wait.submit({'stays': STAYS}).result()",
}


@UNIX
@pytest.mark.parametrize("stays", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_in_a_script_gives_the_grace_and_a_second_one_ends_it(
    script: Script, ended: Callable[..., None], call: str, stays: bool
) -> None:
    process = script(SCRIPT.replace("{call}", CALLS[call].replace("STAYS", str(stays))))
    count = 2 if call == "many" else 1
    assert process.stdout is not None
    for _ in range(count):
        assert process.stdout.readline() == "ready\n"
    workers = [child.pid for child in psutil.Process(process.pid).children()]

    process.send_signal(signal.SIGINT)
    for _ in range(count):
        assert process.stdout.readline().startswith("clean")
    if stays:
        process.send_signal(signal.SIGINT)

    rest = process.stdout.read()
    assert ("cleaned up" in rest) is not stays
    ended(*workers)
    assert process.wait(60) != 0
