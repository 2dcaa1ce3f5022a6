"""The engine behind a call outside any execution: started on first use in a script or a notebook, closed at exit."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from functools import partial
from typing import Any

from ..errors import ConflictError
from ..flow import Flow
from ..runners.cpython import call_before_threads_end, is_ending
from .engine import Engine

_starting = threading.Lock()


def start(flow: Flow) -> Any:
    """Start an engine for this flow, with its store; it stays until the process ends. Returns the flow's runtime.

    Raises ``ConflictError`` if the process is ending already.
    """
    with _starting:  # two threads may make their first calls at the same time
        if flow.runtime is None:
            if is_ending():
                raise ConflictError(
                    "The program is ending, and nothing new can be executed then: call jobs before its last line."
                )
            engine = Engine([flow], echo=_print)
            engine.start()
            call_before_threads_end(partial(_close, engine, os.getpid()))
        return flow.runtime


def _close(engine: Engine, process: int) -> None:
    """At exit: what was submitted may end by itself, unless the process ends by Ctrl-C, or that comes now.

    Then tasks have their ``cancel_grace``; the next Ctrl-C ends them at once.
    """
    if os.getpid() != process:
        return  # a copy of the process, which a manager forked, ends: the engine is not its own
    if getattr(sys, "last_type", None) is not KeyboardInterrupt:
        with suppress(KeyboardInterrupt):
            engine.stop(grace=threading.TIMEOUT_MAX, reason="the process ended")
            return
    with suppress(KeyboardInterrupt):
        engine.stop(grace=0, reason="interrupted")
        return
    engine.hurry()
    engine.stop(grace=0, reason="interrupted")


def _print(data: bytes) -> None:
    """What jobs print goes where the script prints, beside their logs."""
    stream: Any = sys.stdout
    while (original := getattr(stream, "original", None)) is not None:  # a stand-in is there while a manager runs
        stream = original
    encoding = (
        getattr(stream, "encoding", None) or "utf-8"
    )  # not every text can be written where Windows writes to a file
    try:
        stream.write(data.decode("utf-8", "replace").encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except (OSError, ValueError):
        return  # the script closed its output; the log has it
