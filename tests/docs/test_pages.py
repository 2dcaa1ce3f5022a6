"""The pages of the documentation are complete."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import microflow
from microflow.web.api.routes import ENDPOINTS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "microflow"
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")


def headings(page: str) -> list[str]:
    return re.findall(r"^#+ (.+)$", (ROOT / "docs" / page).read_text("utf-8"), re.MULTILINE)


def test_every_error_has_its_heading() -> None:
    errors = {
        name
        for name in microflow.__all__
        if isinstance(found := getattr(microflow, name), type) and issubclass(found, microflow.MicroflowError)
    } - {"MicroflowError"}

    assert sorted(errors - set(headings("errors.md"))) == []


def test_the_page_of_the_command_line_is_its_help() -> None:
    script = [sys.executable, "-c", "import command_line; print(command_line.page(), end='')"]
    page = subprocess.run(script, cwd=ROOT / "docs", capture_output=True, encoding="utf-8", check=True).stdout

    assert (ROOT / "docs" / "cli.md").read_text("utf-8") == page, "python3 dev.py docs writes it anew"


def test_the_page_of_the_server_lists_the_whole_api() -> None:
    page = (ROOT / "docs" / "server.md").read_text("utf-8")
    listed = re.findall(r"^\| `(GET|POST) ([^`]+)` \|", page, re.MULTILINE)

    assert sorted(listed) == sorted((endpoint.method, endpoint.path) for endpoint in ENDPOINTS)


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    listed = index.split("```{toctree}")[1].split("```")[0].split()
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"}

    assert pages == {name for name in listed if not name.startswith(":") and not name.isdecimal()}


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "STYLE.md", "CHANGELOG.md"])
def test_what_a_page_links_to_is_there(page: str) -> None:
    targets = LINK.findall((ROOT / page).read_text("utf-8"))

    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_picture_of_the_rooms_is_true() -> None:
    """Every module of a room stands in a row of ARCHITECTURE.md that begins with the room, and nothing else does.

    A folder inside a room is a room of its own where a row begins with it, else it stands in a row of its room like a module.
    """
    drawn: dict[str, set[str]] = {}
    for line in (ROOT / "ARCHITECTURE.md").read_text("utf-8").splitlines():
        if match := re.match(r"\| `([\w/]+)/\w+`", line):
            names = re.findall(r"`(?:[\w/]+/)?(\w+)`", line.split("|")[1])
            drawn.setdefault(match[1], set()).update(names)

    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == {room.partition("/")[0] for room in drawn}
    built = {room: {name for name in modules_of(PACKAGE / room) if f"{room}/{name}" not in drawn} for room in drawn}
    missing = [f"{room}/{name}" for room in drawn for name in built[room] - drawn[room]]
    gone = [f"{room}/{name}" for room in drawn for name in drawn[room] - built[room]]
    assert (missing, gone) == ([], []), "name in ARCHITECTURE.md what is missing there, and drop what is gone"


def modules_of(room: Path) -> set[str]:
    """The modules and packages in a folder, without its own front."""
    names = {path.stem for path in room.glob("*.py")} | {path.parent.name for path in room.glob("*/__init__.py")}
    return names - {"__init__"}
