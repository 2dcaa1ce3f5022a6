"""How a live execution ends: it closes its row, after its last attempt or before the first, or it is asked to.

Whatever ends it, the row is closed once, in the store or by whoever goes on with it; then the places are given back, and whoever
waits is told.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from ..errors import StoreError, UnknownNameError
from ..model.results import ExecutionStatus
from ..runners.calling import error_of
from ..store.executions import Ending, Opened, Waiting
from .calls import Call, refused, result_of
from .resources import Resources
from .settling import is_interruption, name_partition, passed_on, stopped_ending
from .standing import Standing, State


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
            if self._timer is not None:
                self._timer.cancel()
            if self._place is not None:
                self._resources.admission.withdraw(self._place)
            self._end(stopped_ending(reason, "before it ran"))
            self._ready(self)
        return True

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

    def abandon(self) -> None:
        """Whoever carries it out was interrupted (Ctrl-C) and will not go on: it ends here, cancelled."""
        if self.state is State.PARKED:
            self.cancel()
        elif self._opened is not None and self.state is not State.ENDED:
            self._ask_to_stop("cancelled")
            self._end(stopped_ending("cancelled", "while it ran"))

    def drain(self, reason: str) -> None:
        """Ask a run to call nothing more, and let what it has called end by itself."""
        self.stop.set(reason)
        if self.call.gate is not None:
            self.call.gate.release()

    def _ask_to_stop(self, reason: str) -> None:
        self.drain(reason)
        for child in tuple(self.children):
            child.cancel(passed_on(reason))

    def retract(self, error: BaseException, opened: bool = True) -> None:
        """What was written of it last, together with others, has not come into the store after all: it failed with this.

        Not ``opened``: nor has its row.
        """
        if self._timer is not None:
            self._timer.cancel()
        if self._place is not None:
            self._resources.admission.withdraw(self._place)
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
        """Close the row, which is the last thing that happens to it. Runs once.

        If it ends because a server stops, ``sign_off`` does that, or leaves it to the next one.
        """
        assert self._opened is not None
        assert self._prepared is not None
        resources = self._resources
        name_partition(ending, self.job, self._prepared)
        if self.observation.progress_made is not None:
            ending.progress = msgspec.json.encode(self.observation.progress_made._asdict())
        ending.run_key = ending.run_key or self._prepared.run_key
        self.observation.close()
        if resources.leaves and is_interruption(ending):
            resources.left[self.id] = (self._opened, ending)
            return self._over(ending)
        try:
            if self.call.body is not None and self.call.opened is not None:
                self._end_unfinished(self._opened)
            resources.executions.finish(self._opened, ending, resources.clock.now())
        except StoreError as error:
            ending = Ending(status=ExecutionStatus.ERROR, error=error_of(error))
            resources.finish_later(self._opened, ending)
        return self._over(ending)

    def _end_unfinished(self, run: Opened) -> None:
        """End the calls that another engine left of a run, and that the run, which ends, has not gone on with."""
        ending = stopped_ending(self.stop.reason or "interrupted", "before it ran")
        for opened, _ in self._resources.executions.unfinished_calls(run):
            self._end_unfinished(opened)
            self._resources.executions.finish(opened, ending, self._resources.clock.now())

    def _over(self, ending: Ending) -> State:
        """This engine has done with it: the places are given back, and whoever waits is told."""
        assert self._prepared is not None
        self._result = result_of(
            ending,
            job=self.job.name,
            execution_id=self.id or None,
            time_partition=self._prepared.time_partition,
            cat_partition=self._prepared.cat_partition,
            run_key=self._prepared.run_key,
        )
        with self._lock:
            self.state = State.ENDED
        if self._place is not None:
            self._resources.admission.release(self._place)
        self._resources.live.remove(self)
        if self.parent is not None:
            self.parent.children.discard(self)
        return State.ENDED
