"""dev.py: which environment it uses, and what it tells uv."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest

THIS = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(autouse=True)
def empty_tree(dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """dev.py works on a tree that is empty."""
    monkeypatch.setattr(dev, "ROOT", tmp_path)


def made_with(folder: Path, line: str) -> None:
    folder.mkdir()
    (folder / "pyvenv.cfg").write_text(f"home = /usr/bin\n{line}\n", "utf-8")


def test_the_first_environment_is_the_plain_one(dev: ModuleType, tmp_path: Path) -> None:
    assert dev.environment_folder() == tmp_path / ".venv"


@pytest.mark.parametrize("line", [f"version = {THIS}.99", f"version_info = {THIS}.99.final.0"])
def test_an_environment_of_this_python_is_used_again(dev: ModuleType, tmp_path: Path, line: str) -> None:
    made_with(tmp_path / ".venv", line)

    assert dev.environment_folder() == tmp_path / ".venv"


def test_an_environment_of_another_python_is_left_alone(dev: ModuleType, tmp_path: Path) -> None:
    made_with(tmp_path / ".venv", "version = 3.9.1")

    assert dev.environment_folder() == tmp_path / f".venv-{THIS}"


def test_uv_uses_the_registry_that_pip_is_set_to_use(dev: ModuleType) -> None:
    settings = {"global.index-url": "https://everyone.example/simple", ":env:.index-url": "https://mine.example/simple"}

    assert dev.uv_settings(settings, {})["UV_DEFAULT_INDEX"] == "https://mine.example/simple"


@pytest.mark.parametrize("variable", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_what_uv_is_told_itself_goes_first(dev: ModuleType, variable: str) -> None:
    settings = {"global.index-url": "https://everyone.example/simple"}

    assert "UV_DEFAULT_INDEX" not in dev.uv_settings(settings, {variable: "https://uv.example/simple"})


def test_the_demo_moves_aside_where_its_port_is_taken(dev: ModuleType) -> None:
    with socket.socket() as taken:
        with suppress(OSError):  # somebody else has it, which is as good
            taken.bind(("127.0.0.1", 3000))
        assert dev.port_from([]) not in (0, 3000)

    assert dev.port_from(["--port", "4711"]) == 4711


def test_wrong_use_is_told_in_one_line(root: Path) -> None:
    done = subprocess.run([sys.executable, "dev.py", "tset"], cwd=root, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.strip().startswith("dev.py has no command 'tset'; it has demo, test, check")
    assert done.stderr.count("\n") == 1
