"""A chunk: executions that one worker is handed at once, and runs one after the other.

Only the first of a chunk holds slots, and is running; those behind it are queued. Each takes the slots over from the one before it
when the worker comes to it. Others that wait for these slots get them when the chunk is over, a few milliseconds later than if its
last ones had waited behind them: otherwise two mappings that run at once would hand each other the slots task by task. What the
worker gives back, because the one before takes long, waits for slots like any other execution.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import msgspec

from ...model.results import ExecutionStatus
from ...runners.base import Outcome, Started
from ...runners.calling import error_of
from ...store.rows import Ending, Waiting
from .call import UNPREPARED
from .execution import Execution
from .settling import outcome_of, waiting_at
from .state import State


def can_lead(execution: Execution) -> bool:
    """Whether a worker can be handed others behind this one: several executions of its job, which all need the same slots."""
    job, prepared = execution.job, execution.record.prepared
    return (
        job.timeout is None
        and execution.call.opened is None
        and prepared is not UNPREPARED
        and prepared.run_key is None
        and not any(group.key for group in job.limits)
        and execution.resources.can_start(execution)
    )


def can_follow(execution: Execution, first: Execution) -> bool:
    """Whether a worker can be handed this one behind another one that can lead.

    It needs the same slots, and nothing but its turn decides whether it runs.
    """
    prepared, call, parent = execution.record.prepared, execution.call, execution.parent
    return (
        prepared is not UNPREPARED
        and call.opened is None
        and prepared.verdict.run
        and prepared.run_key is None
        and execution.job is first.job
        and call.limits == first.call.limits
        and (parent is None or parent.stop.reason is None)
    )


class Chunk:
    """The executions of one chunk that have not ended, in the order in which the worker runs them; often it is one alone.

    It belongs to the thread that looks after all of them. ``first`` has its slots.
    """

    __slots__ = ("_executions",)

    def __init__(self, first: Execution, followers: Iterable[Execution] = ()) -> None:
        self._executions = deque((first, *followers))

    def __len__(self) -> int:
        return len(self._executions)

    def __iter__(self) -> Iterator[Execution]:
        return iter(self._executions)

    @property
    def first(self) -> Execution:
        """The one that runs."""
        return self._executions[0]

    @property
    def followers(self) -> tuple[Execution, ...]:
        """Those behind it."""
        return tuple(self._executions)[1:]

    def open_followers(self) -> None:
        """Open the rows of the followers, queued. Raises ``StoreError``.

        ``held_by`` tells them from what no worker has been handed: should this engine die, nobody knows which of them have started.
        """
        if len(self) == 1:
            return
        first = self.first
        request = first.turn.made
        waiting = msgspec.structs.replace(_waiting_behind(first), held_by=(first.id,))
        for follower in self.followers:
            follower.turn.ask(request.limits, request.ancestors)
            follower.open(waiting)
            follower.heed_caller()

    def launch(self) -> Started | State | None:
        """Start the attempt of the first in a worker, which runs the others afterwards; None if that can't be done.

        A state, as of ``Execution.attempt``, if the attempt of the first could not be started and is over.
        """
        first = self.first
        if not first.resources.can_start(first):
            return None
        if first.stop.reason is not None:
            return first.end_before_it_ran()
        try:
            first.set_timeout()
            asked = [(execution.record.request(), execution.observation) for execution in self._executions]
            return first.resources.start(first.job, asked)
        except Exception as error:  # noqa: BLE001 - as in Execution.attempt
            return first.conclude(outcome_of(error, first.observation.last_words))

    def ended(self, attempt: Started) -> Iterator[tuple[Execution, Outcome]]:
        """The worker has something to report: those that have ended, with the outcomes that are to be concluded.

        The slots of each are passed on to the one behind it.
        """
        while attempt.left and (outcome := _advance(self.first, attempt)) is not None:
            ended = self._executions.popleft()
            yield ended, outcome
            if attempt.left:
                ended.resources.admission.pass_on(ended.turn.made, self.first.turn.made)

    def given_back(self, attempt: Started) -> Iterator[Execution]:
        """Those that the worker has not come to and won't, the last one first; each has to ``step_back``."""
        while len(self._executions) > attempt.left:
            yield self._executions.pop()


def record_start(execution: Execution) -> None:
    """The worker has come to this one: record that it runs, in the slots that it took over."""
    record = execution.record
    started = execution.resources.executions.start(record.row(), execution.resources.clock.now())
    if started is not None:  # else it was ended in the store, which its own end will find too
        record.opened = started


def step_back(execution: Execution) -> State:
    """The worker won't come to this one: it waits for slots, as if it had never been in a chunk."""
    if not execution.lifecycle.park(execution.stop):
        return execution.end_before_it_ran()
    turn = execution.turn
    if turn.made.held:  # its turn had seemed to have come
        turn.release()
        try:
            execution.record.unstart(_waiting_behind(execution))
        except Exception as error:  # noqa: BLE001 - those behind it have to continue
            return execution.end_parked(Ending(status=ExecutionStatus.ERROR, error=error_of(error)))
    execution.ask_again()
    return State.PARKED


def _waiting_behind(first: Execution) -> Waiting:
    """Why those behind this one in a chunk do not run yet."""
    return waiting_at(first.turn.made.limits[0], first.resources.clock.now())


def _advance(execution: Execution, attempt: Started) -> Outcome | None:
    """How the attempt of this one ended, which is for ``conclude``; None if it goes on."""
    outcome: Outcome | None
    try:
        outcome = attempt.advance()
    except Exception as error:  # noqa: BLE001 - as in Execution.attempt
        outcome = outcome_of(error, execution.observation.last_words)
    except BaseException as error:
        if not attempt.left:
            execution.abandon(error)
        raise
    if outcome is not None and not execution.record.has_started:  # its turn came and is over already
        execution.record.opened = execution.row.started(execution.resources.clock.now() - attempt.seconds)
    return outcome
