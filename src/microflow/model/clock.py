"""Time as an argument: what the engine knows of it, in one small object that tests replace."""

from __future__ import annotations

import time
from threading import Event
from typing import Protocol


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
