"""How a live execution ends: it closes its row, after its last attempt or before the first, or it is asked to.

Whatever ends it, the row is closed once, in the store or by whoever goes on with it; then the places are given back, and whoever
waits is told. No exception on that way keeps an execution from its end: it becomes the error that the execution ends with, and is
logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from ...errors import StoreError, UnknownNameError
from ...model.results import ExecutionResult, ExecutionStatus
from ...runners.calling import error_of
from ...store.rows import Ending, Opened, Waiting
from .call import Call, refused, result_of
from .resources import Resources
from .settling import is_interruption, name_partition, passed_on, stopped_ending
from .state import Standing, State

logger = logging.getLogger("microflow")


class Closing(Standing):
    """A live execution, as what ends it. ``ready`` is called, by any thread, when a parked one may go on or has ended."""

    def __init__(
        self,
        resources: Resources,
        call: Call,
        parent: Closing | None,
        ready: Callable[[Any], None],
    ) -> None:
        super().__init__(resources, call, parent)
        self._ready = ready

    def cancel(self, reason: str = "cancelled") -> bool:
        """Ask it, and everything below it, to end; False if it had ended."""
        with self._lock:
            if self.state is State.ENDED:
                return False
            parked = self._take_parked()
        if not parked:
            self._ask_to_stop(reason)
            with self._lock:  # its attempt may have failed meanwhile, so that it waits for the next one
                parked = self._take_parked()
        if parked:
            self.stop.set(reason)
            self._wait_no_more()
            self._end(stopped_ending(reason, "before it ran"))
            self._ready(self)
        return True

    def _wait_no_more(self) -> None:
        """It waits neither for places nor for its next attempt; an exception is logged, since it ends in any case."""
        if self._timer is not None:
            self._timer.cancel()
        if self._place is None:
            return
        for _ in range(2):  # twice is once
            try:
                self._resources.admission.withdraw(self._place)
                return
            except Exception:
                logger.exception("Execution %s could not stop waiting.", self.id)

    def _take_parked(self) -> bool:
        """Whether it was parked; whoever grants it its places now finds that it is too late."""
        if self.state is not State.PARKED:
            return False
        self.state = State.READY
        return True

    def _end_parked(self, ending: Ending) -> State:
        """End what is parked; PARKED if somebody cancels it just now, who ends it."""
        with self._lock:
            is_mine = self._take_parked()
        return self._end(ending) if is_mine else State.PARKED

    def leave(self, waiting: Waiting) -> bool:
        """Leave its row queued, for another engine to take it over; False if it has begun."""
        with self._lock:
            if self.state is not State.PARKED or self._opened is None or self._opened.started_at is not None:
                return False
            self.state = State.ENDED  # whoever grants it now finds that it is too late
        assert self._place is not None
        self._resources.admission.withdraw(self._place)
        self._resources.live.remove(self)
        return self._resources.executions.wait(self._opened, waiting)

    def abandon(self, error: BaseException | None = None) -> None:
        """The thread that carries it out goes no further: it ends here, with the ``Exception``, else as cancelled (Ctrl-C)."""
        if self._opened is None:
            self._wait_no_more()
            self._release()
        elif isinstance(error, Exception):
            self._fail(error)
        elif self.state is State.PARKED:
            self.cancel()
        elif self.state is not State.ENDED:
            self._ask_to_stop("cancelled")
            self._end(stopped_ending("cancelled", "while it ran"))

    def drain(self, reason: str) -> None:
        """Ask a run to call nothing more, and let what it has called end by itself."""
        self.stop.set(reason)
        if self.call.gate is not None:
            self.call.gate.release()

    def _fail(self, error: Exception) -> State:
        """End with an exception that nobody foresaw; PARKED if another thread ends it at this moment."""
        if self.state is State.ENDED:
            return State.ENDED
        logger.error("Execution %s of %s.%s failed.", self.id, self.job.flow.name, self.job.name, exc_info=error)
        ending = Ending(status=ExecutionStatus.ERROR, error=error_of(error))
        self._wait_no_more()
        return self._end_parked(ending) if self.state is State.PARKED else self._end(ending)

    def _ask_to_stop(self, reason: str) -> None:
        self.drain(reason)
        for child in tuple(self.children):
            child.cancel(passed_on(reason))

    def retract(self, error: BaseException, opened: bool = True) -> None:
        """What was written of it last, together with others, has not come into the store after all: it failed with this.

        Not ``opened``: nor has its row.
        """
        self._wait_no_more()
        self._prepared = self._prepared or refused()
        ending = Ending(status=ExecutionStatus.ERROR, error=error_of(error))
        if self.call.opened is not None:  # its row is older than that
            self._opened, opened = self._opened or self.call.opened, True
        if not opened and self._opened is not None and not isinstance(error, Exception):
            with suppress(UnknownNameError, StoreError):  # Ctrl-C may have come just after the commit
                opened = self._resources.executions.call_of(self.id) is not None
        if opened:
            self._resources.finish_later(self.row, ending)
        else:
            self._resources.live.remove(self)
            self._opened = None  # its number may be another's by now
        self._over(ending)

    def _end(self, ending: Ending) -> State:
        """Close the row, which is the last thing that happens to it. Runs once, and raises no ``Exception``.

        1. What is recorded is put together, and the output read as callers get it. 2. The row is closed; if it ends because a
        server stops, ``sign_off`` does that, or leaves it to the next one. 3. The places are given back.
        """
        try:
            result = self._completed(ending)
            if result.status is not ending.status:  # its output can't be read
                ending = Ending(status=result.status, error=result.error, reason=ending.reason)
            self._close_row(ending)
        except Exception as error:  # noqa: BLE001 - whatever it is, the execution ends
            ending, result = self._broken_ending(error), None
        return self._over(ending, result)

    def _completed(self, ending: Ending) -> ExecutionResult:
        """Put into an ending what is known besides how the attempt ended; the result of it."""
        assert self._prepared is not None
        name_partition(ending, self.job, self._prepared)
        if self.observation.progress_made is not None:
            ending.progress = msgspec.json.encode(self.observation.progress_made._asdict())
        ending.run_key = ending.run_key or self._prepared.run_key
        self.observation.close()
        if self.observation.log_failure is not None:
            ending.reason = ending.reason or self.observation.log_failure
        return self._result_of(ending)

    def _close_row(self, ending: Ending) -> None:
        assert self._opened is not None
        resources = self._resources
        if resources.leaves and is_interruption(ending):
            resources.left[self.id] = (self._opened, ending)
            return
        if self.call.body is not None and self.call.opened is not None:
            self._end_unfinished(self._opened)
        resources.executions.finish(self._opened, ending, resources.clock.now())

    def _broken_ending(self, error: Exception) -> Ending:
        """How it ends if its end failed: with that, and with nothing else, since anything else may be what failed."""
        assert self._opened is not None
        ending = Ending(status=ExecutionStatus.ERROR, error=error_of(error))
        resources = self._resources
        if isinstance(error, StoreError):
            resources.finish_later(self._opened, ending)
            return ending
        logger.error("The end of execution %s of %s.%s failed.", *self._opened[:3], exc_info=error)
        try:
            self.observation.close()
        except Exception:
            logger.exception("The log of execution %s can't be closed.", self.id)
        try:
            resources.executions.finish(self._opened, ending, resources.clock.now())
        except Exception:  # noqa: BLE001 - it is tried until it succeeds
            resources.finish_later(self._opened, ending)
        return ending

    def _end_unfinished(self, run: Opened) -> None:
        """End the calls that another engine left of a run, and that the run, which ends, has not gone on with."""
        ending = stopped_ending(self.stop.reason or "interrupted", "before it ran")
        for opened, _ in self._resources.executions.unfinished_calls(run):
            self._end_unfinished(opened)
            self._resources.executions.finish(opened, ending, self._resources.clock.now())

    def _result_of(self, ending: Ending) -> ExecutionResult:
        assert self._prepared is not None
        return result_of(
            ending,
            job=self.job.name,
            execution_id=self.id or None,
            time_partition=self._prepared.time_partition,
            cat_partition=self._prepared.cat_partition,
            run_key=self._prepared.run_key,
        )

    def _over(self, ending: Ending, result: ExecutionResult | None = None) -> State:
        """This engine has done with it: the places are given back, and whoever waits is told. Raises no ``Exception``."""
        try:
            self._result = self._result_of(ending) if result is None else result
        except Exception as error:
            logger.exception("The result of execution %s can't be made.", self.id)
            self._result = ExecutionResult(
                status=ExecutionStatus.ERROR, error=error_of(error), job=self.job.name, execution_id=self.id or None
            )
        with self._lock:
            self.state = State.ENDED
        try:
            self._release()
            self._resources.live.remove(self)
        except BaseException as error:
            self._let_go_again(error)
            if not isinstance(error, Exception):
                raise
        if self.parent is not None:
            self.parent.children.discard(self)
        return State.ENDED

    def _let_go_again(self, error: BaseException) -> None:
        """Letting go of what it holds failed, or was interrupted: do all of it again, which changes nothing where it was done."""
        if isinstance(error, Exception):
            logger.error("Execution %s ended, and could not let go of what it holds.", self.id, exc_info=error)
        for let_go in (self._release, partial(self._resources.live.remove, self)):
            try:
                let_go()
            except Exception:
                logger.exception("Execution %s still could not let go of what it holds.", self.id)

    def _release(self) -> None:
        if self._place is not None:
            self._resources.admission.release(self._place)
