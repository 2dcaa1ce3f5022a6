"""How ``dev.py test`` comes by a browser: what is there, what Debian has, what Playwright downloads; and which tests need one."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ..conftest import leave_out

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the programs that stand in for others are shell scripts"
)


@pytest.fixture
def real() -> str:
    """A browser of this machine."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        leave_out("there is no browser; install Chromium, or name one with CHROMIUM=/path/to/it")
    return found


@pytest.fixture
def module(dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """``development.browser`` on a machine that has nothing but what a test puts into ``programs``."""
    from development import browser

    (tmp_path / "programs").mkdir()
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "downloaded"))
    monkeypatch.setenv("PLAYWRIGHT_DOWNLOAD_HOST", "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setattr(browser, "PATH", str(tmp_path / "programs"))
    return browser


def program(folder: Path, name: str, text: str) -> Path:
    path = folder / "programs" / name
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)
    return path


def test_a_browser_that_is_there_is_used(module: ModuleType, tmp_path: Path, real: str) -> None:
    there = program(tmp_path, "chromium", f'exec {real} "$@"')

    assert module.browser(get=False) == str(there)


def test_one_that_can_not_be_started_is_passed_over(
    module: ModuleType, tmp_path: Path, real: str, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = program(tmp_path, "chromium", "echo install the snap >&2; exit 1")
    works = program(tmp_path, "google-chrome", f'exec {real} "$@"')

    assert module.browser(get=False) == str(works)
    assert f"{broken} can't be started: " in capsys.readouterr().err


def test_root_on_debian_gets_the_package_and_is_told(
    module: ModuleType, tmp_path: Path, real: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    chromium = tmp_path / "programs" / "chromium"
    install = f"printf '#!/bin/sh\\nexec {real} \"$@\"\\n' > {chromium}; /bin/chmod 755 {chromium}"
    program(tmp_path, "apt-get", f'echo apt-get "$@"; case "$*" in *install*) {install};; esac')
    monkeypatch.setattr(module, "is_root", lambda: True)

    assert module.browser(get=False) is None
    assert module.browser(get=True) == str(chromium)
    said = capfd.readouterr()
    assert "installing the package chromium with apt-get" in said.err
    assert "install --yes chromium" in said.err
    assert said.out == ""  # standard output is for the path


def test_others_install_nothing_on_the_system(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program(tmp_path, "apt-get", f"touch {tmp_path}/called")
    monkeypatch.setattr(module, "is_root", lambda: False)

    assert module.browser(get=True) is None
    assert not (tmp_path / "called").exists()
    said = capfd.readouterr().err
    assert "downloading Chromium with Playwright" in said
    assert "Playwright could not download Chromium. Error: " in said


def test_a_browser_that_is_named_must_be_one(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "nowhere"))

    assert module.browser(get=True) is None
    assert "nowhere can't be started: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "needs", "named"),
    [
        ([], True, False),
        (["-k", "payload"], True, False),
        (["tests"], True, False),
        (["tests/browser"], True, True),
        (["tests/model", "tests/browser/test_dag.py::test_x", "-n", "0"], True, True),
        (["tests/model"], False, False),
        (["--ignore", "tests/browser", "tests/web"], False, False),
        (["--rootdir", ".", "tests/web/test_api.py"], True, False),  # no such file: pytest will say so
    ],
)
def test_a_browser_is_looked_for_where_the_tests_need_one(
    dev: ModuleType, arguments: list[str], needs: bool, named: bool
) -> None:
    assert dev.browser_need(arguments) == (needs, named)
