"""Deletes old history while a server runs: in short steps, with an hour's rest when nothing is left to delete."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ...loop import Loop
from ...model.clock import Clock
from ...store import Retention

FIRST = 60.0
"""Seconds until the first round at most: the server has come up by then."""


class HousekeepingConfig(msgspec.Struct, frozen=True):
    """``keep``: how long history stays; ``rest``: between rounds; ``pause``: between the steps of one. All in seconds."""

    keep: float = 90 * 86_400.0
    rest: float = 3_600.0
    pause: float = 0.03


class Housekeeping:
    """Deletes old history while a server runs."""

    def __init__(self, config: HousekeepingConfig, retention: Retention, clock: Clock) -> None:
        self._config = config
        self._retention = retention
        self._round: Iterator[int] | None = None
        self._loop = Loop(
            "microflow-housekeeping",
            lambda: self.run_once(clock.now()),
            failure="Old history can't be deleted now",
            again=config.rest,
            clock=clock,
        )

    def start(self) -> None:
        """Start the first round soon."""
        self._loop.start(after=min(self._config.rest, FIRST))

    def stop(self) -> None:
        """Make no further step, and wait until the one under way is over."""
        self._loop.stop()

    def run_once(self, now: float) -> float:
        """Make one step, of a new round if none is under way; seconds until the next one. A step that raises ends the round."""
        steps = self._round or self._retention.steps(now - self._config.keep)
        self._round = None
        if next(steps, None) is None:
            return self._config.rest
        self._round = steps
        return self._config.pause
