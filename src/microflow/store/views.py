"""What is shown of executions: the values that ``reading.py`` returns, and how rows become them.

Times are aware datetimes in UTC. ``inputs`` and ``output`` are the stored JSON itself (see ``model/payloads.py`` for
its tagged dates), never decoded on the way to an answer. What a row holds that is not JSON any more, since its file was damaged, is
left out, and the error of that execution says so: no list fails because of one row.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from ..errors import StoreError
from ..model.clock import utc
from ..model.payloads import is_too_deep
from ..model.results import ExecutionError, ExecutionStatus
from .rows import TickState, Waiting

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A point in time, in UTC."""

SHOWN_TICKS = 100
"""How many ticks of a schedule are shown."""

LONGEST_REASON = 500
"""Characters of an error's message that are shown of a tick whose run failed."""

_OBJECTS = {"type": "array", "items": {"type": "object"}}
StoredInputs = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "array"})]
StoredOutput = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"anyOf": [{"type": "object"}, _OBJECTS]})]


class ProgressView(msgspec.Struct, frozen=True):
    """How far an execution is: ``done`` of ``total`` (null: not known), and a ``message``."""

    done: float
    total: float | None = None
    message: str | None = None


class WaitingView(msgspec.Struct, frozen=True):
    """Why a queued execution does not run: ``reason`` for programs, ``message`` for people, ``since`` when.

    ``until`` is when it will be tried again, if that is known; ``held_by`` are the executions that hold what it needs.
    """

    reason: str
    message: str
    since: Moment
    until: Moment | None = None
    held_by: tuple[int, ...] = ()


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that failed and was followed by another one."""

    attempt: int
    status: ExecutionStatus
    started_at: Moment | None
    ended_at: Moment | None
    error: ExecutionError | None


class ExecutionView(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job.

    ``root_id`` of a root is its own id. ``attempts`` are the failed ones before the last; in lists they are left out.
    ``cpu_seconds`` are seconds of processor time, ``peak_memory`` is bytes.
    """

    id: int
    flow: str
    job: str
    kind: str
    status: ExecutionStatus
    trigger: str
    parent_id: int | None
    root_id: int
    inputs: StoredInputs
    output: StoredOutput | None
    error: ExecutionError | None
    reason: str | None
    run_key: str | None
    time_partition: str | None
    cat_partition: str | None
    attempt: int
    scheduled_at: Moment | None
    queued_at: Moment
    started_at: Moment | None
    ended_at: Moment | None
    progress: ProgressView | None
    waiting: WaitingView | None
    cpu_seconds: float | None
    peak_memory: int | None
    attempts: tuple[AttemptView, ...] | msgspec.UnsetType = msgspec.UNSET


class TreeNode(msgspec.Struct, kw_only=True):
    """An execution in a tree: without payloads and error, with its ``children`` in the order of the parent's calls."""

    id: int
    flow: str
    job: str
    kind: str
    status: ExecutionStatus
    trigger: str
    parent_id: int | None
    position: int
    reason: str | None
    run_key: str | None
    time_partition: str | None
    cat_partition: str | None
    attempt: int
    queued_at: Moment
    started_at: Moment | None
    ended_at: Moment | None
    progress: ProgressView | None
    waiting: WaitingView | None
    children: list[TreeNode] = []


class Tree(msgspec.Struct, frozen=True):
    """An execution with everything it called. ``count`` nodes are shown; ``truncated``: there are more than that."""

    execution: TreeNode
    count: int
    truncated: bool


class Remark(msgspec.Struct, frozen=True):
    """What tells an execution in a tree from others of its job: its ``error``, and its ``inputs`` (of long ones the beginning)."""

    error: ExecutionError | None
    inputs: msgspec.Raw


def wrong_cursor(cursor: str) -> str:
    """The message about a ``cursor`` that no list gave as its ``next``."""
    return f"cursor is {cursor[:80]!r}, which no list gave as its next; leave it out to begin anew."


class Page(msgspec.Struct, frozen=True):
    """A part of a list, and the ``next`` cursor that continues it (null: this is the end)."""

    items: list[ExecutionView]
    next: str | None


class ExecutionCounts(msgspec.Struct, frozen=True):
    """How many executions run and wait now, and how many have failed (``error`` or ``cancelled``) since a moment."""

    running: int
    queued: int
    failed: int


class Bucket(msgspec.Struct, frozen=True):
    """A stretch of time and how many executions that began in it have each status."""

    start: Moment
    end: Moment
    statuses: dict[str, int]


class ExecutionDuration(msgspec.Struct, frozen=True):
    """How long one execution took, in ``seconds``."""

    id: int
    status: ExecutionStatus
    started_at: Moment
    seconds: float


class Newest(msgspec.Struct, frozen=True):
    """The newest execution of a job: its number, its status, and when it ran."""

    id: int
    status: ExecutionStatus
    started_at: datetime | None
    ended_at: datetime | None


class TickView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a tick, as it is shown.

    ``outcome`` is "run", "queued" (it runs after the runs before it), "overlap" (it did not run, since the run before it was still
    going), "missed" or "paused"; ``reason`` says why in words. ``execution_id`` is the tick's run, for an overlap the run that was
    still going; ``status`` is that execution's now (null: deleted with old history). ``run_reason`` says of the tick's run why it
    failed or was skipped. ``count`` above 1: the record stands for so many ticks, from ``first`` to ``at``, none of which ran.
    """

    at: Moment
    outcome: TickState
    reason: str | None
    execution_id: int | None
    status: ExecutionStatus | None
    run_reason: str | None = None
    count: int
    first: Moment
    recorded_at: Moment


_json = msgspec.json.Decoder(msgspec.Raw)
_error = msgspec.json.Decoder(ExecutionError)
_progress = msgspec.json.Decoder(ProgressView)
_waiting = msgspec.json.Decoder(Waiting)


def execution_view(row: tuple[Any, ...]) -> ExecutionView:
    """A row of the statement ``execution``."""
    root_id, inputs, output, error, scheduled_at, cpu_seconds, peak_memory = row[_SHARED:]
    given, inputs_damage = stored_json(inputs)
    made, output_damage = (None, "") if output is None else stored_json(output)
    shared = _shared(row)
    return ExecutionView(
        **shared,
        root_id=shared["id"] if root_id is None else root_id,
        inputs=_NO_INPUTS if given is None else given,
        output=made,
        error=error_view(error) or _damage(inputs=inputs_damage, output=output_damage),
        scheduled_at=_moment(scheduled_at),
        cpu_seconds=cpu_seconds,
        peak_memory=peak_memory,
    )


def tree_node(row: tuple[Any, ...]) -> TreeNode:
    """A row of the statement ``node``, without its children."""
    (position,) = row[_SHARED:]
    return TreeNode(**_shared(row), position=position)


_SHARED = 17
"""How many columns the statements ``execution`` and ``node`` start with in common."""


def _shared(row: tuple[Any, ...]) -> dict[str, Any]:
    """The fields that an execution has in lists and in trees."""
    id_, flow, job, kind, status, trigger, parent_id, reason, run_key, time_partition, cat_partition, attempt = row[:12]
    queued_at, started_at, ended_at, progress, waiting = row[12:_SHARED]
    return {
        "id": id_,
        "flow": flow,
        "job": job,
        "kind": kind,
        "status": ExecutionStatus(status),
        "trigger": trigger,
        "parent_id": parent_id,
        "reason": reason,
        "run_key": run_key,
        "time_partition": time_partition,
        "cat_partition": cat_partition,
        "attempt": attempt,
        "queued_at": utc(queued_at),
        "started_at": _moment(started_at),
        "ended_at": _moment(ended_at),
        "progress": _progress_view(progress),
        "waiting": _waiting_view(waiting),
    }


def attempt_view(row: tuple[Any, ...]) -> AttemptView:
    """A row of the statement ``attempts``."""
    attempt, status, started_at, ended_at, error = row
    return AttemptView(
        attempt=attempt,
        status=ExecutionStatus(status),
        started_at=_moment(started_at),
        ended_at=_moment(ended_at),
        error=error_view(error),
    )


def newest_view(row: tuple[Any, ...]) -> Newest:
    """A row of the statement ``newest_of_job``."""
    id_, status, started_at, ended_at = row
    return Newest(id_, ExecutionStatus(status), _moment(started_at), _moment(ended_at))


def tick_view(row: tuple[Any, ...]) -> TickView:
    at, outcome, reason, execution_id, status, count, first_at, recorded_at, error, run_reason = row
    failure = error_view(error)
    if failure is not None:
        run_reason = f"{failure.type}: {failure.message[:LONGEST_REASON]}"
    return TickView(
        at=utc(at),
        outcome=outcome,
        reason=reason,
        execution_id=execution_id,
        status=None if status is None else ExecutionStatus(status),
        run_reason=run_reason,
        count=count,
        first=utc(first_at),
        recorded_at=utc(recorded_at),
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else utc(seconds)


def error_view(stored: str | None) -> ExecutionError | None:
    """The error of an execution or attempt as the store keeps it; None for none."""
    if stored is None:
        return None
    try:
        return _error.decode(stored)
    except ValueError as error:
        return _damage(error=str(error))


_NO_INPUTS = msgspec.Raw(b"[]")


def stored_json(text: str) -> tuple[msgspec.Raw | None, str]:
    """What the store holds, as it is, and ""; None and what is wrong with it if it is not JSON that every reader can parse."""
    if is_too_deep(text):
        return None, "it is nested too deeply"
    try:
        _json.decode(text)
    except ValueError as error:
        return None, str(error)
    return msgspec.Raw(text), ""


def _damage(**damages: str) -> ExecutionError | None:
    """The error that stands for parts of a row that can't be read; None if all can."""
    told = [f"The {part} that the store holds can't be read: {why}." for part, why in damages.items() if why]
    return ExecutionError(StoreError.__name__, " ".join(told)) if told else None


def _waiting_view(stored: str | None) -> WaitingView | None:
    if stored is None:
        return None
    try:
        waiting = _waiting.decode(stored)
    except ValueError:
        return None
    return WaitingView(waiting.reason, waiting.message, utc(waiting.since), _moment(waiting.until), waiting.held_by)


def _progress_view(stored: str | None) -> ProgressView | None:
    try:
        return None if stored is None else _progress.decode(stored)
    except ValueError:
        return None
