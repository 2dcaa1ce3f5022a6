"""Clears up after engines that died: what they left is resumed, by this engine or the next server, or ended."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable

from ...errors import ConflictError, Interrupted, StoreError
from ...loop import Loop, log_failure
from ...model.clock import Clock
from ...model.results import ExecutionError, Kind
from ...store import Executions
from ...store.rows import NOBODY, Opened
from ..runs.mappings import Mappings
from ..schedules.runs import ScheduleRuns
from .resume import Resumption
from .takeover import Leftover, Predecessor, plan_takeover

logger = logging.getLogger("microflow")

LOOK = 5.0
"""Seconds between looks for engines that died while a server runs."""

_FAILURE = "What dead engines left can't be cleared up now"


class Recovery:
    """Resumes what dead engines have left: at the start and, on a server, whenever a script or command has died.

    ``runs`` starts what is resumed; ``mappings`` keeps the inputs of mappings.
    """

    def __init__(
        self,
        executions: Executions,
        resumption: Resumption,
        runs: ScheduleRuns,
        mappings: Mappings,
        clock: Clock,
    ) -> None:
        self._executions = executions
        self._resumption = resumption
        self._runs = runs
        self._clock = clock
        self._mappings = mappings
        self._taken: deque[Leftover] = deque()
        self._loop = Loop(
            "microflow-recovery",
            self._look,
            failure=_FAILURE,
            again=LOOK,
            clock=clock,
        )

    def start(self, taken: Iterable[Leftover], ticks: Iterable[Opened], *, looks: bool) -> None:
        """Resume what was taken over; ``ticks``: the runs of ticks that have not started. ``looks``: look again every ``LOOK``."""
        try:
            self.resume(taken, self._clock.now(), ticks)
        except Exception as error:  # noqa: BLE001 - what has been taken over is resumed after the next look
            log_failure(_FAILURE, error)
        if looks:
            self._loop.start(after=LOOK)

    def stop(self) -> None:
        """Look no more. A look under way is not waited for: it may call users' code, and what it still takes over is refused."""
        self._loop.stop(wait=False)

    def run_once(self, now: float) -> None:
        """One look. Raises ``StoreError``; what has been taken over by then is resumed after the next look."""
        self.resume(take_over(self._executions, self._resumption, now, serves=True), now)

    def resume(self, taken: Iterable[Leftover], now: float, ticks: Iterable[Opened] = ()) -> None:
        """Resume what has been taken over, in the order in which it was accepted. What can't be resumed after all is ended.

        The runs of ``ticks`` that were accepted before the last of it start at their place in that order. Raises ``StoreError``.
        """
        self._taken.extend(taken)
        waiting = deque(ticks)
        while self._taken:
            left = self._taken[0]
            while waiting and waiting[0].id < left.root.id:
                self._runs.take_over_tick(waiting.popleft(), now)
            try:
                submitted = self._runs.take_over(self._resumption.call(left))
                if left.kind is Kind.MAP:
                    submitted.future.add_done_callback(self._mappings.forget)
            except ConflictError:  # this engine is stopping: its last act leaves this to the next one
                logger.info("Execution %s is left to the next server.", left.root.id)
            except StoreError:
                raise
            except Exception as error:  # a user's filter may raise anything, and the others are resumed
                logger.exception("Execution %s can't be resumed.", left.root.id)
                self._resumption.end(left, error, now)
            self._taken.popleft()

    def _look(self) -> float:
        self.run_once(self._clock.now())
        return LOOK


def take_over(executions: Executions, resumption: Resumption, now: float, *, serves: bool) -> list[Leftover]:
    """Take over what dead engines left unfinished, and end what can't be resumed.

    Returns what is to be resumed, in the order in which it was accepted; it is already queued as this engine's.

    The store knows which engines are dead. ``serves``: this engine is a server, which resumes what another one left; other engines
    leave that queued.
    """
    taken: list[Leftover] = []
    for engine_id, kind, process in executions.engines.dead():
        name = f"{kind} engine ({process})"
        error = f"The {name} that ran this ended before the execution did."
        taken += _take_over_from(
            Predecessor(engine_id, name, kind == "server", error), executions, resumption, now, serves=serves
        )
    if serves:
        error = "The server that ran this stopped, and its job has no attempt left, or is gone."
        taken += _take_over_from(Predecessor(NOBODY, "server", True, error), executions, resumption, now, serves=True)
    return sorted(taken, key=lambda left: left.root.id)


def _take_over_from(
    dead: Predecessor, executions: Executions, resumption: Resumption, now: float, *, serves: bool
) -> list[Leftover]:
    """Carry out the takeover of a dead engine's executions in one transaction; what this engine resumes of them.

    If two engines do this at the same time, one finds nothing left.
    """
    with executions.together():
        if executions.engines.has_ended:  # it stopped meanwhile, and nobody would look after what it takes over now
            return []
        unfinished = executions.unfinished(dead.id)
        plan = plan_takeover(dead, unfinished, resumption.retries_of, executions.call_of, serves=serves, now=now)
        executions.interrupt(
            dead.id,
            ExecutionError(Interrupted.__name__, dead.error),
            now,
            plan.queued,
            nobodys=plan.unowned,
            errors=plan.errors,
            spared=plan.untouched,
        )
    return plan.resumed
