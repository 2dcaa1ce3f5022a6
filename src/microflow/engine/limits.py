"""Which limits a call needs a place in: the flow's own, those of its job, and the one that lets a run key run once at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Literal
from weakref import WeakValueDictionary

import msgspec

from ..jobs import Job
from ..model.groups import ConcurrencyGroup
from .admission import RUN_KEY, KeyValue, Limit, key_in_words

LimitKind = Literal["flow", "group", "each", "key", "run_key"]
"""Whose limit it is: a flow's own, a group's (a job's own number is one), that of each value of a group's key (which nobody holds
itself), that of one such value, a run key's."""

UNLIMITED = 128
"""How many executions of a job without any limit (a manager) one mapping or DAG run has at the same time."""


def available_cores() -> int:
    """The cores this process may use: its affinity and its container's limit counted (cgroup v2 ``cpu.max``, v1 quota)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _container_quota()
    return max(1, min(cores, int(quota + 0.5))) if quota else cores


def _container_quota() -> float | None:
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()[:2]
    except (OSError, ValueError):
        try:
            with (
                open("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") as file,
                open("/sys/fs/cgroup/cpu/cpu.cfs_period_us") as other,
            ):
                quota, period = file.read().strip(), other.read().strip()
        except OSError:
            return None  # no Linux, or no container
    if quota in ("max", "-1"):
        return None
    return int(quota) / int(period)


class Limits:
    """The limits of an engine. One exists as long as somebody holds a place in it or waits for one, a flow's own always."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flows: dict[int, tuple[Any, Limit]] = {}
        self._groups: dict[int, tuple[ConcurrencyGroup, Limit]] = {}
        self._each: dict[int, tuple[ConcurrencyGroup, Limit]] = {}
        self._keyed: WeakValueDictionary[tuple[int, str], Limit] = WeakValueDictionary()
        self._run_keys: WeakValueDictionary[tuple[str, str, str], Limit] = WeakValueDictionary()

    def needed(self, job: Job[Any], first: Mapping[str, Any], run_key: str | None, is_task: bool) -> list[Limit]:
        """The limits of one call; ``first`` is the dict that is its first input."""
        limits = [self.of_flow(job.flow)] if is_task else []
        limits += [
            self.of_group(group, job.flow.name) if group.key is None else self._of_value(group, first, job)
            for group in job.limits
        ]
        if run_key is not None:
            limits.append(self._of_run_key(job, run_key))
        return limits

    def of_flow(self, flow: Any) -> Limit:
        """The limit of how many of a flow's tasks run at once."""
        known = self._flows.get(id(flow))
        if known is None:
            limit = Limit(flow.name, flow.max_concurrency or available_cores(), flow=flow.name)
            with self._lock:
                known = self._flows.setdefault(id(flow), (flow, limit))
        return known[1]

    def of_group(self, group: ConcurrencyGroup, flow: str) -> Limit:
        """The limit of a group without a key."""
        known = self._groups.get(id(group))
        if known is None:
            limit = Limit(group.name or "", group.max_concurrency, flow=flow)
            with self._lock:
                known = self._groups.setdefault(id(group), (group, limit))
        return known[1]

    def _of_value(self, group: ConcurrencyGroup, first: Mapping[str, Any], job: Job[Any]) -> Limit:
        value = first.get(group.key) if group.key is not None else None
        shown = value if value is None or isinstance(value, (str, int, float)) else str(value)
        limit = Limit(group.name or "", group.max_concurrency, flow=job.flow.name, key=group.key, value=shown)
        with self._lock:  # of two threads that come here first, both must get the same limit
            return self._keyed.setdefault((id(group), repr(value)), limit)

    def _of_run_key(self, job: Job[Any], run_key: str) -> Limit:
        limit = Limit(job.name, 1, flow=job.flow.name, key=RUN_KEY, value=run_key, reason="run_key")
        with self._lock:
            return self._run_keys.setdefault((job.flow.name, job.name, run_key), limit)

    def capacity(self, job: Job[Any], is_task: bool) -> int:
        """How many executions of a job can run at once, as far as that does not depend on their inputs."""
        places = [self.of_flow(job.flow).places] if is_task else [UNLIMITED]
        places += [group.max_concurrency for group in job.limits if group.key is None]
        return min(places)

    def define(self, flows: Iterable[Any]) -> None:
        """Have the limits that the flows' code names, whether anybody has needed them yet or not."""
        for flow in flows:
            self.of_flow(flow)
            for job in flow.jobs.values():
                for group in job.limits:
                    if group.key is None:
                        self.of_group(group, flow.name)
                    else:
                        limit = Limit(group.name or "", group.max_concurrency, flow=flow.name, key=group.key)
                        with self._lock:
                            self._each.setdefault(id(group), (group, limit))

    def all(self) -> list[tuple[LimitKind, Limit]]:
        """Every limit there is, the flows' first, then groups, and keys and run keys as long as they are in use."""
        with self._lock:
            return [
                *(("flow", limit) for _, limit in self._flows.values()),
                *(("group", limit) for _, limit in self._groups.values()),
                *(("each", limit) for _, limit in self._each.values()),
                *(("key", limit) for limit in self._keyed.values()),
                *(("run_key", limit) for limit in self._run_keys.values()),
            ]


class LimitState(msgspec.Struct, frozen=True):
    """A limit as it stands: how many places it has, and which executions hold one or wait for one, in the order of their turn.

    ``kind`` says whose limit it is: a flow's own, that of a group, of a group for each value of its ``key`` (nobody holds it
    itself), of a group for one ``value`` of its key, of a run key.
    """

    kind: LimitKind
    name: str
    flow: str
    key: str | None
    value: KeyValue
    limit: int
    holders: list[int]
    waiters: list[int]

    @property
    def about(self) -> str:
        """For which values it holds, in words; nothing where it has no key."""
        if self.key is None:
            return ""
        return f"each {self.key}" if self.kind == "each" else key_in_words(self.key, self.value)


def state_of(kind: LimitKind, limit: Limit) -> LimitState:
    """A limit as it stands now."""
    return LimitState(
        kind,
        limit.name,
        limit.flow,
        limit.key,
        limit.value,
        limit.places,
        sorted(place.execution_id for place in tuple(limit.holders) if place.execution_id),
        [place.execution_id for _, place in sorted(limit.parked, key=lambda entry: entry[0])],
    )
