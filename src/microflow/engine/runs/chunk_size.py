"""How many calls a worker is handed at once, as one chunk.

If a task takes less time than it takes to hand it over, a worker would wait for the next task longer than it works. So it is handed
several, which it runs one after the other. Those that it has not started when one of them takes longer come back (see ``child``).
"""

from __future__ import annotations

MOST = 64
"""How many calls a worker is handed at once at the most."""

QUICK = 0.001
"""Seconds below which a task is small."""

SPAN = 0.005
"""Seconds that what a worker is handed at once should take at the most."""


class ChunkSize:
    """Counts what ran: ``size`` calls may be handed over at once, twice as many whenever so many were small, up to ``MOST``."""

    def __init__(self) -> None:
        self.size = 1
        self._most = MOST
        self._quick = 0
        self._seconds = 0.0  # what one takes: of those that ran last, rather too long than too short

    def ran(self, seconds: float) -> None:
        """One ended, and took so long."""
        if seconds > QUICK:
            self.slow_down()
            return
        self._seconds = max(seconds, 0.9 * self._seconds)
        self._quick += 1
        if self._quick >= self.size:
            self.size = min(2 * self.size, self._most, int(SPAN / self._seconds) if self._seconds else MOST)
            self._quick = 0

    def slow_down(self) -> None:
        """They are not small: one at a time."""
        self.size = 1
        self._quick = 0

    def stay_slow(self) -> None:
        """Each looks at what the one before has left: one at a time from now on."""
        self._most = 1
        self.slow_down()
