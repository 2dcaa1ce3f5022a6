"""The prose that people read has none of the mechanical patterns that STYLE.md lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from .prose import PATTERNS, Finding, findings

CHECKED = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "STYLE.md",
    "dev.py",
    "development/",
    "docs/",
    "examples/",
    "src/microflow/cli/commands/init.py",
    "src/microflow/cli/commands/starter.txt",
)
"""Files and folders whose prose is checked."""

NOT_YET = ("ARCHITECTURE.md", "src/", "tests/")
"""Files and folders that still have such patterns: move each to ``CHECKED`` once its prose is rewritten."""


def test_no_prose_has_a_mechanical_pattern(root: Path, tracked: list[Path]) -> None:
    files = [path for path in tracked if path.as_posix().startswith(CHECKED)]
    found = [str(finding) for path in files for finding in findings(root, path)]

    assert found == [], "STYLE.md shows what to write instead"


def test_every_place_that_is_checked_exists(root: Path) -> None:
    assert [place for place in (*CHECKED, *NOT_YET) if not (root / place).exists()] == []


@pytest.mark.parametrize(
    "text",
    [
        "A list of executions that are no children.",
        "A schedule that is none.",
        "The next server goes on with it.",
        "Whoever waits is answered.",
        "The run has begun.",
        "The page tells how many ended.",
        "It is given to what runs.",
        "The page lists the limits: who holds them, and who waits.",
        "What is queued stays.",
        "It ends. So it does when a worker dies.",
        "Give a unit, as 90d.",
        "It waits for ever.",
        "Load the code anew.",
        "A page that is wrapped where there\nare rows that are\nno children.",
    ],
)
def test_each_pattern_is_found(tmp_path: Path, text: str) -> None:
    assert found_in(tmp_path, "page.md", f"# Page\n\n{text}\n") != []


@pytest.mark.parametrize(
    "text",
    [
        "There is no job of this name, and it is no longer needed.",
        "What does the server know?",
        "The answer reports what changed, to users who wait.",
        'Write `begin`, or the words "goes on".',
        "So a mapping holds no threads, and a page is shown as a table.",
        "```text\nWhoever waits is told.\n```",
        "| instead of | write |\n|---|---|\n| what runs | executions |\n",
    ],
)
def test_good_english_code_and_quotes_are_left_alone(tmp_path: Path, text: str) -> None:
    assert found_in(tmp_path, "page.md", f"# Page\n\n{text}\n") == []


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("page.md", "# Page\n\n```python\nx = 1  # what runs\n```\n\nIt goes on.\n", [4, 7]),
        ("code.py", '"""It is no module."""\n\nbegun = f"whoever {1} waits"\n\n# it goes on\n', [1, 3, 5]),
        ("code.py", 'text = (\n    "it goes "\n    f"on with {1}"\n)\n', [2]),
        ("page.html", "<p>\n{# whoever #}\n{{ begun }} What runs <b>now</b>\n</p>\n", [1]),
        ("code.js", "let begun = 1;\n// it goes on\nshow('whoever');\n", [2, 3]),
        ("code.sql", "SELECT begun -- whoever waits\n", [1]),
        ("data.json", '{"whoever": 1}', []),
    ],
)
def test_prose_is_found_in_every_kind_of_file(tmp_path: Path, name: str, text: str, lines: list[int]) -> None:
    assert sorted({finding.line for finding in found_in(tmp_path, name, text)}) == lines


def test_a_finding_names_its_place_its_words_and_what_to_write() -> None:
    reason = next(iter(PATTERNS))

    assert str(Finding(Path("docs/a.md"), 3, "is no", reason)) == f"docs/a.md:3: 'is no' ({reason})"


def found_in(folder: Path, name: str, text: str) -> list[Finding]:
    (folder / name).write_text(text, "utf-8")
    return list(findings(folder, Path(name)))
