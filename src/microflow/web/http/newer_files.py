"""Which files of the flows are newer than the code that is served, looked at now and then for the pages that say so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...loading import shown
from ...model.events import Event

if TYPE_CHECKING:
    from ...engine.engine import Engine

LOOK = 3.0
"""Seconds between two looks at the files while a page is open."""

RECENT = 1.0
"""Seconds for which a look is as good as another one."""


class NewerFiles:
    """The files that hold something else than what was imported, as of the last look. Usable from every thread."""

    def __init__(self, engine: Engine, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._looked = (-1, 0.0)  # after how many reloads, and when
        self._names: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The files as a person in the server's folder would write them, without looking at them now."""
        return self._names if self._looked[0] == self._engine.reloads else ()

    def look(self) -> tuple[str, ...]:
        """The files as they are now, or were less than ``RECENT`` seconds ago. Whoever listens is told if they are others."""
        if self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        return self.names

    def _look(self) -> None:
        reloads, now = self._engine.reloads, self._monotonic()
        if self._looked[0] == reloads and now - self._looked[1] < RECENT:
            return
        before, found = self.names, tuple(map(shown, self._engine.changed_files()))
        self._names, self._looked = found, (reloads, now)
        if found != before:
            self._engine.events.publish(Event("code"))
