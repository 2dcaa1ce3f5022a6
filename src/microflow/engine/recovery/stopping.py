"""How an engine ends what lives when it stops: what the next server resumes is left to it, the rest is ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Container

from ...errors import Interrupted, StoreError
from ...model.results import ExecutionError, Kind
from ...store.rows import Waiting
from ..execution.live import Live, LiveExecution
from ..execution.resources import Resources
from ..execution.state import State
from .resume import Resumption
from .takeover import awaiting_server, left_by_server

logger = logging.getLogger("microflow")

ENDING_SECONDS = 5.0
"""How long a task may take to be killed once its grace is over, until that is recorded."""

HURRIED_SECONDS = 1.0
"""How long what was ended at once may take until that is recorded."""


def leave_queued(resources: Resources) -> None:
    """Leave queued executions to the next server, and have runs start nothing more. Started executions may end.

    A script leaves nothing: its queued executions still run while it stops.
    """
    if resources.leaves:
        for execution in resources.live.all():
            if execution.parent is None:
                _leave(execution)


def _leave(execution: LiveExecution) -> None:
    """Leave a root or a member of a run. A run is asked to end before its members, which it must not go by any more."""
    if execution.state is State.PARKED:
        execution.cancel("interrupted")
    elif not execution.kind.has_code:
        execution.drain("interrupted")
        for member in tuple(execution.children):
            _leave(member)


def end_live(live: Live, hurried: Callable[[], bool]) -> None:
    """End what still runs, and wait until that is recorded; a manager that never calls anything can't be ended.

    Tasks have their ``cancel_grace`` first, unless somebody is in a hurry, also from the moment when that comes.
    """
    executions = live.all()
    if hurried():
        for execution in executions:
            execution.stop.hurry()
    for execution in executions:
        if execution.children:  # it must not go on with how they end now
            execution.stop.set("interrupted")
    # first what waits for a place: it must not get one now
    for execution in sorted(executions, key=lambda each: each.state is not State.PARKED):
        execution.cancel("interrupted")
    seconds = max((_ending_seconds(execution) for execution in executions), default=0.0)
    if not live.wait_until_empty(min(seconds, threading.TIMEOUT_MAX), unless=hurried):
        for execution in live.all():
            execution.stop.hurry()
        live.wait_until_empty(HURRIED_SECONDS)


def _ending_seconds(execution: LiveExecution) -> float:
    """How long an execution may take to end. What can't be killed is waited for as long as a task would live on."""
    job = execution.job
    is_killed = job.kind is Kind.TASK and job.runner != "thread" and execution.call.body is None
    return float(job.cancel_grace) + (ENDING_SECONDS if is_killed else HURRIED_SECONDS)


def sign_off(resources: Resources, resumption: Resumption, flows: Container[str], *, reason: str) -> int:
    """Record that this engine ended, the ends it still owes, and what it leaves to the next server, as after a kill.

    How many executions of these flows wait for the next server.

    What could not be ended is not left as running in the store, where nobody would look for it.
    """
    executions, now = resources.executions, resources.clock.now()
    try:
        resources.record_refused_ends()
        with executions.together():
            kept: dict[int, Waiting] = {}
            if resources.leaves:
                left = left_by_server(executions.unfinished(executions.engine_id), resumption.retries_of)
                kept = awaiting_server(left, executions.call_of, now)
            errors = {}
            for opened, ending in tuple(resources.left.values()):
                if opened.id not in kept:
                    executions.finish(opened, ending, now)
                elif ending.error is not None:
                    errors[opened.id] = ending.error
            executions.engines.unregister(now=now, reason=reason)
            error = ExecutionError(Interrupted.__name__, "the engine stopped while it ran, and could not end it")
            executions.interrupt(executions.engine_id, error, now, kept, nobodys=kept, errors=errors)
        return executions.count_left(flows)
    except Exception as error:  # so it stays open in the store, and the next engine clears up after it
        logger.error("The end of the engine can't be recorded: %s", error, exc_info=not isinstance(error, StoreError))
        return 0
