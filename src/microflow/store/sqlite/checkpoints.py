"""Moves the write-ahead log to the store's file in a thread of its own, so that no commit has to wait for the disk."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ...loop import Loop

logger = logging.getLogger("microflow")

EVERY = 2_500
"""After so many changed rows the log is moved: some 8,000 pages of it, where each execution is committed by itself."""


class Checkpoints:
    """Moves the log whenever it has grown.

    ``checkpoint`` moves it, and raises ``StoreError`` if it can't. The error is logged, because no caller waits for the move, and
    the next try follows after as many changes.
    """

    def __init__(self, checkpoint: Callable[[], None]) -> None:
        self._next = EVERY
        self._loop = Loop(
            "microflow-checkpoints", checkpoint, failure="The store's log could not be moved to its file", again=None
        )

    def wrote(self, changes: int) -> None:
        """So many rows have been changed and committed until now. Called by the thread that has the write connection."""
        if changes < self._next:
            return
        self._next = changes + EVERY
        try:
            self._loop.wake()
        except RuntimeError as error:  # until a thread can be started, a commit moves the log when it has grown long
            logger.warning("The store's log can't be moved to its file in the background: %s", error)

    def close(self) -> None:
        """Start no further move, and wait until the one under way is over."""
        self._loop.stop()
