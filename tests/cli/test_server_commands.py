"""Commands on a running server: the same as without one, through its REST API."""

from __future__ import annotations

import http.server
import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import WORK_FLOW, Call, Process, Server, eventually


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server of these tests runs."""
    place = tmp_path_factory.mktemp("server")
    (place / "work_flow.py").write_text(WORK_FLOW, "utf-8")
    return place


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Server]:
    server = Server(place, "--grace", "0")
    yield server
    server.end()


@pytest.fixture
def there(call: Call, server: Server, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Carries out a command with the server named in the environment, in a folder without a flow or a store."""
    monkeypatch.setenv("MICROFLOW_SERVER", server.url)
    return call


def test_jobs_are_the_server_s(there: Call) -> None:
    assert "work/double" in there("jobs").stdout
    assert json.loads(there("jobs", "--json").stdout)["items"][0]["description"].startswith("Twice a value.")


def test_an_execution_is_followed_to_its_end(there: Call) -> None:
    done = there("run", "double", "--input", '{"v": 4}')

    assert (done.exit_code, done.stdout) == (0, '{"v": 8}\n')
    assert re.fullmatch(r"doubling 4\nExecution \d+ of work/double: success after .+\n", done.stderr)


def test_what_the_jobs_below_it_print_is_seen_too(there: Call) -> None:
    done = there("run", "many", "-i", '{"count": 12}')

    assert json.loads(done.stdout) == {"sum": 132}
    assert {f"doubling {number}" for number in range(12)} <= set(done.stderr.splitlines())


def test_a_failure_is_exit_code_1_and_a_skip_none(there: Call) -> None:
    failed, skipped = there("run", "work/double", "-i", '{"v": 13}'), there("run", "skip")

    assert failed.exit_code == 1
    assert 'raise ValueError("13 is unlucky")\n' in failed.stderr
    assert skipped.exit_code == 0
    assert skipped.stderr.endswith("no new files\n")


def test_progress_is_told(there: Call) -> None:
    assert "progress: 2 of 2 (100%)" in there("map", "double", "-i", "-", input='{"v": 1}\n{"v": 2}\n').stderr


def test_a_mapping_is_carried_out_there(there: Call) -> None:
    done = there("map", "double", "-i", "-", "--json", input='{"v": 12}\n{"v": 13}\n')
    told = json.loads(done.stdout)

    assert done.exit_code == 1
    assert told["output"] == {"error": 1, "success": 1}
    children = json.loads(there("executions", "--parent", str(told["id"]), "--json").stdout)["items"]
    assert sorted(child["status"] for child in children) == ["error", "success"]


def test_executions_are_looked_at_and_done_again(there: Call) -> None:
    told = json.loads(there("run", "many", "-i", '{"count": 2}', "--json").stdout)
    number = str(told["id"])

    assert f"Execution {number} of work/many" in there("show", number).stdout
    assert json.loads(there("show", number, "--tree", "--json").stdout)["count"] == 3
    assert number in there("executions", "many", "--status", "success", "--since", "1h", "--limit", "1").stdout
    assert there("retry", number).stdout == '{"sum": 2}\n'


def test_what_is_wrong_is_the_server_s_own_message(there: Call) -> None:
    for arguments, message in [
        (["run", "nothing"], "Error: There is no job 'nothing'. There are work/double, "),
        (["run", "double"], "Error: double(value) takes 1 input, and 0 were given.\n"),
        (["run", "area", "--cat-partition", "west"], "west"),
        (["show", "99999"], "Error: There is no execution 99999"),
        (["cancel", "99999"], "Error: There is no execution 99999"),
        (["logs", "99999", "-f"], "Error: There is no execution 99999"),
        (["executions", "--cursor", "nonsense"], "Error: cursor is 'nonsense'"),
    ]:
        refused = there(*arguments)
        assert (refused.exit_code, refused.stdout) == (2, ""), refused.output
        assert message in refused.stderr


def test_more_than_the_server_takes_at_once_is_told(there: Call, folder: Path) -> None:
    (folder / "in.jsonl").write_text("".join(f'{{"v": "{"x" * 30_000}"}}\n' for _ in range(600)), "utf-8")

    refused = there("map", "double", "-i", "in.jsonl")

    assert refused.exit_code == 2
    assert (
        "than " in refused.stderr
    )  # "larger than the … bytes that this address takes", or "more than it takes at once"
    assert "in parts" in refused.stderr


def test_a_log_is_followed_and_an_execution_cancelled(
    there: Call, server: Server, place: Path, processes: list[Process]
) -> None:
    running = Process(place, "run", "wait_below", "-i", '{"file": "never"}', "--server", server.url)
    processes.append(running)
    running.line_with("waiting")
    task = json.loads(there("executions", "wait_for", "--status", "running", "--json").stdout)["items"][0]
    following = Process(place, "logs", str(task["id"]), "-f", "--server", server.url)
    processes.append(following)
    following.line_with("waiting")
    assert str(task["id"]) in there("concurrency").stdout

    cancelled = there("cancel", str(task["parent_id"]))

    assert cancelled.stdout == f"Execution {task['parent_id']} of work/wait_below is being cancelled.\n"
    assert running.wait() == 1
    assert following.wait() == 0
    assert "cancelled" in running.lines[-1]
    assert there("cancel", str(task["parent_id"])).exit_code == 2


def test_ctrl_c_leaves_it_running_there(there: Call, server: Server, place: Path, processes: list[Process]) -> None:
    running = Process(place, "run", "wait_below", "-i", '{"file": "later"}', "--server", server.url)
    processes.append(running)
    running.line_with("waiting")

    running.signal(signal.SIGINT)

    assert running.wait() == 130
    number = re.search(r"Execution (\d+) goes on at", running.lines[-1])
    assert number is not None
    (place / "later").touch()
    shown: Callable[[], str] = lambda: json.loads(there("show", number[1], "--json").stdout)["status"]  # noqa: E731
    assert eventually(lambda: shown() if shown() != "running" else "") == "success"


def test_flows_that_are_named_narrow_what_is_meant(there: Call, place: Path, folder: Path) -> None:
    (folder / "work_flow.py").write_text(WORK_FLOW, "utf-8")
    (folder / "other.py").write_text("from microflow import create_flow\nflow = create_flow('other')\n", "utf-8")

    assert there("run", "double", "-f", "work_flow", "-i", '{"v": 1}').stdout == '{"v": 2}\n'
    assert "There are no jobs." in there("run", "double", "-f", "other", "-i", '{"v": 1}').stderr


def test_a_store_that_is_typed_goes_before_a_server_of_the_environment(
    there: Call, place: Path, server: Server
) -> None:
    store = f"sqlite:///{place / '.microflow' / 'store.db'}"

    both = there("executions", "--server", server.url, "--store", store)

    assert there("executions", "--store", store).exit_code == 0
    assert both.exit_code == 2
    assert both.stderr.endswith("Error: A server has its own store: give --server or --store, not both.\n")


def test_cancelling_without_a_server_says_what_to_do(call: Call) -> None:
    refused = call("cancel", "1")

    assert refused.exit_code == 2
    assert "name that with --server URL, or MICROFLOW_SERVER" in refused.stderr


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:1", "Error: No server answers at http://127.0.0.1:1 ("),
        ("127.0.0.1:1", "Error: No server answers at http://127.0.0.1:1 ("),
        ("file:///etc/passwd", "Error: The server 'file:///etc/passwd' is no address"),
        ("http://", "Error: The server 'http://' is no address"),
        ("http://localhost:port", "Error: The server 'http://localhost:port' is no address"),
    ],
)
def test_a_server_that_is_none_is_told(call: Call, url: str, message: str) -> None:
    refused = call("jobs", "--server", url)

    assert refused.exit_code == 2
    assert refused.stderr.startswith(message)


class Stranger(http.server.BaseHTTPRequestHandler):
    """Answers everything with a page."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path.startswith("/api/executions") else 404)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_a_server_of_another_kind_is_told(call: Call) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever).start()
        url = f"http://127.0.0.1:{stranger.server_port}"

        missing, nonsense = call("jobs", "--server", url), call("executions", "--server", url)
        stranger.shutdown()

    assert missing.exit_code == nonsense.exit_code == 2
    assert missing.stderr.startswith(f"Error: What answers at {url} is no Microflow server")
    assert nonsense.stderr.startswith(f"Error: What answers at {url} is no Microflow server")
