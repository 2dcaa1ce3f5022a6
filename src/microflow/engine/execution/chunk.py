"""Executions that one thread looks after together, and of which a worker may be handed several at once, in a line.

Only the first of a line holds places, and is running; those behind it are queued, and each takes the places over from the one
before it when the worker comes to it. Others that wait for these places get them when the line is over, a few milliseconds later
than if its last ones had waited behind them: two mappings at once would else hand each other the places task by task. What the
worker gives back, since the one before takes long, waits for places like any other.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ...model.results import ExecutionStatus
from ...runners.attempts import Attempt
from ...runners.base import Outcome
from ...runners.calling import error_of
from ...store.rows import Ending, Waiting
from ..admission.slots import SlotRequest
from .execution import Execution
from .settling import outcome_of, waiting_at
from .state import State


class ChunkedExecution(Execution):
    """An execution that is begun in a worker and looked after together with others."""

    def can_follow(self, first: ChunkedExecution) -> bool:
        """Whether a worker can be handed this call together with another one, which can lead, to run it afterwards.

        It needs the same places, and nothing but its turn decides whether it runs.
        """
        prepared, call = self._prepared, self.call
        return (
            prepared is not None
            and self.call.opened is None
            and prepared.verdict.run
            and prepared.run_key is None
            and self.job is first.job
            and call.limits == first.call.limits
            and (self.parent is None or self.parent.stop.reason is None)
        )

    @property
    def can_lead(self) -> bool:
        """Whether others may follow this one: a worker can be handed several of its job, which all need the same places."""
        prepared, job = self._prepared, self.job
        return (
            job.timeout is None
            and self.call.opened is None
            and prepared is not None
            and prepared.run_key is None
            and not any(group.key for group in job.limits)
            and self._resources.can_start(self)
        )

    def waits_behind(self) -> Waiting:
        """Why those behind this one in line do not run yet."""
        assert self._place is not None
        return waiting_at(self._place.limits[0], self._resources.clock.now())

    def lead(self, followers: Sequence[ChunkedExecution]) -> None:
        """Open the rows, queued, of those that follow this one, which has its places. Raises ``StoreError``.

        ``held_by`` tells them from what no worker has been handed: should this engine die, nobody knows which of them have begun.
        """
        if followers:
            waiting = msgspec.structs.replace(self.waits_behind(), held_by=(self.id,))
            for follower in followers:
                follower._line_up(self, waiting)

    def _line_up(self, first: ChunkedExecution, waiting: Waiting) -> None:
        assert first._place is not None
        self._place = SlotRequest(first._place.limits, first._place.ancestors)
        self._open(waiting)
        self.state = State.IN_CHUNK
        self._heed_caller()

    def follow(self, first: ChunkedExecution) -> None:
        """The worker has ended the one before and come to this: the places of the other are now this one's."""
        assert first._place is not None
        assert self._place is not None
        self._resources.admission.pass_on(first._place, self._place)
        self.state = State.READY

    def started(self) -> None:
        """Record that it runs, in the place that it took over."""
        started = self._resources.executions.start(self.row, self._resources.clock.now())
        if started is not None:  # else it was ended in the store, which its own end will find too
            self._opened = started

    def step_back(self) -> State:
        """The worker has not come to this and won't: wait for places, as if it had never been in line."""
        with self._lock:
            reason = self.stop.reason
            self.state = State.PARKED if reason is None else State.READY
        if reason is not None:
            return self._end_before_it_ran(reason)
        assert self._place is not None
        if self._place.held:  # its turn had seemed to have come
            self._resources.admission.release(self._place)
            try:
                self._opened = self._resources.executions.unstart(self.row, self.waits_behind())
            except Exception as error:  # noqa: BLE001 - what follows it in line must go on
                return self._end_parked(Ending(status=ExecutionStatus.ERROR, error=error_of(error)))
        self._try_again()
        return State.PARKED

    def launch(self, followers: Sequence[ChunkedExecution] = ()) -> Attempt | State | None:
        """Start the attempt in a worker and return it, to be waited for with others; where that can't be done, None.

        The worker runs the ``followers`` afterwards. A state, as of ``attempt``, if the attempt could not be started and is over.
        """
        if not self._resources.can_start(self):
            return None
        if self.stop.reason is not None:
            return self._end_before_it_ran(self.stop.reason)
        try:
            self._set_timeout()
            line = [(known._request(), known.observation) for known in (self, *followers)]
            return self._resources.start(self.job, line)
        except Exception as error:  # noqa: BLE001 - as in attempt()
            return self.conclude(outcome_of(error, self.observation.last_words))

    def receive(self, attempt: Attempt) -> Outcome | None:
        """The worker has something to say: how the attempt ended, which is for ``conclude``, or None if it goes on."""
        outcome: Outcome | None
        try:
            outcome = attempt.advance()
        except Exception as error:  # noqa: BLE001 - as in attempt()
            outcome = outcome_of(error, self.observation.last_words)
        except BaseException as error:
            if not attempt.left:
                self.abandon(error)
            raise
        if outcome is not None and self.row.started_at is None:  # it was in line, and its turn is over already
            self._opened = self.row.started(self._resources.clock.now() - attempt.seconds)
        return outcome
