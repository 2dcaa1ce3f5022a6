"""A disk that is full (a limit of file sizes): executions end with the system's own words; with room again, all is well."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from microflow.store.sqlite.database import Database

Script = Callable[..., "subprocess.Popen[str]"]

SCRIPT = """
import os, resource
from microflow import StoreError, create_flow
flow = create_flow("shop", max_concurrency=2, store="sqlite:///store.db")

@flow.task
def work(a):
    print("y" * a["print"])
    return {"text": "x" * 10_000}

@flow.manager
def manage(a):
    return work(a)

def full(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

assert work({"print": 10}).status == "success"
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
full(os.path.getsize("store.db-wal") + 25_000)
said, recorded = set(), 0
for call in [work, manage] * 10:
    try:
        result = call({"print": 10})
    except StoreError as error:
        said.add(str(error))
    else:
        if result.status == "success":
            recorded += 1
        else:
            said.add(result.error.message)
full(unlimited)
result = manage({"print": 10})
assert result.status == "success", result
print(recorded < 20, sorted(message.partition("failed: ")[2] or message for message in said))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are Unix's")
def test_what_a_full_disk_refuses_is_said_and_nothing_is_left_half_done(script: Script, tmp_path: Path) -> None:
    process = script(SCRIPT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    refused, _, words = out.splitlines()[-1].partition(" ")
    assert refused == "True"
    assert "disk" in words, words
    with closing(Database(f"sqlite:///{tmp_path}/store.db")) as database:
        assert database.read_text("PRAGMA integrity_check") == [("ok",)]
        assert database.read_text("SELECT count(*) FROM executions WHERE status IN ('queued', 'running')") == [(0,)]
        assert database.read_text("SELECT count(*) FROM engines WHERE ended_at IS NULL") == [(0,)]
