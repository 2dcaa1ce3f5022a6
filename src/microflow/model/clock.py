"""Time as an argument: what the engine knows of it, in one small object that tests replace."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from threading import Event
from typing import Protocol

_GLANCE = 1.0
"""Seconds for which the main thread waits at a time."""


def longest_wait() -> float | None:
    """Seconds for which this thread may wait at a time; None for as long as it takes.

    The main thread looks up now and then: a Ctrl-C that comes just before a wait begins does not end it, and on Windows none does.
    """
    return _GLANCE if threading.get_ident() == threading.main_thread().ident else None


def utc(seconds: float) -> datetime:
    """Seconds since the epoch as an aware datetime."""
    return datetime.fromtimestamp(seconds, UTC)


class Clock(Protocol):
    """The three things that a loop may ask of time."""

    def now(self) -> float:
        """Seconds since the epoch (UTC), for what is recorded."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for durations."""
        ...

    def wait(self, event: Event, seconds: float | None) -> bool:
        """Wait until the event is set or ``seconds`` have passed; whether it was set."""
        ...


class SystemClock:
    """The machine's own clock."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    def wait(self, event: Event, seconds: float | None) -> bool:
        return event.wait(seconds)
