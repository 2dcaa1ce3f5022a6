"""A folder to work in, the commands in this process, and the real thing: ``python -m microflow`` with a terminal's signals."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from microflow.cli.commands import commands

from ..conftest import send_signal

WORK_FLOW = '''
"""Jobs of every kind; tasks run in threads, so that a test of the command line waits for no process."""

import time
from pathlib import Path

from microflow import Skip, create_flow, current_execution, map_parallel

flow = create_flow("work")


@flow.task(runner="thread")
def double(value):
    """Twice a value.

    More than that it does not do.
    """
    print("doubling", value["v"])
    if value["v"] == 13:
        raise ValueError("13 is unlucky")
    return {"v": 2 * value["v"]}


@flow.task(runner="thread")
def skip():
    raise Skip("no new files")


@flow.manager
def many(request):
    results = map_parallel(double, [{"v": v} for v in range(request["count"])])
    return {"sum": sum(result["v"] for result in results)}


@flow.manager(inputs=[skip])
def after(skipped):
    return {}


@flow.task(runner="thread")
def keyed(request):
    return {"seen": request["run_key"]}


@flow.task(runner="thread", cat_partitions=["north", "south"])
def area(request):
    return {"area": request["cat_partition"]}


@flow.task(runner="thread")
def steps(request):
    for step in range(request["count"]):
        current_execution().progress(step + 1, request["count"], f"step {step + 1}")
    return {}


@flow.task
def wait_for(request):
    """Wait in a process until there is a file."""
    print("waiting", flush=True)
    while not Path(request["file"]).exists():
        time.sleep(0.01)
    return {"found": True}


@flow.manager
def wait_below(request):
    return wait_for(request)


@flow.task(runner="thread", retries=1, retry_delay=3600)
def later():
    raise OSError("not yet")


@flow.manager
def never():
    print("never ends", flush=True)
    while True:
        time.sleep(0.01)
'''

PATIENCE = 60.0
"""Seconds after which what a test waits for will not come any more."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory; what is imported from it is forgotten afterwards."""
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("MICROFLOW_STORE", "MICROFLOW_SERVER", "MICROFLOW_TOKEN", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    known = set(sys.modules)
    yield folder
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture
def work(folder: Path) -> Path:
    """The working directory with ``work_flow.py`` in it."""
    (folder / "work_flow.py").write_text(WORK_FLOW, "utf-8")
    return folder


Call = Callable[..., Result]


@pytest.fixture
def call(folder: Path) -> Call:
    """Carries out a command in this process: ``call("run", "double", …)``."""

    def call(*arguments: Any, **named: Any) -> Result:
        result = CliRunner().invoke(commands, [str(argument) for argument in arguments], prog_name="microflow", **named)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


class Process:
    """``python -m microflow`` with arguments, its output line by line as it comes."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MICROFLOW_")}
        self.arguments = arguments
        self._process = subprocess.Popen(
            [sys.executable, "-m", "microflow", *arguments],
            cwd=folder,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # with a console of its own, for its signals
        )
        self.pid = self._process.pid
        self.lines: list[str] = []
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def line_with(self, text: str) -> str:
        """The next line that has this text."""
        while True:
            line = self._queue.get(timeout=PATIENCE)
            assert line is not None, f"microflow {self.arguments} ended without saying {text!r}:\n{self.output}"
            self.lines.append(line)
            if text in line:
                return line

    @property
    def output(self) -> str:
        """Everything that was read so far."""
        return "\n".join(self.lines)

    def signal(self, number: int) -> None:
        """Send it a signal, as ``send_signal`` of the tests does."""
        send_signal(self._process, number)

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()

    def wait(self) -> int:
        """Its exit code, when it has ended and everything it printed was read."""
        code = self._process.wait(PATIENCE)
        while (line := self._queue.get(timeout=PATIENCE)) is not None:
            self.lines.append(line)
        self._queue.put(None)
        return code

    def end(self) -> None:
        """End it however it is."""
        self._process.kill()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)


class Server(Process):
    """``microflow serve`` on a port that is free; ``url`` is where it says that it answers."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        port = () if "--port" in arguments else ("--port", "0")
        super().__init__(folder, "serve", "-f", "work_flow:flow", *port, *arguments)
        self.url = self.line_with(" at http://").split(" at ")[1].split()[0]


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    """Processes put here are ended after the test."""
    started: list[Process] = []
    yield started
    for process in started:
        process.end()


@pytest.fixture
def start(work: Path, processes: list[Process]) -> Callable[..., Process]:
    """Starts ``microflow`` with arguments, in the working directory, as a process."""

    def start(*arguments: str) -> Process:
        processes.append(Process(work, *arguments))
        return processes[-1]

    return start


@pytest.fixture
def serve(work: Path, processes: list[Process]) -> Callable[..., Server]:
    """Starts a server for ``work_flow.py``; returns when it answers."""

    def serve(*arguments: str) -> Server:
        server = Server(work, *arguments)
        processes.append(server)
        return server

    return serve


def eventually(condition: Callable[[], Any]) -> Any:
    """What the condition gives, once it gives something true."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
    return found
