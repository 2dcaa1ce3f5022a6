"""Clearing up after engines that died: what they left running is ended, or tried again if it has attempts left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psutil

from ..errors import CallError, Interrupted, PartitionError, PayloadError, StoreError
from ..flow import Flow
from ..jobs import Job
from ..model.payloads import decode
from ..model.results import ExecutionError, ExecutionStatus
from ..runners.calling import error_of
from ..store.executions import Ending, Executions, Opened, Waiting
from .calls import Call
from .resources import Resources

logger = logging.getLogger("microflow")


def recover(executions: Executions, flows: Mapping[str, Flow], now: float) -> list[tuple[Opened, Call]]:
    """End what dead engines left unfinished; returns what is to be tried again, queued already as this engine's.

    An engine is dead when its process is gone: never because of its age. Tried again are roots with attempts left: what a
    manager called is called anew by the manager.
    """
    again: list[tuple[Opened, Call]] = []
    for engine_id, pid, started, kind in executions.engines():
        if _is_alive(pid, started):
            continue
        retried = {}
        for opened, execution_kind in executions.unfinished(engine_id):
            job = flows[opened.flow].jobs.get(opened.job) if opened.flow in flows else None
            is_root = opened.parent_id is None and execution_kind in ("task", "manager")
            if job is not None and is_root and opened.attempt <= job.retries:
                retried[opened.id] = Waiting("retry", "the engine that ran it ended; it is tried again", now)
                again.append((opened, _call(executions, opened, job)))
        message = f"The {kind} engine (process {pid}) that ran this ended before the execution did."
        executions.interrupt(engine_id, ExecutionError(Interrupted.__name__, message), now, retried)
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


def sign_off(resources: Resources, *, ended: bool, reason: str) -> None:
    """Record that this engine ended, and the ends it still owes; ``ended``: everything has ended by itself."""
    executions, now = resources.executions, resources.clock.now()
    try:
        resources.record_refused_ends()
        if not ended:  # what could not be ended is not left as running in the store: nobody would look for it
            error = ExecutionError(Interrupted.__name__, "the engine stopped while it ran, and could not end it")
            executions.interrupt(executions.engine_id, error, now, {})
        executions.unregister(now=now, reason=reason)
    except StoreError as error:  # so it stays open in the store, and the next engine clears up after it
        logger.error("The end of the engine can't be recorded: %s", error)


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


def _is_alive(pid: int, started: float) -> bool:
    """Whether the process of an engine still runs: the same number and the same start, and more than its entry is left."""
    try:
        process = psutil.Process(pid)
        # the clock that processes' starts are counted from may be set while one runs
        return abs(process.create_time() - started) < 2.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
