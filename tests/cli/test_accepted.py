"""What a server has accepted and not begun when it is killed or stopped says what it waits for, and begins with the next server."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..conftest import ASK_TO_END, ASKED
from .conftest import Call, Server, eventually

FLOW = """
import time
from pathlib import Path

from microflow import create_flow

flow = create_flow("turns", max_concurrency=1)


@flow.task
def turn(request):
    with open("ran", "a") as file:
        file.write(f"{request['n']}\\n")
    while request["n"] == 0 and not Path("now").exists():
        time.sleep(0.01)
    return {}
"""


def ask(server: Server, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_what_was_accepted_and_has_not_begun_waits_for_the_next_server_and_begins_there(
    serve: Callable[..., Server], work: Path, call: Call, how: str
) -> None:
    (work / "turns.py").write_text(FLOW, "utf-8")
    arguments = ("-f", "turns", "--grace", "0.1")
    server = serve(*arguments)
    ids = [ask(server, "/api/jobs/turns/turn/executions", {"inputs": [{"n": n}]})["id"] for n in range(4)]
    mapping = ask(server, "/api/jobs/turns/turn/map", {"inputs": [{"n": 4}, {"n": 5}]})["id"]
    eventually(lambda: (work / "ran").exists() and (work / "ran").read_text() == "0\n")
    if how == "killed":
        server.kill()
    else:
        server.signal(ASK_TO_END)
    server.wait()

    if how == "stopped":
        assert server.lines[-1] == (
            f"Stopped ({ASKED}): what still ran was ended after 0.1 s; 4 executions wait for the next server."
        )
    waiting = [
        execution
        for execution in json.loads(call("executions", "--status", "queued", "--json").stdout)["items"]
        if execution["id"] in ids
    ]
    assert [execution["id"] for execution in waiting] == ids[:0:-1]
    assert {(execution["waiting"]["reason"], execution["waiting"]["message"]) for execution in waiting} == {
        ("server", "waits for a server to begin it: the one that had accepted it ended")
    }
    assert "turns/turn: waits for a server to begin it" in call("executions", "--status", "queued").stdout
    assert "waits for a server to begin it" in call("show", ids[1]).stdout

    server = serve(*arguments)
    late = ask(server, "/api/jobs/turns/turn/executions", {"inputs": [{"n": 6}], "wait": 60})
    assert late["status"] == "success"
    eventually(lambda: ask(server, f"/api/executions/{mapping}")["status"] == "success")

    assert [ask(server, f"/api/executions/{number}")["status"] for number in ids] == ["error", *["success"] * 3]
    assert (work / "ran").read_text().split()[:4] == ["0", "1", "2", "3"]
    assert sorted((work / "ran").read_text().split()) == ["0", "1", "2", "3", "4", "5", "6"]
