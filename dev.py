"""Commands for developing Microflow. Each command sets up everything that it needs, except Python 3.11 or newer and git.

    python3 dev.py demo [--port 3000]   run the example on this Python's standard library, and keep its server running
    python3 dev.py test [ARGUMENTS]     run the tests; arguments go to pytest: dev.py test tests/model -k word
    python3 dev.py check [ARGUMENTS]    run everything that CI runs: format, lint, types, imports, JavaScript, tests
    python3 dev.py windows [ARGUMENTS]  run the tests of some areas on Windows' Python under Wine: dev.py windows model cli
    python3 dev.py docs                 build the documentation into docs/_build
    python3 dev.py picture              draw the picture of the web app in the README again
    python3 dev.py lock [--upgrade]     write requirements/*.txt again from pyproject.toml
    python3 dev.py run COMMAND …        run a command of the environment: dev.py run microflow --help

The environment is `.venv`. If `.venv` belongs to another version of Python, the environment is `.venv-3.13` or similar. It uses the
Python that runs this file; to use another one, set MICROFLOW_PYTHON=python3.13.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):
    sys.exit("Microflow needs Python 3.11 or newer, and this is %d.%d: %s" % (*sys.version_info[:2], sys.executable))

import ast
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent
if str(ROOT) not in sys.path:  # it is imported by a test, or run with python -P
    sys.path.insert(0, str(ROOT))

from development.demo import demonstrate, port_from
from development.processes import Failed, Stopped, become, call, end, note, raise_on_signals, run, start
from development.windows import PYTHON_VERSION, WindowsPython, need_wine, test_areas

REQUIREMENTS = ROOT / "requirements"
JAVASCRIPT = ROOT / "src/microflow/web/static/js"
BROWSER_TESTS = ROOT / "tests/browser"
OPTIONS_WITH_PATHS = {"--ignore", "--deselect", "--rootdir", "--basetemp", "-c"}
TYPESCRIPT = "typescript@5.9"
LOCK_COMMENT = "# Made by `python3 dev.py lock` from pyproject.toml; dev.py explains why this is not a uv.lock.\n"
DEVELOPMENT = ("run", "test", "lint")


class Environment(NamedTuple):
    """A virtual environment of this tree."""

    folder: Path

    @property
    def scripts(self) -> Path:
        """The folder of its commands."""
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.scripts / ("python.exe" if os.name == "nt" else "python")

    def find(self, command: str) -> str | None:
        """Return the path of a command of the environment, or None if it has no such command."""
        return shutil.which(command, path=str(self.scripts))

    def command(self, name: str) -> str:
        """Return the path of a command of the environment. Raises ``Failed`` if it has no such command."""
        found = self.find(name)
        if found is None:
            raise Failed(f"{name} is not in {self.folder}. Delete that folder, and try again.")
        return found


def set_up(*groups: str) -> Environment:
    """Return the environment, with at least these groups of requirements, exactly as locked, and with Microflow itself.

    1. Create `.venv` if it does not exist. 2. Install uv and the build backend with pip. 3. Install the locked requirements with
    uv. 4. Install Microflow as a link to this tree. A stamp in the environment records these steps, so that the next call returns
    at once. Groups that are already installed stay.
    """
    environment = Environment(environment_folder())
    stamp = environment.folder / "microflow-dev.json"
    known = json.loads(stamp.read_text("utf-8")) if stamp.exists() else {}
    wanted = sorted({"tool", *groups, *known.get("groups", ())})
    state = {"folder": str(environment.folder), "python": sys.version, "groups": wanted, "lock": lock_digest(wanted)}
    if known == state:
        return environment
    began = time.monotonic()
    note(f"Setting up {environment.folder.name} for Python {sys.version.split()[0]}: {', '.join(wanted)} …")
    moved = known.get("folder", state["folder"]) != state["folder"]  # its scripts still name the old folder
    if moved or not environment.python.exists():
        make_environment(environment)
    stamp.unlink(missing_ok=True)
    files = [f"requirements/{group}.txt" for group in wanted]
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}  # a newer version of pip does not matter here
    call([*pip_command(environment), "install", "-q", "--require-hashes", "-r", "requirements/tool.txt"], quiet)
    uv(environment, "sync", "--require-hashes", "--compile-bytecode", *files)
    uv(environment, "install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    stamp.write_text(json.dumps(state), "utf-8")
    note(f"Set up in {time.monotonic() - began:.0f} s.")
    return environment


def environment_folder() -> Path:
    """Return `.venv` if it belongs to this version of Python or does not exist, else a folder named after this version."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    plain = ROOT / ".venv"
    return plain if version_of(plain) in (version, None) else ROOT / f".venv-{version}"


def version_of(folder: Path) -> str | None:
    """Return the version of Python that an environment was made with, such as "3.11"; None if there is no environment."""
    try:
        lines = (folder / "pyvenv.cfg").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return None
    for line in lines:
        key, _, value = line.partition("=")
        if key.strip() in ("version", "version_info"):
            return ".".join(value.strip().split(".")[:2])
    return None


def make_environment(environment: Environment) -> None:
    """Make an empty virtual environment."""
    if find_spec("venv") is None or (find_spec("ensurepip") is None and find_spec("pip") is None):
        raise Failed(
            f"This Python ({sys.executable}) can't make virtual environments: it lacks venv or ensurepip. On Debian and Ubuntu: "
            "apt-get install python3-venv. Or use another Python: MICROFLOW_PYTHON=/path/to/python3 python3 dev.py …"
        )
    without_pip = ["--without-pip"] if find_spec("ensurepip") is None else []
    call([sys.executable, "-m", "venv", "--clear", *without_pip, str(environment.folder)])


def pip_command(environment: Environment) -> list[str]:
    """Return the command that calls pip for the environment."""
    own = subprocess.run([environment.python, "-c", "import pip"], stderr=subprocess.DEVNULL, check=False)
    if own.returncode == 0:
        return [str(environment.python), "-m", "pip"]
    if find_spec("pip") is None:
        raise Failed(f"Neither {environment.folder} nor {sys.executable} has pip. Delete that folder, and try again.")
    return [sys.executable, "-m", "pip", "--python", str(environment.python)]


def uv(environment: Environment, action: str, *arguments: str) -> None:
    """Run `uv pip` on the environment."""
    where = [] if action == "compile" else ["--python", str(environment.python)]
    command = [environment.command("uv"), "pip", action, "--quiet", *where, *arguments]
    call(command, uv_settings(pip_settings(environment), os.environ))


def pip_settings(environment: Environment) -> dict[str, str]:
    """Return the settings of pip by their keys, such as "global.index-url"."""
    listing = subprocess.run([*pip_command(environment), "config", "list"], capture_output=True, text=True, check=False)
    pairs = (line.partition("=") for line in listing.stdout.splitlines())
    return {key: str(ast.literal_eval(value)) for key, separator, value in pairs if separator}


def uv_settings(settings: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """Return environment variables that make uv use the registry of pip's settings, unless uv has settings of its own.

    uv does not read pip's settings. Behind a company's mirror, it would use a registry that it can't reach.
    """

    def setting(name: str) -> str | None:
        places = (f":env:.{name}", f"install.{name}", f"global.{name}")
        return next((settings[place] for place in places if settings.get(place)), None)

    wanted = {
        "UV_DEFAULT_INDEX": setting("index-url"),
        "UV_INSECURE_HOST": setting("trusted-host"),
        "SSL_CERT_FILE": setting("cert"),
        "UV_SYSTEM_CERTS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    if "UV_INDEX_URL" in variables:
        del wanted["UV_DEFAULT_INDEX"]
    return {name: value for name, value in wanted.items() if value and name not in variables}


def lock_digest(groups: Iterable[str]) -> str:
    """Return a digest of the files that define the environment."""
    files = [ROOT / "pyproject.toml", *(REQUIREMENTS / f"{group}.txt" for group in groups)]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def test(arguments: Sequence[str]) -> int:
    """Run the tests, on all cores. Tests that need a program which this machine lacks are skipped, except in CI."""
    os.chdir(ROOT)
    return become(*tests(arguments))


def tests(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Set up everything that the tests need, and return the command that runs them, with its environment variables."""
    environment = set_up("run", "test")
    path = f"{environment.scripts}{os.pathsep}{os.environ.get('PATH', '')}"  # for commands that tests start by name
    variables = {"PATH": path}
    needed, named = browser_need(arguments)
    if needed:
        found = find_browser(environment, again=named)
        if found is None and named:
            raise Failed(
                "The tests in tests/browser need a browser, and none could be started (see above). "
                "Install Chromium, or set CHROMIUM=/path/to/it."
            )
        variables |= {"CHROMIUM": found} if found else {}
    python = str(environment.python)
    return [python, "-m", "development.supervision", python, "-m", "pytest", "-n", "auto", *arguments], variables


def browser_need(arguments: Sequence[str]) -> tuple[bool, bool]:
    """Return whether arguments of pytest include browser tests, and whether they name any of these tests."""
    paths = paths_of(arguments)
    named = any(path.is_relative_to(BROWSER_TESTS) for path in paths)
    return named or not paths or any(BROWSER_TESTS.is_relative_to(path) for path in paths), named


def paths_of(arguments: Sequence[str]) -> list[Path]:
    """Return the files and folders of tests that arguments of pytest name."""
    names = (
        argument.partition("::")[0]
        for option, argument in pairwise(["", *arguments])
        if option not in OPTIONS_WITH_PATHS and not argument.startswith("-")
    )
    return [path for name in names if (path := (ROOT / name).resolve()).exists()]


def find_browser(environment: Environment, *, again: bool) -> str | None:
    """Return the path of a browser for the tests of the web app. If there is none, try to install one; None if that fails.

    After a failed installation, only a call with ``again`` tries to install a browser: a run that names tests of the web app.
    """
    failed = environment.folder / "microflow-no-browser"
    get = ["--get"] if again or not failed.exists() else []
    python = str(environment.python)
    command = [python, "-m", "development.supervision", python, "-m", "development.browser", *get]
    process = start(command, stdout=subprocess.PIPE)
    try:
        printed, _ = process.communicate()
    except Stopped:
        end(process, signal.SIGINT)
        raise
    found = None if process.returncode else os.fsdecode(printed).strip()
    if found is None:
        failed.touch()
    return found


def check(arguments: Sequence[str]) -> int:
    """Run everything that CI runs. A failed step does not stop the others; the tests come last."""
    environment = set_up(*DEVELOPMENT)
    mypy = [str(environment.python), "-m", "mypy"]
    steps: dict[str, Callable[[], int]] = {
        "ruff check": lambda: run([environment.command("ruff"), "check"]),
        "ruff format": lambda: run([environment.command("ruff"), "format", "--check"]),
        # a cache each: mypy discards a cache that was made for another platform
        "mypy for Linux": lambda: run([*mypy, "--platform=linux", "--cache-dir=.mypy_cache/linux"]),
        "mypy for Windows": lambda: run([*mypy, "--platform=win32", "--cache-dir=.mypy_cache/win32"]),
        "import contract": lambda: run([environment.command("lint-imports"), "--no-logo"]),
        "JavaScript types": check_javascript,
    }
    failed = []
    for name, step in steps.items():
        note(f"— {name}")
        if step():
            failed.append(name)
    note("— tests")
    code = run(*tests(arguments))
    if failed:
        note(f"Failed before the tests: {', '.join(failed)}.")
    return code or bool(failed)


def check_javascript() -> int:
    """Check the types of the web app's modules if Node.js is installed; only this check needs it."""
    npx = shutil.which("npx")
    if npx is None or not any(JAVASCRIPT.rglob("*.js")):
        note("Skipped: npx is not on PATH. Install Node.js." if npx is None else "There is no JavaScript.")
        return 0
    return run([npx, "--yes", "--package", TYPESCRIPT, "tsc", "--project", "tsconfig.json"])


def windows(arguments: Sequence[str]) -> int:
    """Pass the tests of the areas that are named, or of all, under Wine; other arguments are pytest's."""
    need_wine()
    environment = set_up("run", "test")
    python = WindowsPython(ROOT / ".venv-windows", lock_digest(("run", "test", "windows")))
    if not python.is_current:
        note(f"Setting up {python.folder.name}: Python {PYTHON_VERSION} for Windows …")
        python.make(pip_command(environment), lambda *options: uv(environment, "install", *options))
    return test_areas(python, arguments)


def docs(arguments: Sequence[str]) -> int:
    """Write the page of the command line again, and build the documentation; a warning is an error."""
    environment = set_up("run", "docs")
    call([str(environment.python), "docs/command_line.py"])
    call([environment.command("sphinx-build"), "-W", "-q", *arguments, "docs", "docs/_build"])
    note(f"The documentation is {ROOT / 'docs/_build/index.html'}")
    return 0


def picture(_arguments: Sequence[str]) -> int:
    """Draw the picture of the web app in the README again, in a browser."""
    environment = set_up("run", "test")
    browser = find_browser(environment, again=True)
    if browser is None:
        raise Failed(
            "The picture needs a browser, and none could be started (see above). Install Chromium, or set CHROMIUM to its path."
        )
    call([str(environment.python), "-m", "development.picture", browser])
    return 0


def lock(arguments: Sequence[str]) -> int:
    """Write the lock again. Locked versions stay if pyproject.toml allows; with --upgrade, every package gets its newest version.

    The lock is a set of requirements files for all platforms, not a uv.lock. A uv.lock names, for each file, the host of the
    registry that it was made with, and this lock must also serve people who use another mirror. A version and the hashes of its
    files identify a package without a host.
    """
    if unknown := set(arguments) - {"--upgrade"}:
        raise Failed(f"dev.py lock takes --upgrade, and got {' '.join(sorted(unknown))}.")
    environment = set_up()
    options = ["--universal", "--generate-hashes", "--python-version=3.11", "--no-emit-index-url", "--no-header"]
    earlier: list[str] = []
    for group in ("run", "tool", *DEVELOPMENT[1:], "docs", "windows"):
        target = f"requirements/{group}.txt"
        source = ["pyproject.toml"] if group == "run" else ["--group", group]
        # the versions of one group also apply to the later ones, so that all of them fit into one environment
        uv(environment, "compile", *source, *options, *arguments, *earlier, "--output-file", target)
        (ROOT / target).write_text(LOCK_COMMENT + (ROOT / target).read_text("utf-8"), "utf-8", newline="\n")
        earlier += ["--constraint", target]
    return 0


def run_command(arguments: Sequence[str]) -> int:
    """Run a command of the environment, in the current folder."""
    if not arguments:
        raise Failed("dev.py run needs a command, for example: python3 dev.py run microflow --help")
    name, *rest = arguments
    environment = set_up("run")
    if environment.find(name) is None:
        environment = set_up(*DEVELOPMENT)
    return become([environment.command(name), *rest])


def demo(arguments: Sequence[str]) -> int:
    """Serve the example, run it, print the path of its report, and keep the server running until a signal ends both."""
    port = port_from(arguments)
    return demonstrate(set_up("run").command("microflow"), port)


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "demo": demo,
    "test": test,
    "check": check,
    "windows": windows,
    "docs": docs,
    "picture": picture,
    "lock": lock,
    "run": run_command,
}


def main(arguments: Sequence[str]) -> int:
    """Run one command, and return its exit code."""
    if other := os.environ.get("MICROFLOW_PYTHON"):
        if (found := shutil.which(other)) is None:
            print(f"MICROFLOW_PYTHON names {other!r}, which is not on PATH.", file=sys.stderr)
            return 2
        return become([found, __file__, *arguments], {"MICROFLOW_PYTHON": ""})
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help", "help"):
        print(__doc__)
        return 0
    if name not in COMMANDS:
        print(f"dev.py has no command {name!r}; it has {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    raise_on_signals()
    try:
        return COMMANDS[name](rest)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    except Stopped as stopped:
        return stopped.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
