"""Imports go only downwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_import_contract_is_kept(root: Path) -> None:
    # in a process of its own, since the linter's set-up of logging would silence that of the other tests
    command = [Path(sys.executable).parent / "lint-imports", "--no-logo"]
    found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stdout
