"""Files: small ones, in rooms with names, that fit on any machine."""

from __future__ import annotations

import re
from pathlib import Path

LONG_LINES_OF = 400
NEVER_MORE_THAN = 500
LONG: dict[str, str] = {
    "tests/browser/test_partitions.py": "one page on one server, in every way that a person uses it",
}
"""Files of more than 400 lines, with the reason. Better cut them."""

CODE = {".py", ".js", ".css", ".html", ".sql"}
NO_ROOMS = {"utils", "util", "common", "helpers", "helper", "misc"}

# Written so that this file does not name what it looks for.
REGISTRY_HOST = re.compile(r"\b(?:py(?:pi|thonhosted)|npmjs|crates|(?:deb|security)\.debian)\.(?:org|io|com)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:root|work|home|Users)/\w+|\b[A-Z]:\\Users\\")


def test_no_file_is_too_long(root: Path, tracked: list[Path]) -> None:
    lengths = {path.as_posix(): line_count(root / path) for path in tracked if path.suffix in CODE}

    assert {path: length for path, length in lengths.items() if length > NEVER_MORE_THAN} == {}
    assert {path: length for path, length in lengths.items() if length > LONG_LINES_OF and path not in LONG} == {}


def test_every_exception_is_still_needed_and_has_its_reason(root: Path) -> None:
    assert [path for path, reason in LONG.items() if not reason or line_count(root / path) <= LONG_LINES_OF] == []


def test_no_room_is_called_utils(tracked: list[Path]) -> None:
    assert [path for path in tracked if NO_ROOMS.intersection(part.lower() for part in (*path.parts, path.stem))] == []


def test_no_file_names_a_registry_or_a_path_of_one_machine(root: Path, tracked: list[Path]) -> None:
    found = [
        f"{path}: {match.group()}"
        for path in tracked
        for pattern in (REGISTRY_HOST, MACHINE_PATH)
        for match in pattern.finditer((root / path).read_text("utf-8", "replace"))
    ]

    assert found == []


def test_the_lock_names_no_place(root: Path) -> None:
    for file in (root / "requirements").glob("*.txt"):
        assert "://" not in file.read_text("utf-8"), file


def line_count(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())
