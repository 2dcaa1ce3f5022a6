"""How a worker's task is made to end: ``TaskStopped`` is raised in its function, and nowhere else.

A thread of the worker reads what the parent asks for (``heed``), and calls ``press`` until the task has been interrupted. An
``async def`` has its asyncio task cancelled. Every other function runs in the main thread, which gets a signal: its handler raises
``TaskStopped`` if that thread is in the function at that moment, and not in a function of ours that the task has called, such as
one that writes a frame. Otherwise ``press`` tries again a moment later. A task that has a handler of its own for SIGTERM gets that
one called instead.

The same handler ignores SIGTERM from anybody else: a worker ends with its parent.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from time import monotonic
from types import FrameType, FunctionType
from typing import TYPE_CHECKING, Any

from ....errors import TaskStopped
from ...base import Request
from ...calling import PACKAGE, call
from ...cpython import handler_of
from ..control import StopTask, let_signals_in

if TYPE_CHECKING:
    import asyncio

RETRY = 0.01
"""Seconds between two tries to interrupt a task."""

CHILDREN_SHARE = 0.5
"""The part of the grace in which a task that waits for a process in ``subprocess`` is left alone: that was asked to end as well."""

_ENDINGS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
"""The signals that a service manager, or a terminal, may send to all processes of a server, workers included."""

_REASONS = {
    "cancelled": "The execution was cancelled.",
    "timeout": "The attempt took longer than its timeout.",
    "interrupted": "The engine stops.",
}


class Termination:
    """What ends this process's tasks. ``running``: the request whose function the main thread calls now, and the function.

    ``has_interrupted``: a task was made to end, so this worker runs nothing more.
    """

    def __init__(self) -> None:
        self.running: tuple[Request, Any] | None = None
        self.has_interrupted = False
        self._lock = threading.Lock()  # of what is loaded and what should end: that is not begun, or it is seen running
        self._loading: Request | None = None
        self._asked: StopTask | None = None
        self._end = self._patience_end = 0.0
        self._is_sent = self._is_raised = False
        self._coroutine: tuple[Request, asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self._waiting: FrameType | None = None
        self._handler = self._on_signal  # one object, to be recognized

    def install(self) -> None:
        """Handle the signals that would end this process. Programs that a task starts do not inherit a handler of Python's."""
        signal.signal(signal.SIGINT, self._on_interrupt)
        for number in _ENDINGS:
            # where nohup has SIGHUP ignored, what a task starts must ignore it too
            if number == signal.SIGTERM or handler_of(number) == signal.SIG_DFL:
                signal.signal(number, self._handler)
        let_signals_in()
        if sys.platform != "win32":
            os.register_at_fork(after_in_child=self._become_ordinary)

    def _become_ordinary(self) -> None:
        """This is a copy of the worker, made by a task: signals mean to it what they mean to any process."""
        self._asked = self.running = None
        self._lock = threading.Lock()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in _ENDINGS:
            if handler_of(number) is self._handler:
                signal.signal(number, signal.SIG_DFL)

    # What the main thread says

    def load(self, request: Request) -> None:
        """The function of this attempt is about to be loaded. The process ends if the attempt should end."""
        with self._lock:
            self._loading = request
            self._leave_if_not_begun()

    def loaded(self) -> None:
        """The function has been loaded, or could not be."""
        with self._lock:
            self._loading = None

    def awaiting(self) -> None:
        """Called in the asyncio task that awaits what an ``async def`` returned."""
        import asyncio

        running, task = self.running, asyncio.current_task()
        if running is not None and task is not None:
            self._coroutine = (running[0], asyncio.get_running_loop(), task)

    # What the control thread does

    def heed(self, asked: StopTask) -> None:
        """An attempt should end; ``press`` sees to it. If its function is only being loaded, there is nothing to clean up."""
        self._end = monotonic() + asked.seconds
        self._patience_end = monotonic() + asked.seconds * CHILDREN_SHARE
        self._is_sent = self._is_raised = False
        self._waiting = None
        with self._lock:
            self._asked = asked
            self._leave_if_not_begun()

    def _leave_if_not_begun(self) -> None:
        if self._loading is not None and _is(self._loading, self._asked):
            os._exit(1)

    def press(self) -> float | None:
        """Interrupt the task that should end, if it runs; seconds until this must be called again, None if it need not be."""
        asked = self._asked
        if asked is None or self._is_raised or monotonic() >= self._end:
            self._asked = None
            return None
        running = self.running
        if running is None or not _is(running[0], asked) or self._is_sent:
            return RETRY
        if self._waiting is not None:
            # it waits for a process, perhaps for one that it started after those were asked that were there
            from ..process_tree import ask_own_to_end

            asked.asked += ask_own_to_end(asked.asked)
        self.has_interrupted = True
        coroutine = self._coroutine
        if handler_of(signal.SIGTERM) is not self._handler:
            self._asked = None
            _signal_main_thread()
        elif coroutine is not None and coroutine[0] is running[0]:
            self._asked = None
            try:
                coroutine[1].call_soon_threadsafe(coroutine[2].cancel, _REASONS.get(asked.reason))
            except RuntimeError:
                return None  # its loop has just been closed: it has ended
        else:
            self._is_sent = True
            _signal_main_thread()
        return RETRY

    # Signal handlers, in the main thread

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        """SIGINT: as in any Python program while a task runs; a worker without a task ignores it."""
        if self.running is not None:
            signal.default_int_handler(number, frame)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        asked, running = self._asked, self.running
        if asked is None or running is None or self._is_raised or number != signal.SIGTERM:
            return
        if not (_is(running[0], asked) and self._may_raise(frame, running[1])):
            self._is_sent = False  # and it is tried again
            return
        self._is_raised = True
        raise TaskStopped(_REASONS.get(asked.reason, asked.reason))

    def _may_raise(self, frame: FrameType | None, fn: Any) -> bool:
        """Whether the interrupted frame is the function's, or one of what it called that is not ours."""
        subprocess_file = getattr(sys.modules.get("subprocess"), "__file__", None)
        first = waiting = None
        while frame is not None and frame.f_code is not call.__code__:
            file = frame.f_code.co_filename
            if file.startswith(PACKAGE):
                return False
            if file == subprocess_file:
                waiting = frame
            first, frame = frame, frame.f_back
        if frame is None or first is None:
            return False  # in another thread's frames, or between the function and us
        if isinstance(fn, FunctionType) and first.f_code is not fn.__code__:
            return False  # it has returned, and its variables are being finalized
        return not self._is_patient(waiting)

    def _is_patient(self, waiting: FrameType | None) -> bool:
        """Whether it is left alone: ``subprocess.run``, interrupted, would kill its process, which has just been told to end."""
        if waiting is None or monotonic() >= self._patience_end:
            return False
        self._waiting = self._waiting or waiting
        return waiting is self._waiting


def _is(request: Request, asked: StopTask | None) -> bool:
    return asked is not None and (request.execution_id, request.attempt) == (asked.execution_id, asked.attempt)


if sys.platform == "win32":
    import _thread
    import ctypes

    from ...cpython import interrupt_event

    _set_event = ctypes.WinDLL("kernel32").SetEvent
    _interrupt_event = interrupt_event()

    def _signal_main_thread() -> None:
        _thread.interrupt_main(signal.SIGTERM)
        if _interrupt_event is not None:
            _set_event(ctypes.c_void_p(_interrupt_event))

else:

    def _signal_main_thread() -> None:
        main = threading.main_thread().ident
        assert main is not None, "it is running"
        signal.pthread_kill(main, signal.SIGTERM)
