"""Whether the store's file is still there: what is written to one that was removed or replaced would be lost with the process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from ...errors import StoreError

LOOK_AGAIN = 0.5
"""Seconds for which a file that was there counts as there."""


class Presence:
    """The file as it was when it was opened. SQLite itself does not notice when it goes."""

    def __init__(self, path: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._now = now
        self._opened = _identity(path)
        self._trusted_until = now() + LOOK_AGAIN

    def check(self) -> None:
        """Raise ``StoreError`` if the file is not the one that was opened; when it is back, all is well again."""
        now = self._now()
        if now < self._trusted_until:
            return
        if _identity(self._path) != self._opened:
            raise StoreError(
                f"The store's file {self._path} was removed or replaced. Put it back, or start again to have a new store."
            )
        self._trusted_until = now + LOOK_AGAIN


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file a path stands for; no other gets its numbers as long as it is open somewhere."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
