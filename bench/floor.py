"""The floors: what the machine itself takes for the steps that no orchestrator can leave out."""

from __future__ import annotations

import os
import select
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ECHO = """
import os
while data := os.read(0, 65536):
    os.write(1, data)
"""

SCHEMA = """
CREATE TABLE execution (id INTEGER PRIMARY KEY, job TEXT, status TEXT, inputs TEXT, output TEXT, started REAL, ended REAL)
"""


class Floor:
    """A warm child at the other end of a pipe, and a SQLite file in WAL mode."""

    def __init__(self, folder: Path) -> None:
        self.connection = sqlite3.connect(folder / "floor.db", isolation_level=None, check_same_thread=False)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        self.connection.execute(SCHEMA)
        self.children = [start_child() for _ in range(2)]

    def task(self) -> None:
        """One durably recorded task at the least: open, there and back, close."""
        row = self.open()
        round_trip(self.children[0])
        self.close(row)

    def open(self) -> int:
        """The first commit."""
        values = ("noop", "running", '[{"i":1}]', time.time())
        return self.connection.execute(
            "INSERT INTO execution (job, status, inputs, started) VALUES (?, ?, ?, ?)", values
        ).lastrowid  # type: ignore[return-value]

    def close(self, row: int) -> None:
        """The second commit."""
        values = ("success", "{}", time.time(), row)
        self.connection.execute("UPDATE execution SET status = ?, output = ?, ended = ? WHERE id = ?", values)

    def feed(self, count: int) -> None:
        """A bare loop that feeds both children and commits twice for each task."""
        poll = select.poll()
        for child in self.children:
            assert child.stdin
            assert child.stdout
            poll.register(child.stdout.fileno(), select.POLLIN)
        by_output = {child.stdout.fileno(): child for child in self.children if child.stdout}
        running: dict[int, int] = {}
        sent = 0
        for output, child in by_output.items():
            running[output] = self.open()
            os.write(child.stdin.fileno(), b"x" * 120)  # type: ignore[union-attr]
            sent += 1
        while running:
            for output, _ in poll.poll():
                os.read(output, 65536)
                self.close(running.pop(output))
                if sent < count:
                    running[output] = self.open()
                    os.write(by_output[output].stdin.fileno(), b"x" * 120)  # type: ignore[union-attr]
                    sent += 1

    def stop(self) -> None:
        """End the children, close the file."""
        for child in self.children:
            child.kill()
            child.wait()
        self.connection.close()


def start_child() -> subprocess.Popen[bytes]:
    """A child that sends back what it gets."""
    return subprocess.Popen([sys.executable, "-c", ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def round_trip(child: subprocess.Popen[bytes]) -> None:
    """There and back."""
    os.write(child.stdin.fileno(), b"x" * 120)  # type: ignore[union-attr]
    os.read(child.stdout.fileno(), 65536)  # type: ignore[union-attr]


def timed(function: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def quantile(values: list[float], part: float) -> float:
    """The value below which that part of the values lies."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def timed_cpu(function: Callable[[], object]) -> float:
    """Seconds of a processor that a call takes in this thread."""
    begin = time.thread_time()
    function()
    return time.thread_time() - begin


def interleaved(
    rounds: int, *functions: Callable[[], object], measure: Callable[[Callable[[], object]], float] = timed
) -> list[list[float]]:
    """Each function's times, taken in turns, so that a slow moment of the machine is everybody's."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, kept in zip(functions, times, strict=True):
            kept.append(measure(function))
    return times
