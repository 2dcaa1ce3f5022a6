"""The calls that an interrupted run has made, read from the store by the server that resumes the run.

No engine works on the run meanwhile, so several reads agree with each other.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ..model.results import ExecutionError, ExecutionStatus
from .database import Database
from .rows import Ending, Opened


class EndedCall(NamedTuple):
    """A call that has ended. ``time_partition``: as text."""

    job: str
    execution_id: int
    ending: Ending
    time_partition: str | None
    cat_partition: str | None


class LastCall(NamedTuple):
    """The last of a run's calls, in the order of its inputs: ``position`` counts from 0, ``inputs`` and ``options`` are encoded."""

    position: int
    inputs: bytes
    time_partition: str | None
    cat_partition: str | None
    options: str | None


class ResumedRuns:
    """Reads the calls of runs that are resumed. Every method raises ``StoreError`` if the store can't be read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ended(self, run: Opened) -> list[EndedCall]:
        """Every call that has ended, with how."""
        found = []
        for job, id_, status, output, error, reason, run_key, time, category in self._database.read(
            "ended_calls", _names(run)
        ):
            ending = Ending(
                status=ExecutionStatus(status),
                output=None if output is None else output.encode(),
                error=_error(error),
                reason=reason,
                run_key=run_key,
            )
            found.append(EndedCall(job, id_, ending, time, category))
        return found

    def counts(self, run: Opened) -> dict[ExecutionStatus, int]:
        """How many calls have ended with each status."""
        return {ExecutionStatus(status): count for status, count in self._database.read("count_calls", _names(run))}

    def failure(self, run: Opened) -> ExecutionError | None:
        """The error of one of the calls that failed."""
        rows = self._database.read("failed_call", _names(run))
        return _error(rows[0][0]) if rows else None

    def last(self, run: Opened) -> LastCall | None:
        """The call that comes last in the order of the run; None if it has made none."""
        rows = self._database.read("last_call", _names(run))
        return LastCall(rows[0][0], rows[0][1].encode(), *rows[0][2:]) if rows else None


def _names(run: Opened) -> dict[str, int]:
    return {"root_id": run.root_id, "parent_id": run.id}


def _error(text: str | None) -> ExecutionError | None:
    return None if text is None else msgspec.json.decode(text, type=ExecutionError)
