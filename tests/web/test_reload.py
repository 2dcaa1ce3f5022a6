"""New code over the REST API and by the button, and what says that files are newer than the code that is served."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from microflow.engine.engine import Engine
from microflow.loading import load_version
from microflow.model.events import Event
from microflow.web.http import newer_files
from microflow.web.http.newer_files import NewerFiles
from microflow.web.pages.reload import own_path

from .conftest import Client

SHOP = """
from microflow import create_flow
import prices

flow = create_flow("shop", timezone="UTC")

@flow.task(runner="thread", schedule="0 8 * * *")
def load():
    '''Load the prices.'''
    return {"price": prices.PRICE}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with a flow and a module of its; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(builtins, "__import__", builtins.__import__)
    monkeypatch.setattr(newer_files, "RECENT", 0.0)
    for name in ("path", "path_hooks", "meta_path"):
        monkeypatch.setattr(sys, name, [*getattr(sys, name)])
    (tmp_path / "shop.py").write_text(SHOP, "utf-8")
    (tmp_path / "prices.py").write_text("PRICE = 1", "utf-8")
    yield tmp_path
    for name in ("shop", "prices"):
        sys.modules.pop(name, None)
    sys.path_importer_cache.clear()


@pytest.fixture
def served(folder: Path, make_client: Callable[..., Client]) -> Iterator[Client]:
    """A client of a server of that flow."""
    engine = Engine(load_version(["shop.py"]).flows, store=f"sqlite:///{folder.as_posix()}/store.db")
    engine.start()
    yield make_client(engine)
    engine.stop(grace=30)


def executed(client: Client) -> Any:
    return client.post("/api/jobs/shop/load/executions", {"wait": 30}).json["output"]


def test_a_reload_answers_with_what_changed_and_the_next_execution_has_the_new_code(
    served: Client, folder: Path
) -> None:
    assert executed(served) == {"price": 1}
    (folder / "prices.py").write_text("PRICE = 2", "utf-8")
    (folder / "shop.py").write_text(SHOP + "\n@flow.task\ndef extra():\n    return {}\n", "utf-8")

    answer = served.post("/api/reload")

    assert answer.status == 200
    none: dict[str, list[str]] = {"added": [], "removed": [], "changed": []}
    assert answer.json == {
        "flows": none,
        "jobs": {**none, "added": ["shop/extra"]},
        "schedules": none,
        "files": ["prices.py", "shop.py"],
        "not_loaded": [],
    }
    assert executed(served) == {"price": 2}
    assert [job["name"] for job in served.get("/api/jobs").json["items"]] == ["load", "extra"]


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        ("1 / 0", "load", "shop.py, line 1: ZeroDivisionError: division by zero"),
        ("def broken(:", "load", "SyntaxError"),
        ("raise SystemExit(3)", "load", "ends the program while it is imported"),
        ("import nowhere_to_be_found", "load", "No module named 'nowhere_to_be_found'"),
        ("x = 1", "load", "shop.py holds no flow"),
        (SHOP.replace("0 8 * * *", "99 8 * * *"), "flow-check", "99"),
        (SHOP + "\n@flow.task\ndef load():\n    return {}\n", "load", "has a task named 'load' already"),
    ],
)
def test_code_that_cannot_be_loaded_is_a_problem_with_words_and_the_server_goes_on(
    served: Client, folder: Path, source: str, kind: str, words: str
) -> None:
    (folder / "shop.py").write_text(source, "utf-8")

    answer = served.post("/api/reload")

    assert answer.status == 422
    assert answer.json["type"] == f"urn:microflow:problem:{kind}"
    assert words in answer.detail
    assert executed(served) == {"price": 1}


def test_flows_that_were_not_loaded_from_a_file_are_a_conflict(client: Client) -> None:
    answer = client.post("/api/reload")

    assert answer.status == 409
    assert "can't be loaded again" in answer.detail


def test_a_reload_is_refused_as_any_act_from_another_site_is(served: Client) -> None:
    assert served.form("/reload", {}, origin="http://evil.example").status == 403
    assert served.get("/api/reload").status == 405


def test_health_names_the_files_that_are_newer(served: Client, folder: Path) -> None:
    assert "newer_files" not in served.get("/api/health").json
    (folder / "prices.py").write_text("PRICE = 2", "utf-8")
    assert served.get("/api/health").json["newer_files"] == ["prices.py"]
    served.post("/api/reload")
    assert "newer_files" not in served.get("/api/health").json


# Pages


@pytest.mark.parametrize("path", ["/", "/flows", "/flows/shop", "/jobs/shop/load", "/schedules", "/executions"])
def test_every_page_says_which_files_are_newer_until_they_are_loaded(served: Client, folder: Path, path: str) -> None:
    assert "changed on disk" not in served.get(path).text
    (folder / "prices.py").write_text("PRICE = 2", "utf-8")

    page = served.get(path).text
    assert "<code>prices.py</code> changed on disk" in page
    assert f'<input type="hidden" name="to" value="{path}">' in page

    served.post("/api/reload")
    assert "changed on disk" not in served.get(path).text


def test_many_files_are_counted(served: Client, folder: Path) -> None:
    engine: Engine = served.app.state.site.engine
    engine.changed_files = lambda: [folder / f"{name}.py" for name in "abcdef"]  # type: ignore[method-assign]

    page = served.get("/").text

    expected = "<code>a.py</code>, <code>b.py</code>, <code>c.py</code> and 3 more changed on disk"
    assert expected in page


def test_the_button_loads_the_code_and_leads_back(served: Client, folder: Path) -> None:
    (folder / "shop.py").write_text(SHOP.replace('"shop"', '"store"'), "utf-8")

    answer = served.form("/reload", {"to": "/schedules"})

    assert (answer.status, answer.headers["location"]) == (303, "/schedules")
    page = served.get("/flows").text
    assert 'href="/flows/store"' in page
    assert 'href="/flows/shop"' not in page
    assert 'data-code="1"' in page
    assert served.get("/flows/shop").status == 404


def test_the_button_says_why_the_code_cannot_be_loaded(served: Client, folder: Path) -> None:
    (folder / "shop.py").write_text("raise ValueError('<b>no</b>')", "utf-8")

    answer = served.form("/reload", {"to": "/flows/shop"})

    assert answer.status == 422
    assert "ValueError: &lt;b&gt;no&lt;/b&gt;" in answer.text
    assert 'href="/flows/shop"' in answer.text
    assert executed(served) == {"price": 1}


def test_the_button_of_a_server_that_cannot_load_its_code_says_so(client: Client) -> None:
    answer = client.form("/reload", {})

    assert answer.status == 409
    assert "can&#39;t be loaded again" in answer.text


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/", "/"),
        ("/flows/shop", "/flows/shop"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
        ("/a\tb", "/"),
    ],
)
def test_the_button_leads_to_pages_of_this_server_alone(text: str, path: str) -> None:
    assert own_path(text) == path


def test_an_error_page_names_no_files(served: Client, folder: Path) -> None:
    (folder / "prices.py").write_text("PRICE = 2", "utf-8")
    served.get("/")

    assert "prices.py" not in served.get("/nowhere").text


# Looking at the files


class FakeEngine:
    """An engine as far as files are concerned."""

    def __init__(self) -> None:
        self.reloads = 0
        self.looks = 0
        self.files: list[Path] = []
        self.told: list[Event] = []
        self.events = self

    def publish(self, event: Event) -> None:
        self.told.append(event)

    def changed_files(self) -> list[Path]:
        self.looks += 1
        return self.files


def test_files_are_looked_at_now_and_then_and_whoever_listens_is_told_once() -> None:
    engine, now = FakeEngine(), 100.0
    newer = NewerFiles(engine, lambda: now)  # type: ignore[arg-type]
    assert (newer.look(), newer.look(), engine.looks) == ((), (), 1)

    engine.files = [Path("a.py").absolute()]
    assert newer.look() == ()
    now += 3
    assert (newer.look(), newer.names, engine.looks) == (("a.py",), ("a.py",), 2)
    assert engine.told == [Event("code")]
    now += 3
    newer.look()
    assert engine.told == [Event("code")]

    engine.reloads, engine.files = 1, []
    assert newer.names == ()
    assert newer.look() == ()
    assert engine.looks == 4
