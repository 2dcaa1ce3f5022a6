"""How an engine ends what lives when it stops: what the next server can go on with is left to it, the rest is ended."""

from __future__ import annotations

import logging
from collections.abc import Container
from typing import Any

from ..errors import Interrupted, StoreError
from ..model.results import ExecutionError
from ..store.executions import Waiting
from .resources import Live, Resources
from .standing import State
from .succession import RUNS, Succession

logger = logging.getLogger("microflow")


def leave_retries(resources: Resources) -> None:
    """What only waits for next attempts need not be waited for, if they are the next server's."""
    if resources.leaves:
        for execution in resources.live.all():
            if execution.parent is None and _only_waits(execution):
                execution.cancel("interrupted")


def _only_waits(execution: Any) -> bool:
    """Whether it waits for its next attempt; of a run, whether all that it has begun does."""
    calls = tuple(execution.children)
    return all(map(_only_waits, calls)) if execution.kind in RUNS and calls else execution.waits_for_attempt


def end_live(live: Live, seconds: float) -> None:
    """End what still runs, and wait until that is recorded; a manager that never calls anything can't be ended."""
    executions = live.all()
    for execution in executions:
        if execution.children:  # it must not go on with how they end now
            execution.stop.set("interrupted")
    # first what waits for a place: it must not get one now
    for execution in sorted(executions, key=lambda each: each.state is not State.PARKED):
        execution.cancel("interrupted")
    live.wait_until_empty(seconds)


def sign_off(resources: Resources, succession: Succession, flows: Container[str], *, reason: str) -> int:
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
                for left in succession.left_by(executions.engine_id):
                    kept |= succession.waiting_for_server(left, now)
            errors = {}
            for opened, ending in tuple(resources.left.values()):
                if opened.id not in kept:
                    executions.finish(opened, ending, now)
                elif ending.error is not None:
                    errors[opened.id] = ending.error
            executions.unregister(now=now, reason=reason)
            error = ExecutionError(Interrupted.__name__, "the engine stopped while it ran, and could not end it")
            executions.interrupt(executions.engine_id, error, now, kept, nobodys=kept, errors=errors)
        return executions.count_left(flows)
    except Exception as error:  # so it stays open in the store, and the next engine clears up after it
        logger.error("The end of the engine can't be recorded: %s", error, exc_info=not isinstance(error, StoreError))
        return 0
