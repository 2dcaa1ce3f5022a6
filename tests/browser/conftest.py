"""A real server on a free port, a real Chromium in front of it. Tests wait for what a person would see, never for time."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from microflow import Flow, create_flow, current_execution
from microflow.engine.engine import Engine
from microflow.web.app import create_app

from ..conftest import leave_out

PATIENCE = 30_000
"""Milliseconds after which something that should be seen is missed."""


class Gate:
    """What a job waits at, again and again; the test opens it for one more step."""

    def __init__(self) -> None:
        self._steps = threading.Semaphore(0)

    def open(self, steps: int = 1) -> None:
        self._steps.release(steps)

    def wait(self) -> None:
        assert self._steps.acquire(timeout=60)


def example_flow(gate: Gate) -> Flow:
    """The first example of the README, whose tasks run in processes, and jobs that a test can hold."""
    flow = create_flow("my_flow", max_concurrency=2)

    @flow.task
    def increment_value(a: Any) -> Any:
        return {"my_value": a["my_value"] + 1}

    @flow.task
    def add_inputs(a: Any, b: Any) -> Any:
        return {"my_value": a["my_value"] + b["my_value"]}

    @flow.manager
    def compute(input_dict: Any) -> Any:
        """Increment a value until it is three, and add two."""
        a = {"my_value": 2}
        b = increment_value(input_dict)
        if b["my_value"] < 3:
            b = increment_value(b)
        return add_inputs(a, b)

    @flow.task(runner="thread")
    def steps(options: Any) -> Any:
        """Print and report one step whenever the gate opens."""
        for step in range(options["steps"]):
            for line in range(options.get("lines", 1)):
                print(f"step {step} line {line}{'.' * options.get('dots', 0)}")
            current_execution().progress(step, options["steps"], f"step {step}")
            gate.wait()
        return {"steps": options["steps"]}

    @flow.task(runner="thread")
    def another_job_with_a_name_that_no_narrow_screen_has_room_for(a: Any) -> Any:
        return a

    @flow.task(runner="thread")
    def broken(a: Any) -> Any:
        return {"mean": sum(a["rows"]) / len(a["rows"])}

    @flow.task(runner="thread", time_partitions="daily", cat_partitions=["books", "toys"])
    def load_day(part: Any) -> Any:
        """Load one day of one department."""
        return {"loaded": part["cat_partition"]}

    @flow.manager(inputs=[load_day], schedule="10 2 * * *")
    def a_job_with_a_name_that_is_rather_long_for_a_narrow_screen(loaded: Any) -> Any:
        return {"loaded": loaded}

    return flow


class Server:
    """Serves an engine on a port of its own; can be stopped and started again, as a person would."""

    def __init__(self, engine: Engine, token: str | None = None) -> None:
        self.engine = engine
        self._token = token
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        if self._socket.fileno() < 0:
            self._socket = socket.create_server(("127.0.0.1", self.port))
        self._app = create_app(self.engine, token=self._token)
        config = uvicorn.Config(self._app, log_level="warning", lifespan="on", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})
        self._thread.start()

    def stop(self) -> None:
        self._app.state.site.close()
        self._server.should_exit = True
        self._thread.join(60)
        assert not self._thread.is_alive()
        self._socket.close()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@contextmanager
def served(folder: Path, gate: Gate, *flows: Flow, token: str | None = None) -> Iterator[Server]:
    engine = Engine([example_flow(gate), *flows], store=f"sqlite:///{folder}/store.db")
    engine.start()
    server = Server(engine, token)
    yield server
    server.stop()
    gate.open(10_000)
    engine.stop(grace=30)


@pytest.fixture(scope="session")
def serve() -> Callable[..., AbstractContextManager[Server]]:
    """Starts a server with its store in a folder, and with more flows: where one is to outlive a test, or has its own jobs."""
    return lambda folder, *flows, **options: served(folder, Gate(), *flows, **options)


@pytest.fixture
def server(tmp_path: Path, gate: Gate) -> Iterator[Server]:
    with served(tmp_path, gate) as server:
        yield server


@pytest.fixture(scope="module")  # while it is open an event loop runs in this thread, which other tests could not bear
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    # dev.py names the one that it has found or got
    path = os.environ.get("CHROMIUM") or next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        leave_out("there is no browser; install Chromium, or name one with CHROMIUM=/path/to/it")
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if is_root else [])
        yield browser
        browser.close()


@pytest.fixture
def new_context(browser: Browser, server: Server) -> Iterator[Callable[..., BrowserContext]]:
    """Makes browser contexts for the server; what goes wrong in a page's scripts fails the test."""
    made: list[BrowserContext] = []
    problems: list[str] = []

    def make(**options: Any) -> BrowserContext:
        context = browser.new_context(**{"base_url": server.url, "viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(PATIENCE)
        context.on("weberror", lambda failure: problems.append(str(failure.error)))
        context.on(
            "console",
            lambda message: problems.append(message.text) if "Content Security Policy" in message.text else None,
        )
        made.append(context)
        return context

    expect.set_options(timeout=PATIENCE)
    yield make
    for context in made:
        context.close()
    assert problems == []


@pytest.fixture
def page(new_context: Callable[..., BrowserContext]) -> Page:
    return new_context().new_page()
