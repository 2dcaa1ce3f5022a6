"""The pause of a run over many inputs: it starts nothing new, and what it has started continues."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ...errors import Interrupted
from ...store.rows import Waiting

PAUSED = "paused"
"""Why a paused run starts nothing, for a machine."""

_STOPPED = "The engine stopped while this run was paused; run again what is missing or failed."


class PauseSwitch:
    """Whether a run may make its next call. Any thread may ask and change that."""

    def __init__(self, *, paused: bool = False) -> None:
        self._lock = threading.Lock()
        self._paused = paused
        self._released = False
        self._interrupted = False
        self._watcher: Callable[[], None] | None = None

    @property
    def paused(self) -> bool:
        """Whether no call is let through."""
        return self._paused

    def pause(self) -> bool:
        """Let no call through; False if none was let through already."""
        with self._lock:
            changed, self._paused = not self._paused, True
        return changed

    def resume(self) -> bool:
        """Let calls through again; False if they were."""
        with self._lock:
            changed, self._paused = self._paused, False
        self._notify()
        return changed

    def release(self) -> None:
        """Hold nothing back any more, whatever comes: the run was asked to end, and its next call notices that."""
        self._released = True
        self._notify()

    def interrupt(self) -> bool:
        """End the run at its next call if it is paused; False if it is not."""
        with self._lock:
            self._interrupted = self._paused
        self._notify()
        return self._interrupted

    def lets_through(self) -> bool:
        """Whether the next call may be made now. Raises ``Interrupted`` if the run is to end instead."""
        if self._interrupted:
            raise Interrupted(_STOPPED)
        return self._released or not self._paused

    def watch(self, watcher: Callable[[], None] | None) -> None:
        """Call this after every change; None: nobody looks any more."""
        self._watcher = watcher

    def _notify(self) -> None:
        if (watcher := self._watcher) is not None:
            watcher()


def waiting_paused(now: float) -> Waiting:
    """Why a paused run starts nothing."""
    return Waiting(PAUSED, "it is paused: what it has begun goes on, and nothing new is begun", now)
