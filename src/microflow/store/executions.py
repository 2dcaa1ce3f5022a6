"""The life of executions: open, start, wait, finish, with everything that must be true at the same moment.

The database decides races: a change of status is an update "where the status is still what it may be", and the writer that
changes no row was too late. Events are published after the commit, so that no listener hears of a row that can't be read yet.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from ..errors import UnknownNameError
from ..model.events import EventBus
from ..model.results import ExecutionError, ExecutionStatus, Kind, Trigger
from .contexts import Remembered, remembered
from .database import Database, Row
from .engines import Engines
from .partitions import Mark, PartitionMarks
from .rows import NOBODY, Claim, Ending, Opened, Opening, RunningElsewhere, StoredCall, Waiting

_json = msgspec.json.Encoder()


class Executions:
    """Writes executions, as those of this process's own engine (see ``engines``)."""

    def __init__(self, database: Database, engines: Engines, events: EventBus) -> None:
        self._database = database
        self._events = events
        self._marks = PartitionMarks(database)
        self.engines = engines
        self.after_commit = database.after_commit

    @property
    def engine_id(self) -> int:
        """This process's own engine, the owner of what is opened; 0 before it is registered."""
        return self.engines.own

    def together(self) -> AbstractContextManager[None]:
        """Commit what this thread writes inside, with any part of the store, at the end, or nothing of it.

        What a check inside it finds still holds at the end: other engines decide the same question before or after it. Raises
        ``StoreError`` if the commit fails.
        """
        return self._database.transaction()

    def open(self, new: Opening, now: float, claim: Claim | None = None) -> Opened:
        """Insert the execution, and if it stands for many partitions its mark on them; publish it.

        ``claim`` is called within the transaction; if it raises, nothing has been opened.
        """
        waiting = new.waiting
        status, started_at = ("running", now) if waiting is None else ("queued", None)
        values = (
            new.flow,
            new.job,
            str(new.kind),
            status,
            str(new.trigger),
            new.parent_id,
            new.root_id,
            new.position,
            new.inputs.decode(),
            new.run_key,
            new.time_partition,
            new.cat_partition,
            new.scheduled_at,
            now,
            started_at,
            None if waiting is None else _json.encode(waiting).decode(),
            None if new.options is None else new.options.decode(),
            self.engines.own,
        )
        is_batch = len(new.partitions) > 1
        if is_batch or claim is not None:
            with self._database.transaction():
                identity = self._database.insert("open_execution", values)
                if is_batch:
                    self._marks.open(new.flow, new.job, identity, new.partitions)
                if claim is not None:
                    claim(identity, new.waiting)
        else:
            identity = self._database.insert("open_execution", values)
        opened = Opened(
            identity,
            new.flow,
            new.job,
            new.parent_id,
            new.root_id or identity,
            started_at,
            1,
            bool(new.partitions),
            new.partitions,
        )
        self._publish(opened, status)
        return opened

    def start(self, opened: Opened, now: float, attempt: int = 1) -> Opened | None:
        """Change a queued execution to running. None if it is no longer queued: it was cancelled."""
        values = {"id": opened.id, "started_at": now, "attempt": attempt, "engine_id": self.engines.own}
        if self._database.execute("start_execution", values) != 1:
            return None
        self._publish(opened, "running")
        return opened._replace(started_at=now, attempt=attempt)

    def wait(self, opened: Opened, waiting: Waiting) -> bool:
        """Queue the execution, for this reason; False if it has ended meanwhile."""
        values = {"id": opened.id, "waiting": _json.encode(waiting).decode()}
        changed = self._database.execute("queue_execution", values) == 1
        if changed:
            self._publish(opened, "queued")
        return changed

    def unstart(self, opened: Opened, waiting: Waiting) -> Opened:
        """Queue an execution again whose function never started, as if its first attempt had not started either."""
        values = {"id": opened.id, "waiting": _json.encode(waiting).decode()}
        if self._database.execute("unstart_execution", values) == 1:
            self._publish(opened, "queued")
        return opened._replace(started_at=None)

    def mark_paused(self, opened: Opened, waiting: Waiting | None) -> bool:
        """Mark a running execution as paused, or (None) as no longer paused; False if it is not running."""
        values = {"id": opened.id, "waiting": None if waiting is None else _json.encode(waiting).decode()}
        if self._database.execute("pause_execution", values) != 1:
            return False
        self._publish(opened, "running")
        return True

    def retry(self, opened: Opened, failed: Ending, waiting: Waiting, now: float) -> bool:
        """Record the attempt that failed, and queue the execution for the next one; False if it has ended meanwhile."""
        values = {"id": opened.id, "waiting": _json.encode(waiting).decode()}
        with self._database.transaction():
            queued = self._database.execute("queue_execution", values) == 1
            if queued:
                self._open_attempt(opened, failed.status, failed.error, now)
                self._publish(opened, "queued")
        return queued

    def _publish(self, opened: Opened, status: str) -> None:
        """Publish that the execution has this status now, once it can be read."""
        if self._events.listened:
            event = opened.event(status)
            self._database.after_commit(lambda: self._events.publish(event))

    def _open_attempt(self, opened: Opened, status: ExecutionStatus, error: ExecutionError | None, now: float) -> None:
        if opened.started_at is None:
            return
        self._database.execute(
            "open_attempt",
            {
                "execution_id": opened.id,
                "attempt": opened.attempt,
                "status": str(status),
                "started_at": opened.started_at,
                "ended_at": now,
                "error": None if error is None else _json.encode(error).decode(),
            },
        )

    def finish(self, opened: Opened, ending: Ending, now: float) -> bool:
        """End the execution, with its run key, its partitions' status and its context, in one transaction; publish it.

        False if it had ended already, in which case nothing is changed.
        """
        status = str(ending.status)
        output = None if ending.output is None else ending.output.decode()
        values = (
            status,
            output,
            None if ending.error is None else _json.encode(ending.error).decode(),
            ending.reason,
            ending.run_key,
            ending.time_partition,
            ending.cat_partition,
            opened.started_at,
            now,
            None if ending.progress is None else ending.progress.decode(),
            ending.cpu_seconds,
            ending.peak_memory,
            opened.id,
        )
        succeeded = ending.status is ExecutionStatus.SUCCESS
        keeps_context = ending.context and ending.status in (ExecutionStatus.SUCCESS, ExecutionStatus.SKIPPED)
        partitioned = opened.partitioned or ending.partition is not None
        if not (keeps_context or partitioned or (succeeded and ending.run_key is not None)):
            changed = self._database.execute("finish_execution", values) == 1
        else:
            with self._database.transaction():
                changed = self._database.execute("finish_execution", values) == 1
                if changed and partitioned:
                    mark = Mark(opened.id, status, opened.started_at, now, opened.attempt)
                    self._marks.finish(opened.flow, opened.job, mark, opened.partitions, ending.partition)
                if changed and succeeded and ending.run_key is not None:
                    self._save_run_key(opened, ending.run_key, output)
                if changed and keeps_context:
                    self._save_context(opened, ending.context)
        if changed:
            self._publish(opened, status)
        return changed

    def _save_run_key(self, opened: Opened, run_key: str, output: Any) -> None:
        self._database.execute(
            "save_run_key",
            {"flow": opened.flow, "job": opened.job, "run_key": run_key, "execution_id": opened.id, "output": output},
        )

    def _save_context(self, opened: Opened, changes: Mapping[str, bytes | None]) -> None:
        for key, value in changes.items():
            # a deleted key stays, as "", since only one that was never written falls back to the last output
            text = "" if value is None else value.decode()
            names = {"flow": opened.flow, "job": opened.job, "key": key, "value": text, "execution_id": opened.id}
            self._database.execute("save_context", names)

    def success_with_key(self, flow: str, job: str, run_key: str) -> tuple[int, bytes | None] | None:
        """(execution id, encoded output) of the newest success of a run key, if there is one."""
        rows = self._database.read("run_key_success", {"flow": flow, "job": job, "run_key": run_key})
        return (rows[0][0], None if rows[0][1] is None else rows[0][1].encode()) if rows else None

    def running_elsewhere(self, flow: str, job: str, run_key: str) -> list[RunningElsewhere]:
        """The executions with this run key that other, living engines have running.

        Inside a transaction, no other engine starts another one before its end.
        """
        values = {"flow": flow, "job": job, "run_key": run_key, "engine_id": self.engines.own}
        rows = self._database.fetch("run_key_elsewhere", values)
        return self.engines.having([(row[0], row[1]) for row in rows]) if rows else []

    def context(self, flow: str, job: str) -> Remembered:
        """What a job's executions wrote to its context, and its last successful output (see ``contexts``)."""
        return remembered(self._database, flow, job)

    def call_of(self, execution_id: int) -> StoredCall:
        """The call that made an execution. Raises ``UnknownNameError`` if there is no such execution."""
        rows = self._database.read("call_of", {"id": execution_id})
        if not rows:
            raise UnknownNameError(
                f"There is no execution {execution_id}; it may have been deleted with the old history."
            )
        flow, job, kind, status, trigger, inputs, *others, waiting, engine_id = rows[0]
        why = None if waiting is None else msgspec.json.decode(waiting, type=Waiting)
        return StoredCall._make(
            (flow, job, Kind(kind), status, Trigger(trigger), inputs.encode(), *others, why, engine_id)
        )

    def interrupt(
        self,
        engine_id: int,
        error: ExecutionError,
        now: float,
        kept: Mapping[int, Waiting],
        *,
        nobodys: Collection[int] = (),
        errors: Mapping[int, ExecutionError] = {},
        spared: Collection[int] = (),
    ) -> int:
        """End what an engine left unfinished, but for the ``spared``, all in one transaction; how many there were.

        ``kept`` names those that are queued instead, as this engine's or as nobody's; an attempt that was interrupted is recorded.
        ``errors`` has the error of those that end for another reason than ``error``.
        """
        with self._database.transaction():
            unfinished = self.unfinished(engine_id)
            for opened, kind in unfinished:
                if opened.id in spared:
                    continue
                why = errors.get(opened.id, error)
                if (waiting := kept.get(opened.id)) is not None:
                    owner = NOBODY if opened.id in nobodys else self.engine_id
                    values = {"id": opened.id, "waiting": _json.encode(waiting).decode(), "engine_id": owner}
                    self._database.execute("queue_interrupted", {**values, "started_at": opened.started_at})
                    if kind.has_code:  # a run resumes where it was; only what has code is tried again
                        self._open_attempt(opened, ExecutionStatus.ERROR, why, now)
                    self._publish(opened, "queued")
                else:
                    self.finish(opened, Ending(status=ExecutionStatus.ERROR, error=why), now)
            self._database.execute("close_engine", {"id": engine_id, "ended_at": now, "reason": error.message})
        return len(unfinished)

    def unfinished(self, engine_id: int) -> list[tuple[Opened, Kind]]:
        """(execution, kind) of all that an engine has queued or running, children before their parents."""
        return _opened(self._database.fetch("unfinished_of_engine", {"engine_id": engine_id}))

    def unfinished_calls(self, run: Opened) -> list[tuple[Opened, Kind]]:
        """(execution, kind) of what an execution has called that is queued or running."""
        return _opened(self._database.fetch("unfinished_calls", {"parent_id": run.id}))

    def count_left(self, flows: Container[str]) -> int:
        """How many executions of these flows that no execution called wait for the next server, since their engines have ended."""
        return sum(count for flow, count in self._database.fetch("count_left") if flow in flows)


def _opened(rows: Iterable[Row]) -> list[tuple[Opened, Kind]]:
    found = []
    for id_, flow, job, kind_text, parent, root, attempt, started, time, category in rows:
        kind = Kind(kind_text)
        has_code = kind.has_code  # a DAG run is called for a partition, its jobs stand for it
        keys = ((time or "", category or ""),) if has_code and (time or category) else ()
        found.append((Opened(id_, flow, job, parent, root or id_, started, attempt, has_code, keys), kind))
    return found
