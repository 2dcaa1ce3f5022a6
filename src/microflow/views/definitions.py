"""Flows and jobs as they are shown: what their code says of them, as plain values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ..jobs import DEFAULT_RUNNER, Backoff, Job
from ..model.results import Kind
from ..model.schedules import describe, next_ticks
from ..store.views import Moment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..flow import Flow
    from ..model.partitions import Partitions
    from ..model.schedules import Schedule

NEXT_TICKS = 5
"""How many of a schedule's coming ticks are shown with a job."""


class ParametersView(msgspec.Struct, frozen=True, kw_only=True):
    """The positional inputs of a job: their ``names``, how many are ``required``, and whether it takes any number."""

    names: tuple[str, ...]
    required: int
    variable: bool


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True):
    """When a job runs. ``description`` says the cron expression in English; ``next`` are its coming ticks, in UTC."""

    name: str
    cron: str
    timezone: str
    description: str
    catch_up: str
    overlap: str
    next: tuple[Moment, ...]


class LimitDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of a job: at most ``max_concurrency`` at once, for each value of ``key`` in the first input if it has
    one.
    """

    name: str
    max_concurrency: int
    key: str | None


class BackoffView(msgspec.Struct, frozen=True, kw_only=True):
    """Growing delays before a retry, in seconds; ``jitter`` is the random part of each, from 0 to 1."""

    initial: float
    factor: float
    maximum: float
    jitter: float


class TimePartitionsView(msgspec.Struct, frozen=True, kw_only=True):
    """The time partitions of a job; ``start`` and ``end`` are the first and the last one (null: not bounded)."""

    frequency: str
    start: str | None
    end: str | None
    timezone: str


class PartitionsView(msgspec.Struct, frozen=True, kw_only=True):
    """The partitions of a job over time, over categories, or both; ``filtered``: a function says which of them exist."""

    time: TimePartitionsView | None
    cat: tuple[str, ...] | None
    filtered: bool


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """What a job's definition says. ``inputs`` are the jobs it declares as inputs; ``schedule`` is the first of its ``schedules``.

    ``max_payload`` is in bytes, ``retry_delay``, ``timeout`` (of one attempt) and ``cancel_grace`` are in seconds. ``runner`` is
    null for a manager, which runs in the server itself.
    """

    flow: str
    name: str
    kind: str
    description: str
    parameters: ParametersView
    inputs: tuple[str, ...]
    schedule: ScheduleView | None
    schedules: tuple[ScheduleView, ...]
    limits: tuple[LimitDefinition, ...]
    partitions: PartitionsView | None
    run_strategy: str
    retries: int
    retry_delay: float | tuple[float, ...] | BackoffView
    timeout: float | None
    cancel_grace: float
    runner: str | None
    max_payload: int


class FlowView(msgspec.Struct, frozen=True, kw_only=True):
    """A flow: how many of its tasks run at once (null: as many as there are cores), and the names of its jobs."""

    name: str
    max_concurrency: int | None
    timezone: str | None
    jobs: tuple[str, ...]


def flow_view(flow: Flow) -> FlowView:
    """What a flow's definition says."""
    return FlowView(name=flow.name, max_concurrency=flow.max_concurrency, timezone=flow.timezone, jobs=tuple(flow.jobs))


def job_view(job: Job[Any], now: datetime) -> JobView:
    """What a job's definition says, with the ticks of its schedules after ``now``."""
    parameters = job.parameters
    schedules = tuple(schedule_view(schedule, job.flow, now) for schedule in job.schedules)
    return JobView(
        flow=job.flow.name,
        name=job.name,
        kind=job.kind,
        description=job.description,
        parameters=ParametersView(names=parameters.names, required=parameters.required, variable=parameters.variable),
        inputs=tuple(given.name for given in job.flow.inputs_of(job)),
        schedule=schedules[0] if schedules else None,
        schedules=schedules,
        limits=tuple(
            LimitDefinition(name=limit.name, max_concurrency=limit.max_concurrency, key=limit.key)
            for limit in job.limits
        ),
        partitions=None if job.partitions is None else _partitions_view(job.partitions),
        run_strategy=str(job.run_strategy),
        retries=job.retries,
        retry_delay=_retry_delay(job.retry_delay),
        timeout=job.timeout,
        cancel_grace=float(job.cancel_grace),
        runner=_runner_name(job),
        max_payload=job.max_payload,
    )


def job_views(flows: Iterable[Flow], now: datetime) -> list[JobView]:
    """Every job of the flows, in the order of definition."""
    return [job_view(job, now) for flow in flows for job in flow.jobs.values()]


def schedule_view(schedule: Schedule, flow: Flow, now: datetime) -> ScheduleView:
    """A schedule as the flow's jobs have it, with its ticks after ``now``."""
    zone = schedule.zone(flow.timezone)
    return ScheduleView(
        name=flow.schedule_name(schedule),
        cron=schedule.cron,
        timezone=str(zone),
        description=describe(schedule.cron),
        catch_up=schedule.catch_up,
        overlap=schedule.overlap,
        next=tuple(tick.astimezone(UTC) for tick in next_ticks(schedule.cron, zone, now, NEXT_TICKS)),
    )


def _partitions_view(partitions: Partitions) -> PartitionsView:
    time = partitions.time
    return PartitionsView(
        time=None
        if time is None
        else TimePartitionsView(
            frequency=str(time.kind),
            start=None if time.first is None else time.text(time.first),
            end=None if time.last is None else time.text(time.last),
            timezone=str(time.zone),
        ),
        cat=partitions.cat,
        filtered=partitions.filter is not None,
    )


def _retry_delay(given: Any) -> float | tuple[float, ...] | BackoffView:
    if isinstance(given, Backoff):
        return BackoffView(initial=given.initial, factor=given.factor, maximum=given.maximum, jitter=given.jitter)
    return tuple(map(float, given)) if isinstance(given, (list, tuple)) else float(given)


def _runner_name(job: Job[Any]) -> str | None:
    if job.kind is Kind.MANAGER:
        return None
    if job.runner is None:
        return DEFAULT_RUNNER
    return job.runner if isinstance(job.runner, str) else type(job.runner).__name__
