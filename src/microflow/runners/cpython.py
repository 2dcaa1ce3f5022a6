"""Every use of what CPython does not document: private names, and frames of the standard library.

A new version of Python may change any of this, so this file is the one to check then. Checked with CPython 3.11.7, 3.12.1, 3.13.0
and 3.15.0: all of them have every name, unless its comment says otherwise.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from traceback import walk_tb
from typing import Any


def is_ending() -> bool:
    """Whether this process waits for its last threads or has done so. No thread can be started then.

    ``threading._SHUTTING_DOWN``: Python has no other way to ask. It is True before the functions of ``atexit`` are called.
    """
    return getattr(threading, "_SHUTTING_DOWN", False)


def call_before_threads_end(function: Callable[[], None]) -> None:
    """Call this when the script's last line is done, before the interpreter waits for its threads.

    ``threading._register_atexit``: ``atexit`` would be too late, since its functions are called when all threads have ended. Raises
    ``RuntimeError`` if the process is ending.
    """
    threading._register_atexit(function)  # type: ignore[attr-defined]


handler_of: Callable[[int], Any] = signal._signal.getsignal  # type: ignore[attr-defined]
"""The handler of a signal, as ``signal.getsignal`` gives it, in a tenth of the time: that one looks for a name of the handler."""


def raw_environment() -> dict[Any, Any]:
    """The environment as the system's own strings (upper-case names on Windows); not a copy.

    ``os.environ._data``: comparing these is a hundred times faster than decoding them, and that is done for every task.
    """
    known: dict[Any, Any] = os.environ._data  # type: ignore[attr-defined]
    return known


def interpreter_options() -> Iterator[str]:
    """The options ``-X`` that this interpreter was started with.

    ``sys._xoptions``: documented, but as a detail of CPython.
    """
    for name, value in sys._xoptions.items():
        yield f"-X{name}" if value is True else f"-X{name}={value}"


def captures_warnings() -> bool:
    """Whether ``logging.captureWarnings`` is on.

    ``logging._warnings_showwarning``: what that function keeps while it is on.
    """
    return getattr(logging, "_warnings_showwarning", None) is not None


def start_with(enter: Callable[[], None], thread: threading.Thread, start: Callable[[threading.Thread], None]) -> None:
    """Start a thread that calls ``enter`` first, in every context that its code may run in.

    ``Thread._bootstrap``: what a new thread calls first, so that ``threading.excepthook`` finds the same context as ``run``.
    ``Thread._context`` (3.14 and newer): the context that ``run`` is called in.
    """
    own: Any = thread
    bootstrap = own._bootstrap

    def begin() -> None:
        own.__dict__.pop("_bootstrap", None)  # or the thread would refer to itself
        enter()
        if (context := getattr(own, "_context", None)) is not None:
            context.run(enter)
        bootstrap()

    own._bootstrap = begin
    try:
        start(thread)
    except BaseException:
        own.__dict__.pop("_bootstrap", None)
        raise


_EDGES = contextlib.contextmanager.__code__.co_filename


def let_go(error: BaseException) -> None:
    """Close what ``error`` (Ctrl-C) left open when it came at the edge of a ``with`` statement: a transaction and its lock.

    There the interrupted frame is one of ``contextlib``, and Python calls no ``__exit__``. The traceback keeps that frame, and with
    it the generator that holds the lock, for an unknown time. Clearing the frame closes the generator. Then no other thread waits
    for the lock, and nothing is written into a transaction that is never committed.
    """
    for frame, _ in walk_tb(error.__traceback__):
        if frame.f_code.co_filename == _EDGES:
            with contextlib.suppress(
                RuntimeError
            ):  # the frame still runs: it is leaving something because of this error
                frame.clear()


if sys.platform == "win32":
    import ctypes

    def interrupt_event() -> int | None:
        """The handle of the event that interrupts ``time.sleep``; None if this CPython has none.

        ``_PyOS_SigintEvent``: nothing documented wakes a sleeping main thread on Windows. Checked with CPython 3.13.2 under Wine.
        """
        try:
            found: int | None = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("_PyOS_SigintEvent", ctypes.pythonapi))()
        except AttributeError:
            return None
        return found
