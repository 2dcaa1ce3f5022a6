"""Running commands so that each ends with this process, whatever signal ends that.

A command gets a process group of its own. A signal to this process alone (an IDE's stop button, ``timeout``) and one to its whole
group (Ctrl-C in a terminal) therefore come to the same: this process passes it on, once, and waits for the command's end.
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
"""Seconds that a command has to end after it was told to; then it is killed."""

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK")  # not every platform has all of them


class Failed(Exception):
    """What was asked for can't be done; the message is for the person at the terminal."""


class Stopped(BaseException):
    """A signal asks this process to end; ``code`` is the exit code that says so."""

    def __init__(self, number: int) -> None:
        self.code = 128 + number
        super().__init__(signal.Signals(number).name)


class _Stopping:
    """How often this process was told to end, and the command that it waits for since."""

    told = 0
    waits_for: subprocess.Popen[bytes] | None = None


def raise_on_signals() -> None:
    """From now on the first signal that asks this process to end raises ``Stopped`` in the main thread.

    A further one raises nothing, so that no end is interrupted: it kills the command that this process waits for.
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
    """From now on nothing interrupts this process: it is about to end."""
    for number in ending_signals():
        signal.signal(number, signal.SIG_IGN)


def ending_signals() -> list[signal.Signals]:
    """The signals that ask a process to end, on this platform; without the hang-up that ``nohup`` has it ignore."""
    known = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    return [number for number in known if number.name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN]


def note(text: str) -> None:
    """Tell the person at the terminal, before anything that a command prints next."""
    with suppress(OSError):  # the terminal may be gone, or whoever read this
        print(text, flush=True)


def variables(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment variables of what is started here."""
    # without bytecode every worker process would compile everything anew
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **(more or {})}


def start(command: Sequence[str], more: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
    """Start a command in the root of the tree, in a process group of its own; ``options`` are those of ``Popen``."""
    group: dict[str, Any] = {} if sys.platform == "win32" else {"process_group": 0}
    return subprocess.Popen(command, **{"cwd": ROOT, "env": variables(more), **group, **options})


def end(process: subprocess.Popen[bytes], number: int, *, whole_group: bool = False) -> None:
    """Return when a command has ended: tell it to with a signal, and kill it where that is not enough.

    ``whole_group``: what the command has started in its process group is told as well, as by Ctrl-C in a terminal.
    """
    _Stopping.waits_for = process
    if _Stopping.told > 1:
        process.kill()
    elif process.poll() is None and sys.platform != "win32":  # on Windows, the console has told it already
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
    """Run a command in the root of the tree; its exit code."""
    process = start(command, more)
    try:
        return process.wait()
    except Stopped:
        end(process, signal.SIGINT, whole_group=True)
        raise


def call(command: Sequence[str], more: Mapping[str, str] | None = None) -> None:
    """Run a command that must succeed."""
    if code := run(command, more):
        raise Failed(f"This failed with exit code {code}; what it said stands above:\n  {' '.join(map(str, command))}")


def become(command: Sequence[str], more: Mapping[str, str] | None = None) -> int:
    """Let this process be that command from now on, so that every signal is the command's; its exit code where that can't be."""
    if sys.platform != "win32":
        os.execve(command[0], [str(word) for word in command], variables(more))
    process = subprocess.Popen(command, env=variables(more))
    while True:
        try:
            return process.wait()
        except (KeyboardInterrupt, Stopped):
            continue  # the console has told the command as well, which ends when it likes
