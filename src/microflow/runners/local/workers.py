"""One worker process seen from its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...flow import Flow
from ...user_code.reserved import is_reserving
from ...versions import CodeVersion, version_of
from ..cpython import interpreter_options
from .channels import Channel, ThreadedChannel
from .control import ControlPipe, StopTask
from .frames import (
    Code,
    Hello,
    Imported,
    Source,
    SourceQuery,
)
from .process_tree import CREATION_FLAGS, MARKER, JobObject, ask_to_end, contained, end_tree

open_channel: Callable[[subprocess.Popen[bytes]], Channel] = ThreadedChannel
if sys.platform != "win32":
    from .polling import PollingChannel

    open_channel = PollingChannel


class Worker:
    """One worker process. It runs one attempt at a time, and jobs of one ``flow``, so of one version of its code."""

    def __init__(self, opener: Callable[[subprocess.Popen[bytes]], Channel] = open_channel) -> None:
        self.flow: Flow | None = None
        self.version: CodeVersion | None = None
        self.marker = os.urandom(8).hex()
        self.executions = 0
        self.idle_since = 0.0
        self.known: set[int] = set()
        environment = {**os.environ, MARKER: self.marker, "PYTHONUNBUFFERED": "1"}
        self._control = ControlPipe()
        # a session of its own: what is typed at the terminal reaches the engine alone, which decides what becomes of tasks
        self._process = self._control.launch(
            [sys.executable, *_interpreter_options(), "-m", "microflow.runners.local.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            bufsize=0,
            start_new_session=True,
            creationflags=CREATION_FLAGS,
        )
        self._lock = threading.Lock()
        self._ended = self._closed = False
        self._job: JobObject | None = None
        try:
            self._job = contained(self._process.pid)
            self.channel = opener(self._process)
        except BaseException:  # too many open files, or it ended at once
            self.end()
            self._control.close()
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()
            raise
        try:
            self.channel.send(Hello([entry or os.getcwd() for entry in sys.path]))
        except BaseException:  # it ended at once
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def belong_to(self, flow: Flow) -> None:
        """From now on the worker runs jobs of this flow, with the version of the code that the flow is of."""
        self.flow = flow
        self.version = version = version_of(flow)
        self.send(
            Code(
                version.path_of(flow),
                list(version.own.own),
                list(version.own.others),
                {name: list(folders) for name, folders in version.meanings.folders.items()},
                version.sources.digests(),
                is_reserving(),
                version.environment_of(flow),
            )
        )

    def answer(self, query: SourceQuery) -> None:
        """Tell the worker what to import for a module that it has met."""
        assert self.version is not None, "a worker without a version asks for none"
        source = self.version.sources.content(query.path, query.source)
        self.send(Source(None if source == query.source else source))

    def watch(self, imported: Imported) -> None:
        """The worker has imported these files, which are looked at for changes from now on."""
        assert self.version is not None, "a worker without a version tells of no files"
        self.version.sources.watch(imported.paths)

    def send(self, message: Any) -> bool:
        """Send a frame; False if the process has ended, which the channel says too when it is read, after the last words."""
        try:
            self.channel.send(message)
        except OSError:
            return False
        return True

    def ask_to_end(self, message: StopTask) -> None:
        """Ask the attempt that runs to end, and the processes that it started, before they are killed; from any thread."""
        with self._lock:
            if not (self._ended or self._closed):
                # before the task, which might kill them as it ends
                message.asked = ask_to_end(self._process.pid, self.marker)
                self._control.send(message)

    def end(self) -> None:
        """End the process and everything it started, at once. Safe to call twice, and from any thread."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
        end_tree(self._process.pid, self.marker, self._job)
        self._process.wait()

    def ending(self) -> str:
        """How the process ended, in words; waits for it."""
        self.end()
        return ending_of(self._process.wait())

    def close(self) -> None:
        """End the process and let go of its pipes; only by the thread that uses the worker."""
        self.end()
        with self._lock:
            is_first, self._closed = not self._closed, True
        if is_first:
            self._control.close()
        self.channel.close()


_FIRST_FAILURE_OF_WINDOWS = 0xC0000000

_FAILURES_OF_WINDOWS = {
    0xC0000005: "an access violation",
    0xC0000017: "not enough memory",
    0xC00000FD: "a stack overflow",
    0xC000013A: "ended by Ctrl-C, Ctrl-Break or the end of the console",
    0xC0000374: "a damaged heap",
    0xC0000409: "ended by the C library: an abort, or a damaged stack",
}


def ending_of(code: int) -> str:
    """How a process ended, in words."""
    if code >= _FIRST_FAILURE_OF_WINDOWS:
        meaning = _FAILURES_OF_WINDOWS.get(code)
        return f"exit code 0x{code:08X}{f' ({meaning})' if meaning else ''}"
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    hint = {"SIGKILL": "killed, perhaps by the system because memory ran out", "SIGSEGV": "a segmentation fault"}.get(
        name
    )
    return f"signal {name}{f' ({hint})' if hint else ''}"


def _interpreter_options() -> list[str]:
    """The options this interpreter was started with that a worker needs too.

    With ``-P`` a worker starts without the working directory on its path: a ``queue.py`` there must not take the place of Python's
    own. Only where Microflow itself is found there, it can't be left out.
    """
    options = [] if Path(__file__).parents[3] == Path.cwd() else ["-P"]
    options += [f"-W{option}" for option in sys.warnoptions]
    return [*options, *interpreter_options()]
