"""The one shape of Microflow's background loops: a thread that takes a turn, waits, and takes the next one.

A loop outlives every error of its turns: the error is logged, and the next turn follows.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from .errors import StoreError
from .model.clock import Clock, SystemClock
from .runtime import start_thread

logger = logging.getLogger("microflow")


class Loop:
    """Calls ``turn`` again and again in a daemon thread called ``name``.

    ``turn`` returns the seconds until the next turn. If it returns None, the thread ends, and the next ``wake`` starts another.
    After a turn that raises, the error is logged after the text ``failure``, and the next turn follows in ``again`` seconds
    (None: the thread ends).
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], float | None],
        *,
        failure: str,
        again: float | None,
        clock: Clock | None = None,
    ) -> None:
        self._name = name
        self._turn = turn
        self._failure = failure
        self._again = again
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None
        self.is_stopped = False

    @property
    def is_running(self) -> bool:
        """Whether the thread is there."""
        return self._thread is not None

    def start(self, after: float = 0.0) -> None:
        """Take the first turn in ``after`` seconds. Nothing happens if the thread is there, or the loop was stopped.

        Raises ``RuntimeError`` if no thread can be started.
        """
        with self._lock:
            self._start(after)

    def wake(self) -> None:
        """Take the next turn now, in a new thread if there is none. Nothing happens if the loop was stopped.

        Raises ``RuntimeError`` if no thread can be started.
        """
        with self._lock:
            self._woken.set()
            self._start(0.0)

    def stop(self, *, wait: bool = True) -> None:
        """Take no further turn; ``wait`` until the turn under way is over."""
        with self._lock:
            self.is_stopped = True
            self._woken.set()
            thread = self._thread
        if wait and thread is not None:
            thread.join()

    def _start(self, after: float) -> None:
        if self._thread is None and not self.is_stopped:
            self._thread = start_thread(partial(self._live, self._clock.monotonic() + after), self._name)

    def _live(self, first: float) -> None:
        wait: float | None = first - self._clock.monotonic()
        while True:
            if wait is None:
                with self._lock:
                    if not self._woken.is_set() or self.is_stopped:
                        self._thread = None
                        return
            elif wait > 0:
                self._clock.wait(self._woken, min(wait, threading.TIMEOUT_MAX))
            if self.is_stopped:
                return
            self._woken.clear()  # before the turn, which then sees everything that this wake was for
            wait = self._take_turn()

    def _take_turn(self) -> float | None:
        try:
            return self._turn()
        except BaseException as error:  # noqa: BLE001 - users' code may raise anything, and the loop must outlive it
            log_failure(self._failure, error)
            return self._again


def log_failure(what: str, error: BaseException) -> None:
    """Log that ``what`` failed: with the traceback, except for an error of the store or the system, whose message is enough."""
    logger.error("%s: %s", what, error, exc_info=not isinstance(error, (StoreError, OSError)))
