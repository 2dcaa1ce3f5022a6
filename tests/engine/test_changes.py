"""What differs between two versions of the code: named once, by what the definitions say, wherever they stand in their files."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from microflow import Backoff, ConcurrencyGroup, Flow, Schedule, TimePartitions, create_flow
from microflow.engine.changes import Changes, Difference, changes


def compare(before: list[Flow], after: list[Flow]) -> Changes:
    return changes({flow.name: flow for flow in before}, {flow.name: flow for flow in after})


def load_as_source(source: str) -> Flow:
    names: dict[str, Any] = {"create_flow": create_flow, "lock": threading.Lock()}
    exec(compile(source, "shop.py", "exec"), names)
    flow: Flow = names["flow"]
    return flow


BASE = """
flow = create_flow("shop")
@flow.task
def load(a, lock=lock):
    '''Load it.'''
    def inner(x): return x + 1
    return {"n": inner(1)}
"""


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        (BASE, ()),
        ("# a comment above\n\n\n" + BASE, ()),
        (BASE.replace("x + 1", "x + 2"), ("shop/load",)),
        (BASE.replace('"n"', '"m"'), ("shop/load",)),
        (BASE.replace("Load it", "Loads it"), ("shop/load",)),
        (BASE.replace("(a, lock=lock)", "(a, lock=1)"), ("shop/load",)),
        (BASE.replace("@flow.task", "@flow.manager"), ("shop/load",)),
    ],
)
def test_a_job_is_changed_if_its_own_function_says_something_else(source: str, changed: tuple[str, ...]) -> None:
    found = compare([load_as_source(BASE)], [load_as_source(source)])

    assert found.jobs == Difference(changed=changed)
    assert not found.flows
    assert not found.schedules


@pytest.mark.parametrize(
    "arguments",
    [
        {"retries": 1},
        {"retry_delay": Backoff(2)},
        {"timeout": 5},
        {"run_strategy": "always"},
        {"max_payload": 10},
        {"max_concurrency": 2},
        {"max_concurrency": ConcurrencyGroup(2, name="api", key="customer")},
        {"runner": "thread"},
        {"cat_partitions": ["a"]},
        {"time_partitions": TimePartitions("daily", start="2026-01-01")},
        {"cat_partitions": ["a"], "partition_filter": lambda time, cat: cat != "b"},
        {"inputs": ["other"]},
    ],
)
def test_a_job_is_changed_if_its_decorator_says_something_else(arguments: dict[str, Any]) -> None:
    def version(**given: Any) -> Flow:
        flow = create_flow("shop")
        flow.task(name="other")(lambda: {})
        flow.task(name="load", **given)(lambda a=None: {})
        return flow

    assert compare([version()], [version(**arguments)]).jobs == Difference(changed=("shop/load",))
    assert compare([version(**arguments)], [version(**arguments)]).jobs == Difference()


def test_what_is_new_and_what_is_gone_is_named() -> None:
    def version(flow_name: str, *jobs: str, **given: Any) -> Flow:
        flow = create_flow(flow_name, timezone="UTC", **given)
        for job in jobs:
            flow.task(name=job, schedule=Schedule("0 8 * * *", name=f"daily {job}"))(lambda: {})
        return flow

    found = compare([version("shop", "a", "b"), version("old")], [version("shop", "b", "c", max_concurrency=3)])

    assert found.flows == Difference((), ("old",), ("shop",))
    assert found.jobs == Difference(("shop/c",), ("shop/a",))
    assert found.schedules == Difference(("shop/daily c",), ("shop/daily a",))


@pytest.mark.parametrize(
    "other",
    [
        Schedule("5 8 * * *", name="daily"),
        Schedule("0 8 * * *", name="daily", timezone="Asia/Tokyo"),
        Schedule("0 8 * * *", name="daily", catch_up="all"),
        Schedule("0 8 * * *", name="daily", overlap="allow"),
    ],
)
def test_a_schedule_is_changed_if_it_says_something_else(other: Schedule) -> None:
    def version(schedule: Schedule) -> Flow:
        flow = create_flow("shop", timezone="UTC")
        flow.task(name="load", schedule=schedule)(lambda: {})
        return flow

    first = Schedule("0 8 * * *", name="daily")
    assert compare([version(first)], [version(other)]).schedules == Difference(changed=("shop/daily",))
    assert not compare([version(first)], [version(first)]).schedules
