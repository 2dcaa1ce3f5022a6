"""One worker process seen from its parent, and an attempt that runs in it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from ..errors import WorkerDied
from ..model.payloads import encode_value
from ..runtime import Progress
from .base import Observer, Outcome, Request
from .channels import Channel, Silence, ThreadedChannel
from .frames import (
    ContextQuery,
    ContextReply,
    Done,
    Exited,
    Hello,
    NotLoaded,
    Pickled,
    ProgressReport,
    Reference,
    Run,
)
from .functions import Functions
from .trees import MARKER, end_tree

open_channel: Callable[[subprocess.Popen[bytes]], Channel] = ThreadedChannel
if sys.platform != "win32":
    from .polling import PollingChannel

    open_channel = PollingChannel


class Worker:
    """One worker process. It runs one attempt at a time."""

    def __init__(self, opener: Callable[[subprocess.Popen[bytes]], Channel] = open_channel) -> None:
        self.marker = secrets.token_hex(8)
        self.executions = 0
        self.idle_since = 0.0
        self.known: set[int] = set()
        environment = {**os.environ, MARKER: self.marker, "PYTHONUNBUFFERED": "1"}
        # a session of its own: what is typed at the terminal reaches the engine alone, which decides what becomes of tasks
        self._process = subprocess.Popen(
            [sys.executable, *_interpreter_options(), "-m", "microflow.runners.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            bufsize=0,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self._lock = threading.Lock()
        self._ended = False
        try:
            self.channel = opener(self._process)
            self.channel.send(Hello([entry or os.getcwd() for entry in sys.path], self.channel.mark))
        except BaseException:  # too many open files, or it ended at once
            self.end()
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()
            raise

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def send(self, message: Any) -> bool:
        """Send a frame; False if the process has ended, which the channel says too when it is read, after the last words."""
        try:
            self.channel.send(message)
        except OSError:
            return False
        return True

    def end(self) -> None:
        """End the process and everything it started, at once. Safe to call twice, and from any thread."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
        end_tree(self._process.pid, self.marker)
        self._process.wait()

    def ending(self) -> str:
        """How the process ended, in words; waits for it."""
        self.end()
        return ending_of(self._process.wait())

    def close(self) -> None:
        """End the process and let go of its pipes; only by the thread that uses the worker."""
        self.end()
        self.channel.close()


class Attempt:
    """An attempt in a worker. ``release`` is called once, at its end, with the worker and why it must not be used again ("").

    ``sent``: the worker was there to be asked; else it had ended before, and nothing ran.
    """

    def __init__(
        self,
        worker: Worker,
        job: Any,
        request: Request,
        observer: Observer,
        functions: Functions,
        release: Callable[[Worker, str], None],
    ) -> None:
        self._worker = worker
        self._job = job
        self._request = request
        self._observer = observer
        self._functions = functions
        self._release = release
        key = request.job_key = functions.key(job)
        source: Reference | Pickled | None = None if key in worker.known else functions.source(job)
        worker.executions += 1
        observer.stop.on_set(worker.end)
        self.sent = worker.send(Run(request, source))

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What to poll for input before ``advance``; empty where only ``wait`` will do."""
        return self._worker.channel.descriptors

    def withdraw(self) -> None:
        """It was not sent, and will be carried out by another worker."""
        self._observer.stop.forget(self._worker.end)
        self._worker.close()

    def wait(self) -> Outcome:
        """The outcome, when it has come. Raises ``WorkerDied`` if the process ended instead of answering."""
        while (outcome := self._guarded(True)) is None:
            pass
        return outcome

    def advance(self) -> Outcome | None:
        """Handle what has come; the outcome if that was the end. Raises ``WorkerDied`` as ``wait`` does."""
        return self._guarded(False)

    def _guarded(self, wait: bool) -> Outcome | None:
        try:
            return self._handle(wait)
        except BaseException as error:
            self._observer.stop.forget(self._worker.end)
            self._release(self._worker, f"{type(error).__name__}: {error}")
            raise

    def _handle(self, wait: bool) -> Outcome | None:
        """Handle the frames that have come, or with ``wait`` the next one."""
        worker, observer = self._worker, self._observer
        while True:
            message = worker.channel.receive(observer.output, wait=wait)
            if isinstance(message, Done):
                worker.known.add(self._request.job_key)
                worker.channel.drain(observer.output)
                observer.stop.forget(worker.end)
                self._release(worker, message.retire or observer.stop.reason or "")
                return message.outcome
            if isinstance(message, Silence):
                return None
            if isinstance(message, ProgressReport):
                observer.progress(Progress(message.done, message.total, message.message))
            elif isinstance(message, ContextQuery):
                worker.send(self._context())
            elif isinstance(message, NotLoaded):
                worker.send(Run(self._request, self._functions.pickled(self._job, message.why)))
            elif isinstance(message, Exited):
                worker.channel.drain(observer.output)
                raise WorkerDied(f"The task called sys.exit ({message.code}); let it return or raise instead.")
            else:
                how = worker.ending()  # with all it started, so that nothing more is printed
                worker.channel.drain(observer.output)
                raise WorkerDied(f"The worker process ended while it ran the task: {how}.")

    def _context(self) -> ContextReply:
        written, last_output = self._observer.context()
        job = self._request.job
        return ContextReply(
            encode_value(written, job=job, place="context"), encode_value(last_output, job=job, place="output")
        )


def ending_of(code: int) -> str:
    """How a process ended, in words."""
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
    """The options this interpreter was started with that a worker needs too."""
    options = [f"-W{option}" for option in sys.warnoptions]
    options += [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]
    return options
