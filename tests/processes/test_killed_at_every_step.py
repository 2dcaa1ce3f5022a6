"""A server killed at one step of an execution after the other: what it reported is kept, all else is cleared up or tried again."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from microflow import create_flow
from microflow.engine.engine import Engine

KILLED = 15 if sys.platform == "win32" else -9
"""The exit code of a process that psutil has killed."""

SERVER = r"""
import os, subprocess, sys, threading, time
import psutil
from itertools import count
from microflow import create_flow
from microflow.engine.execution import execution, record
from microflow.engine.admission.slots import Admission
from microflow.engine.execution.dispatch import Dispatch
from microflow.engine.engine import Engine
from microflow.store import Executions

store, step, when, number = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
STEPS = {
    "prepare": (record, "prepare"), "admit": (Admission, "take"), "open": (Executions, "open"),
    "run": (Dispatch, "run"), "settle": (execution, "settle"), "close": (Executions, "finish"),
}
armed, times = threading.Event(), count(1)
owner, name = STEPS[step]
carry_out = getattr(owner, name)


def killing(*given, **named):
    is_it = armed.is_set() and next(times) == number
    if is_it and when == "before":
        psutil.Process().kill()
    result = carry_out(*given, **named)
    if is_it:
        psutil.Process().kill()
    return result


setattr(owner, name, killing)
flow = create_flow("shop", max_concurrency=4)


def wait():
    waits = [sys.executable, "-c", "import time; time.sleep(3600)"]
    sys.stdout.write(f"pids {os.getpid()} {subprocess.Popen(waits, start_new_session=True).pid}\n")
    time.sleep(3600)


flow.task(name="waits")(wait)
flow.task(name="waits_again", retries=1)(wait)
load = flow.task(name="load", retries=3)(lambda a: a)


@flow.manager(retries=1)
def manage(a):
    return load(a)


def echo(data):
    sys.stdout.write(data.decode())
    sys.stdout.flush()


engine = Engine([flow], store=store, kind="server", echo=echo)
engine.start()
print("ended", engine.submit(manage, [{"n": 0}]).future.result().execution_id, flush=True)
engine.submit(flow.jobs["waits"])
engine.submit(flow.jobs["waits_again"])
sys.stdin.readline()
armed.set()
engine.submit(manage, [{"n": 1}]).future.result()
"""

NOTHING: list[tuple[str, str]] = []
CALLING = [("manage", "running")]
CALLED = [("manage", "running"), ("load", "running")]
RETURNED = [("manage", "running"), ("load", "success")]
BOTH_ENDED = [("manage", "success"), ("load", "success")]

# In this order a manager and the task it calls come by the steps, each for its first or its second time.
MOMENTS = [
    ("prepare", "before", 1, NOTHING),
    ("admit", "before", 1, NOTHING),
    ("open", "before", 1, NOTHING),
    ("run", "before", 1, CALLING),
    ("prepare", "before", 2, CALLING),
    ("admit", "before", 2, CALLING),
    ("open", "before", 2, CALLING),
    ("run", "before", 2, CALLED),
    ("settle", "before", 1, CALLED),
    ("close", "before", 1, CALLED),
    ("settle", "before", 2, RETURNED),
    ("close", "before", 2, RETURNED),
    ("close", "after", 2, BOTH_ENDED),
]

COLUMNS = "id, job, status, attempt, parent_id, inputs, output, error, ended_at"


def rows(path: Path) -> dict[int, dict[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return {row["id"]: dict(row) for row in connection.execute(f"SELECT {COLUMNS} FROM executions ORDER BY id")}


@pytest.mark.parametrize(("step", "when", "number", "left"), MOMENTS)
def test_nothing_is_lost_and_nothing_is_left_behind(
    script: Callable[..., subprocess.Popen[str]],
    start: Callable[..., Engine],
    store: str,
    tmp_path: Path,
    ended: Callable[..., None],
    step: str,
    when: str,
    number: int,
    left: list[tuple[str, str]],
) -> None:
    path = tmp_path / "store.db"
    server = script(SERVER, store, step, when, str(number))
    assert server.stdin is not None
    assert server.stdout is not None
    assert server.stdout.readline() == "ended 1\n"
    pids = [int(pid) for _ in range(2) for pid in server.stdout.readline().removeprefix("pids").split()]
    reported = [row for row in rows(path).values() if row["id"] <= 2]
    server.stdin.write("now\n")
    server.stdin.flush()
    assert server.wait(60) == KILLED, server.stderr and server.stderr.read()

    ended(*pids)
    assert len(pids) == 4
    found = rows(path)
    assert [(row["job"], row["status"]) for row in found.values() if row["id"] > 4] == left

    flow = create_flow("shop", max_concurrency=4)
    flow.task(name="waits")(lambda: {"n": 2})
    flow.task(name="waits_again", retries=1)(lambda: {"n": 2})
    load = flow.task(name="load", retries=3)(lambda a: a)
    flow.manager(name="manage", retries=1)(load)
    engine = start(flow, kind="server")
    assert engine._resources.live.wait_until_empty(60)

    after = rows(path)
    assert [after[row["id"]] for row in reported] == reported
    for before in found.values():
        row = after[before["id"]]
        is_root = before["parent_id"] is None
        if before["status"] == "success":
            assert row == before
        elif is_root and before["job"] != "waits":  # it had an attempt left
            assert (row["status"], row["attempt"]) == ("success", 2)
        else:
            assert (row["status"], json.loads(row["error"])["type"]) == ("error", "Interrupted")
    assert {row["job"] for number, row in after.items() if number not in found} <= {"load"}
    assert all(row["status"] == "success" for number, row in after.items() if number not in found)
    attempts = engine.store.database.read_text("SELECT execution_id, status FROM attempts ORDER BY execution_id")
    assert attempts == [(number, "error") for number, row in after.items() if row["attempt"] == 2]
    assert engine.store.database.read_text("PRAGMA integrity_check") == [("ok",)]
    assert all(limit.holders == [] for limit in engine.concurrency())
