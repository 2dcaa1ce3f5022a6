"""History is kept within bounds by itself: a step now and then, an hour's rest when there is nothing left to delete."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ...errors import StoreError
from ...model.clock import Clock
from ...store import Retention

logger = logging.getLogger("microflow")


class HousekeepingConfig(msgspec.Struct, frozen=True):
    """``keep``: how long history stays; ``rest``: between rounds; ``pause``: between the steps of one. All in seconds."""

    keep: float = 90 * 86_400.0
    rest: float = 3_600.0
    pause: float = 0.03


class Housekeeping:
    """Deletes old history while a server runs."""

    def __init__(
        self,
        config: HousekeepingConfig,
        retention: Retention,
        clock: Clock,
        later: Callable[[float, Callable[[], None]], Any],
    ) -> None:
        self._config = config
        self._retention = retention
        self._clock = clock
        self._later = later
        self._round: Iterator[int] | None = None
        self._timer: Any = None

    def start(self) -> None:
        """Begin the first round soon, when the server has come up."""
        self._timer = self._later(min(self._config.rest, 60.0), self._live)

    def stop(self) -> None:
        """Make no further step."""
        if self._timer is not None:
            self._timer.cancel()

    def run_once(self, now: float) -> float:
        """One step, of a new round if none is under way; seconds until the next one."""
        if self._round is None:
            self._round = self._retention.steps(now - self._config.keep)
        if next(self._round, None) is not None:
            return self._config.pause
        self._round = None
        return self._config.rest

    def _live(self) -> None:
        wait = self._config.rest
        try:
            wait = self.run_once(self._clock.now())
        except Exception as error:
            logger.error("Old history can't be deleted now: %s", error, exc_info=not isinstance(error, StoreError))
            self._round = None
        finally:  # whatever it was, the next round is tried
            self._timer = self._later(wait, self._live)
