"""How long an attempt may take: from when its function begins, which in a new worker is after its start and its imports."""

from __future__ import annotations

from collections.abc import Callable

from ..background.timers import Timers

LOADING = 60.0
"""Seconds that the start of a worker and the imports of what it runs may take beyond the timeout of the attempt."""


class Deadline:
    """Calls ``over`` when an attempt has taken so many seconds, unless it is cancelled before."""

    def __init__(self, timers: Timers, seconds: float, over: Callable[[], None]) -> None:
        self._timers = timers
        self._seconds = seconds
        self._over = over
        self._timer = timers.later(seconds, over)

    def loading(self, is_loading: bool) -> None:
        """It is made ready now, which is not the job's doing; or that is done, and it begins."""
        self.cancel()
        self._timer = self._timers.later(self._seconds + (LOADING if is_loading else 0.0), self._over)

    def cancel(self) -> None:
        """The attempt is over."""
        self._timer.cancel()
