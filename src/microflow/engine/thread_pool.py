"""The threads that carry out what blocks: managers, and tasks whose runner does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class ThreadPool(ThreadPoolExecutor):
    """At most ``maximum`` threads. Mappings, parallel calls and DAG runs begin nothing in another thread while ``spared`` are busy.

    Who calls a manager waits for it, so where every thread does that, nobody would carry out what all wait for. Hence
    ``try_submit``: the thread that it refuses has nothing to do but wait, and carries out the call itself.
    """

    def __init__(self, maximum: int, spared: int) -> None:
        super().__init__(maximum, thread_name_prefix="microflow")
        self._spared = spared
        self._busy = 0
        self._counting = threading.Lock()

    def try_submit(self, function: Callable[..., None], *arguments: Any) -> bool:
        """Have this called by another thread; False if too many are busy with such calls."""
        with self._counting:
            if self._busy >= self._spared:
                return False
            self._busy += 1
        self.submit(self._call, function, arguments)
        return True

    def _call(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        try:
            function(*arguments)
        finally:
            with self._counting:
                self._busy -= 1
