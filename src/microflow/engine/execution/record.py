"""The row of a live execution: what is known of it by now, what the store says about whether it runs, and what is written of it.

All of this belongs to the thread that carries the execution out (see ``state``). Others only read ``opened``, which is set before
they come to know the execution.
"""

from __future__ import annotations

import logging

from ...errors import InputCountError, PartitionError, PayloadError, StoreError, UnknownNameError
from ...model.results import ExecutionStatus
from ...runners.base import Outcome, Request
from ...runners.calling import error_of
from ...store.rows import Ending, Opened, Waiting
from ..admission.slots import Limit
from .call import UNPREPARED, Call, Prepared, earlier_success, new_execution, prepare, refused, request_of
from .observation import Observation
from .other_engines import waiting_for_run_key
from .pausing import waiting_paused
from .resources import Resources
from .settling import ENDED_IN_STORE, cancelled_ending, upstream_ending, waiting_at, waiting_for_retry

logger = logging.getLogger("microflow")


class Record:
    """The row of one execution.

    ``prepared``: the call, checked and encoded; ``UNPREPARED`` before. ``opened``: the row as it is in the store; None before it is
    open. ``attempt``: the number of the current attempt, from 1. ``run_key``: the one that decides whether it runs; None if it has
    none, or is to run in any case.
    """

    __slots__ = ("attempt", "call", "observation", "opened", "prepared", "resources", "run_key")

    def __init__(self, resources: Resources, call: Call) -> None:
        self.resources = resources
        self.call = call
        self.prepared: Prepared = UNPREPARED
        self.run_key: str | None = None
        self.opened: Opened | None = None
        self.attempt = 1
        self.observation = Observation(resources, self.row)

    # What is known

    @property
    def id(self) -> int:
        """The execution's number; 0 before its row is open."""
        return self.opened.id if self.opened is not None else 0

    def row(self) -> Opened:
        """The row, which must be open."""
        assert self.opened is not None, "its row is not open yet"
        return self.opened

    @property
    def has_started(self) -> bool:
        """Whether an attempt has started."""
        return self.opened is not None and self.opened.started_at is not None

    def limits(self) -> list[Limit]:
        """The limits in which it needs a slot."""
        call = self.call
        if call.body is not None:
            return list(call.limits)
        return [*call.limits, *self.resources.limits.needed(call.job, self.prepared.first, self.run_key)]

    def request(self) -> Request:
        """What a runner is asked to carry out."""
        return request_of(self.call, self.prepared, self.row().id, self.attempt)

    # What decides whether it runs

    def prepare(self) -> Ending | None:
        """Check and encode the inputs, and look at those that are results; how it ends if these say that it does not run.

        Raises what ``prepare`` of a call raises, unless nobody is there who made the call: then it ends with that.
        """
        call = self.call
        try:
            if self.prepared is UNPREPARED:
                self.prepared = prepare(call)
        except (InputCountError, PayloadError, PartitionError) as error:
            if call.upstream is None and call.opened is None:
                raise
            # it is another engine's call, or one of a DAG run, whose other jobs continue
            self.prepared = refused()
            return Ending(status=ExecutionStatus.ERROR, error=error_of(error, skip_frames=99))
        if not call.force and call.body is None:
            self.run_key = self.prepared.run_key
        return None if self.prepared.verdict.run else upstream_ending(self.prepared, call.job.name)

    def prepare_ahead(self) -> None:
        """Prepare the call ahead of ``prepare``, which does it again, and raises what is wrong, where this failed."""
        try:
            self.prepared = prepare(self.call)
        except Exception:  # noqa: BLE001 - as above
            self.prepared = UNPREPARED

    def decide(self) -> Waiting | Ending | None:
        """Why it must wait for an execution of another engine, or how it ends since its run key has succeeded; None if it runs.

        To be asked in the transaction that writes the answer: of two engines only one may find that no other runs with this key.
        """
        executions, now, run_key = self.resources.executions, self.resources.clock.now(), self.run_key
        waiting = None if run_key is None else waiting_for_run_key(executions, self.call.job, run_key, now)
        if waiting is None and self.call.blocked_by_other_engine is not None:
            waiting = self.call.blocked_by_other_engine(now)
        return waiting or self.earlier_success()

    def earlier_success(self) -> Ending | None:
        """How it ends at once because its job succeeded with its run key before; None if it did not."""
        return earlier_success(self.resources.executions, self.call.job, self.run_key)

    def ends_alone(self, outcome: Outcome) -> bool:
        """Whether its end can't share a transaction with others: the next execution with its run key must find it in the store
        when the slots are free, and to name a partition afterwards is to run the user's code.
        """
        named = (self.prepared.run_key, outcome.run_key, outcome.cat_partition, outcome.time_partition)
        return any(name is not None for name in named)

    # What is written

    def open(self, waiting: Waiting | None, parent: Opened | None) -> None:
        """Open the row, queued for this reason or running, or adopt the one that another engine has opened."""
        call, prepared, resources = self.call, self.prepared, self.resources
        if (opened := call.opened) is None:
            parent_id, root_id = (0, 0) if parent is None else (parent.id, parent.root_id)
            new = new_execution(call, prepared, waiting, parent_id, root_id)
            self.opened = resources.executions.open(new, resources.clock.now(), call.claim)
            return
        self.opened = opened._replace(partitions=prepared.partitions or opened.partitions)
        if call.body is None and opened.started_at is not None:
            self.attempt = opened.attempt + 1

    def start(self) -> bool:
        """Queued to running; False if it is not queued any more. A run that is resumed keeps its start, and its pause."""
        executions, call, row, now = self.resources.executions, self.call, self.row(), self.resources.clock.now()
        started_before = None if call.body is None else row.started_at
        started = executions.start(row, now if started_before is None else started_before, self.attempt)
        if started is None:
            return False
        if call.pause_switch is not None and call.pause_switch.paused:
            executions.mark_paused(started, waiting_paused(now))
        self.opened = started
        return True

    def write(self, decided: Waiting | Ending | None) -> bool:
        """Write of a queued row what was decided: that it waits, or runs; False if it has ended in the store."""
        if isinstance(decided, Waiting):
            return self.wait(decided)
        return decided is not None or self.start()

    def wait(self, waiting: Waiting) -> bool:
        """Queued, for this reason; False if it has ended in the store."""
        return self.resources.executions.wait(self.row(), waiting)

    def unstart(self, waiting: Waiting) -> None:
        """Queued again, as if its first attempt had not started."""
        self.opened = self.resources.executions.unstart(self.row(), waiting)

    def unstart_if_left(self, reason: str) -> None:
        """Its function has not started and won't: if a server stops, the row says so to the next one."""
        if reason != "interrupted" or not self.resources.leaves or self.attempt > 1:
            return
        try:
            self.unstart(waiting_at(None, self.resources.clock.now()))
        except StoreError as error:
            logger.error("Execution %s counts as one that has started: %s", self.id, error)

    def retry(self, failed: Ending, delay: float) -> Ending | None:
        """Record the attempt that failed, and queue the row for the next one; how the execution ends if that can't be done."""
        now = self.resources.clock.now()
        waiting = waiting_for_retry(self.call.job, self.attempt, failed, now, delay)
        try:
            is_queued = self.resources.executions.retry(self.row(), failed, waiting, now)
        except StoreError as error:
            return Ending(status=ExecutionStatus.ERROR, error=error_of(error))
        return None if is_queued else cancelled_ending(ENDED_IN_STORE)

    def is_in_store(self, error: BaseException) -> bool:
        """Whether the row is in the store though the transaction that was to open it failed with this."""
        if self.call.opened is not None:  # the row is older than that
            self.opened = self.opened or self.call.opened
            return True
        if self.opened is None or isinstance(error, Exception):
            return False
        try:  # Ctrl-C may have come just after the commit
            self.resources.executions.call_of(self.id)
        except (UnknownNameError, StoreError):
            return False
        return True
