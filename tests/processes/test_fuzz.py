"""Cancels, kills and timeouts at random leave nothing behind: the first steps of ``bench/fuzz.py``, which takes ten thousand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).parents[2] / "bench" / "fuzz.py"


def test_after_cancels_kills_and_timeouts_no_place_is_in_use_and_nothing_is_unfinished(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(FUZZ), "100", "5"], capture_output=True, text=True, timeout=110, cwd=tmp_path, check=False
    )

    assert "0 things amiss" in run.stdout, run.stdout + run.stderr
    assert "processes left: 0" in run.stdout
    assert run.returncode == 0, run.stderr
