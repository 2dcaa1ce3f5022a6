"""A run over partitions whose server is killed: nothing that was reported is lost, and what is left runs at most once more."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from microflow.store import open as open_store
from microflow.store.sqlite.database import Database

PATIENCE = 60.0
PARTITIONS = 40

FLOW = """
import os
import time

from microflow import TimePartitions, create_flow

flow = create_flow("shop", max_concurrency=2, timezone="UTC")


@flow.task(time_partitions=TimePartitions("hourly", start="2021-01-01T00:00", end="2021-01-02T15:00"))
def load(a):
    batch = a if isinstance(a, list) else [a]
    with open(os.environ["RAN"], "a") as file:
        file.writelines(f"{each['time_partition']:%Y-%m-%dT%H}\\n" for each in batch)
    time.sleep(0.02)
    return {}
"""

MAIN = """
import sys

from microflow.engine.engine import Engine
from microflow.runtime import PartitionSelection
from shop import flow

engine = Engine([flow], store=sys.argv[1])
engine.start()
batch_size = int(sys.argv[3]) or None
run = engine.submit_partitions(flow.jobs["load"], PartitionSelection(only=sys.argv[2]), batch_size=batch_size)
print(run.future.result().status)
engine.stop()
"""


@pytest.fixture
def begin(tmp_path: Path, store: str) -> Any:
    """``begin(only, batch_size)``: a process with an engine in it, that runs these partitions and ends."""
    (tmp_path / "shop.py").write_text(FLOW, "utf-8")
    started: list[subprocess.Popen[str]] = []

    def start(only: str, batch_size: int = 0) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, store, only, str(batch_size)],
            cwd=tmp_path,
            env={**os.environ, "RAN": str(tmp_path / "ran"), "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def lines_of(store: str) -> str:
    times = [f"2021-01-0{1 + hour // 24}T{hour % 24:02}:00+00:00" for hour in range(PARTITIONS)]
    with closing(open_store(store, "look")) as found:
        (line,) = found.partitions.lines("shop", "load", times, [None])
    return line


@pytest.mark.parametrize("batch_size", [0, 3])
def test_what_is_left_after_a_kill_runs_at_most_once_more(
    begin: Any, tmp_path: Path, store: str, batch_size: int
) -> None:
    ran = tmp_path / "ran"
    killed = begin("all", batch_size)
    until(lambda: ran.exists() and len(ran.read_text().splitlines()) >= PARTITIONS // 3)
    killed.kill()
    killed.wait(PATIENCE)
    line = lines_of(store)
    assert set(line) <= set("srq.")  # its engine has not been missed yet
    before = Counter(ran.read_text().splitlines())
    assert set(before.values()) == {1}
    assert line.count("s") <= len(before) <= PARTITIONS

    resumed = begin("missing_or_failed", batch_size)
    output, _ = resumed.communicate(timeout=PATIENCE)

    assert output == "success\n"
    assert lines_of(store) == "s" * PARTITIONS
    again = Counter(ran.read_text().splitlines())
    assert len(again) == PARTITIONS
    assert max(again.values()) <= 2
    done = [f"2021-01-0{1 + hour // 24}T{hour % 24:02}" for hour in range(PARTITIONS) if line[hour] == "s"]
    assert [again[hour] for hour in done] == [1] * len(done)  # what was reported as ended is not done again
    database = Database(store)
    rows = database.read_text("SELECT status, error FROM executions WHERE kind = 'partitions' ORDER BY id")
    database.close()
    assert [status for status, _ in rows] == ["error", "success"]
    assert '"type":"Interrupted"' in rows[0][1]
