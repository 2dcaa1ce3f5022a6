"""Other engines of the same store, such as a script's beside a server's, and what they are at work on.

An engine tells no other process that an execution ended, so an execution that waits for one looks again every ``LOOK`` seconds.
"""

from __future__ import annotations

from typing import Any

from ...jobs import Job
from ...store import Executions
from ...store.rows import Waiting

LOOK = 0.5
"""Seconds after which an execution that waits for one of another engine looks whether that one has ended."""


def waiting_for_run_key(executions: Executions, job: Job[Any], run_key: str, now: float) -> Waiting | None:
    """Why a call with this run key must wait, if a living engine of another process runs one with it; else None."""
    for number, process in executions.running_elsewhere(job.flow.name, job.name, run_key):
        message = f"waits for execution {number}, which runs with run key {run_key!r} in {process}"
        return Waiting("run_key", message, now, held_by=(number,))
    return None
