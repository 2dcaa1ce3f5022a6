"""The threads that carry out what blocks: managers, and tasks whose runner does."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from ...errors import WorkerDied
from ...runtime import start_thread

logger = logging.getLogger("microflow")


class ThreadPool:
    """At most ``maximum`` threads. Mappings, parallel calls and DAG runs start nothing in another thread while ``spared`` are busy.

    Who calls a manager waits for it, so where every thread does that, nobody would carry out what all wait for. Hence
    ``try_start``: the thread that it refuses has nothing to do but wait, and carries out the call itself.

    The standard library's pool keeps what it could not start a thread for, and loses count of its idle threads then.
    """

    def __init__(self, maximum: int, spared: int) -> None:
        self._maximum = maximum
        self._spared = spared
        self._changed = threading.Condition()
        self._calls: deque[Callable[[], None]] = deque()
        self._threads = self._idle = self._busy = 0
        self._closed = False
        self._refused: deque[Callable[[], None]] = deque()
        self._refusing = threading.Lock()

    def start(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have this called by another thread. Raises ``WorkerDied`` with the system's own words if there can be none."""
        with self._changed:
            if self._closed:
                raise WorkerDied("No thread could be started: the engine has stopped.")
            self._calls.append(partial(function, *arguments))
            if self._idle >= len(self._calls):
                self._changed.notify()
            elif self._threads < self._maximum:
                try:
                    start_thread(self._live, "microflow")
                except RuntimeError as error:
                    self._calls.pop()
                    raise WorkerDied(f"No thread could be started: {error}.") from error
                self._threads += 1

    def try_start(self, function: Callable[..., None], *arguments: Any) -> bool:
        """Have this called by another thread; False if too many are busy with such calls, or none can be started."""
        with self._changed:
            if self._busy >= self._spared:
                return False
            self._busy += 1
        try:
            self.start(self._call, function, arguments)
        except WorkerDied:
            self._is_free()
            return False
        return True

    def _call(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        try:
            function(*arguments)
        finally:
            self._is_free()

    def _is_free(self) -> None:
        with self._changed:
            self._busy -= 1

    def refuse(self, end: Callable[[], None]) -> None:
        """End a call that no thread can carry out, after those refused before it: an end may start calls that are refused too."""
        self._refused.append(end)
        while self._refused and self._refusing.acquire(blocking=False):
            try:
                while self._refused:
                    end = self._refused.popleft()
                    try:
                        end()
                    except Exception:
                        logger.exception("What no thread could carry out could not be ended.")
            finally:
                self._refusing.release()

    def _live(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            except BaseException:
                logger.exception("A call in a thread failed; the thread continues.")
            del call  # or what it holds would stay as long as the thread is idle

    def _next(self) -> Callable[[], None] | None:
        """The next call; None when there will be no more."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._calls or self._closed)
            self._idle -= 1
            if self._calls:
                return self._calls.popleft()
            self._threads -= 1
            self._changed.notify_all()
            return None

    def close(self, *, wait: bool) -> None:
        """Start no further call; ``wait`` until every thread has ended."""
        with self._changed:
            self._closed = True
            self._calls.clear()
            self._changed.notify_all()
            if wait:
                self._changed.wait_for(lambda: self._threads == 0)
