"""What a user gets by installing Microflow stays small."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import distributions
from pathlib import Path
from types import ModuleType

import pytest

from ..conftest import leave_out

DISTRIBUTIONS = 20
MEGABYTES = 15


@pytest.fixture(scope="module")
def installed(root: Path, dev: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a real install of this tree and everything it needs, as locked.

    It needs the network only where uv's cache lacks a file; `dev.py` fills the cache when it makes the environment. uv reaches the
    registry as it does there: the one that pip is set to use, with the certificates that pip trusts.
    """
    uv = shutil.which("uv", path=sysconfig.get_path("scripts"))
    if uv is None:
        leave_out("this environment has no uv; `python3 dev.py test` makes one that has")
    settings = dev.uv_settings(dev.pip_settings(dev.Environment(Path(sys.prefix))), os.environ)
    target = tmp_path_factory.mktemp("installed")
    install = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(target), "--no-deps"]
    for what in (["--requirement", str(root / "requirements" / "run.txt")], ["--no-build-isolation", str(root)]):
        done = subprocess.run(
            [*install, *what], env={**os.environ, **settings}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"uv could not install {what[-1]}; is the registry reached?\n{done.stderr}"
    return target


def test_the_install_has_few_distributions(installed: Path) -> None:
    names = sorted(distribution.name for distribution in distributions(path=[str(installed)]))

    assert "microflow" in names
    assert len(names) <= DISTRIBUTIONS, names


def test_the_install_is_small(installed: Path) -> None:
    size = sum(
        path.stat().st_size for path in installed.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )

    assert size <= MEGABYTES * 1_000_000


def test_the_package_has_everything_it_reads_at_run_time(installed: Path, root: Path) -> None:
    source, copy = root / "src" / "microflow", installed / "microflow"
    files = {
        path.relative_to(source) for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }

    assert [path for path in sorted(files) if not (copy / path).is_file()] == []
