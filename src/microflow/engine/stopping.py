"""How an engine ends what lives when it stops: what a server's next start can try again is left to it, the rest is ended."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ..errors import Interrupted, StoreError
from ..flow import Flow
from ..model.results import ExecutionError
from ..store.executions import NOBODY
from .recovery import with_attempts_left
from .resources import Live, Resources
from .settling import waiting_for_server
from .standing import State

logger = logging.getLogger("microflow")


def leave_retries(resources: Resources) -> None:
    """What waits for its next attempt need not be waited for, if that is the next server's."""
    if resources.leaves_attempts:
        for execution in resources.live.all():
            if execution.parent is None and execution.waits_for_attempt:
                execution.cancel("interrupted")


def end_live(live: Live, seconds: float) -> None:
    """End what still runs, and wait until that is recorded; a manager that never calls anything can't be ended."""
    # first what waits for a place: it must not get one now
    for execution in sorted(live.all(), key=lambda each: each.state is not State.PARKED):
        execution.cancel("interrupted")
    live.wait_until_empty(seconds)


def sign_off(resources: Resources, flows: Mapping[str, Flow], *, ended: bool, reason: str) -> int:
    """Record that this engine ended, and the ends it still owes; ``ended``: everything has ended by itself.

    How many executions wait for the next server.

    What could not be ended is not left as running in the store, where nobody would look for it.
    """
    executions, now = resources.executions, resources.clock.now()
    try:
        resources.record_refused_ends()
        if not ended:
            left = with_attempts_left(executions, flows, executions.engine_id) if resources.leaves_attempts else []
            retried = {opened.id: waiting_for_server(now) for opened, _ in left}
            error = ExecutionError(Interrupted.__name__, "the engine stopped while it ran, and could not end it")
            executions.interrupt(executions.engine_id, error, now, retried, NOBODY)
        executions.unregister(now=now, reason=reason)
        return executions.count_left()
    except StoreError as error:  # so it stays open in the store, and the next engine clears up after it
        logger.error("The end of the engine can't be recorded: %s", error)
        return 0
