"""`dev.py windows`: which tests run together, and how Windows calls their files."""

from __future__ import annotations

from pathlib import Path

import pytest
from development.windows import AREAS, runs_of, windows_path


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [
        ([], [[f"tests/{area}"] for area in AREAS]),
        (["cli", "model"], [["tests/cli"], ["tests/model"]]),
        (["cli", "-k", "word"], [["tests/cli", "-k", "word"]]),
        (["-x"], [[f"tests/{area}", "-x"] for area in AREAS]),
        (["tests/house/test_windows.py::test_x", "-x"], [["tests/house/test_windows.py::test_x", "-x"]]),
    ],
)
def test_each_area_is_a_run_of_its_own(arguments: list[str], runs: list[list[str]]) -> None:
    assert runs_of(arguments) == runs


def test_every_area_is_a_folder_of_tests(root: Path) -> None:
    assert [area for area in AREAS if not (root / "tests" / area).is_dir()] == []


def test_a_file_is_on_the_drive_that_wine_gives_to_this_system() -> None:
    assert windows_path(Path("/srv/flows/a b.py")) == r"Z:\srv\flows\a b.py"
