"""Ending a process with everything it started, on every platform."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable

import psutil

MARKER = "MICROFLOW_WORKER"
"""The environment variable that a worker and whatever it starts carry; its value names the worker."""


def end_tree(pid: int, marker: str) -> None:
    """Kill a process and all it started: its descendants, its process group, and whoever left both but carries its marker."""
    try:
        process = psutil.Process(pid)
        if sys.platform != "win32":
            process.suspend()  # so that it starts nothing more while its descendants are listed
        descendants = process.children(recursive=True)
    except psutil.Error:
        process, descendants = None, []
    if sys.platform != "win32":
        _signal_group(pid)
    _kill([*descendants, *([process] if process is not None else [])])
    end_marked(marker)


def end_marked(marker: str) -> None:
    """Kill every process that carries this marker: one that outlived its worker, in a session of its own."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARKER) == marker:
                found.append(process)
        except psutil.Error:
            continue  # another user's process, or one that has just ended
    _kill(found)


def end_own_tree() -> None:
    """Kill everything this process started, and then itself."""
    _kill(psutil.Process().children(recursive=True))
    if MARKER in os.environ:
        end_marked(os.environ[MARKER])
    if sys.platform != "win32":
        _signal_group(os.getpid())
    os._exit(1)


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.Error:
            continue  # it has ended already


if sys.platform != "win32":

    def _signal_group(pid: int) -> None:
        """Kill the process group that a worker leads. Called before the worker is waited for, so that the number is still its."""
        try:
            os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return  # nobody is left in it
