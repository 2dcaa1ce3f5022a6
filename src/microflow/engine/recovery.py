"""Clearing up after engines that died: what they left running is ended, or tried again if it has attempts left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psutil

from ..errors import CallError, Interrupted, PartitionError, PayloadError, StoreError
from ..flow import Flow
from ..jobs import Job
from ..model.clock import Clock
from ..model.payloads import decode
from ..model.results import ExecutionError, ExecutionStatus
from ..runners.calling import error_of
from ..store.executions import NOBODY, Ending, Executions, Opened, Waiting
from .calls import Call

logger = logging.getLogger("microflow")

LOOK = 5.0
"""Seconds between looks for engines that died while a server runs."""


class Recovery:
    """Clears up after scripts and commands that died on the store of a server that runs.

    ``begin`` begins what is to be tried again.
    """

    def __init__(
        self,
        executions: Executions,
        flows: Mapping[str, Flow],
        begin: Callable[[Opened, Call], object],
        clock: Clock,
        later: Callable[[float, Callable[[], None]], Any],
    ) -> None:
        self._executions = executions
        self._flows = flows
        self._begin = begin
        self._clock = clock
        self._later = later
        self._timer: Any = None

    def start(self) -> None:
        """Look now and then from now on."""
        self._timer = self._later(LOOK, self._live)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def run_once(self, now: float) -> None:
        """One look."""
        again = recover(self._executions, self._flows, now, serves=False)
        take_over(again, self._begin, self._executions, now)

    def _live(self) -> None:
        try:
            self.run_once(self._clock.now())
        except (StoreError, OSError) as error:
            logger.error("What engines that died have left can't be cleared up now: %s", error)
        self._timer = self._later(LOOK, self._live)


def sign_on(executions: Executions, kind: str, now: float) -> None:
    """Record that this process has an engine, by what tells whether it lives: its number and its start."""
    own = psutil.Process()
    executions.register(pid=own.pid, process_started=own.create_time(), kind=kind, now=now)


def recover(
    executions: Executions, flows: Mapping[str, Flow], now: float, *, serves: bool
) -> list[tuple[Opened, Call]]:
    """End what dead engines left unfinished; returns what is to be tried again, queued already as this engine's.

    An engine is dead when its process is gone: never because of its age. Tried again are roots with attempts left: what a
    manager called is called anew by the manager. A server (``serves``) also takes over what the one before it left when it stopped.
    """
    dead = [
        (id_, f"The {kind} engine (process {pid}) that ran this ended before the execution did.")
        for id_, pid, started, kind in executions.engines()
        if not is_alive(pid, started)
    ]
    if serves:
        dead.append((NOBODY, "The server that ran this stopped, and its job has no attempt left, or is gone."))
    again: list[tuple[Opened, Call]] = []
    for engine_id, message in dead:
        left = with_attempts_left(executions, flows, engine_id)
        again += [(opened, _call(executions, opened, job)) for opened, job in left]
        waiting = Waiting("retry", "the engine that ran it ended; it is tried again", now)
        retried = {opened.id: waiting for opened, _ in left}
        error = ExecutionError(Interrupted.__name__, message)
        executions.interrupt(engine_id, error, now, retried)
    return again


def take_over(
    again: Iterable[tuple[Opened, Call]], begin: Callable[[Opened, Call], object], executions: Executions, now: float
) -> None:
    """Begin what is to be tried again; what can't be, since its job has changed, ends with the reason."""
    for opened, call in again:
        try:
            begin(opened, call)
        except (CallError, PayloadError, PartitionError) as error:
            executions.finish(opened, Ending(status=ExecutionStatus.ERROR, error=error_of(error)), now)


def with_attempts_left(
    executions: Executions, flows: Mapping[str, Flow], engine_id: int
) -> list[tuple[Opened, Job[Any]]]:
    """What an engine left that may be tried again, oldest first: roots whose jobs are there and have attempts left."""
    found = []
    for opened, kind in reversed(executions.unfinished(engine_id)):
        job = flows[opened.flow].jobs.get(opened.job) if opened.flow in flows else None
        is_root = opened.parent_id is None and kind in ("task", "manager")
        if job is not None and is_root and opened.attempt <= job.retries:
            found.append((opened, job))
    return found


def _call(executions: Executions, opened: Opened, job: Job[Any]) -> Call:
    row = executions.call_of(opened.id)
    return Call(
        job=job,
        inputs=tuple(decode(row.inputs)),
        trigger=row.trigger,
        scheduled_at=row.scheduled_at,
        options=row.options.encode() if row.options else None,
        time_partition=row.time_partition,
        cat_partition=row.cat_partition,
    )


def is_alive(pid: int, started: float) -> bool:
    """Whether the process of an engine still runs: the same number and the same start, and more than its entry is left."""
    try:
        process = psutil.Process(pid)
        # the clock that processes' starts are counted from may be set while one runs
        return abs(process.create_time() - started) < 2.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
