"""Clearing up after engines that died: what they left running is ended, or tried again if it has attempts left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psutil

from ..errors import Interrupted
from ..flow import Flow
from ..jobs import Job
from ..model.payloads import decode
from ..model.results import ExecutionError
from ..store.executions import Executions, Opened, Waiting
from .calls import Call


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
    """Whether the process of an engine still runs: the same number and the same start."""
    try:
        # the clock that processes' starts are counted from may be set while one runs
        return abs(psutil.Process(pid).create_time() - started) < 2.0
    except psutil.NoSuchProcess:
        return False
