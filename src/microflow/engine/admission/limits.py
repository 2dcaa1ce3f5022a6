"""Which limits a call needs a slot in: the flow's own, those of its job, and the one that lets a run key run once at a time."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal
from weakref import WeakValueDictionary, ref

import msgspec

from ...jobs import Job
from ...model.groups import ConcurrencyGroup
from .slots import RUN_KEY, Admission, KeyValue, Limit, key_in_words

LimitKind = Literal["flow", "group", "each", "key", "run_key"]
"""Whose limit it is: a flow's own, a group's (a job's own number is one), that of each value of a group's key (which nothing holds
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


Address = tuple[str, str, str | None, int]
"""By what a flow's limit or a group is found again in another version of the code: flow, name, key, and which of those alike.

The name of a flow's own limit is "".
"""


class Limits:
    """The limits of an engine. One exists as long as a request holds a slot in it or waits for one, and while a flow defines it.

    Limits of the same address are one limit, whichever version of the code a call belongs to; the newest version says how many
    slots it has.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._lock = threading.Lock()
        self._flows: dict[int, tuple[Any, Limit]] = {}  # by identity, until the flow is freed
        self._groups: dict[int, tuple[Any, Limit]] = {}
        self._addressed: WeakValueDictionary[Address, Limit] = WeakValueDictionary()
        self._keyed: WeakValueDictionary[tuple[int, str], Limit] = WeakValueDictionary()
        self._run_keys: WeakValueDictionary[tuple[str, str, str], Limit] = WeakValueDictionary()
        self._defined: dict[Limit, None] = {}

    def needed(self, job: Job[Any], first: Mapping[str, Any], run_key: str | None) -> list[Limit]:
        """The limits of one call; ``first`` is the dict that is its first input."""
        limits = [self.of_flow(job.flow)] if job.kind == "task" else []
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
        return known[1] if known is not None else self._define_flow(flow)

    def of_group(self, group: ConcurrencyGroup, flow: str) -> Limit:
        """The limit of a group. In that of a group with a key nothing holds a slot: it stands for the limits of the values."""
        known = self._groups.get(id(group))
        if known is not None:
            return known[1]
        limit = Limit(group.name or "", group.max_concurrency, flow=flow, key=group.key)
        return self._keep(self._groups, group, limit, None)

    def _of_value(self, group: ConcurrencyGroup, first: Mapping[str, Any], job: Job[Any]) -> Limit:
        value = first.get(group.key) if group.key is not None else None
        shown = value if value is None or isinstance(value, (str, int, float)) else str(value)
        family = self.of_group(group, job.flow.name)
        limit = Limit(family.name, family.slots, flow=job.flow.name, key=group.key, value=shown, family=family)
        with self._lock:  # of two threads that come here first, both must get the same limit
            return self._keyed.setdefault((id(family), repr(value)), limit)

    def _of_run_key(self, job: Job[Any], run_key: str) -> Limit:
        limit = Limit(job.name, 1, flow=job.flow.name, key=RUN_KEY, value=run_key, reason="run_key")
        with self._lock:
            return self._run_keys.setdefault((job.flow.name, job.name, run_key), limit)

    def capacity(self, job: Job[Any]) -> int:
        """How many executions of a job can run at once, as far as that does not depend on their inputs."""
        slots = [self.of_flow(job.flow).slots] if job.kind == "task" else [UNLIMITED]
        slots += [self.of_group(group, job.flow.name).slots for group in job.limits if group.key is None]
        return min(slots)

    def define(self, flows: Iterable[Any]) -> None:
        """Have the limits that these flows' code names, whether a call has needed them yet or not, and no others.

        A limit that another version of the code defined before has as many slots as this one says from now on.
        """
        defined: dict[Limit, None] = {}
        for flow in flows:
            is_new = id(flow) not in self._flows
            limit = self.of_flow(flow)
            if is_new:
                self._resize(limit, _slots_of(flow))
            defined[limit] = None
            alike: Counter[tuple[str, str | None]] = Counter()
            for group in {id(group): group for job in flow.jobs.values() for group in job.limits}.values():
                name, key = group.name or "", group.key
                alike[name, key] += 1
                if id(group) not in self._groups:
                    limit = Limit(name, group.max_concurrency, flow=flow.name, key=key)
                    limit = self._keep(self._groups, group, limit, (flow.name, name, key, alike[name, key]))
                    self._resize(limit, group.max_concurrency)
                defined[self._groups[id(group)][1]] = None
        self._defined = defined

    def _define_flow(self, flow: Any) -> Limit:
        return self._keep(
            self._flows, flow, Limit(flow.name, _slots_of(flow), flow=flow.name), (flow.name, "", None, 0)
        )

    def _keep(self, known: dict[int, tuple[Any, Limit]], owner: Any, limit: Limit, address: Address | None) -> Limit:
        """Remember the limit of a flow or a group until that is freed: the one of its address, if there is one."""
        number = id(owner)

        def forget(_: Any) -> None:
            known.pop(number, None)

        with self._lock:
            if address is not None:
                limit = self._addressed.setdefault(address, limit)
            return known.setdefault(number, (ref(owner, forget), limit))[1]

    def _resize(self, limit: Limit, slots: int) -> None:
        with self._lock:
            alike = [known for known in self._keyed.values() if known.family is limit]
        for each in [limit, *alike]:
            if each.slots != slots:
                self._admission.resize(each, slots)

    def all(self) -> list[tuple[LimitKind, Limit]]:
        """Every limit there is, the flows' first, then groups, and keys and run keys as long as they are in use."""
        with self._lock:
            flows = [limit for _, limit in tuple(self._flows.values())]
            groups = [limit for _, limit in tuple(self._groups.values())]
            keyed, run_keys = list(self._keyed.values()), list(self._run_keys.values())
        of_flows, of_groups = self._shown(flows), self._shown(groups)
        return [
            *(("flow", limit) for limit in of_flows),
            *(("group", limit) for limit in of_groups if limit.key is None),
            *(("each", limit) for limit in of_groups if limit.key is not None),
            *(("key", limit) for limit in keyed),
            *(("run_key", limit) for limit in run_keys),
        ]

    def _shown(self, limits: Iterable[Limit]) -> list[Limit]:
        """Each once, without those that no flow defines any more and that no request uses."""
        return [limit for limit in dict.fromkeys(limits) if limit in self._defined or limit.holders or limit.parked]


def _slots_of(flow: Any) -> int:
    return flow.max_concurrency or available_cores()


class LimitState(msgspec.Struct, frozen=True):
    """A limit at one moment: how many slots it has, and which executions hold one or wait for one, in the order of their turn.

    ``kind`` says whose limit it is: a flow's own, that of a group, of a group for each value of its ``key`` (nothing holds it
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
        limit.slots,
        sorted(holder.execution_id for holder in tuple(limit.holders) if holder.execution_id),
        [waiter.execution_id for _, waiter in sorted(limit.parked, key=lambda entry: entry[0])],
    )
