"""As process 1 of a container: orphans are reaped, signals arrive, exit codes are right, and nobody's children are taken."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import microflow

FLOW = """
import os, subprocess, sys, time
from microflow import create_flow

flow = create_flow("shop")

@flow.task
def leave():
    found = subprocess.run("sleep 0.05 & echo $!", shell=True, stdout=subprocess.PIPE, text=True)
    return {"orphan": int(found.stdout)}

@flow.manager
def codes():
    orphans = [leave()["orphan"] for _ in range(3)]
    code = "import sys, time; time.sleep(0.05); sys.exit(int(sys.argv[1]))"
    found = [subprocess.run([sys.executable, "-c", code, str(number)]).returncode for number in range(5)]
    while any(os.path.exists(f"/proc/{pid}") for pid in orphans):
        time.sleep(0.01)
    return {"codes": found, "pid": os.getpid()}

@flow.task
def fail():
    raise ValueError("no")

@flow.manager
def killed():
    os.kill(os.getpid(), 9)

@flow.task
def wait():
    print("waits", flush=True)
    time.sleep(3600)
"""

ISOLATED = ("--pid", "--fork", "--mount-proc", "--kill-child")


def namespace() -> list[str]:
    """The command that makes what follows process 1 of its own namespace; skips the test where that is not allowed."""
    if sys.platform != "linux" or not (unshare := shutil.which("unshare")):
        pytest.skip("needs the unshare command of Linux")
    for options in (ISOLATED, ("--user", "--map-root-user", *ISOLATED)):
        if subprocess.run([unshare, *options, "true"], capture_output=True, check=False).returncode == 0:
            return [unshare, *options]
    pytest.skip("this machine does not allow a PID namespace")


@pytest.fixture
def as_first(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``as_first(argument, …)`` starts ``microflow argument …`` as process 1; killed at the end."""
    (tmp_path / "shop.py").write_text(FLOW, "utf-8")
    command = [*namespace(), sys.executable, "-m", "microflow"]
    environment = {**os.environ, "PYTHONPATH": str(Path(microflow.__file__).parents[1]), "MICROFLOW_STORE": ""}
    started = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*command, *arguments, "-f", "shop.py"],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def first_process(unshare: subprocess.Popen[str]) -> psutil.Process:
    """Process 1, as it is seen from outside."""
    (found,) = psutil.Process(unshare.pid).children()
    return found


def test_orphans_are_reaped_and_a_managers_own_children_keep_their_exit_codes(
    as_first: Callable[..., subprocess.Popen[str]],
) -> None:
    run = as_first("run", "codes", "--json")

    printed, said = run.communicate(timeout=60)

    assert run.returncode == 0, said
    output = json.loads(printed)["output"]
    assert output["codes"] == [0, 1, 2, 3, 4]
    assert output["pid"] != 1


@pytest.mark.parametrize(("job", "code"), [("fail", 1), ("unknown", 2), ("killed", 128 + 9)])
def test_the_exit_code_is_that_of_the_command(
    as_first: Callable[..., subprocess.Popen[str]], job: str, code: int
) -> None:
    run = as_first("run", job)

    _, said = run.communicate(timeout=60)

    assert run.returncode == code, said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_ends_in_order_when_process_1_gets_a_signal(
    as_first: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    server = as_first("serve", "--port", "0")
    assert server.stdout is not None
    assert "Microflow serves shop" in server.stdout.readline()

    first_process(server).send_signal(number)

    printed, said = server.communicate(timeout=60)
    assert "everything had ended" in printed + said
    assert server.returncode == 0


def test_a_command_that_is_interrupted_ends_with_the_code_of_its_signal(
    as_first: Callable[..., subprocess.Popen[str]],
) -> None:
    run = as_first("run", "wait")
    assert run.stderr is not None
    while "waits" not in (line := run.stderr.readline()):
        assert line, "it ended"

    first_process(run).send_signal(signal.SIGTERM)

    said = run.communicate(timeout=60)[1]
    assert run.returncode == 128 + signal.SIGTERM
    assert re.search(r"Execution 1: cancelled", said)
