"""Work that a job hands to the threads of an executor belongs to its execution.

- ``ThreadPoolExecutor``: its threads belong to nobody, since several executions may share them. Each piece of work belongs to the
  execution that submits it, the initializer to the one that makes the executor.
- ``Future.add_done_callback``: the callback belongs to the execution that adds it, in whichever thread it is called.

Checked with CPython 3.11 to 3.15.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future

# at once, since it can't be imported any more when the script's last line is done, and what it submitted still runs
from concurrent.futures.thread import ThreadPoolExecutor
from functools import wraps
from typing import Any

from ..belonging import NOBODY, Belonging, belonging_here
from ..replacements import Replacement, Replacements


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
        belonging = belonging_here()
        if belonging is not None and callable(initializer) and not _runs_in_interpreters(self):
            initializer = _initializer(initializer, belonging)
        original(self, max_workers, thread_name_prefix, initializer, *rest, **named)

    return __init__


def _initializer(function: Callable[..., Any], belonging: Belonging) -> Callable[..., None]:
    def initialize(*args: Any) -> None:
        belonging.enter()
        function(*args)  # if it fails, the thread stays there: the executor logs the error, and ends the thread
        NOBODY.enter()

    return initialize


def _submits(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def submit(self: Any, fn: Any, /, *args: Any, **named: Any) -> Any:
        belonging = belonging_here()
        if belonging is None or _runs_in_interpreters(self):
            return original(self, fn, *args, **named)
        # a thread that this starts outlives the work, so it must not belong here
        return NOBODY.call(original, self, belonging.call, fn, *args, **named)

    return submit


def _runs_in_interpreters(executor: Any) -> bool:
    """Whether it is an ``InterpreterPoolExecutor`` (3.14 and newer), which pickles what it is given."""
    module = sys.modules.get("concurrent.futures.interpreter")
    return module is not None and isinstance(executor, module.InterpreterPoolExecutor)


def _adds_callback(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def add_done_callback(self: Any, fn: Any) -> None:
        belonging = belonging_here()
        original(self, fn if belonging is None else lambda future: belonging.call(fn, future))

    return add_done_callback


def _find() -> Sequence[Replacement]:
    return [
        Replacement(ThreadPoolExecutor, "__init__", _makes_executor),
        Replacement(ThreadPoolExecutor, "submit", _submits),
        Replacement(Future, "add_done_callback", _adds_callback),
    ]


EXECUTORS = Replacements(_find)
"""What hands work to threads that several executions may share."""
