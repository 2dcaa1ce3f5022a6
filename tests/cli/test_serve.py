"""``serve``: a real server in a process of its own, from its first line to its last."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvicorn
from uvicorn.server import ServerState

from microflow.cli.listening import listen, port_of
from microflow.cli.serving import Connection

from ..conftest import ASK_TO_END, ASKED
from .conftest import Call, Process, Server, eventually

Serve = Callable[..., Server]
Start = Callable[..., Process]


def ask(server: Server, path: str, body: Any = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **headers}
    try:
        with urllib.request.urlopen(urllib.request.Request(server.url + path, data, sent), timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        refused.close()  # it is the answer, with its connection
        raise


def begin_waiting(server: Server, job: str = "wait_below", file: str = "now") -> int:
    """An execution that waits for a file; its number, once it waits."""
    started = ask(server, f"/api/jobs/work/{job}/executions", {"inputs": [{"file": file}]})
    waits = eventually(
        lambda: [
            execution
            for execution in ask(server, "/api/executions?job=wait_for&status=running")["items"]
            if ask(server, f"/api/executions/{execution['id']}/logs")["text"]
        ]
    )
    assert waits
    return int(started["id"])


def test_the_first_line_says_where_it_is_and_where_the_store_is(serve: Serve) -> None:
    server = serve()

    store = Path(".microflow", "store.db")
    assert server.lines == [f"Microflow serves work at {server.url} (store: {store})"]
    assert ask(server, "/api/health")["status"] == "ok"
    assert ask(server, "/api/jobs/work/double/executions", {"inputs": [{"v": 2}], "wait": 60})["output"] == {"v": 4}


def test_localhost_is_every_address_that_a_browser_may_ask(serve: Serve) -> None:
    server = serve()
    port = server.url.rpartition(":")[2]

    for host in ["127.0.0.1", *(["[::1]"] if has_ipv6() else [])]:
        with urllib.request.urlopen(f"http://{host}:{port}/api/health", timeout=60) as answer:
            assert answer.status == 200


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(("number", "reason"), [(ASK_TO_END, ASKED), (signal.SIGINT, "Ctrl-C")])
def test_the_last_line_says_why_it_ended(serve: Serve, number: int, reason: str) -> None:
    server = serve()

    server.signal(number)

    assert server.wait() == 0
    assert server.lines[-1] == f"Stopped ({reason}): everything had ended."


@pytest.mark.skipif(sys.platform != "win32", reason="Ctrl-Break is of Windows")
def test_ctrl_break_ends_it_too(serve: Serve, work: Path) -> None:
    """Raised from within, since Wine can't send it."""
    with (work / "work_flow.py").open("a", encoding="utf-8") as file:
        file.write(
            '\n@flow.task(runner="thread")\ndef press():\n    import signal\n\n    signal.raise_signal(signal.SIGBREAK)\n'
        )
    server = serve()

    ask(server, "/api/jobs/work/press/executions", {"inputs": []})

    assert server.wait() == 0
    assert server.lines[-1] == "Stopped (Ctrl-Break): everything had ended."


def test_what_runs_may_end_while_nothing_new_begins(serve: Serve, work: Path, call: Call) -> None:
    server = serve()
    execution = begin_waiting(server)

    server.signal(ASK_TO_END)
    server.line_with(f"Stopping ({ASKED}): no new work is taken, and what runs has 30 s to end.")
    with pytest.raises(urllib.error.HTTPError, match="409"):
        ask(server, "/api/jobs/work/double/executions", {"inputs": [{"v": 2}]})
    (work / "now").touch()

    assert server.wait() == 0
    assert server.lines[-1] == f"Stopped ({ASKED}): everything had ended."
    assert json.loads(call("show", str(execution), "--json").stdout)["status"] == "success"


def test_what_takes_longer_than_the_grace_is_ended(serve: Serve, call: Call) -> None:
    server = serve("--grace", "0.1")
    execution = begin_waiting(server)

    server.signal(ASK_TO_END)

    assert server.wait() == 1
    assert server.lines[-1] == f"Stopped ({ASKED}): what still ran was ended after 0.1 s."
    assert json.loads(call("show", str(execution), "--json").stdout)["status"] == "error"


def test_what_waits_for_the_next_server_has_not_ended(serve: Serve, call: Call) -> None:
    server = serve()
    execution = ask(server, "/api/jobs/work/later/executions", {"inputs": []})["id"]
    assert eventually(lambda: ask(server, f"/api/executions/{execution}")["attempts"])

    server.signal(ASK_TO_END)

    assert server.wait() == 1
    assert server.lines[-1] == f"Stopped ({ASKED}): what ran had ended; 1 execution waits for the next server."
    shown = json.loads(call("show", str(execution), "--json").stdout)
    assert (shown["status"], len(shown["attempts"])) == ("queued", 1)


def test_a_second_ctrl_c_ends_at_once_even_what_can_not_be_ended(serve: Serve, call: Call) -> None:
    server = serve("--grace", "600")
    ask(server, "/api/jobs/work/never/executions", {"inputs": []})

    server.signal(signal.SIGINT)
    server.line_with("Stopping (Ctrl-C)")
    server.signal(signal.SIGINT)

    assert server.wait() == 1
    assert server.lines[-1] == "Stopped (Ctrl-C): what still ran was ended at once."
    assert len(server.lines) == 3
    shown = json.loads(call("show", "1", "--json").stdout)
    assert (shown["status"], shown["error"]["type"]) == ("error", "Interrupted")


def test_an_open_stream_of_events_and_a_waiting_request_hold_nothing_up(serve: Serve) -> None:
    server = serve("--grace", "0")
    with urllib.request.urlopen(f"{server.url}/api/events", timeout=60) as events:
        assert events.readline()

        server.signal(ASK_TO_END)

        assert server.wait() == 0
        assert events.read().endswith(b"\n")


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of another process can be changed on Linux alone")
def test_too_many_connections_are_one_line_and_when_they_are_gone_all_is_well(serve: Serve) -> None:
    import resource

    server = serve("--grace", "0")
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    limit = psutil.Process(server.pid).num_fds() + 10
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    connections = [socket.create_connection(address, 60) for _ in range(30)]
    server.line_with("No connection can be accepted now: [Errno 24] Too many open files.")
    for connection in connections:
        connection.close()

    assert ask(server, "/api/jobs/work/double/executions", {"inputs": [{"v": 2}], "wait": 60})["output"] == {"v": 4}
    server.signal(ASK_TO_END)
    assert server.wait() == 0
    assert len(server.lines) == 3
    assert server.lines[-1] == f"Stopped ({ASKED}): everything had ended."


def test_a_server_that_was_killed_leaves_nothing_running(serve: Serve, work: Path, call: Call) -> None:
    first = serve()
    execution = begin_waiting(first)
    first.kill()
    first.wait()

    second = serve()

    shown = ask(second, f"/api/executions/{execution}")
    assert (shown["status"], shown["error"]["type"]) == ("error", "Interrupted")


def test_a_port_that_is_taken_is_one_message(start: Start) -> None:
    taken = listen("127.0.0.1", 0)
    try:
        refused = start("serve", "-f", "work_flow", "--port", str(port_of(taken)))

        assert refused.wait() == 2
        assert refused.lines == [
            f"Error: Port {port_of(taken)} is taken: another program listens there. Stop it, or give another port with --port "
            "(0 takes any that is free)."
        ]
    finally:
        taken[0].close()


def test_answers_are_sent_without_waiting_for_word_of_what_was_sent_before() -> None:
    told: list[int] = []

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        (connection,) = state.connections
        used = connection.transport.get_extra_info("socket")
        told.append(used.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await send({"type": "http.response.start", "status": 204, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body"})

    config, state = uvicorn.Config(answer, lifespan="off", log_config=None), ServerState()
    config.load()

    async def ask() -> None:
        listening = listen("127.0.0.1", 0)
        connections = await asyncio.get_running_loop().create_server(
            lambda: Connection(config, state, {}), sock=listening[0]
        )
        async with connections:
            reader, writer = await asyncio.open_connection("127.0.0.1", port_of(listening))
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 204")
            writer.close()
            await writer.wait_closed()

    asyncio.run(ask())

    assert all(told)
    assert len(told) == 1


def test_a_second_server_on_the_store_is_one_message(serve: Serve, start: Start) -> None:
    first = serve()

    refused = start("serve", "-f", "work_flow", "--port", "0")

    assert refused.wait() == 2
    assert len(refused.lines) == 1
    assert refused.lines[0].startswith(f"Error: Another server (process {first.pid}) runs on this store")


def test_a_store_from_a_newer_version_is_one_message(start: Start, work: Path) -> None:
    with closing(sqlite3.connect(work / "newer.db")) as database, database:
        database.executescript(
            "CREATE TABLE schema_version (version INTEGER NOT NULL); INSERT INTO schema_version VALUES (999)"
        )
    database.close()

    refused = start("serve", "-f", "work_flow", "--port", "0", "--store", "sqlite:///newer.db")

    assert refused.wait() == 2
    assert len(refused.lines) == 1
    assert refused.lines[0].startswith("Error: The store 'sqlite:///newer.db' has schema version 999")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-f", "nothing_here"], "Error: There is no module 'nothing_here'"),
        (["-f", "work_flow:flaw"], "Error: work_flow has no 'flaw'; did you mean work_flow:flow?"),
        (
            ["-f", "work_flow", "--host", "0.0.0.0"],
            "Error: At 0.0.0.0 anyone who reaches this machine could run jobs. Give",
        ),
        (["-f", "work_flow", "--host", "no host", "--no-auth"], "Error: The host 'no host' is not known ("),
        (["-f", "work_flow", "--host", "192.0.2.1", "--no-auth"], "Error: '192.0.2.1' is no address of this machine."),
        (["-f", "work_flow", "--token", ""], "Error: The token is empty."),
        (["-f", "work_flow", "--token", "a", "--no-auth"], "Error: --token asks for a token and --no-auth for none"),
        (["-f", "work_flow", "--port", "70000"], "Error: Invalid value for '--port': 70000 is not in the range"),
        (["-f", "work_flow", "--grace", "-1"], "Error: Invalid value for '--grace'"),
        (["-f", "work_flow", "--store", "nonsense"], "Error: The store 'nonsense' can't be opened"),
    ],
)
@pytest.mark.usefixtures("work")
def test_what_can_not_be_served_is_one_message(call: Call, arguments: list[str], message: str) -> None:
    refused = call("serve", "--port", "0", *arguments)

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert message in refused.stderr
    assert refused.stderr.count("Error: ") == 1
    assert "Traceback" not in refused.stderr


def test_a_flow_with_mistakes_is_not_served(call: Call, folder: Path) -> None:
    (folder / "wrong.py").write_text(
        "from microflow import create_flow\nflow = create_flow('wrong')\n"
        "@flow.task(inputs=['nobody'], retries=-1)\ndef job(x):\n    return x\n",
        "utf-8",
    )
    refused = call("serve", "-f", "wrong", "--port", "0")

    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: Flow 'wrong' has 2 mistakes:\n  - ")
    assert not (folder / ".microflow").exists()


def test_a_token_is_asked_of_everyone(serve: Serve, call: Call) -> None:
    server = serve("--host", "127.0.0.1", "--token", "open sesame")

    refused = call("jobs", "--server", server.url)
    wrong = call("jobs", "--server", server.url, "--token", "guess")
    right = call("jobs", "--server", server.url, env={"MICROFLOW_TOKEN": "open sesame"})

    assert refused.exit_code == wrong.exit_code == 2
    assert refused.stderr == (
        f"Error: The server {server.url} asks for its token: give it with --token or MICROFLOW_TOKEN.\n"
    )
    assert (
        wrong.stderr
        == f"Error: The server {server.url} has another token than the one given with --token or MICROFLOW_TOKEN.\n"
    )
    assert "work/double" in right.stdout


def test_every_address_is_served_if_that_is_said_out_loud(serve: Serve) -> None:
    server = serve("--host", "0.0.0.0", "--no-auth")

    assert server.url.startswith("http://localhost:")
    assert ask(server, "/api/health", Host="192.0.2.7:3000")["status"] == "ok"
    with pytest.raises(urllib.error.HTTPError, match="421"):  # a name that a page of another site could have as its own
        ask(server, "/api/health", Host="any.name.example")


def test_a_changed_file_restarts_it_at_the_same_place(serve: Serve, work: Path) -> None:
    server = serve("--reload")
    file = work / "work_flow.py"
    text = file.read_text("utf-8")

    rewrite(file, text.replace("def keyed(", "def known("))
    server.line_with("Restarting: a source file changed.")
    assert server.line_with(" at http://").split(" at ")[1].split()[0] == server.url
    assert ask(server, "/api/jobs/work/known")["name"] == "known"

    rewrite(file, "flow =")
    server.line_with("work_flow.py, line 1: SyntaxError: invalid syntax")
    server.line_with("Waiting for a change of the source files.")
    rewrite(file, text)
    server.line_with(" at http://")
    assert ask(server, "/api/jobs/work/keyed")["name"] == "keyed"

    server.signal(ASK_TO_END)
    assert server.wait() == 0


def rewrite(file: Path, text: str) -> None:
    """Change a file, and its time for certain."""
    later = file.stat().st_mtime + 2
    file.write_text(text, "utf-8")
    os.utime(file, (later, later))
