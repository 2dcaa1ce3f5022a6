"""The live executions, those that have not ended, and what may be asked of one by its number."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from ...errors import ConflictError
from ...jobs import Job
from ...model.clock import Clock, longest_wait
from ...model.results import ExecutionStatus, Kind
from ...runners.base import Stop
from ...store import Executions
from ...store.rows import Opened, Waiting
from ..admission.slots import Limit, SlotRequest
from .call import Call
from .observation import Observation
from .pausing import PauseSwitch, waiting_paused
from .state import State


class LiveExecution(Protocol):
    """A live execution, as others than the thread that carries it out may use it: all of this is safe in any thread."""

    @property
    def id(self) -> int:
        """Its number; 0 before its row is open."""
        ...

    @property
    def row(self) -> Opened:
        """Its row, which must be open."""
        ...

    @property
    def call(self) -> Call:
        """The call that it carries out."""
        ...

    @property
    def job(self) -> Job[Any]:
        """The job that was called."""
        ...

    @property
    def kind(self) -> Kind:
        """What it is: a job's kind, or that of a run."""
        ...

    @property
    def parent(self) -> LiveExecution | None:
        """The execution that called it; None for a root."""
        ...

    @property
    def children(self) -> set[LiveExecution]:
        """The live executions that it called. Only single operations are safe: take a copy to iterate."""
        ...

    @property
    def observation(self) -> Observation:
        """What its runner reports."""
        ...

    @property
    def slots(self) -> SlotRequest | None:
        """Its request for slots; None before it has made one."""
        ...

    @property
    def state(self) -> State:
        """Its state at this moment."""
        ...

    @property
    def stop(self) -> Stop:
        """What asks its attempt to end."""
        ...

    @property
    def waits_at(self) -> Limit | None:
        """The limit where it is parked."""
        ...

    def next_positions(self, count: int = 1) -> int:
        """Reserve positions for its next calls; the first of them."""
        ...

    def cancel(self, reason: str = "cancelled") -> bool:
        """Ask it, and everything below it, to end; False if it had ended."""
        ...

    def drain(self, reason: str) -> None:
        """Ask a run to call nothing more; what it has called goes on."""
        ...

    def leave(self, waiting: Waiting) -> bool:
        """Leave its row queued for another engine; False if it is not parked or has started."""
        ...


def outlives_engine(execution: LiveExecution) -> bool:
    """Whether the next server resumes it: a root, or a member of a run. What a manager called ends with its engine."""
    above = execution.parent
    while above is not None and not above.kind.has_code:
        above = above.parent
    return above is None


def slots_above(parent: LiveExecution | None) -> list[SlotRequest]:
    """The requests for slots of those for whom a call is made: its caller, and so on to the top."""
    found = []
    while parent is not None:
        if parent.slots is not None and parent.slots.limits:
            found.append(parent.slots)
        parent = parent.parent
    return found


class Live:
    """The executions that have not ended, by their numbers."""

    def __init__(self) -> None:
        self._known: dict[int, LiveExecution] = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def add(self, execution: LiveExecution) -> None:
        """Add one whose row is open."""
        self._known[execution.id] = execution

    def remove(self, execution: LiveExecution) -> None:
        """Remove one that has ended; nothing happens if it is not known."""
        number = execution.id
        with self._lock:
            if self._known.get(number) is execution:
                del self._known[number]
            if not self._known:
                self._changed.notify_all()

    def get(self, execution_id: int) -> LiveExecution | None:
        """The live execution of this number; None if it is not live."""
        return self._known.get(execution_id)

    def all(self) -> list[LiveExecution]:
        """Everything that lives now."""
        return list(self._known.values())

    def wait_until_empty(self, seconds: float, unless: Callable[[], bool] = lambda: False) -> bool:
        """Wait until nothing lives, or for so many seconds, or until ``hurry`` and ``unless``; whether nothing lives."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._known and not unless() and (left := end - time.monotonic()) > 0:
                self._changed.wait(min(left, longest_wait() or left))
        return not self._known

    def hurry(self) -> None:
        """Let whoever waits look again."""
        with self._changed:
            self._changed.notify_all()


def refusal(executions: Executions, execution_id: int, verb: str, so: str) -> ConflictError:
    """Why nothing is done to an execution that is not among the live ones: ``so``, or who could ``verb`` it.

    Raises ``UnknownNameError`` if there is none.
    """
    row = executions.call_of(execution_id)
    name, status = f"Execution {execution_id}", ExecutionStatus(row.status)
    if status.final:
        return ConflictError(f"{name} has ended ({status}), so {so}.")
    if row.engine_id == executions.engine_id:  # it has, and the store is about to learn of it
        return ConflictError(f"{name} is ending at this moment, so {so}.")
    if executions.engines.is_open(row.engine_id):
        return ConflictError(f"{name} is {status} in another process; {verb} it there.")
    return ConflictError(f"{name} waits for a server of flow {row.flow!r}; {verb} it there.")


class Pausing:
    """Pauses and resumes the runs that are live."""

    def __init__(self, live: Live, executions: Executions, clock: Clock) -> None:
        self._live = live
        self._executions = executions
        self._clock = clock

    def pause(self, execution_id: int) -> None:
        """Start nothing new. Raises ``UnknownNameError``, ``ConflictError`` for what can't be paused, or is."""
        execution, switch = self._find(execution_id, "pause")
        if not switch.pause():
            raise ConflictError(f"Execution {execution_id} is paused already; resume it, or cancel it.")
        if not self._executions.mark_paused(execution.row, waiting_paused(self._clock.now())):
            raise self._refusal(execution_id, "pause")

    def resume(self, execution_id: int) -> None:
        """Start new calls again. Raises ``UnknownNameError``, ``ConflictError`` for what is not paused."""
        execution, switch = self._find(execution_id, "resume")
        if not switch.resume():
            raise ConflictError(f"Execution {execution_id} is not paused, so it can't be resumed.")
        if not self._executions.mark_paused(execution.row, None):
            raise self._refusal(execution_id, "resume")

    def interrupt(self) -> None:
        """End the paused runs, which would never end by themselves, once what they have started has ended."""
        for execution in self._live.all():
            if execution.call.pause_switch is not None:
                execution.call.pause_switch.interrupt()

    def _find(self, execution_id: int, verb: str) -> tuple[LiveExecution, PauseSwitch]:
        execution = self._live.get(execution_id)
        if execution is None:
            raise self._refusal(execution_id, verb)
        if execution.call.pause_switch is None:
            raise ConflictError(
                f"Execution {execution_id} is one {execution.kind} of {execution.job.name!r}; only a run over many inputs or "
                f"partitions that was started as one can be {verb}d."
            )
        return execution, execution.call.pause_switch

    def _refusal(self, execution_id: int, verb: str) -> ConflictError:
        return refusal(self._executions, execution_id, verb, f"it can't be {verb}d")
