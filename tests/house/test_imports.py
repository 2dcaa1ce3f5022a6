"""Imports go only downwards, and nothing above the store knows what it is made of."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_the_import_contract_is_kept(root: Path) -> None:
    # in a process of its own, since the linter's set-up of logging would silence that of the other tests
    command = [Path(sys.executable).parent / "lint-imports", "--no-logo"]
    found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stdout


def test_nothing_above_the_store_reaches_through_it(root: Path) -> None:
    reach = re.compile(r"\.database\b|\bsqlite3\b|\bexecute_text\b|\bread_text\(\"SELECT|\.(lock|logs)\"")
    found = [
        f"{path.relative_to(root)}: {line.strip()}"
        for room in ("engine", "web", "views", "cli")
        for path in sorted(root.joinpath("src/microflow", room).rglob("*.py"))
        for line in path.read_text("utf-8").splitlines()
        if reach.search(line)
    ]

    assert found == []
