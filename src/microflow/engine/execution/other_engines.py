"""Other engines of the same store, a script's beside a server's: whether one lives, and what it carries out.

An engine reports the end of an execution only inside its process, so whoever waits for one looks again every ``LOOK`` seconds.
"""

from __future__ import annotations

from typing import Any

from ...jobs import Job
from ...store.executions import Executions, Waiting
from ...store.liveness import is_alive
from ...store.schedules import Schedules

LOOK = 0.5
"""Seconds after which an execution that waits for one of another engine looks whether that one has ended."""


def waiting_for_run_key(executions: Executions, job: Job[Any], run_key: str, now: float) -> Waiting | None:
    """Why a call with this run key must wait, if an engine of another process that is alive runs one with it; else None."""
    for number, pid, started in executions.running_elsewhere(job.flow.name, job.name, run_key):
        if is_alive(pid, started):
            message = f"waits for execution {number}, which runs with run key {run_key!r} in process {pid}"
            return Waiting("run_key", message, now, held_by=(number,))
    return None


def runs_elsewhere(schedules: Schedules, flow: str, name: str, engine_id: int) -> list[tuple[int, int]]:
    """(execution, pid) of a schedule's runs that go on in other processes, which are alive, in the order of their beginning."""
    found = schedules.running_elsewhere(flow, name, engine_id)
    return [(number, pid) for number, pid, started in found if is_alive(pid, started)]
