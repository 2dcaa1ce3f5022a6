"""The first example that users read: what it counts, and that it runs as a script."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from microflow.runtime import Context, CurrentExecution, Progress, active_execution

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "stdlib_report.py"

ZOO = """
class Zoo:
    def feed(self):
        def inner():
            return 1
        return inner

async def close():
    pass
"""


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example, for a library of three packages."""
    specification = spec_from_file_location("stdlib_report", EXAMPLE)
    assert specification is not None
    assert specification.loader is not None
    module = module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "stdlib_report", module)
    specification.loader.exec_module(module)
    for name, text in {
        "zoo/__init__.py": "",
        "zoo/keeper.py": ZOO,
        "zoo/tests/test_keeper.py": ZOO,
        "alone.py": "def only(): pass\n",
        "empty.py": "",
        "data/notes.txt": "no package",
        "site-packages/other/__init__.py": ZOO,
        "test/__init__.py": ZOO,
    }.items():
        path = tmp_path / "library" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    monkeypatch.setattr(module, "LIBRARY", tmp_path / "library")
    return module


@pytest.fixture
def told() -> Iterator[list[Progress]]:
    """What a job's function tells of its progress when it is called by itself."""
    told: list[Progress] = []
    execution = CurrentExecution(
        id=1, flow="stdlib_report", job="job", context=Context("job", lambda: ({}, {})), report=told.append
    )
    token = active_execution.set(execution)
    yield told
    active_execution.reset(token)


def test_the_packages_are_those_of_the_library_itself_the_largest_first(example: ModuleType) -> None:
    assert example.library_packages() == ["zoo", "alone.py", "empty.py"]


def test_a_package_is_measured_without_its_tests(example: ModuleType, told: list[Progress], tmp_path: Path) -> None:
    summary = example.measure_package.fn({"package": "zoo", "directory": str(tmp_path)})

    assert summary == {
        "package": "zoo",
        "modules": 2,
        "lines": 9,
        "functions": 3,
        "classes": 1,
        "longest": {"name": "feed", "module": "zoo.keeper", "lines": 4},
    }
    assert told == [(0, 2, "__init__.py"), (1, 2, "keeper.py")]


@pytest.mark.usefixtures("told")
def test_the_report_puts_the_packages_together(example: ModuleType, tmp_path: Path) -> None:
    for package in ("zoo", "alone.py", "empty.py"):
        example.measure_package.fn({"package": package, "directory": str(tmp_path)})

    report = example.write_report.fn({"packages": ["empty.py", "alone.py", "zoo"], "directory": str(tmp_path)})

    assert (report["packages"], report["modules"], report["functions"], report["lines"]) == (3, 4, 4, 10)
    written = json.loads(Path(report["json"]).read_text("utf-8"))
    assert [package["package"] for package in written["details"]] == ["zoo", "alone.py", "empty.py"]
    page = Path(report["html"]).read_text("utf-8")
    assert "zoo.keeper" in page
    assert "<script" not in page
    assert "://" not in page  # it needs nothing from elsewhere


@pytest.mark.skipif(not json.__file__.endswith(".py"), reason="this Python has no sources of its library")
def test_it_runs_as_a_script_on_the_real_library(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )

    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))
    assert report["modules"] > 300
    assert report["packages"] > 100
    assert sum(package["lines"] for package in report["details"]) == report["lines"]
    assert done.stdout.splitlines()[-1].endswith(str(tmp_path / "report" / "report.html"))
