"""Ending a process with everything it started, on every platform, also while too many files are open to see what that is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from typing import Protocol, TypeVar

import psutil

MARKER = "MICROFLOW_WORKER"
"""The environment variable that a worker and whatever it starts carry; its value names the worker."""

_LOOKS = 5
_MOMENT = 0.002
"""How often all processes are looked at for those of one worker, and how many seconds lie between."""

_YOUNG = 10.0
"""Seconds after its start in which a process may still be becoming another program."""

_TRIES = 20
_PAUSE = 0.05
"""How often, and after how many seconds, what needs a file is tried again while the process may open none."""

T = TypeVar("T")


def end_tree(pid: int, marker: str, job: JobObject | None) -> None:
    """Kill a process and all it started: its descendants, its process group, and whoever left both but carries its marker.

    Called before the process is waited for, so that the number is still its. The process itself is killed whatever goes wrong.
    On Windows ``job`` holds all of them; it is None if the process could not be put into one.
    """
    if job is not None:
        job.end()
        job.close()
        return
    try:
        _suspend(pid)  # so that it starts nothing more while its descendants are listed
        descendants = _patiently(lambda: psutil.Process(pid).children(recursive=True)) or []
    finally:  # also when Ctrl-C, a second time, interrupts this: what is suspended would stay for ever
        _kill_group(pid)
    _kill(descendants)
    end_marked(marker)


def ask_to_end(pid: int, marker: str) -> list[int]:
    """Ask all that a process started to end: SIGTERM, or Ctrl-Break on Windows, where that reaches the process too.

    Called as ``end_tree`` is; whoever is left is killed by that. Whom it asked, by their numbers.
    """
    if sys.platform == "win32":
        with suppress(OSError):  # there is no console that it could come from
            os.kill(pid, signal.CTRL_BREAK_EVENT)
        return []
    asked = _ask_descendants(pid, ())
    for process in _patiently(lambda: list(psutil.process_iter())) or []:
        if process.pid not in (pid, *asked) and _carries(process, marker):
            _patiently(process.terminate)
            asked.append(process.pid)
    return asked


def ask_own_to_end(known: Container[int]) -> list[int]:
    """Ask those descendants of this process to end whose numbers are not known: who was started since. Their numbers."""
    return [] if sys.platform == "win32" else _ask_descendants(os.getpid(), known)


def _ask_descendants(pid: int, known: Container[int]) -> list[int]:
    found = _patiently(lambda: psutil.Process(pid).children(recursive=True)) or []
    asked = [process for process in found if process.pid not in known]
    for process in asked:
        _patiently(process.terminate)
    return [process.pid for process in asked]


def end_marked(marker: str) -> None:
    """Kill every process that carries this marker: one that outlived its worker, in a session of its own.

    They are looked for again until there are none: one that was found may have started another before it ended.
    """
    for _ in range(_LOOKS):
        looked = _patiently(lambda: [(process, _carries(process, marker)) for process in psutil.process_iter()]) or []
        found = [process for process, carries in looked if carries]
        _kill(found)
        if not found and all(carries is not None for _, carries in looked):
            return
        time.sleep(_MOMENT)


def end_own_tree() -> None:
    """Kill everything this process started, and then itself."""
    _kill(_patiently(lambda: psutil.Process().children(recursive=True)) or [])
    if MARKER in os.environ:
        end_marked(os.environ[MARKER])
    _kill_group(os.getpid())
    os._exit(1)


def _carries(process: psutil.Process, marker: str) -> bool | None:
    """Whether a process carries this marker; None if that can't be told yet: it has no environment while it becomes a program."""
    try:
        if process.pid == os.getpid():
            return False
        environment = process.environ()
        if environment or time.time() - process.create_time() > _YOUNG:
            return environment.get(MARKER) == marker
        return None if process.status() != psutil.STATUS_ZOMBIE else False
    except psutil.Error:
        return False  # another user's process, or one that has just ended


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        _patiently(process.kill)


def _patiently(act: Callable[[], T]) -> T | None:
    """What ``act`` gives; None for a process that has ended already. While no file can be opened, others may close theirs."""
    for _ in range(_TRIES):
        try:
            return act()
        except psutil.Error:
            break
        except OSError:
            time.sleep(_PAUSE)
    return None


if sys.platform == "win32":
    from ..windows_jobs import CREATE_SUSPENDED
    from ..windows_jobs import JobObject as JobObject
    from ..windows_jobs import contained as contained

    CREATION_FLAGS = subprocess.CREATE_NEW_PROCESS_GROUP | CREATE_SUSPENDED
    """How a worker is created, which is then ``contained``: Ctrl-C in the console does not reach it."""

    def _suspend(pid: int) -> None:
        """Nothing: Windows has no signal for it."""

    def _kill_group(pid: int) -> None:
        """Kill a process; what it started is found by other means."""
        _kill(_patiently(lambda: [psutil.Process(pid)]) or [])

else:
    CREATION_FLAGS = 0

    class JobObject(Protocol):
        """Holds a process and all it started, on Windows alone."""

        def end(self) -> None: ...

        def close(self) -> None: ...

    def contained(pid: int) -> JobObject | None:
        """Nothing: other systems have no job objects."""
        return None

    def _suspend(pid: int) -> None:
        try:
            os.kill(pid, signal.SIGSTOP)
        except (ProcessLookupError, PermissionError):
            return  # it has ended, and is killed below otherwise

    def _kill_group(pid: int) -> None:
        """Kill the process group that a worker leads, and so the worker."""
        try:
            os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return  # nobody is left in it
