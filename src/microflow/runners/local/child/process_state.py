"""What a task may have changed around itself, put back before the next one; or the reason why its worker can't be used again."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from ...cpython import handler_of, raw_environment
from ...descriptors import identity

_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGCHLD", "SIGBREAK")
    if hasattr(signal, name)
)
"""Those whose handlers tasks set: for an interrupt, an end, a lost terminal, a time limit, and children."""


CHILDREN_END = 0.5
"""Seconds that the processes which a stopped task has left have at least to end by themselves."""


class Snapshot(NamedTuple):
    """What can be put back, as it is at one moment."""

    folder: str
    environment: dict[Any, Any]
    handlers: list[Any]
    recursion_limit: int
    threads: int
    mask: int
    limits: list[tuple[int, int]]


class ProcessState:
    """The state of a worker once its flow's modules have been imported, which every task finds."""

    def __init__(self, own_descriptors: Sequence[int] = ()) -> None:
        self._own = [(descriptor, identity(descriptor)) for descriptor in own_descriptors]
        self._pid = os.getpid()
        self._streams = (sys.stdin, sys.stdout, sys.stderr)
        (
            self._folder,
            self._environment,
            self._handlers,
            self._recursion_limit,
            self._threads,
            self._mask,
            self._limits,
        ) = self.now()
        self._output = [identity(descriptor) for descriptor in (1, 2)]

    def now(self) -> Snapshot:
        """The state at this moment."""
        try:
            folder = os.getcwd()
        except OSError:
            folder = ""  # it is gone
        mask = os.umask(0o022)
        os.umask(mask)
        return Snapshot(
            folder,
            raw_environment().copy(),
            [handler_of(number) for number in _SIGNALS],
            sys.getrecursionlimit(),
            threading.active_count(),
            mask,
            _limits(),
        )

    def keep(self, before: Snapshot, after: Snapshot) -> None:
        """What changed between two moments is there for every task from now on."""
        if after.folder not in (before.folder, ""):
            self._folder = after.folder
        for name in before.environment.keys() | after.environment.keys():
            if (value := after.environment.get(name)) is None:
                self._environment.pop(name, None)
            elif value != before.environment.get(name):
                self._environment[name] = value
        pairs = zip(before.handlers, after.handlers, self._handlers, strict=True)
        self._handlers = [known if was is now else now for was, now, known in pairs]
        if after.recursion_limit != before.recursion_limit:
            self._recursion_limit = after.recursion_limit
        self._threads += max(after.threads - before.threads, 0)
        if after.mask != before.mask:
            self._mask = after.mask
        if after.limits != before.limits:
            self._limits = after.limits

    def leave_if_forked(self) -> None:
        """End this process if it is a copy of the worker: a task forked, and the copy came back here."""
        if os.getpid() != self._pid:
            os._exit(0)

    def leave_if_robbed(self) -> None:
        """End this process if the task closed what the worker itself needs: its numbers may stand for the task's files now."""
        if any(identity(descriptor) != known for descriptor, known in self._own):
            os.write(2, b"The task closed the descriptors of its worker, so how it ended can't be told.\n")
            os._exit(1)

    def let_children_end(self) -> None:
        """Wait a moment for the processes that the task left, which have been told to end and are killed afterwards."""
        end = time.monotonic() + CHILDREN_END
        while _has_children() and time.monotonic() < end:
            time.sleep(0.01)

    def restore(self) -> str:
        """Put things back as they were; why this worker should run nothing more, "" if it is as good as new."""
        if [identity(descriptor) for descriptor in (1, 2)] != self._output:
            return "the task closed or replaced its standard output"
        if any(stream.closed for stream in self._streams):
            return "the task closed a standard stream"
        if (sys.stdin, sys.stdout, sys.stderr) != self._streams:
            sys.stdin, sys.stdout, sys.stderr = self._streams
        if threading.active_count() > self._threads:
            return "the task left a thread running"
        if _has_children():
            return "the task left a process running"
        if sys.modules.get("sys") is not sys:
            return "the task forgot the modules of its process"
        if _limits() != self._limits:
            return "the task changed what its process may use"
        os.umask(self._mask)
        self._restore_folder_and_environment()
        self._restore_signals()
        if sys.getrecursionlimit() != self._recursion_limit:
            sys.setrecursionlimit(self._recursion_limit)
        return ""

    def _restore_folder_and_environment(self) -> None:
        try:
            moved = os.getcwd() != self._folder
        except OSError:  # the folder it went to is gone
            moved = True
        if moved:
            os.chdir(self._folder)
        if raw_environment() != self._environment:
            wanted = self._environment.copy()
            for name in os.environ.copy():
                if os.environ.encodekey(name) not in wanted:
                    del os.environ[name]
            for key, value in wanted.items():
                os.environ[os.environ.decodekey(key)] = os.environ.decodevalue(value)

    def _restore_signals(self) -> None:
        if sys.platform != "win32" and signal.getitimer(signal.ITIMER_REAL)[0]:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip(_SIGNALS, self._handlers, strict=True):
            if handler_of(number) is not handler and handler is not None:
                signal.signal(number, handler)


if sys.platform == "win32":
    from ...windows_jobs import own_job

    def _has_children() -> bool:
        """Whether a process that the task started still runs, or one that such a process started."""
        job = own_job()
        return job is not None and job.count() > 1

    def _limits() -> list[tuple[int, int]]:
        return []  # there are none that a process sets itself

else:
    import resource

    _LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE)

    def _limits() -> list[tuple[int, int]]:
        """What the process may use of memory, time, disk and descriptors: a task may have lowered it, for itself."""
        return [resource.getrlimit(number) for number in _LIMITS]

    def _has_children() -> bool:
        """Whether a process that the task started still runs; one that ended and was never waited for is no harm."""
        try:
            if not hasattr(os, "waitid"):  # macOS before Python 3.13
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
                return True
            while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        return True
