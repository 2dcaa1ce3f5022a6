"""Paths that a user may not use, or that are not what they should be: one line that names the path and the reason, exit code 2."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from microflow import StoreError
from microflow.store.sqlite.logs import LogFiles

from .conftest import Call

IS_ROOT = sys.platform != "win32" and os.geteuid() == 0

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or (IS_ROOT and sys.platform != "linux"), reason="nobody is refused anything here"
)

START = """
import ctypes, os, sys
if os.geteuid() == 0:  # without the rights that open every file: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
    for capability in (1, 2, 3):
        assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, "-m", "microflow", *sys.argv[1:]])
"""

FLOW = "work_flow.py"

COMMANDS = {
    "serve": ["-f", FLOW, "--port", "0"],
    "run": ["double", "-f", FLOW, "--input", '{"v": 1}'],
    "map": ["double", "-f", FLOW, "-i", "in.jsonl"],
    "partitions": ["area", "-f", FLOW],
    "jobs": ["-f", FLOW],
    "schedules": ["-f", FLOW],
    "executions": ["--flow", FLOW],
    "show": ["1", "--flow", FLOW],
    "logs": ["1", "--flow", FLOW],
    "retry": ["1", "-f", FLOW],
    "prune": ["--older-than", "1d", "--flow", FLOW],
    "check": ["-f", FLOW],
}

WITH_STORE = ["serve", "run", "map", "partitions", "executions", "show", "logs", "prune"]


def with_flow(command: str, flow: str) -> list[str]:
    return [command, *(flow if word == FLOW else word for word in COMMANDS[command])]


def ended(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(command, text=True, timeout=100, check=False, **given)


@pytest.fixture
def user(work: Path, call: Call) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Carries out a command as a user whom the system refuses what a file's rights say; ``private`` may not be entered."""
    (work / "in.jsonl").write_text('{"v": 1}\n', "utf-8")
    store = ["--store", "sqlite:///good.db"]
    assert call("run", "double", "-f", FLOW, "--input", '{"v": 1}', *store).exit_code == 0
    private = work / "private"
    private.mkdir()
    for file in (FLOW, "good.db", "in.jsonl"):
        shutil.copy(work / file, private)
    private.chmod(0)
    yield lambda *arguments, **options: ended([sys.executable, "-c", START, *arguments], **{"cwd": work, **options})
    private.chmod(0o700)
    for folder in work.rglob("*"):
        if folder.is_dir():
            folder.chmod(0o700)


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line in which a command says what it could not do."""
    assert done.returncode == 2, done.stderr
    *usage, line = done.stderr.strip().splitlines()
    assert all(part == "" or part.startswith(("Usage: ", "Try ")) for part in usage), done.stderr
    assert line.startswith("Error: ")
    return line


@pytest.mark.parametrize("command", COMMANDS)
def test_a_flow_in_a_folder_that_may_not_be_entered(user: Any, command: str) -> None:
    told = refusal(user(*with_flow(command, f"private/{FLOW}")))

    assert f"private/{FLOW}" in told
    assert "Permission denied" in told


def test_a_flow_that_may_not_be_read(user: Any, work: Path) -> None:
    (work / "secret.py").write_text("", "utf-8")
    (work / "secret.py").chmod(0)

    told = refusal(user("check", "-f", "secret.py"))

    assert told.startswith("Error: secret.py can't be loaded: PermissionError: ")
    assert "Permission denied" in told


@pytest.mark.parametrize("flow", [f"{'x' * 300}.py", f"{'a/' * 3000}f.py", "loop.py"])
def test_a_flow_that_the_system_can_not_look_for(user: Any, work: Path, flow: str) -> None:
    (work / "loop.py").symlink_to("loop.py")

    assert "can't be loaded: " in refusal(user("check", "-f", flow))


@pytest.mark.parametrize("command", WITH_STORE)
def test_a_store_in_a_folder_that_may_not_be_entered(user: Any, command: str) -> None:
    told = refusal(user(command, *COMMANDS[command], "--store", "sqlite:///private/good.db"))

    assert "private/good.db" in told
    assert "Permission denied" in told


@pytest.mark.parametrize("command", WITH_STORE)
def test_a_store_that_may_not_be_read(user: Any, work: Path, command: str) -> None:
    (work / "good.db").chmod(0)

    told = refusal(user(command, *COMMANDS[command], "--store", "sqlite:///good.db"))

    assert "good.db" in told
    assert "Permission denied" in told


@pytest.mark.parametrize("command", ["serve", "run", "map", "prune"])
def test_a_store_in_a_folder_that_may_not_be_written_to(user: Any, work: Path, command: str) -> None:
    folder = work / "read_only"
    folder.mkdir()
    shutil.copy(work / "good.db", folder)
    folder.chmod(0o500)

    told = refusal(user(command, *COMMANDS[command], "--store", "sqlite:///read_only/good.db"))

    assert f"the folder {folder} can't be written to" in told


@pytest.mark.parametrize(
    ("store", "reason"),
    [
        ("folder", "Is a directory"),
        (FLOW, "file is not a database"),
        ("/dev/full", "full"),
        (f"{FLOW}/x/store.db", "Not a directory"),
        (f"{'x' * 300}.db", "File name too long"),
    ],
)
def test_a_store_that_can_not_be_one(user: Any, work: Path, store: str, reason: str) -> None:
    (work / "folder").mkdir()

    told = refusal(user("run", *COMMANDS["run"], "--store", f"sqlite:///{store}"))

    assert store in told
    assert reason in told


def test_a_log_that_may_not_be_read(user: Any, work: Path) -> None:
    assert user("run", *COMMANDS["run"], "--store", "sqlite:///good.db").returncode == 0
    logs = work / "good.db.logs" / "0000"
    logs.chmod(0)

    told = refusal(user("logs", "1", "--store", "sqlite:///good.db"))

    assert told == f"Error: The log can't be read: {logs}: Permission denied."


def test_a_log_that_can_not_be_read_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "0000" / "7.log").mkdir(parents=True)

    with pytest.raises(StoreError, match=r"The log can't be read: .*7\.log: Is a directory\."):
        LogFiles(tmp_path).read(7)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("private/in.jsonl", "Permission denied"),
        ("folder", "Is a directory"),
        ("in.jsonl/x", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("nowhere.jsonl", "No such file or directory"),
    ],
)
@pytest.mark.parametrize("command", ["map", "run"])
def test_inputs_that_can_not_be_read(user: Any, work: Path, command: str, file: str, reason: str) -> None:
    (work / "folder").mkdir()
    name = file if command == "map" else f"@{file}"

    told = refusal(user(command, "double", "-f", FLOW, "-i", name))

    assert told == f"Error: {file!r} can't be read: {reason}."


@pytest.mark.parametrize("given", ["private/x", f"{FLOW}/x", "/dev/null/x", "x" * 300])
def test_a_folder_that_can_not_be_made(user: Any, given: str) -> None:
    assert f"{given}/my_flow.py can't be written: " in refusal(user("init", given))


@pytest.mark.parametrize("command", [*COMMANDS, "init"])
def test_a_working_directory_that_was_removed(work: Path, tmp_path: Path, command: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    arguments = ["init"] if command == "init" else with_flow(command, str(work / FLOW))
    script = 'cd "$1" && rmdir "$1" && shift && exec "$@"'

    told = refusal(ended(["sh", "-c", script, "sh", str(gone), sys.executable, "-m", "microflow", *arguments]))

    assert str(gone) in told
    assert "No such file or directory" in told


@pytest.mark.parametrize("arguments", [["--help"], ["jobs", "-f", FLOW], ["check", "-f", FLOW, "--json"]])
def test_output_that_can_not_be_written(user: Any, arguments: list[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is always full")
    with open("/dev/full", "wb") as full:
        done = user(*arguments, stdout=full)

    assert refusal(done) == "Error: No space left on device."


@pytest.mark.parametrize("arguments", [["jobs", "-f", FLOW], ["partitions", "area", "-f", FLOW]])
@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_stream_that_is_closed_stops_nothing(work: Path, arguments: list[str], stream: str) -> None:
    done = ended(["sh", "-c", f'"$@" {stream}>&-', "sh", sys.executable, "-m", "microflow", *arguments], cwd=work)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_goes_away_is_no_traceback(work: Path) -> None:
    script = '{ sleep 0.2; "$@"; } | true'
    done = ended(["sh", "-c", script, "sh", sys.executable, "-m", "microflow", "jobs", "-f", FLOW], cwd=work)

    assert done.stderr == ""
