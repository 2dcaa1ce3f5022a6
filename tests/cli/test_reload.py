"""``microflow reload`` on a real server, and ``serve --reload`` where only workers have imported what changed."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..conftest import ASK_TO_END
from .conftest import WORK_FLOW, Call, Server, eventually

Serve = Callable[..., Server]

PRICES = """

@flow.task
def price():
    import prices
    return {"price": prices.PRICE}

@flow.manager
def twice():
    first = price()
    Path("reached").touch()
    while not Path("go").exists():
        time.sleep(0.01)
    return [first, price()]
"""


@pytest.fixture
def shop(work: Path) -> Path:
    """The working directory; the flow has a task that imports ``prices.py`` in its worker."""
    (work / "work_flow.py").write_text(WORK_FLOW + PRICES, "utf-8")
    (work / "prices.py").write_text("PRICE = 1\n", "utf-8")
    return work


def post(server: Server, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        server.url + path, json.dumps(body or {}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def get(server: Server, path: str) -> Any:
    with urllib.request.urlopen(server.url + path, timeout=60) as answer:
        return json.loads(answer.read())


def price(server: Server) -> Any:
    return post(server, "/api/jobs/work/price/executions", {"wait": 60})["output"]


def test_a_server_loads_its_code_again_and_what_runs_keeps_its_own(shop: Path, serve: Serve, call: Call) -> None:
    server = serve()
    running = post(server, "/api/jobs/work/twice/executions")["id"]
    eventually((shop / "reached").exists)
    (shop / "prices.py").write_text("PRICE = 2\n", "utf-8")
    assert price(server) == {"price": 1}
    assert eventually(lambda: get(server, "/api/health").get("newer_files")) == ["prices.py"]

    done = call("reload", "--server", server.url)

    assert (done.exit_code, done.stdout) == (0, "Reloaded.\n  files changed      prices.py\n")
    assert price(server) == {"price": 2}
    (shop / "go").touch()
    assert eventually(lambda: get(server, f"/api/executions/{running}")["output"]) == [{"price": 1}, {"price": 1}]
    assert price(server) == {"price": 2}


def test_it_says_what_changed(shop: Path, serve: Serve, call: Call) -> None:
    server = serve()
    text = WORK_FLOW.replace("def keyed(", "def known(").replace("2 * value", "3 * value") + PRICES
    (shop / "work_flow.py").write_text(
        text.replace("@flow.task\ndef price", '@flow.task(schedule="0 8 * * *")\ndef price')
    )

    done = call("reload", "--json", "--server", server.url)
    again = call("reload", "--server", server.url)

    assert json.loads(done.stdout) == {
        "flows": {"added": [], "removed": [], "changed": []},
        "jobs": {"added": ["work/known"], "removed": ["work/keyed"], "changed": ["work/double"]},
        "schedules": {"added": ["work/price"], "removed": [], "changed": []},
        "files": ["work_flow.py"],
        "not_loaded": [],
    }
    assert (again.exit_code, again.stdout) == (0, "Reloaded. Nothing has changed.\n")
    assert [schedule["name"] for schedule in get(server, "/api/schedules")["items"]] == ["price"]


def test_code_that_cannot_be_loaded_is_refused_in_words_and_the_server_goes_on(
    shop: Path, serve: Serve, call: Call
) -> None:
    server = serve()
    for text, words in (
        (WORK_FLOW + "\nflow =", "SyntaxError: invalid syntax"),
        (WORK_FLOW + "\n@flow.task(inputs=['x'], retries=-1)\ndef bad(a): return a\n", "retries is -1"),
    ):
        (shop / "work_flow.py").write_text(text, "utf-8")

        refused = call("reload", "--server", server.url)

        assert refused.exit_code == 2
        assert words in refused.stderr
        assert "Traceback" not in refused.stderr
        assert price(server) == {"price": 1}


def test_it_needs_a_server(call: Call) -> None:
    unnamed = call("reload")
    missing = call("reload", "--server", "http://localhost:1")

    assert (unnamed.exit_code, missing.exit_code) == (2, 2)
    assert "Name the running server" in unnamed.stderr
    assert "No server answers" in missing.stderr


def test_a_server_that_has_reloaded_often_ends_as_any_other(shop: Path, serve: Serve, call: Call) -> None:
    server = serve()
    for version in range(2, 6):
        (shop / "prices.py").write_text(f"PRICE = {version}\n", "utf-8")
        assert call("reload", "--server", server.url).exit_code == 0
        assert price(server) == {"price": version}

    server.signal(ASK_TO_END)
    assert server.wait() == 0


def test_a_file_that_only_workers_have_imported_restarts_it_too(shop: Path, serve: Serve) -> None:
    server = serve("--reload")
    assert price(server) == {"price": 1}

    (shop / "prices.py").write_text("PRICE = 2\n", "utf-8")
    server.line_with("Restarting: a source file changed.")
    server.line_with(" at http://")

    assert price(server) == {"price": 2}


def test_modules_from_elsewhere_that_changed_are_named(shop: Path, serve: Serve, call: Call, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "rates.py").write_text("RATE = 1\n", "utf-8")
    text = f"import sys\nsys.path.append({str(library)!r})\nimport rates\n" + WORK_FLOW + PRICES
    (shop / "work_flow.py").write_text(text, "utf-8")
    server = serve()
    unchanged = call("reload", "--server", server.url)
    (library / "rates.py").write_text("RATE = 2.5\n", "utf-8")

    changed = call("reload", "--server", server.url)

    assert unchanged.stdout == "Reloaded. Nothing has changed.\n"
    assert changed.stdout == (
        f"Reloaded.\n  not loaded again   {library / 'rates.py'} (outside the flows' folders: restart the server)\n"
    )
