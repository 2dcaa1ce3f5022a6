"""Things to do later, in one thread: deadlines of attempts, delays before retries, idle workers."""

from __future__ import annotations

import heapq
import itertools
import logging
import sys
import threading
from collections.abc import Callable

from ...loop import Loop
from ...model.clock import Clock

logger = logging.getLogger("microflow")

_FEW = 100
"""Timers that are not worth to be cleared away."""

_NO_THREAD_AT_EXIT = (3, 12) <= sys.version_info < (3, 12, 2)
"""Whether no thread can be started once the script's last line is done, while what it submitted still runs (gh-113964)."""


class Timer:
    """One thing to do later."""

    __slots__ = ("_timers", "action")

    def __init__(self, timers: Timers, action: Callable[[], None]) -> None:
        self._timers = timers
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Do not do it; nothing happens if it has been done."""
        if self.action is not None:
            self.action = None
            self._timers.cancelled += 1


class Timers:
    """Does things when they are due. The thread lives only while there is something to wait for.

    ``for_script``: it is needed also after the script has ended, so it is there before where it could not be started then.
    ``cancelled``: about how many of the waiting timers were cancelled. Most are: a timeout of an hour is for the few that need it.
    """

    def __init__(self, clock: Clock, *, for_script: bool = False) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._due: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self.cancelled = 0
        self._loop = Loop(
            "microflow-timers",
            lambda: self.run_once(clock.monotonic()),
            failure="Timers failed",
            again=1.0,
            clock=clock,
        )
        if for_script and _NO_THREAD_AT_EXIT:
            self.later(threading.TIMEOUT_MAX, lambda: None)

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do this after so many seconds, in the timers' thread; it must be quick."""
        timer = Timer(self, action)
        entry = (self._clock.monotonic() + seconds, next(self._order), timer)
        with self._lock:
            if self.cancelled > len(self._due) // 2 + _FEW:
                self._due = [waiting for waiting in self._due if waiting[2].action is not None]
                heapq.heapify(self._due)
                self.cancelled = 0
            heapq.heappush(self._due, entry)
            is_next = self._due[0] is entry
        if is_next or not self._loop.is_running:
            try:
                self._loop.wake()
            except RuntimeError as error:  # the next call of this method tries again
                logger.error("Timers have to wait until a thread can be started: %s", error)
        return timer

    def run_once(self, now: float) -> float | None:
        """Do what is due at this (monotonic) moment; seconds until the next is due, None if nothing is left."""
        while True:
            with self._lock:
                while self._due and self._due[0][2].action is None:
                    heapq.heappop(self._due)
                    self.cancelled = max(self.cancelled - 1, 0)
                if not self._due or self._loop.is_stopped:
                    return None
                if self._due[0][0] > now:
                    return self._due[0][0] - now
                timer = heapq.heappop(self._due)[2]
            action, timer.action = timer.action, None
            if action is not None:
                try:
                    action()
                except BaseException:  # users' code may raise anything
                    logger.exception("Something that was due failed; the others go on.")

    def stop(self) -> None:
        """Do nothing more. An action under way is not waited for: it may be the one that stops the engine."""
        self._loop.stop(wait=False)
        with self._lock:
            self._due.clear()
