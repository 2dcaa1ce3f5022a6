"""One execution as a pipe of named steps over one value; the failing path is the same path.

``begin``: *prepare* (inputs checked and encoded once), *decide* (run strategy, run key), *admit* (all places at once), *open* (the
row). ``attempt``: *run*, *settle* (a pure function), *close* (in ``closing``). What must wait, for places or for its next attempt,
waits without a thread: it is parked, and ``ready`` is called when it may go on. Nothing here changes thread by itself.
"""

from __future__ import annotations

import logging

from ...errors import (
    DeadlockError,
    ExecutionCancelled,
    InputCountError,
    PartitionError,
    PayloadError,
    StoreError,
    WorkerDied,
)
from ...model.results import ExecutionStatus
from ...runners.base import Outcome, Request, Stop
from ...runners.calling import error_of
from ...store.rows import Ending, Opened, Waiting
from ..admission.slots import Limit, SlotRequest
from .call import Prepared, earlier_success, new_execution, prepare, refused, request_of
from .deadline import Deadline
from .ending import Closing
from .other_engines import LOOK, waiting_elsewhere
from .pausing import waiting_paused
from .settling import (
    cancelled_ending,
    outcome_of,
    passed_on,
    settle,
    stopped_ending,
    upstream_ending,
    waiting_at,
    waiting_for_retry,
)
from .state import State

logger = logging.getLogger("microflow")


class Execution(Closing):
    """A live execution, as what is done with it until it ends."""

    # Before it runs

    def prepare(self) -> None:
        """Check and encode the inputs ahead of ``begin``, which does it again, and raises what is wrong, where it failed."""
        try:
            self._prepared = prepare(self.call)
        except Exception:  # noqa: BLE001 - begin() tells of it
            self._prepared = None

    def begin(self) -> State:
        """Prepare, decide, admit and open. READY: the caller goes on with ``attempt``. PARKED: ``ready`` is, or was, called.

        Raises what ``prepare`` raises (but in a DAG run: there the job fails), ``ExecutionCancelled`` if the caller was cancelled,
        ``StoreError``; nothing is left behind.
        """
        state = self._begin()
        self._heed_caller()
        return state

    def _heed_caller(self) -> None:
        """End too if the caller was asked to while this was being opened: it may not have seen it among its children."""
        if self.parent is not None and (reason := self.parent.stop.reason) is not None:
            self.cancel(passed_on(reason))

    def _begin(self) -> State:
        resources, parent = self._resources, self.parent
        if parent is not None and parent.stop.reason is not None:
            raise ExecutionCancelled(
                f"Execution {parent.id} of {parent.job.name!r} was cancelled or timed out, so it can call nothing more."
            )
        resources.refuse_if_stopping(parent)
        try:
            prepared = self._prepared = self._prepared or prepare(self.call)
        except (InputCountError, PayloadError, PartitionError) as error:
            if self.call.upstream is None and self.call.opened is None:
                raise
            # nobody called it who could be told: it was another engine's call, or is one of a DAG run, whose other jobs go on
            self._prepared = refused()
            self._open(None)
            return self._end(Ending(status=ExecutionStatus.ERROR, error=error_of(error, skip_frames=99)))
        if not prepared.verdict.run:
            self._open(None)
            return self._end(upstream_ending(prepared, self.job.name))
        run_key = prepared.run_key if not self.call.force and self.call.body is None else None
        self._place = SlotRequest(self._limits(prepared, run_key), self.places_above())
        if self.call.opened is not None:
            self._open(None)
            self.state = State.PARKED
            self._try_again()
            return State.PARKED
        if resources.admission.take(self._place):
            return self._admitted(run_key)
        return self._park(run_key)

    def _limits(self, prepared: Prepared, run_key: str | None) -> list[Limit]:
        if self.call.body is not None:
            return list(self.call.limits)
        is_task = self.job.kind == "task"
        return [*self.call.limits, *self._resources.limits.needed(self.job, prepared.first, run_key, is_task)]

    def _admitted(self, run_key: str | None) -> State:
        assert self._place is not None
        executions, now = self._resources.executions, self._resources.clock.now()
        waiting = ending = None
        try:
            if run_key is None and self.call.elsewhere is None:
                self._open(None)
            else:
                with executions.together():  # so that of two engines only one finds that nobody runs with this key
                    if (waiting := self._waits_elsewhere(run_key, now)) is None:
                        ending = earlier_success(executions, self.job, run_key)
                    self._open(waiting)
        except BaseException:
            self._resources.admission.release(self._place)
            raise
        if waiting is not None:
            self.state = State.PARKED
            return self._look_again()
        if ending is not None:
            return self._end(ending)
        self.state = State.READY
        return State.READY

    def _waits_elsewhere(self, run_key: str | None, now: float) -> Waiting | None:
        """Why it must wait for an execution of another engine: one with its run key, or a run of the schedule whose run it is."""
        waiting = None if run_key is None else waiting_elsewhere(self._resources.executions, self.job, run_key, now)
        if waiting is None and self.call.elsewhere is not None:
            waiting = self.call.elsewhere(now)
        return waiting

    def _look_again(self) -> State:
        """Parked because of an execution elsewhere: give the places back, and try again in a while."""
        assert self._place is not None
        self._resources.admission.release(self._place)
        self._timer = self._resources.timers.later(LOOK, self._try_again)
        return State.PARKED

    def _park(self, run_key: str | None) -> State:
        assert self._place is not None
        if (ending := earlier_success(self._resources.executions, self.job, run_key)) is not None:
            self._open(None)
            return self._end(ending)
        busy = next((limit for limit in self._place.limits if limit.full), None)
        self._open(waiting_at(busy, self._resources.clock.now()))
        self.state = State.PARKED
        try:
            if self._resources.admission.park(self._place, self._granted) is not None:
                return State.PARKED
        except DeadlockError as error:
            return self._end_parked(Ending(status=ExecutionStatus.ERROR, error=error_of(error, skip_frames=99)))
        return self._unpark()

    def _granted(self) -> None:
        """The places are taken: go on in whichever thread ``ready`` finds. The thread that calls this is another execution's."""
        try:
            state = self._unpark()
        except Exception as error:  # noqa: BLE001 - it concerns this execution alone
            state = self._fail(error)
        if state is not State.PARKED:
            self._ready(self)

    def _unpark(self) -> State:
        """From parked to running, or to its end: it was cancelled, or its run key succeeded meanwhile."""
        assert self._place is not None
        assert self._prepared is not None
        assert self._opened is not None
        with self._lock:
            if self.state is not State.PARKED:  # cancelled between the grant and this
                self._resources.admission.release(self._place)
                return State.PARKED
            self.state = State.READY
        try:
            run_key = self._prepared.run_key if not self.call.force else None
            executions, now = self._resources.executions, self._resources.clock.now()
            if run_key is None and self.call.elsewhere is None:
                started = self._start(now)
            else:
                with executions.together():  # as in _admitted
                    waiting = self._waits_elsewhere(run_key, now)
                    ending = None if waiting is not None else earlier_success(executions, self.job, run_key)
                    if waiting is not None:
                        executions.wait(self._opened, waiting)
                    elif ending is None:
                        started = self._start(now)
                if waiting is not None:
                    return self._park_again()
                if ending is not None:
                    return self._end(ending)
        except StoreError as error:
            return self._end(Ending(status=ExecutionStatus.ERROR, error=error_of(error)))
        if started is None:
            return self._end(cancelled_ending("it was ended in the store"))
        self._opened = started
        return State.READY

    def _start(self, now: float) -> Opened | None:
        """Queued to running; None if it is queued no more. A run that goes on began when it did, and is paused if it was."""
        executions, row, gate = self._resources.executions, self.row, self.call.gate
        goes_on_since = None if self.call.body is None else row.started_at
        started = executions.start(row, now if goes_on_since is None else goes_on_since, self.attempt_number)
        if started is not None and gate is not None and gate.paused:
            executions.mark_paused(started, waiting_paused(now))
        return started

    def _park_again(self) -> State:
        """What was granted its places must wait for an execution elsewhere, unless it was cancelled meanwhile."""
        with self._lock:
            if self.stop.reason is None:
                self.state = State.PARKED
        if self.state is State.PARKED:
            return self._look_again()
        assert self.stop.reason is not None
        return self._end(stopped_ending(self.stop.reason, "before it ran"))

    def _open(self, waiting: Waiting | None) -> None:
        call, parent = self.call, self.parent
        assert self._prepared is not None
        resources = self._resources
        if (opened := call.opened) is not None:  # another engine has opened it
            self._opened = opened._replace(partitions=self._prepared.partitions or opened.partitions)
            if call.body is None and opened.started_at is not None:
                self.attempt_number = opened.attempt + 1
        else:
            above = (0, 0) if parent is None else (parent.id, parent.root_id)
            new = new_execution(call, self._prepared, waiting, *above)
            self._opened = resources.executions.open(new, resources.clock.now(), call.claim)
        if self._place is not None:
            self._place.execution_id = self._opened.id
        resources.live.add(self)
        if parent is not None:
            parent.children.add(self)

    # While it runs

    def attempt(self) -> State:
        """Run, settle, close, in this thread. ENDED, or PARKED if another attempt follows (then ``ready`` is called)."""
        if self.stop.reason is not None:
            return self._end_before_it_ran(self.stop.reason)
        try:
            self._set_timeout()
            outcome = self._resources.run(self, self._request())
        except Exception as error:  # noqa: BLE001 - a runner of a user's own may raise anything
            outcome = outcome_of(error, self.observation.last_words)
        except BaseException as error:
            self.abandon(error)
            raise
        return self.conclude(outcome)

    def _end_before_it_ran(self, reason: str) -> State:
        """End an execution that was asked to before its function began: for the next server its row says that it has not begun."""
        if reason == "interrupted" and self._resources.leaves and self.attempt_number == 1:
            try:
                waiting = waiting_at(None, self._resources.clock.now())
                self._opened = self._resources.executions.unstart(self.row, waiting)
            except StoreError as error:
                logger.error("Execution %s counts as one that has begun: %s", self.id, error)
        return self._end(stopped_ending(reason, "before it ran"))

    def _request(self) -> Request:
        assert self._prepared is not None
        return request_of(self.call, self._prepared, self.id, self.attempt_number)

    def _set_timeout(self) -> None:
        if self.job.timeout is not None and self.call.body is None:
            stop = self.stop
            deadline = Deadline(self._resources.timers, self.job.timeout, lambda: self._time_out(stop))
            self._timer = self.observation.deadline = deadline

    def _time_out(self, stop: Stop) -> None:
        if stop is self.stop:  # else that attempt is over, and the next one has its own
            self._ask_to_stop("timeout")

    def conclude(self, outcome: Outcome) -> State:
        """Settle and close, or park for the next attempt. Raises no ``Exception``: one ends the execution."""
        try:
            return self._conclude(outcome)
        except Exception as error:  # noqa: BLE001 - as above
            return self._fail(error)

    def _conclude(self, outcome: Outcome) -> State:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        reason = self._stop_reason(outcome)
        ending, retry = settle(outcome, reason, self.job, self.attempt_number)
        # what a run over many inputs began has been tried again by itself, as often as the job says
        if retry and self.call.body is None and reason != "interrupted":
            return self._retry(ending)
        return self._end(ending)

    def _stop_reason(self, outcome: Outcome) -> str | None:
        """Why it was ended, if it was: asked to, or with its worker, which its caller's end had reached before it reached this."""
        reason = self.stop.reason
        died = outcome.error is not None and outcome.error.type == WorkerDied.__name__
        if reason is None and died and self.parent is not None and (above := self.parent.stop.reason) is not None:
            reason = passed_on(above)
        return reason

    def _retry(self, failed: Ending) -> State:
        """Give the places back, record the attempt, and wait for the next one without a thread."""
        assert self._opened is not None
        assert self._place is not None
        clock = self._resources.clock
        delay = self.job.delay_after(self.attempt_number)
        now = clock.now()
        leaves = self._resources.leaves and self.outlives_engine  # then the next attempt is the next server's
        with self._lock:
            reason = self.stop.reason
            goes_on = reason is None or reason == "timeout"
            if goes_on and not leaves:
                self.observation.next_attempt()
                self.state = State.PARKED
        if not goes_on:
            return self._end(stopped_ending(str(reason), "while it ran"))
        self._resources.admission.release(self._place)
        try:
            waiting = waiting_for_retry(self.job, self.attempt_number, failed, now, delay)
            queued = self._resources.executions.retry(self._opened, failed, waiting, now)
            ending = None if queued else cancelled_ending("it was ended in the store")
        except StoreError as error:
            ending = Ending(status=ExecutionStatus.ERROR, error=error_of(error))
        if ending is not None:
            return self._end(ending) if leaves else self._end_parked(ending)
        if leaves:
            self.observation.close()
            return self._over(failed)
        self.attempt_number += 1
        self._positions = 0  # the same code makes the same calls again
        self._timer = self._resources.timers.later(delay, self._try_again)
        return State.PARKED

    def _try_again(self) -> None:
        """The delay is over: take the places anew."""
        assert self._place is not None
        assert self._opened is not None
        with self._lock:
            if self.state is not State.PARKED:
                return
        self._place = SlotRequest(self._place.limits, self._place.ancestors)
        self._place.execution_id = self.id
        try:
            if not self._resources.admission.take(self._place):
                # before it is parked: whoever grants it its places makes it running
                busy = next((limit for limit in self._place.limits if limit.full), None)
                self._resources.executions.wait(self._opened, waiting_at(busy, self._resources.clock.now()))
                if self._resources.admission.park(self._place, self._granted) is not None:
                    return
        except Exception as error:
            if not isinstance(error, (DeadlockError, StoreError)):
                logger.exception("Execution %s can't be tried again.", self.id)
            self._resources.admission.withdraw(self._place)
            if self._end_parked(Ending(status=ExecutionStatus.ERROR, error=error_of(error))) is State.ENDED:
                self._ready(self)
            return
        self._granted()
