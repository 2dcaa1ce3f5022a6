"""Pausing runs over many inputs: nothing new is begun, what has been begun goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ...errors import ConflictError, Interrupted
from ...model.clock import Clock
from ...store import Executions
from ...store.rows import Waiting
from .resources import Live, refusal

PAUSED = "paused"
"""Why a run that is paused does not go on, for a machine."""

_STOPPED = "The engine stopped while this run was paused; run again what is missing or failed."


class PauseSwitch:
    """Whether a run may make its next call. Anybody may ask and change that, in any thread."""

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
        self._tell()
        return changed

    def release(self) -> None:
        """Hold nothing back any more, whatever comes: the run is asked to end, and its next call finds that."""
        self._released = True
        self._tell()

    def interrupt(self) -> bool:
        """End the run at its next call if it is paused; False if it is not."""
        with self._lock:
            self._interrupted = self._paused
        self._tell()
        return self._interrupted

    def lets_through(self) -> bool:
        """Whether the next call may be made now. Raises ``Interrupted`` if the run is to end instead."""
        if self._interrupted:
            raise Interrupted(_STOPPED)
        return self._released or not self._paused

    def watch(self, watcher: Callable[[], None] | None) -> None:
        """Call this after every change; None: nobody looks any more."""
        self._watcher = watcher

    def _tell(self) -> None:
        if (watcher := self._watcher) is not None:
            watcher()


def waiting_paused(now: float) -> Waiting:
    """Why a run that is paused does not go on."""
    return Waiting(PAUSED, "it is paused: what it has begun goes on, and nothing new is begun", now)


class Pausing:
    """Pauses and resumes the runs that are live."""

    def __init__(self, live: Live, executions: Executions, clock: Clock) -> None:
        self._live = live
        self._executions = executions
        self._clock = clock

    def pause(self, execution_id: int) -> None:
        """Begin nothing new. Raises ``UnknownNameError``, ``ConflictError`` for what can't be paused, or is."""
        execution = self._find(execution_id, "pause")
        if not execution.call.gate.pause():
            raise ConflictError(f"Execution {execution_id} is paused already; resume it, or cancel it.")
        if not self._executions.mark_paused(execution.row, waiting_paused(self._clock.now())):
            raise self._refusal(execution_id, "pause")

    def resume(self, execution_id: int) -> None:
        """Go on. Raises ``UnknownNameError``, ``ConflictError`` for what is not paused."""
        execution = self._find(execution_id, "resume")
        if not execution.call.gate.resume():
            raise ConflictError(f"Execution {execution_id} is not paused, so it can't be resumed.")
        if not self._executions.mark_paused(execution.row, None):
            raise self._refusal(execution_id, "resume")

    def interrupt(self) -> None:
        """End the paused runs, which would never end by themselves, once what they have begun has ended."""
        for execution in self._live.all():
            if execution.call.gate is not None:
                execution.call.gate.interrupt()

    def _find(self, execution_id: int, verb: str) -> Any:
        execution = self._live.get(execution_id)
        if execution is None:
            raise self._refusal(execution_id, verb)
        if execution.call.gate is None:
            raise ConflictError(
                f"Execution {execution_id} is one {execution.kind} of {execution.job.name!r}; only a run over many inputs or "
                f"partitions that was started as one can be {verb}d."
            )
        return execution

    def _refusal(self, execution_id: int, verb: str) -> ConflictError:
        return refusal(self._executions, execution_id, verb, f"it can't be {verb}d")
