"""A real server whose manager starts threads and programs: its log has their lines, its tree their calls, a cancel reaches them."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .conftest import Server, eventually

Serve = Callable[..., Server]

FLOW = """
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from microflow import create_flow

flow = create_flow("work")
shared = ThreadPoolExecutor(2)


@flow.task
def copy(a):
    print("copying", a["i"])
    while a["slow"] and not Path("never").exists():
        time.sleep(0.01)
    return a


def one(i, slow):
    print("starting", i)
    return copy({"i": i, "slow": slow})


@flow.manager
def nightly(a):
    slow = a["slow"]
    subprocess.run([sys.executable, "-c", "print('from the tool')"], check=True)
    print("from python")
    thread = threading.Thread(target=one, args=(0, slow))
    thread.start()
    futures = [shared.submit(one, i, slow) for i in (1, 2)]
    thread.join()
    return {"copied": sum(future.result().status == "success" for future in futures)}
"""


def ask(server: Server, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def calls_of(server: Server, execution_id: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(server, f"/api/executions?parent={execution_id}")["items"]
    return found


def test_threads_and_programs_of_a_manager_are_shown_as_its_own(serve: Serve, work: Path) -> None:
    (work / "work_flow.py").write_text(FLOW, "utf-8")
    server = serve()

    for _ in range(2):  # the second time, the threads of the shared executor are there
        run = ask(server, "/api/jobs/work/nightly/executions", {"inputs": [{"slow": False}], "wait": 60})
        assert (run["status"], run["output"]) == ("success", {"copied": 2})
        lines = ask(server, f"/api/executions/{run['id']}/logs")["text"].splitlines()
        assert lines[:2] == ["from the tool", "from python"]
        assert sorted(lines[2:]) == ["starting 0", "starting 1", "starting 2"]
        calls = calls_of(server, run["id"])
        assert sorted(call["inputs"][0]["i"] for call in calls) == [0, 1, 2]
        assert {(call["root_id"], call["trigger"], call["status"]) for call in calls} == {
            (run["id"], "call", "success")
        }

    assert "from the tool" not in server.output
    assert "starting" not in server.output


def test_a_cancel_reaches_what_threads_of_a_manager_have_called(serve: Serve, work: Path) -> None:
    (work / "work_flow.py").write_text(FLOW, "utf-8")
    server = serve()
    run = ask(server, "/api/jobs/work/nightly/executions", {"inputs": [{"slow": True}]})
    eventually(lambda: [call for call in calls_of(server, run["id"]) if call["status"] == "running"])
    eventually(lambda: len(calls_of(server, run["id"])) == 3)

    ask(server, f"/api/executions/{run['id']}/cancel", {})

    eventually(lambda: ask(server, f"/api/executions/{run['id']}")["status"] == "cancelled")
    assert {call["status"] for call in calls_of(server, run["id"])} == {"cancelled"}
