"""Threads that a job starts belong to its execution: calls made there are its calls, and prints are in its log.

Python gives a new thread an empty context (and on builds where ``sys.flags.thread_inherit_context`` is set, a copy of the
starter's), so our two context variables would be lost. While an engine lives in a process, and always in a worker process, the
functions of the standard library that start threads, or hand work to threads, pass these two on. All other context variables are
left to Python's own rules.

- ``threading.Thread.start`` and ``_thread.start_new_thread``: the thread belongs to the execution that starts it.
- What hands work to threads of an executor: see ``executors``.

Checked with CPython 3.11 to 3.15.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple

from ..runtime import CurrentExecution, Runtime, active_execution, active_runtime
from .cpython import start_with
from .replacements import Replacement, Replacements


class Belonging(NamedTuple):
    """What makes code belong to an execution: the values of the two context variables."""

    runtime: Runtime | None
    execution: CurrentExecution | None

    def enter(self) -> None:
        """The current context belongs there from now on."""
        active_runtime.set(self.runtime)
        active_execution.set(self.execution)

    def call(self, function: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        """Call the function there."""
        runtime, execution = active_runtime.set(self.runtime), active_execution.set(self.execution)
        try:
            return function(*args, **named)
        finally:
            active_execution.reset(execution)
            active_runtime.reset(runtime)


NOBODY = Belonging(None, None)
"""Outside of executions."""


def belonging_here() -> Belonging | None:
    """Where the code that runs here belongs; None outside of executions."""
    runtime = active_runtime.get()
    return None if runtime is None else Belonging(runtime, active_execution.get())


def _starts(original: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    @wraps(original)
    def start(self: Any) -> None:
        belonging = belonging_here()
        if belonging is None:
            original(self)
            return
        start_with(belonging.enter, self, original)

    return start


def _starts_new_thread(original: Callable[..., int]) -> Callable[..., int]:
    @wraps(original)
    def start_new_thread(function: Any, *arguments: Any) -> int:
        belonging = belonging_here()
        if belonging is None or not callable(function):
            return original(function, *arguments)

        def begin(*args: Any, **named: Any) -> None:
            belonging.enter()
            function(*args, **named)

        return original(begin, *arguments)

    return start_new_thread


def _find_threads() -> Sequence[Replacement]:
    return [
        Replacement(threading.Thread, "start", _starts),
        Replacement(_thread, "start_new_thread", _starts_new_thread),
    ]


THREADS = Replacements(_find_threads)
"""What starts threads. It is all that a worker process needs: it runs one task at a time, and none of its threads outlives that."""
