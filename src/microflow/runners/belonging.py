"""Threads that a job starts belong to its execution: calls made there are its calls, and prints are in its log.

Python gives a new thread an empty context (and on builds where ``sys.flags.thread_inherit_context`` is set, a copy of the
starter's), so our two context variables would be lost. While an engine lives in a process, and always in a worker process, the
functions of the standard library that start threads, or hand work to threads, pass these two on. All other context variables are
left to Python's own rules.

- ``threading.Thread.start`` and ``_thread.start_new_thread``: the thread belongs to the execution that starts it.
- ``ThreadPoolExecutor``: its threads belong to nobody, since several executions may share them. Each piece of work belongs to the
  execution that submits it, the initializer to the one that makes the executor.
- ``Future.add_done_callback``: the callback belongs to the execution that adds it, in whichever thread it is called.

Checked with CPython 3.11 to 3.15. Two private names are used: ``Thread._bootstrap`` is what the new thread calls first, so that
``threading.excepthook`` belongs to the execution too; ``Thread._context`` (3.14 and newer) is the context that ``run`` has.
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple

from ..runtime import CurrentExecution, Runtime, active_execution, active_runtime
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


_NOBODY = Belonging(None, None)


def _belonging() -> Belonging | None:
    """Where the code that runs here belongs; None outside of executions."""
    runtime = active_runtime.get()
    return None if runtime is None else Belonging(runtime, active_execution.get())


def _starts(original: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    @wraps(original)
    def start(self: Any) -> None:
        belonging = _belonging()
        if belonging is None:
            original(self)
            return
        bootstrap = self._bootstrap

        def begin() -> None:
            self.__dict__.pop("_bootstrap", None)  # or the thread would refer to itself
            belonging.enter()
            if (context := getattr(self, "_context", None)) is not None:
                context.run(belonging.enter)
            bootstrap()

        self._bootstrap = begin
        try:
            original(self)
        except BaseException:
            self.__dict__.pop("_bootstrap", None)
            raise

    return start


def _starts_new_thread(original: Callable[..., int]) -> Callable[..., int]:
    @wraps(original)
    def start_new_thread(function: Any, *arguments: Any) -> int:
        belonging = _belonging()
        if belonging is None or not callable(function):
            return original(function, *arguments)

        def begin(*args: Any, **named: Any) -> None:
            belonging.enter()
            function(*args, **named)

        return original(begin, *arguments)

    return start_new_thread


def _makes_executor(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def __init__(  # noqa: N807 - it replaces that
        self: Any,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Any = None,
        *rest: Any,
        **named: Any,
    ) -> None:
        belonging = _belonging()
        if belonging is not None and callable(initializer) and not _runs_in_interpreters(self):
            initializer = _initializer(initializer, belonging)
        original(self, max_workers, thread_name_prefix, initializer, *rest, **named)

    return __init__


def _initializer(function: Callable[..., Any], belonging: Belonging) -> Callable[..., None]:
    def initialize(*args: Any) -> None:
        belonging.enter()
        function(*args)  # if it fails, the thread stays there: the executor logs the error, and ends the thread
        _NOBODY.enter()

    return initialize


def _submits(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def submit(self: Any, fn: Any, /, *args: Any, **named: Any) -> Any:
        belonging = _belonging()
        if belonging is None or _runs_in_interpreters(self):
            return original(self, fn, *args, **named)
        # a thread that this starts outlives the work, so it must not belong here
        return _NOBODY.call(original, self, belonging.call, fn, *args, **named)

    return submit


def _runs_in_interpreters(executor: Any) -> bool:
    """Whether it is an ``InterpreterPoolExecutor`` (3.14 and newer), which pickles what it is given."""
    module = sys.modules.get("concurrent.futures.interpreter")
    return module is not None and isinstance(executor, module.InterpreterPoolExecutor)


def _adds_callback(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def add_done_callback(self: Any, fn: Any) -> None:
        belonging = _belonging()
        original(self, fn if belonging is None else lambda future: belonging.call(fn, future))

    return add_done_callback


def _find_threads() -> Sequence[Replacement]:
    return [
        Replacement(threading.Thread, "start", _starts),
        Replacement(_thread, "start_new_thread", _starts_new_thread),
    ]


def _find_executors() -> Sequence[Replacement]:
    from concurrent.futures import Future, ThreadPoolExecutor

    return [
        Replacement(ThreadPoolExecutor, "__init__", _makes_executor),
        Replacement(ThreadPoolExecutor, "submit", _submits),
        Replacement(Future, "add_done_callback", _adds_callback),
    ]


THREADS = Replacements(_find_threads)
"""What starts threads. It is all that a worker process needs: it runs one task at a time, and none of its threads outlives that."""

EXECUTORS = Replacements(_find_executors)
"""What hands work to threads that several executions may share."""
