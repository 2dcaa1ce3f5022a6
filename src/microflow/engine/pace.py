"""How many calls a worker is handed at once.

Where a task takes less time than it takes to hand it over, a worker would wait for the next one more than it works. So it is handed
several, which it runs one after the other. What it has not begun when one of them takes longer comes back (see ``child``).
"""

from __future__ import annotations

MOST = 16
"""How many calls a worker is handed at once at the most."""

QUICK = 0.001
"""Seconds below which a task is small."""


class Pace:
    """Counts what ran: ``size`` calls may be handed over at once, twice as many whenever so many were small, up to ``most``."""

    def __init__(self, most: int = MOST) -> None:
        self.size = 1
        self._most = most
        self._quick = 0

    def ran(self, seconds: float) -> None:
        """One ended, and took so long."""
        if seconds > QUICK:
            self.slow_down()
            return
        self._quick += 1
        if self._quick >= self.size and self.size < self._most:
            self.size = min(2 * self.size, self._most)
            self._quick = 0

    def slow_down(self) -> None:
        """They are not small: one at a time."""
        self.size = 1
        self._quick = 0

    def stay_slow(self) -> None:
        """Each looks at what the one before has left: one at a time from now on."""
        self._most = 1
        self.slow_down()
