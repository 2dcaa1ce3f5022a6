"""Real children: an engine over either kind of channel, scripts in processes of their own, and who is still alive."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from microflow import Flow
from microflow.engine.engine import Engine
from microflow.runners.local import workers
from microflow.runners.local.channels import ThreadedChannel
from microflow.runners.local.pool import ProcessPool
from microflow.runners.local.workers import Worker

PATIENCE = 60.0


@pytest.fixture(params=["polling", "threaded"])
def serve(request: pytest.FixtureRequest, start: Callable[..., Engine]) -> Callable[..., Engine]:
    """``serve(flow, …)`` starts an engine whose workers are read by polling, or by threads as on Windows."""
    threaded = request.param == "threaded"
    if not threaded and sys.platform == "win32":
        pytest.skip("pipes can't be polled on Windows")

    def serve_flow(*flows: Flow, **arguments: Any) -> Engine:
        engine = start(*flows, **arguments)
        if threaded:
            engine._pool._start_worker = partial(Worker, ThreadedChannel)
        return engine

    return serve_flow


@pytest.fixture
def workers_of() -> Callable[[Engine], list[int]]:
    """``workers_of(engine)``: the process numbers of its idle workers."""
    return lambda engine: [worker.pid for worker in engine._pool._idle]


@pytest.fixture
def log_of() -> Callable[..., str]:
    """``log_of(engine, id)``: all that is in an execution's log."""

    def read(engine: Engine, execution_id: int = 1) -> str:
        text, after = "", 0
        while (part := engine.store.logs.read(execution_id, after)).next > after:
            text, after = text + part.text, part.next
        return text

    return read


@pytest.fixture
def until_printed() -> Callable[..., None]:
    """``until_printed(engine, id, text)`` returns when the execution has printed this."""

    def wait(engine: Engine, execution_id: int, text: str = "ready") -> None:
        printed = threading.Event()
        unsubscribe = engine.events.subscribe(lambda event: printed.set() if event.topic == "log" else None)
        while text not in engine.store.logs.read(execution_id).text:
            assert printed.wait(PATIENCE), f"it only printed {engine.store.logs.read(execution_id).text!r}"
            printed.clear()
        unsubscribe()

    return wait


@pytest.fixture
def ended() -> Callable[..., None]:
    """``ended(pid, …)`` returns when none of these processes runs any more."""

    def wait(*pids: int) -> None:
        deadline = time.monotonic() + PATIENCE
        for pid in pids:
            while is_running(pid):
                assert time.monotonic() < deadline, f"process {pid} lives on"
                time.sleep(0.01)

    return wait


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``script(text, …)`` runs it as ``python script.py …`` in a folder of its own; killed at the end if it still runs."""
    started: list[subprocess.Popen[str]] = []
    environment = {**os.environ, "PYTHONPATH": str(Path(workers.__file__).parents[3]), "MICROFLOW_STORE": ""}

    def run(text: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        path = tmp_path / "script.py"
        path.write_text(text, "utf-8")
        process = subprocess.Popen(
            [sys.executable, *(options.pop("interpreter", ())), path, *arguments],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def pool() -> Iterator[Callable[..., ProcessPool]]:
    """Makes pools whose sweep is called by the test; closed at the end."""
    made: list[ProcessPool] = []

    def make(**arguments: Any) -> ProcessPool:
        pool = ProcessPool(**{"later": lambda seconds, action: None, "now": lambda: 0.0, **arguments})
        made.append(pool)
        return pool

    yield make
    for each in made:
        each.close()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """``module(text)`` is a module that workers can import too."""
    monkeypatch.syspath_prepend(tmp_path)
    made: list[str] = []

    def make(text: str, name: str = "shop_flow") -> ModuleType:
        (tmp_path / f"{name}.py").write_text(text, "utf-8")
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, name, raising=False)
        made.append(name)
        found = importlib.import_module(name)
        monkeypatch.setitem(sys.modules, name, found)
        return found

    return make
