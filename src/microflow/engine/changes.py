"""What differs between two versions of the code, as far as its definitions tell: a pure comparison of flows by their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from inspect import unwrap
from operator import eq
from types import CodeType
from typing import Any, TypeVar

import msgspec

from ..flow import Flow
from ..jobs import Job
from .schedules.runs import served_schedules

T = TypeVar("T")

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_ARGUMENTS = ("run_strategy", "max_payload", "retries", "retry_delay", "timeout")


class Difference(msgspec.Struct, frozen=True):
    """Names of what is new, of what is gone, and of what is defined in another way than before."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


class Changes(msgspec.Struct, frozen=True):
    """What a reload changed. Jobs and schedules are named as ``flow/name``.

    A job is ``changed`` if its decorator's arguments or its own function differ. ``files``: those whose new content was loaded;
    through them a job may do something else although it is not named. ``not_loaded``: files of imported modules outside the
    flows' folders that have changed since they were imported, and that only a new start loads.
    """

    flows: Difference
    jobs: Difference
    schedules: Difference
    files: tuple[str, ...] = ()
    not_loaded: tuple[str, ...] = ()


def changes(
    before: Mapping[str, Flow], after: Mapping[str, Flow], files: Iterable[str] = (), not_loaded: Iterable[str] = ()
) -> Changes:
    """What differs between the flows before and after."""
    return Changes(
        difference(before, after, _same_flow),
        difference(_jobs(before), _jobs(after), _same_job),
        difference(_schedules(before), _schedules(after), eq),
        tuple(files),
        tuple(not_loaded),
    )


def difference(before: Mapping[str, T], after: Mapping[str, T], same: Callable[[T, T], bool]) -> Difference:
    """Which keys are new, gone, or hold something that is not the ``same``; in the order of the mappings."""
    return Difference(
        tuple(name for name in after if name not in before),
        tuple(name for name in before if name not in after),
        tuple(name for name in after if name in before and not same(before[name], after[name])),
    )


def _jobs(flows: Mapping[str, Flow]) -> dict[str, Job[Any]]:
    return {f"{flow.name}/{job.name}": job for flow in flows.values() for job in flow.jobs.values()}


def _schedules(flows: Mapping[str, Flow]) -> dict[str, tuple[Any, ...]]:
    return {
        "/".join(served.key): (
            *(served.schedule.cron, str(served.zone), served.schedule.catch_up, served.schedule.overlap),
            tuple(job.name for job in served.jobs),
        )
        for served in served_schedules(flows.values())
    }


def _same_flow(one: Flow, other: Flow) -> bool:
    return (one.max_concurrency, one.timezone, one.store) == (other.max_concurrency, other.timezone, other.store)


def _same_job(one: Job[Any], other: Job[Any]) -> bool:
    return _definition(one) == _definition(other) and _same_function(one.fn, other.fn)


def _definition(job: Job[Any]) -> tuple[Any, ...]:
    runner = job.runner if job.runner is None or isinstance(job.runner, str) else type(job.runner).__qualname__
    return (
        job.kind,
        job.description,
        tuple(given.name for given in job.flow.inputs_of(job)),
        tuple((limit.name, limit.max_concurrency, limit.key) for limit in job.limits),
        *(_plain(getattr(job, name)) for name in _ARGUMENTS),
        runner,
        None if job.partitions is None else _partitions(job),
    )


def _plain(value: Any) -> Any:
    """An argument's value as one that can be compared: objects of the user's own code are new ones in each version."""
    return _ADDRESS.sub("", repr(value))


def _partitions(job: Job[Any]) -> tuple[Any, ...]:
    assert job.partitions is not None
    time = job.partitions.time
    filtered = job.partitions.filter
    return (
        None if time is None else (str(time.kind), time.first, time.last, str(time.zone)),
        job.partitions.cat,
        None if filtered is None else _code(filtered),
    )


def _same_function(one: Any, other: Any) -> bool:
    """Whether two functions are of the same source, wherever in their files they stand."""
    return bool(_code(one) == _code(other))


def _code(fn: Any) -> Any:
    function = unwrap(fn)
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return getattr(function, "__qualname__", type(function).__qualname__)
    return _instructions(code), _plain(function.__defaults__), _plain(function.__kwdefaults__)


def _instructions(code: CodeType) -> tuple[Any, ...]:
    """What a function's code says, without the lines at which it says it."""
    constants = tuple(
        _instructions(value) if isinstance(value, CodeType) else _plain(value) for value in code.co_consts
    )
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars, code.co_flags
