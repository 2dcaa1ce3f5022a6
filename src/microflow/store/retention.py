"""Keeping history within bounds: old executions, their attempts, their logs and kept inputs, deleted in small steps."""

from __future__ import annotations

from collections.abc import Iterator

from .database import Database
from .logs import Logs
from .mappings import MappingInputs
from .rows import RetentionStep

STEP = 100
"""Executions that one step looks at: few enough that no other writer waits long."""

_STEPS_TO_CHECKPOINT = 25
"""After so many steps this thread puts away what they have piled up, before a commit of another writer has to do it."""


class Retention:
    """Deletes what ended before a moment.

    The newest execution of each partition and of each run key stays, and so do contexts and the newest success of each job, whose
    output they fall back to.
    """

    def __init__(self, database: Database, logs: Logs, mappings: MappingInputs) -> None:
        self._database = database
        self._logs = logs
        self._mappings = mappings

    def step(self, before: float, after: int = 0) -> RetentionStep:
        """Look at the next executions after the number ``after``; ``before`` is in seconds since the epoch. Raises ``StoreError``.

        The rows go first: a log that outlives its row is never read, and is replaced by the next execution of its number.
        """
        rows = self._database.read("old_executions", {"before": before, "after": after, "count": STEP})
        if not rows:
            return RetentionStep(0, None)
        last, _, is_old = rows[-1]
        old = [number for number, may_go, _ in rows if may_go]
        if old:
            with self._database.transaction():
                for number in old:
                    self._database.execute("delete_execution", (number,))
                self._database.execute("delete_attempts", {"after": after, "last": last})
            self._logs.delete(old)
        # executions are numbered in the order of time, so what follows one that is too young is too young as well
        return RetentionStep(len(old), last if is_old and len(rows) == STEP else None)

    def finish(self, before: float) -> bool:
        """Delete a few of the records that belong to no execution, of ticks and of engines; whether there may be more."""
        with self._database.transaction():
            deleted = self._database.execute("delete_ticks", {"before": before, "count": STEP})
            self._database.execute("delete_engines", {"before": before})
        return deleted > 0

    def steps(self, before: float) -> Iterator[int]:
        """Every step, one after the other; how many executions each of them deleted."""
        after: int | None = 0
        number = 0
        while after is not None:
            deleted, after = self.step(before, after)
            number += 1
            if number % _STEPS_TO_CHECKPOINT == 0:
                self._database.checkpoint()
            yield deleted
        while self.finish(before) or self._mappings.delete_ended():
            yield 0
