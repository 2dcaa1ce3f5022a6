"""What a server had accepted that is really killed or stopped: the next one resumes it, and each job runs as often as it has to."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microflow.engine.runs.chunk_size import MOST
from microflow.store.sqlite.database import Database

PATIENCE = 60.0

SERVER = r"""
import os, sys, time
from microflow import Schedule, create_flow, current_execution
from microflow.engine.engine import Engine
from microflow.runtime import PartitionSelection

store, ran, begins = sys.argv[1], sys.argv[2], sys.argv[3] == "begins"
flow = create_flow("shop", max_concurrency=6)
nightly = Schedule("0 3 * * *", name="nightly")


def run(name):
    attempt = current_execution().attempt
    with open(ran, "a") as file:
        file.write(f"{name} {attempt}\n")
    if attempt == 1 and name in ("beside", "load c", "item 1", "turn 0"):
        time.sleep(3600)
    return {"name": name}


flow.task(name="first", schedule=nightly)(lambda: run("first"))
flow.task(name="beside", schedule=nightly, retries=1)(lambda: run("beside"))
flow.task(name="last", schedule=nightly, inputs=["first", "beside"])(lambda a, b: {"got": [a["name"], b["name"]]})
flow.task(name="load", cat_partitions=list("abcdef"), max_concurrency=1, retries=1)(
    lambda a: run(f"load {a['cat_partition']}")
)
flow.task(name="item", max_concurrency=1)(lambda a: run(f"item {a['n']}"))
flow.task(name="turn", max_concurrency=1)(lambda a: run(f"turn {a['n']}"))

engine = Engine([flow], store=store, kind="server")
engine.start()
if begins:
    engine.submit(flow.jobs["last"], with_inputs=True)
    engine.pause_schedule("shop", "nightly")  # it is run by hand alone, whatever the time is
    engine.run_schedule("shop", "nightly")
    engine.submit_partitions(flow.jobs["load"], PartitionSelection())
    engine.submit_map(flow.jobs["item"], [{"n": number} for number in range(4)])
    for number in range(4):
        engine.submit(flow.jobs["turn"], [{"n": number}])
    sys.stdin.readline()
    engine.stop(grace=0)
else:
    assert engine._resources.live.wait_until_empty(60)
    engine.stop()
"""


@pytest.mark.parametrize("end", ["killed", "stopped"])
def test_the_next_server_goes_on_with_what_the_one_before_ran(
    script: Callable[..., subprocess.Popen[str]], store: str, tmp_path: Path, end: str
) -> None:
    ran = tmp_path / "ran"
    ran.touch()
    first = script(SERVER, store, str(ran), "begins")
    begun = Counter({"first 1": 2, "beside 1": 2, "load a 1": 1, "load b 1": 1, "load c 1": 1})
    begun += Counter({"item 0 1": 1, "item 1 1": 1, "turn 0 1": 1})
    deadline = time.monotonic() + PATIENCE
    while (
        Counter(ran.read_text().splitlines()) != begun or statuses(store)["first"] != ["success"] * 2 or in_line(store)
    ):
        assert time.monotonic() < deadline, (ran.read_text(), first.poll())
        time.sleep(0.02)
    if end == "killed":
        first.kill()
        first.wait(PATIENCE)
    else:
        first.communicate("stop\n", timeout=PATIENCE)
        assert first.returncode == 0

    assert script(SERVER, store, str(ran), "goes on").wait(PATIENCE) == 0

    rest = Counter({"beside 2": 2, "load c 2": 1, "load d 1": 1, "load e 1": 1, "load f 1": 1})
    rest += Counter({f"{name} 1": 1 for name in ("item 2", "item 3", "turn 1", "turn 2", "turn 3")})
    found = ran.read_text().splitlines()
    assert Counter(found) == begun + rest
    assert [line for line in found if line.startswith("turn")] == [f"turn {number} 1" for number in range(4)]
    after = statuses(store)
    # what ran without an attempt left has failed; what had not begun has not
    assert after.pop("item") == ["success", "error", "success", "success"]
    assert after.pop("turn") == ["error", "success", "success", "success"]
    assert {status for known in after.values() for status in known} == {"success"}
    database = Database(store)
    outputs = database.read_text("SELECT output FROM executions WHERE parent_id IS NULL AND job <> 'turn' ORDER BY id")
    attempts = database.read_text("SELECT attempt, error FROM attempts")
    database.close()
    assert [json.loads(output) for (output,) in outputs] == [
        {"got": ["first", "beside"]},
        {"success": 3},
        {"success": 6},
        {"error": 1, "success": 3},
    ]
    assert [(attempt, json.loads(error)["type"]) for attempt, error in attempts] == [(1, "Interrupted")] * 3


LINES = r"""
import os, sys
from microflow import create_flow
from microflow.engine.engine import Engine

store, ran, begins = sys.argv[1], sys.argv[2], sys.argv[3] == "begins"
flow = create_flow("shop", max_concurrency=2)
file = None


def small(a):
    global file
    file = file or os.open(ran, os.O_WRONLY | os.O_APPEND)
    os.write(file, b"%d\n" % a["n"])
    return {}


flow.task(name="small")(small)
engine = Engine([flow], store=store, kind="server")
engine.start()
if begins:
    engine.submit_map(flow.jobs["small"], [{"n": number} for number in range(4000)])
    sys.stdin.readline()
assert engine._resources.live.wait_until_empty(60)
engine.stop()
"""


def test_a_mapping_of_small_tasks_runs_none_of_them_twice(
    script: Callable[..., subprocess.Popen[str]], store: str, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    ran.touch()
    first = script(LINES, store, str(ran), "begins")
    deadline = time.monotonic() + PATIENCE
    while ran.stat().st_size < 3000:
        assert time.monotonic() < deadline, first.poll()
    first.kill()
    first.wait(PATIENCE)

    assert script(LINES, store, str(ran), "goes on").wait(PATIENCE) == 0

    database = Database(store)
    found = database.read_text("SELECT inputs, status, error FROM executions WHERE kind = 'task'")
    database.close()
    times = Counter(map(int, ran.read_text().split()))
    assert max(times.values()) == 1  # although they have no attempt left, and a worker is handed many of them at once
    ended = {json.loads(inputs)[0]["n"]: (status, error) for inputs, status, error in found}
    assert ended.keys() == set(range(4000))
    failed = {number for number, (status, _) in ended.items() if status != "success"}
    assert len(failed) <= 2 * MOST
    assert {json.loads(ended[number][1])["type"] for number in failed} <= {"Interrupted"}
    assert times.keys() >= ended.keys() - failed


def in_line(store: str) -> bool:
    """Whether a worker has been handed something behind another execution: it would count as begun."""
    database = Database(store)
    found = database.read_text("SELECT id FROM executions WHERE status = 'queued' AND waiting LIKE '%\"held_by\":%'")
    database.close()
    return bool(found)


def statuses(store: str) -> dict[str, list[Any]]:
    database = Database(store)
    found: dict[str, list[Any]] = {"first": []}
    for job, status in database.read_text("SELECT job, status FROM executions WHERE kind = 'task' ORDER BY id"):
        found.setdefault(job, []).append(status)
    database.close()
    return found
