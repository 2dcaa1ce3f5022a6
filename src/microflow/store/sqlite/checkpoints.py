"""When the write-ahead log is moved to the file: by a thread of its own, so that no commit has to wait for the disk."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ...errors import StoreError
from ...runtime import start_thread

logger = logging.getLogger("microflow")

EVERY = 2_500
"""After so many changed rows the log is moved: some 8,000 pages of it, where each execution is committed by itself."""


class Checkpoints:
    """Has the log moved whenever it has grown. The thread is there from the first time on, and sleeps while nothing is written.

    ``checkpoint`` moves it, and raises ``StoreError`` where it can't; then it is tried again after as many changes.
    """

    def __init__(self, checkpoint: Callable[[], None]) -> None:
        self._checkpoint = checkpoint
        self._next = EVERY
        self._due = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    def wrote(self, changes: int) -> None:
        """So many rows have been changed and committed until now. Called by the thread that has the write connection."""
        if changes < self._next or self._closed:
            return
        self._next = changes + EVERY
        self._due.set()
        if self._thread is None:
            try:
                self._thread = start_thread(self._live, "microflow-checkpoints")
            except RuntimeError as error:  # as long as there can be none, the log is moved by a commit when it is long
                logger.warning("The store's log can't be moved to its file in the background: %s", error)

    def run_once(self) -> None:
        """Move the log. What goes wrong is logged: nothing is lost by it, and nobody could be told."""
        try:
            self._checkpoint()
        except StoreError as error:
            logger.warning("The store's log could not be moved to its file: %s", error)
        except Exception:  # without this thread it would be moved by a commit, which everybody waits for
            logger.exception("The store's log could not be moved to its file.")

    def close(self) -> None:
        """Begin no more, and wait for the end of the one that is under way."""
        self._closed = True
        self._due.set()
        if self._thread is not None:
            self._thread.join()

    def _live(self) -> None:
        while self._due.wait() and not self._closed:
            self._due.clear()
            self.run_once()
