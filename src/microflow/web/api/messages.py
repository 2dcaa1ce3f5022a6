"""What the REST API takes and gives, as types: requests are checked against them, the OpenAPI document is made from
them.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from ...engine.admission.limits import LimitState
from ...model.results import ExecutionStatus, Trigger
from ...store.views import SHOWN_TICKS, ExecutionView, Moment, TickView
from ...views.definitions import FlowView, JobView
from ...views.schedules import ScheduleState
from ...views.zone_data import ZoneData
from ..http.parameters import Identity

LONGEST_WAIT = 3_600
"""Seconds that a request may wait for the end of an execution."""
MOST_ITEMS = 500
"""How many items one page of a list has at most."""
LOG_PART = 256 * 1024
"""Bytes of a log in one answer, unless the request says otherwise."""

_OBJECT = {"type": "object"}
Payload = Annotated[
    msgspec.Raw,
    msgspec.Meta(extra_json_schema={"anyOf": [_OBJECT, {"type": "array", "items": _OBJECT}, {"type": "null"}]}),
]
"""An input, as JSON that is decoded with its tagged dates."""

Count = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class NoQuery(msgspec.Struct, frozen=True):
    """No parameters."""


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of the list: after a ``cursor``, at most ``limit``; without a limit, all of it."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_ITEMS)] | None = None
    cursor: str | None = None


class OfFlowQuery(ListQuery, frozen=True, kw_only=True):
    """``flow``: only what belongs to this flow. ``limit`` and ``cursor``: a part of the list; without a limit, all of it."""

    flow: str | None = None


class ExecutionsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which executions, and which part of the list. Without a parameter, its question is not asked."""

    flow: str | None = None
    job: str | None = None
    status: tuple[ExecutionStatus, ...] = ()
    trigger: Trigger | None = None
    parent: Identity | None = None
    root: Identity | None = None
    run_key: str | None = None
    time_partition: str | None = None
    cat_partition: str | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_ITEMS)] = 50
    cursor: str | None = None


class TicksQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of the list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_ITEMS)] = SHOWN_TICKS
    cursor: str | None = None


class LogsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``after``: the ``next`` of the part before. ``limit``: bytes at most."""

    after: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=4 * 1024 * 1024)] = LOG_PART


class NoBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to say: an empty body, or ``{}``."""


class NewExecution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to execute a job.

    ``inputs``: its positional inputs, each an object or a list of objects; a date is ``{"$date": "2026-11-22"}``, a
    time ``{"$datetime": "2026-11-22T05:00:00+01:00"}``. ``with_inputs``: execute its declared inputs first.
    ``force``: even if its run key has succeeded already. ``wait``: seconds to wait for the end before answering.
    ``time_partition`` and ``cat_partition``: the partition to execute, for a partitioned job. ``at``: the tick that the
    job sees as its ``scheduled_at``, such as 2026-11-22T06:30:00+01:00 (without an offset, in the flow's time zone).
    """

    inputs: tuple[Payload, ...] = ()
    with_inputs: bool = False
    force: bool = False
    wait: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_WAIT)] = 0
    time_partition: str | None = None
    cat_partition: str | None = None
    at: str | None = None


class NewScheduleRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to run a schedule's jobs.

    ``at``: the tick that they see as their ``scheduled_at``, such as 2026-11-22T06:30:00+01:00 (without an offset, in
    the schedule's time zone); without it, the moment of the request.
    """

    at: str | None = None


class NewMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job to execute over many inputs: each is the first input of one execution.

    ``batch_size``: one execution gets a list of up to so many as its first input. ``max_concurrency``: at most so
    many of them at once. ``wait``: seconds to wait for the end before answering.
    """

    inputs: tuple[Payload, ...]
    batch_size: Count | None = None
    max_concurrency: Count | None = None
    wait: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_WAIT)] = 0


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """The server answers, and its store can be read.

    ``zone_data`` is the time zone data that the schedules follow. ``newer_files``, where there are any: the flows' files that hold
    something else than the code that is served.
    """

    status: str
    zone_data: ZoneData
    newer_files: tuple[str, ...] = ()


class FlowList(msgspec.Struct, frozen=True):
    """The flows of the server; ``next`` is the ``cursor`` of the part after these (null: this is the end)."""

    items: list[FlowView]
    next: str | None = None


class JobList(msgspec.Struct, frozen=True):
    """Jobs, in the order of definition; ``next`` is the ``cursor`` of the part after these (null: this is the end)."""

    items: list[JobView]
    next: str | None = None


class ExecutionList(msgspec.Struct, frozen=True):
    """A part of the executions, newest first; ``next`` is the ``cursor`` of the part after it (null: this is the
    end).
    """

    items: list[ExecutionView]
    next: str | None


class ScheduleList(msgspec.Struct, frozen=True):
    """Schedules, in the order of definition; ``next`` is the ``cursor`` of the part after these (null: this is the end)."""

    items: list[ScheduleState]
    next: str | None = None


class TickList(msgspec.Struct, frozen=True):
    """A part of a schedule's ticks, newest first; ``next`` is the ``cursor`` of the part after it (null: this is the end)."""

    items: list[TickView]
    next: str | None


class LimitList(msgspec.Struct, frozen=True):
    """The limits in use; ``next`` is the ``cursor`` of the part after these (null: this is the end)."""

    items: list[LimitState]
    next: str | None = None
