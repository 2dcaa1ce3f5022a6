"""The process runners: a pool of warm workers, and a fresh worker for each attempt.

A worker is started when one is needed, kept warm for the next task, and ended after ``IDLE_SECONDS`` without work, after
``MAXIMUM_EXECUTIONS``, when its memory grew, or when a task left something behind in it.
"""

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
from .channels import Channel, open_channel
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

IDLE_SECONDS = 30.0
"""How long a worker without work is kept."""

MAXIMUM_EXECUTIONS = 5_000
"""How many attempts a worker runs before another takes its place."""


class Worker:
    """One worker process, seen from its parent."""

    def __init__(self, opener: Callable[[subprocess.Popen[bytes]], Channel] = open_channel) -> None:
        self.marker = secrets.token_hex(8)
        self.executions = 0
        self.idle_since = 0.0
        self._known: set[int] = set()
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
        self._channel = opener(self._process)
        self._lock = threading.Lock()
        self._ended = False
        self._channel.send(Hello([entry or os.getcwd() for entry in sys.path], self._channel.mark))

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether the process runs."""
        return not self._ended and self._process.poll() is None

    def run(self, request: Request, observer: Observer, functions: Functions, job: Any) -> tuple[Outcome, str]:
        """Carry out an attempt; its outcome, and why the worker must not be used again ("" if it may).

        Raises ``WorkerDied`` if the process ended instead of answering.
        """
        key = request.job_key = functions.key(job)
        source: Reference | Pickled | None = None if key in self._known else functions.source(job)
        self.executions += 1
        observer.stop.on_set(self.end)
        try:
            self._send(Run(request, source))
            while True:
                message = self._channel.receive(observer.output)
                if isinstance(message, Done):
                    self._known.add(key)
                    self._channel.drain(observer.output)
                    return message.outcome, message.retire
                if isinstance(message, ProgressReport):
                    observer.progress(Progress(message.done, message.total, message.message))
                elif isinstance(message, ContextQuery):
                    written, last_output = observer.context()
                    job_name = request.job
                    self._send(
                        ContextReply(
                            encode_value(written, job=job_name, place="context"),
                            encode_value(last_output, job=job_name, place="output"),
                        )
                    )
                elif isinstance(message, NotLoaded):
                    self._send(Run(request, functions.pickled(job, message.why)))
                elif isinstance(message, Exited):
                    self._channel.drain(observer.output)
                    raise WorkerDied(f"The task called sys.exit ({message.code}); let it return or raise instead.")
                else:
                    raise self._death(observer)
        finally:
            observer.stop.forget(self.end)

    def _send(self, message: Any) -> None:
        try:
            self._channel.send(message)
        except OSError:
            return  # the process ended: receive() says so, after its last words

    def _death(self, observer: Observer) -> WorkerDied:
        self._channel.drain(observer.output)
        self.end()
        return WorkerDied(f"The worker process ended while it ran the task: {ending_of(self._process.wait())}.")

    def end(self) -> None:
        """End the process and everything it started, at once. Safe to call twice, and from any thread."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
        end_tree(self._process.pid, self.marker)
        self._process.wait()

    def close(self) -> None:
        """End the process and let go of its pipes; only by the thread that uses the worker."""
        self.end()
        self._channel.close()


class ProcessPool:
    """The default runner: warm workers, as many as there are attempts at the same time."""

    def __init__(
        self,
        later: Callable[[float, Callable[[], None]], object],
        *,
        now: Callable[[], float],
        idle_seconds: float = IDLE_SECONDS,
        maximum_executions: int = MAXIMUM_EXECUTIONS,
        start: Callable[[], Worker] = Worker,
    ) -> None:
        self._later = later
        self._now = now
        self._idle_seconds = idle_seconds
        self._maximum_executions = maximum_executions
        self._start = start
        self._lock = threading.Lock()
        self._idle: list[Worker] = []  # the last one used is the first one used again, so that the others grow idle
        self._sweeping = False
        self._closed = False
        self.functions = Functions()

    def run(self, job: Any, request: Request, observer: Observer) -> Outcome:
        """Carry out an attempt in a warm worker. Raises ``WorkerDied`` if it ended, or if none can be started."""
        worker = self._take()
        try:
            outcome, retire = worker.run(request, observer, self.functions, job)
        except BaseException:
            worker.close()
            raise
        if retire or worker.executions >= self._maximum_executions or observer.stop.reason is not None:
            worker.close()
        else:
            self._give_back(worker)
        return outcome

    def _take(self) -> Worker:
        while True:
            with self._lock:
                worker = self._idle.pop() if self._idle else None
            if worker is None:
                return started(self._start)
            if worker.alive():
                return worker
            worker.close()  # it was killed while it had nothing to do

    def _give_back(self, worker: Worker) -> None:
        worker.idle_since = self._now()
        with self._lock:
            if not self._closed:
                self._idle.append(worker)
                if not self._sweeping:
                    self._sweeping = True
                    self._later(self._idle_seconds, self._sweep)
                return
        worker.close()

    def _sweep(self) -> None:
        """End the workers that have had nothing to do for long; look again later if any are left."""
        oldest_allowed = self._now() - self._idle_seconds
        with self._lock:
            ended = [worker for worker in self._idle if worker.idle_since <= oldest_allowed]
            self._idle = [worker for worker in self._idle if worker.idle_since > oldest_allowed]
            self._sweeping = bool(self._idle) and not self._closed
            next_look = min((worker.idle_since for worker in self._idle), default=0.0) - oldest_allowed
        for worker in ended:
            worker.close()
        if self._sweeping:
            self._later(max(next_look, 0.1), self._sweep)

    def close(self) -> None:
        """End all workers that have nothing to do; those at work are ended by their attempts' ``Stop``."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()


class FreshProcesses:
    """``runner="fresh"``: a new process for each attempt."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    def run(self, job: Any, request: Request, observer: Observer) -> Outcome:
        """Carry out an attempt in a process of its own; errors as for the pool."""
        worker = started(Worker)
        try:
            return worker.run(request, observer, self._functions, job)[0]
        finally:
            worker.close()

    def close(self) -> None:
        """Nothing is kept between attempts."""


def started(start: Callable[[], Worker]) -> Worker:
    """A new worker. Raises ``WorkerDied`` with the system's own words if there can be none."""
    try:
        return start()
    except OSError as error:
        raise WorkerDied(f"No worker process could be started: {error}.") from error


def ending_of(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = {"SIGKILL": "killed, perhaps by the system because memory ran out", "SIGSEGV": "a segmentation fault"}.get(name)
    return f"signal {name}{f' ({hint})' if hint else ''}"


def _interpreter_options() -> list[str]:
    """The options this interpreter was started with that a worker needs too."""
    options = [f"-W{option}" for option in sys.warnoptions]
    options += [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]
    return options
