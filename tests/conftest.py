"""What tests of several rooms need: a store of their own, engines that are always stopped, a clock that stands still.

A test that needs what a machine may lack (a browser, nginx) is left out there, and the last line of the run says so. In CI,
where the environment variable CI is set, it fails instead.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from microflow import Flow
from microflow.engine.engine import Engine

PATIENCE = 60.0
"""Seconds after which a test that waits for a signal gives up; nothing is ever asserted about how long it took."""


IS_WINE = sys.platform == "win32" and hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")
"""Whether the tests run on Wine, which is almost Windows."""

if sys.platform != "win32":
    ASK_TO_END, ASKED = signal.SIGTERM, "SIGTERM"
elif IS_WINE:
    ASK_TO_END, ASKED = signal.SIGINT, "Ctrl-C"  # Wine 8 can't send Ctrl-Break: it answers with "Invalid handle"
else:
    ASK_TO_END, ASKED = signal.SIGBREAK, "Ctrl-Break"
"""The signal that asks a server to end, beside Ctrl-C where there is another one, and what a server calls it."""


def send_signal(process: subprocess.Popen[Any], number: int) -> None:
    """Send a process SIGINT, or another signal of this platform; on Windows the process must have a console of its own."""
    if sys.platform != "win32":
        process.send_signal(number)
        return
    event = {signal.SIGINT: signal.CTRL_C_EVENT, signal.SIGBREAK: signal.CTRL_BREAK_EVENT}[signal.Signals(number)]
    command = [sys.executable, str(Path(__file__).with_name("console.py")), str(process.pid), str(int(event))]
    subprocess.run(command, check=True, timeout=PATIENCE, creationflags=subprocess.DETACHED_PROCESS)


LEFT_OUT = "left out: "
"""How the reason of a skipped test begins that this machine is not equipped for."""


def leave_out(why: str) -> NoReturn:
    """Skip a test that this machine is not equipped for; in CI, fail it. ``why`` names what is missing, and how to get it."""
    if os.environ.get("CI"):
        pytest.fail(f"CI passes every test. {why}", pytrace=False)
    pytest.skip(LEFT_OUT + why)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say as the very last line what was left out, however many tests that are."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    reasons: Counter[str] = Counter()
    for report in reporter.stats.get("skipped", ()):
        _, found, why = str(report.longrepr[2]).partition(LEFT_OUT)
        if found:
            reasons[why] += 1
    if reasons:
        parts = (f"{count} test{'' if count == 1 else 's'} ({why})" for why, count in sorted(reasons.items()))
        reporter.write_line(f"Left out on this machine: {'; '.join(parts)}")


class FakeClock:
    """A ``microflow.model.clock.Clock`` that moves only when a test says so."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._changed = threading.Condition()
        self._sleepers: dict[threading.Event, float] = {}

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        deadline = float("inf") if seconds is None else self._now + seconds
        with self._changed:
            self._sleepers[event] = deadline
            self._changed.notify_all()
        # an Event wakes whoever waits at its condition, and so does ``advance``
        with event._cond:  # type: ignore[attr-defined]
            event._cond.wait_for(lambda: event.is_set() or self._now >= deadline)  # type: ignore[attr-defined]
        with self._changed:
            self._sleepers.pop(event, None)
        return event.is_set()

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass, and wake whoever waited for one of them."""
        with self._changed:
            self._now += seconds
            sleepers = list(self._sleepers)
        for event in sleepers:
            with event._cond:  # type: ignore[attr-defined]
                event._cond.notify_all()  # type: ignore[attr-defined]

    def until_asleep(self, seconds: float) -> None:
        """Return once something waits for the moment that is so many seconds from now."""
        with self._changed:
            asleep = self._changed.wait_for(lambda: self._now + seconds in self._sleepers.values(), PATIENCE)
        assert asleep, f"nothing waits for {seconds} s from now; there are waits for {self._sleepers.values()}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The URL of a store that does not exist yet."""
    return f"sqlite:///{tmp_path.as_posix()}/store.db"


@pytest.fixture
def start(store: str) -> Iterator[Callable[..., Engine]]:
    """Starts engines: ``start(flow, …)`` with the keywords of ``Engine``; all are stopped at the end, whatever happens."""
    started: list[Engine] = []

    def start_engine(*flows: Flow, **arguments: Any) -> Engine:
        engine = Engine(flows, **{"store": store, **arguments})
        engine.start()
        started.append(engine)
        return engine

    yield start_engine
    for engine in reversed(started):
        engine.stop(grace=0)


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Starts a real nginx: ``nginx(port, "proxy_set_header Host $host;")`` puts one in front of a port, and gives its own."""
    program = shutil.which("nginx", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))
    if program is None:
        leave_out("nginx is not installed; on Debian and Ubuntu: apt-get install nginx-light")
    started: list[subprocess.Popen[bytes]] = []

    def start(target: int, *lines: str) -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        folder = tmp_path / f"nginx-{port}"
        folder.mkdir()
        # one process in the foreground, which needs no right and no folder of the system
        temporary = "\n".join(
            f"{kind}_temp_path {kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        inner = "\n".join(lines)
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid nginx.pid; error_log stderr;\nevents {{}}\nhttp {{ access_log off; {temporary}\n"
            f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{target};\n{inner}\n}} }} }}\n",
            "utf-8",
        )
        process = subprocess.Popen([program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"])
        started.append(process)
        deadline = time.monotonic() + PATIENCE
        while True:
            assert process.poll() is None, "nginx has ended; what it said stands above"
            try:
                socket.create_connection(("127.0.0.1", port), 5).close()
                return port
            except OSError:
                assert time.monotonic() < deadline, "nginx does not listen"
                time.sleep(0.01)

    yield start
    for process in started:
        process.terminate()
        process.wait(PATIENCE)
