"""One execution, from its call to its end. The path of one that fails is the same path.

``begin``, in the thread that calls the job:

1. *Prepare*: the inputs are checked and encoded, once. The run strategy looks at those that are results.
2. *Admit*: it takes all its slots at once, or waits for them.
3. *Open*: its row is written. Whether it runs now, waits for an execution of another engine, or ends because its run key has
   succeeded before, is decided in the same transaction.

``attempt`` (where its thread looks after others too, ``Chunk.launch`` and ``conclude``):

4. *Run*: its job's runner carries the attempt out.
5. *Settle*: a pure function says what becomes of the attempt. If another one follows, it waits for that, and continues with 2.
6. *End*: the row is closed, the slots are given back, and whoever waits for it is told.

Each step gives the ``State`` it is in, or the ``Ending`` with which it ends at once. What must wait, for slots or for the next
attempt, waits without a thread: it is parked, and ``ready`` is called when it may continue. No method changes thread by itself. No
exception keeps an execution from its end: it becomes the error that it ends with, and is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from ...errors import DeadlockError, StoreError
from ...model.results import ExecutionResult, ExecutionStatus, Kind
from ...runners.base import Outcome, Stop
from ...runners.calling import error_of
from ...store.rows import Ending, Opened, Waiting
from ..admission.slots import Limit, SlotRequest
from .call import Call
from .deadline import Deadline
from .ending import close, let_go, result_for
from .live import LiveExecution, outlives_engine, slots_above
from .other_engines import LOOK
from .record import Record
from .resources import Resources
from .settling import ENDED_IN_STORE, cancelled_ending, outcome_of, passed_on, settle, stopped_ending, stopped_with
from .state import Lifecycle, State
from .turn import Turn

logger = logging.getLogger("microflow")


class Execution:
    """A live execution. ``ready`` is called, in any thread, when a parked one may continue with ``attempt`` or has ended.

    ``lifecycle`` has the state and its lock. ``record`` and ``turn`` belong to the thread that carries the execution out; others
    only read them. ``children`` are changed by several threads, with single operations, which are atomic.
    """

    def __init__(
        self, resources: Resources, call: Call, parent: LiveExecution | None, ready: Callable[[Execution], None]
    ) -> None:
        if call.scheduled_at is None and parent is not None:
            call.scheduled_at = parent.call.scheduled_at  # whatever a tick's run calls is of that tick
        self.call = call
        self.job = call.job
        self.kind: Kind = call.kind or call.job.kind
        self.parent = parent
        self.children: set[LiveExecution] = set()
        self.resources = resources
        self.lifecycle = Lifecycle()
        self.record = Record(resources, call)
        self.turn = Turn(resources)
        self.observation = self.record.observation
        self._ready = ready
        self._positions = 0  # the next one among its calls; guarded by the lock of the lifecycle
        self._result: ExecutionResult | None = None

    @property
    def id(self) -> int:
        """The execution's number; 0 before its row is open."""
        opened = self.record.opened
        return opened.id if opened is not None else 0

    @property
    def row(self) -> Opened:
        """Its row, which must be open."""
        return self.record.row()

    @property
    def state(self) -> State:
        """Its state at this moment."""
        return self.lifecycle.state

    @property
    def stop(self) -> Stop:
        """What asks the attempt that runs now to end."""
        return self.observation.stop

    @property
    def slots(self) -> SlotRequest | None:
        """Its request for slots; None before it has made one."""
        return self.turn.request

    @property
    def waits_at(self) -> Limit | None:
        """The limit at which it is parked."""
        return self.turn.waits_at

    @property
    def result(self) -> ExecutionResult:
        """How it ended; it must have ended."""
        assert self._result is not None, "the execution has not ended"
        return self._result

    def next_positions(self, count: int = 1) -> int:
        """Reserve so many positions among its calls; the first of them."""
        with self.lifecycle.lock:
            first = self._positions
            self._positions += count
        return first

    # 1 to 3: before it runs

    def begin(self) -> State:
        """Prepare, admit and open. ACTIVE: the caller continues with ``attempt``. PARKED: ``ready`` will be, or was, called.

        Raises what ``Record.prepare`` raises, ``ExecutionCancelled`` if its caller was cancelled, ``ConflictError`` if the engine
        stops, ``StoreError``; nothing is left behind.
        """
        state = self._reach(self._begin())
        self.heed_caller()
        return state

    def _begin(self) -> State | Ending:
        self.resources.refuse_if_too_late(self.parent)
        if (ending := self.record.prepare()) is not None:
            self.open(None)
            return ending
        self.turn.ask(self.record.limits(), slots_above(self.parent))
        if self.call.opened is not None:  # another engine has queued it
            self.open(None)
            return self._wait_until(self.ask_again)
        if not self.turn.take():
            return self._wait_for_slots()
        try:
            return self._run_unless_it_waits(self._open_decided)
        except BaseException:
            self.turn.release()
            raise

    def _wait_for_slots(self) -> State | Ending:
        if (ending := self.record.earlier_success()) is not None:
            self.open(None)
            return ending
        self.open(self.turn.waiting())
        if not self.lifecycle.park(self.stop):
            return self._stopped_before_it_ran()
        try:
            if self.turn.park(self._granted):
                return State.PARKED
        except DeadlockError as error:
            return self.end_parked(Ending(status=ExecutionStatus.ERROR, error=error_of(error, skip_frames=99)))
        return self._unpark()

    def open(self, waiting: Waiting | None) -> None:
        """Open its row, queued for this reason or running; from now on others know it."""
        parent = self.parent
        self.record.open(waiting, parent.row if parent is not None else None)
        if self.turn.request is not None:
            self.turn.request.execution_id = self.id
        self.resources.live.add(self)
        if parent is not None:
            parent.children.add(self)

    def heed_caller(self) -> None:
        """End too if the caller was asked to while this was being opened: it may not have seen it among its children."""
        if self.parent is not None and (reason := self.parent.stop.reason) is not None:
            self.cancel(passed_on(reason))

    def _run_unless_it_waits(self, write: Callable[[Waiting | Ending | None], bool]) -> State | Ending:
        """It has its slots: active, unless it must wait for an execution of another engine, or need not run at all.

        ``write`` records what is decided; False if the execution was ended in the store meanwhile.
        """
        if self.record.run_key is None and self.call.blocked_by_other_engine is None:
            is_queued = write(None)
        else:
            with self.resources.executions.together():
                decided = self.record.decide()
                is_queued = write(decided)
            if isinstance(decided, Waiting):
                return self._wait_until(self._look_later)
            if decided is not None:
                return decided
        return State.ACTIVE if is_queued else cancelled_ending(ENDED_IN_STORE)

    def _open_decided(self, decided: Waiting | Ending | None) -> bool:
        self.open(decided if isinstance(decided, Waiting) else None)
        return True

    # Parked, and not any more

    def _wait_until(self, look: Callable[[], None]) -> State | Ending:
        """Park it, and look whether it may run."""
        if not self.lifecycle.park(self.stop):
            return self._stopped_before_it_ran()
        look()
        return State.PARKED

    def _stopped_before_it_ran(self) -> Ending:
        return stopped_ending(str(self.stop.reason), "before it ran")

    def _look_later(self) -> None:
        # an execution of another engine keeps it waiting, and does not report its end here
        self.turn.release()
        self.turn.later(LOOK, self.ask_again)

    def ask_again(self) -> None:
        """Take the slots of what is parked anew, or wait for them."""
        if self.state is not State.PARKED:
            return
        turn = self.turn
        turn.ask_anew()
        try:
            if not turn.take():
                self.record.wait(turn.waiting())  # before it waits: whoever grants it its slots makes it running
                if turn.park(self._granted):
                    return
        except Exception as error:
            if not isinstance(error, (DeadlockError, StoreError)):
                logger.exception("Execution %s can't be tried again.", self.id)
            turn.stop_waiting()
            turn.release()
            if self.end_parked(Ending(status=ExecutionStatus.ERROR, error=error_of(error))) is State.ENDED:
                self._ready(self)
            return
        self._granted()

    def _granted(self) -> None:
        """It has its slots: continue in whichever thread ``ready`` finds. The thread that calls this is another execution's."""
        try:
            state = self._reach(self._unpark())
        except Exception as error:  # noqa: BLE001 - it concerns this execution alone
            state = self._fail(error)
        if state is not State.PARKED:
            self._ready(self)

    def _unpark(self) -> State | Ending:
        if not self.lifecycle.unpark():  # cancelled between the grant and this
            self.turn.release()
            return State.PARKED
        try:
            return self._run_unless_it_waits(self.record.write)
        except StoreError as error:
            return Ending(status=ExecutionStatus.ERROR, error=error_of(error))

    # 4 and 5: while it runs

    def attempt(self) -> State:
        """Run, settle and end, in this thread. ENDED, or PARKED if another attempt follows (then ``ready`` is called)."""
        if self.stop.reason is not None:
            return self.end_before_it_ran()
        try:
            self.set_timeout()
            outcome = self.resources.run(self, self.record.request())
        except Exception as error:  # noqa: BLE001 - a runner of a user's own may raise anything
            outcome = outcome_of(error, self.observation.last_words)
        except BaseException as error:
            self.abandon(error)
            raise
        return self.conclude(outcome)

    def end_before_it_ran(self) -> State:
        """End one that was asked to stop before its function started."""
        self.record.unstart_if_left(str(self.stop.reason))
        return self._reach(self._stopped_before_it_ran())

    def set_timeout(self) -> None:
        """Have the attempt asked to stop once it has taken as long as its job allows."""
        if self.job.timeout is not None and self.call.body is None:
            time_out = partial(self._time_out, self.stop)
            self.observation.deadline = Deadline(self.resources.timers, self.job.timeout, time_out)

    def _time_out(self, stop: Stop) -> None:
        if stop is self.stop:  # else that attempt is over, and the next one has its own
            self._ask_to_stop("timeout")

    def conclude(self, outcome: Outcome) -> State:
        """Settle, and end or park for the next attempt. Raises no ``Exception``: one ends the execution."""
        try:
            return self._reach(self._settle(outcome))
        except Exception as error:  # noqa: BLE001 - as above
            return self._fail(error)

    def _settle(self, outcome: Outcome) -> State | Ending:
        if self.observation.deadline is not None:
            self.observation.cancel_deadline()
        reason = stopped_with(outcome, self.stop, self.parent.stop if self.parent is not None else None)
        ending, retry = settle(outcome, reason, self.job, self.record.attempt)
        # a run's calls have been retried by themselves, as often as the job says
        if not retry or self.call.body is not None or reason == "interrupted":
            return ending
        if self.resources.leaves and outlives_engine(self):
            return self._leave_retry(ending)
        return self._retry(ending)

    def _retry(self, failed: Ending) -> State | Ending:
        """Give the slots back, record the attempt, and wait for the next one."""
        if not self.lifecycle.park_for_retry(self.stop, self.observation.next_attempt):
            return stopped_ending(str(self.stop.reason), "while it ran")
        delay = self.job.delay_after(self.record.attempt)
        self.turn.release()
        if (ending := self.record.retry(failed, delay)) is not None:
            return self.end_parked(ending)
        self.record.attempt += 1
        self._positions = 0  # the same code makes the same calls again
        self.turn.later(delay, self.ask_again)
        return State.PARKED

    def _leave_retry(self, failed: Ending) -> State | Ending:
        """Give the slots back, and record the attempt: the next one is the next server's."""
        if self.stop.reason not in (None, "timeout"):
            return stopped_ending(str(self.stop.reason), "while it ran")
        self.turn.release()
        if (ending := self.record.retry(failed, self.job.delay_after(self.record.attempt))) is not None:
            return ending
        self.observation.close()
        return self.end_here(result_for(self.record, failed))

    # 6: its end

    def _reach(self, step: State | Ending) -> State:
        """What a step came to: a state, or the end."""
        return step if isinstance(step, State) else self.end_here(close(self.record, step))

    def end_parked(self, ending: Ending) -> State:
        """End what is parked; PARKED if somebody cancels it just now, who ends it."""
        return self._reach(ending) if self.lifecycle.unpark() else State.PARKED

    def _fail(self, error: Exception) -> State:
        """End with an exception that nobody foresaw; PARKED if another thread ends it at this moment."""
        if self.state is State.ENDED:
            return State.ENDED
        logger.error("Execution %s of %s.%s failed.", self.id, self.job.flow.name, self.job.name, exc_info=error)
        ending = Ending(status=ExecutionStatus.ERROR, error=error_of(error))
        self.turn.stop_waiting()
        return self.end_parked(ending) if self.state is State.PARKED else self._reach(ending)

    def end_here(self, result: ExecutionResult) -> State:
        """Its row is closed, or another engine's: give the slots back, and answer whoever waits. Raises no ``Exception``."""
        self._result = result
        self.lifecycle.end()
        let_go(self.turn, self.resources.live, self)
        if self.parent is not None:
            self.parent.children.discard(self)
        return State.ENDED

    # What others ask of it, in any thread

    def cancel(self, reason: str = "cancelled") -> bool:
        """Ask it, and everything below it, to end; False if it had ended."""
        if self.state is State.ENDED:
            return False
        is_parked = self.lifecycle.unpark()
        if not is_parked:
            self._ask_to_stop(reason)
            is_parked = self.lifecycle.unpark()  # its attempt may have failed meanwhile: it waits for the next one
        if is_parked:
            self.stop.set(reason)
            self.turn.stop_waiting()
            self._reach(stopped_ending(reason, "before it ran"))
            self._ready(self)
        return True

    def drain(self, reason: str) -> None:
        """Ask a run to call nothing more; what it has called goes on to its end."""
        self.stop.set(reason)
        if self.call.pause_switch is not None:
            self.call.pause_switch.release()

    def _ask_to_stop(self, reason: str) -> None:
        self.drain(reason)
        for child in tuple(self.children):
            child.cancel(passed_on(reason))

    def leave(self, waiting: Waiting) -> bool:
        """Leave its row queued, for another engine to take it over; False if it is not parked, or has started."""
        if not self.lifecycle.leave(lambda: self.record.opened is not None and not self.record.has_started):
            return False
        self.turn.stop_waiting()
        self.resources.live.remove(self)
        return self.record.wait(waiting)

    def abandon(self, error: BaseException | None = None) -> None:
        """The thread that carries it out goes no further: it ends here, with the ``Exception``, else as cancelled (Ctrl-C)."""
        if self.record.opened is None:
            self.turn.stop_waiting()
            self.turn.release()
        elif isinstance(error, Exception):
            self._fail(error)
        elif self.state is State.PARKED:
            self.cancel()
        elif self.state is not State.ENDED:
            self._ask_to_stop("cancelled")
            self._reach(stopped_ending("cancelled", "while it ran"))
