"""Run commands so that each ends with this process, even if a signal ends it.

A command gets a process group of its own. A signal to this process alone (an IDE's stop button, ``timeout``) and a signal to its
whole group (Ctrl-C in a terminal) therefore have the same effect: this process passes it on, once, and waits for the command.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

PATIENCE = 15.0
"""Seconds that a command has to end after it received a signal; then it is killed."""

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK")  # not every platform has all of them


class Failed(Exception):
    """A command can't be carried out. The message is for the person at the terminal."""


class Stopped(BaseException):
    """A signal asks this process to end; ``code`` is the exit code that stands for it."""

    def __init__(self, number: int) -> None:
        self.code = 128 + number
        super().__init__(signal.Signals(number).name)


class _Stopping:
    """How often a signal asked this process to end, and the command that it waits for since then."""

    told = 0
    waits_for: subprocess.Popen[bytes] | None = None


def raise_on_signals() -> None:
    """Let the first signal that asks this process to end raise ``Stopped`` in the main thread.

    Further signals raise nothing, so that they do not interrupt the cleanup: they kill the command that this process waits for.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        _Stopping.told += 1
        if _Stopping.told == 1:
            raise Stopped(number)
        if _Stopping.waits_for is not None:
            _Stopping.waits_for.kill()

    for number in ending_signals():
        signal.signal(number, stop)


def ignore_signals() -> None:
    """Ignore all signals that ask this process to end, because it is about to end."""
    for number in ending_signals():
        signal.signal(number, signal.SIG_IGN)


def ending_signals() -> list[signal.Signals]:
    """Return the signals that ask a process to end on this platform, except a hang-up signal that ``nohup`` made it ignore."""
    known = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    return [number for number in known if number.name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN]


def note(text: str) -> None:
    """Print a message for the person at the terminal, before the output of the next command."""
    with suppress(OSError):  # the terminal or the reader of the output may be gone
        print(text, flush=True)


def variables(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables of a command that is started here."""
    # without bytecode, every worker process would compile all modules again
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **(more or {})}


def start(command: Sequence[str], more: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
    """Start a command in the root of the tree, in a process group of its own. ``options`` go to ``Popen``."""
    group: dict[str, Any] = {} if sys.platform == "win32" else {"process_group": 0}
    return subprocess.Popen(command, **{"cwd": ROOT, "env": variables(more), **group, **options})


def end(process: subprocess.Popen[bytes], number: int, *, whole_group: bool = False) -> None:
    """End a command with a signal, and kill it if it does not end in time. Returns when it has ended.

    ``whole_group``: the other processes of its process group receive the signal as well, as they do after Ctrl-C in a terminal.
    """
    _Stopping.waits_for = process
    if _Stopping.told > 1:
        process.kill()
    elif process.poll() is None and sys.platform != "win32":  # on Windows, the console has sent it the signal already
        if whole_group and os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run(command: Sequence[str], more: Mapping[str, str] | None = None) -> int:
    """Run a command in the root of the tree, and return its exit code."""
    process = start(command, more)
    try:
        return process.wait()
    except Stopped:
        end(process, signal.SIGINT, whole_group=True)
        raise


def call(command: Sequence[str], more: Mapping[str, str] | None = None) -> None:
    """Run a command. Raises ``Failed`` if it does not succeed."""
    if code := run(command, more):
        raise Failed(f"This failed with exit code {code}; see its output above:\n  {' '.join(map(str, command))}")


def become(command: Sequence[str], more: Mapping[str, str] | None = None) -> int:
    """Replace this process by a command, so that the command receives every signal. On Windows, run it and return its exit code."""
    if sys.platform != "win32":
        os.execve(command[0], [str(word) for word in command], variables(more))
    process = subprocess.Popen(command, env=variables(more))
    while True:
        try:
            return process.wait()
        except (KeyboardInterrupt, Stopped):
            continue  # the console has sent the signal to the command as well, which decides when it ends
