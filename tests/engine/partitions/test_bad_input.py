"""What is wrong with partitions is said before anything runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest

from microflow import (
    CallError,
    Flow,
    FlowCheckError,
    InputCountError,
    PartitionError,
    PayloadTooLarge,
    TimePartitions,
    map_partitions,
    run_dag,
)
from microflow.engine.engine import Engine
from microflow.runtime import PartitionSelection

Start = Callable[..., Engine]


def nothing_happened(engine: Engine) -> bool:
    return engine.store.database.read_text("SELECT count(*) FROM executions") == [(0,)]


@pytest.fixture
def load(flow: Flow) -> Any:
    @flow.task(
        runner="thread",
        time_partitions=TimePartitions("daily", start="2026-11-01", end="2026-12-31"),
        cat_partitions=["north", "south"],
        partition_filter=lambda time, cat: not (cat == "south" and time.day == 13),
    )
    def load(a: dict[str, Any]) -> Any:
        return {}

    return load


KEYS = [
    ({"cat_partition": "nort"}, "has no category 'nort'; did you mean 'north'?"),
    ({"cat_partition": 5}, "a category is a string"),
    ({"time_partition": "2026-11"}, "'2026-11' is no daily partition; write it like '2026-11-22'"),
    ({"time_partition": "2026-11-31"}, "is in no calendar"),
    ({"time_partition": datetime(2026, 11, 22, 5)}, "is not the start of a day"),
    ({"time_partition": 5}, "5 is no time partition"),
    ({"time_partition": "2026-10-31"}, "2026-10-31 is before the first partition, which is 2026-11-01"),
    ({"time_partition": "2027-01-01"}, "2027-01-01 is after the last partition, which is 2026-12-31"),
    ({"time_partition": "2026-11-13", "cat_partition": "south"}, "2026-11-13 of south is left out by partition_filter"),
]


@pytest.mark.parametrize(("keys", "said"), KEYS)
def test_a_call_with_a_partition_that_does_not_exist(load: Any, start: Start, keys: dict[str, Any], said: str) -> None:
    engine = start(load.flow)

    for call in (
        lambda: load(keys),
        lambda: load.submit(keys),
        lambda: load([{}, keys]),
        lambda: engine.submit(load, **keys),
        lambda: engine.submit(load, with_inputs=True, **keys),
    ):
        with pytest.raises(PartitionError) as caught:
            call()
        assert said in str(caught.value)
    assert nothing_happened(engine)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"only": "broken"}, "only is 'broken'; it must be one of 'all', 'missing', 'failed', 'missing_or_failed'"),
        ({"order": "up"}, "order is 'up'; it must be one of 'asc', 'desc'"),
        ({"start": "2026-11-05", "end": "2026-11-04"}, "start is 2026-11-05, after end, which is 2026-11-04"),
        ({"start": "2026-W47"}, "'2026-W47' is no daily partition"),
        ({"end": "2027-06-01"}, "after the last partition"),
        ({"start": "2026-11-05", "time_partitions": ["2026-11-05"]}, "not both"),
        ({"time_partitions": "2026-11-05"}, "give a list of time partitions"),
        ({"time_partitions": date(2026, 11, 5)}, "give a list of time partitions"),
        ({"time_partitions": ["2026-11-05", "x"]}, "'x' is no daily partition"),
        ({"cat_partitions": "north"}, "give a list of categories"),
        ({"cat_partitions": ["north", "east"]}, "has no category 'east'"),
        ({"with_inputs": True, "batch_size": 2}, "can't be combined with batch_size"),
    ],
)
def test_a_run_that_makes_no_sense(load: Any, start: Start, arguments: dict[str, Any], said: str) -> None:
    engine = start(load.flow)

    with pytest.raises(PartitionError) as caught:
        map_partitions(load, **arguments)
    assert said in str(caught.value)
    more = {name: arguments.pop(name) for name in ("with_inputs", "batch_size") if name in arguments}
    with pytest.raises(PartitionError):
        engine.submit_partitions(load, PartitionSelection(**arguments), **more)
    assert nothing_happened(engine)


@pytest.mark.parametrize("name", ["batch_size", "max_concurrency"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2"])
def test_counts_are_whole_numbers(load: Any, start: Start, name: str, value: Any) -> None:
    engine = start(load.flow)

    with pytest.raises(CallError, match=f"{name} is .*; it must be a whole number from 1 on"):
        map_partitions(load, **{name: value})
    assert nothing_happened(engine)


def test_a_job_without_partitions(flow: Flow, start: Start) -> None:
    @flow.task(runner="thread")
    def plain(a: dict[str, Any]) -> Any:
        return {"seen": a}

    @flow.task(runner="thread")
    def fed_by_nobody() -> Any:
        return {}

    engine = start(flow)

    with pytest.raises(PartitionError, match="Job 'plain' has no partitions"):
        map_partitions(plain)
    with pytest.raises(PartitionError, match="Job 'plain' has no partitions"):
        engine.submit(plain, [{}], time_partition="2026-11-22")
    with pytest.raises(PartitionError, match="nor any of its declared inputs has that dimension"):
        engine.submit(fed_by_nobody, with_inputs=True, cat_partition="a")
    assert nothing_happened(engine)
    assert plain({"time_partition": "whatever"}) == {"seen": {"time_partition": "whatever"}}  # to it that is data


def test_a_dimension_that_the_job_does_not_have(flow: Flow, start: Start) -> None:
    @flow.task(runner="thread", time_partitions="daily")
    def by_day(a: dict[str, Any]) -> Any:
        return {}

    @flow.task(runner="thread", cat_partitions=["a"])
    def by_category(a: dict[str, Any]) -> Any:
        return {}

    engine = start(flow)

    for call, said in (
        (lambda: by_day({"cat_partition": "a"}), "has no categories"),
        (lambda: by_category({"time_partition": "2026-11-22"}), "has no time partitions"),
        (lambda: map_partitions(by_day, cat_partitions=["a"]), "has no categories"),
        (lambda: map_partitions(by_category, time_partitions=["2026-11-22"]), "has no time partitions"),
        (lambda: map_partitions(by_category, start="2026-11-22"), "has no time partitions"),
    ):
        with pytest.raises(PartitionError, match=said):
            call()
    assert nothing_happened(engine)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda time, cat: 1 / 0, "partition_filter failed for .*: ZeroDivisionError"),
        (lambda time, cat: "yes", "partition_filter returned 'yes' for .*; it must return True or False"),
        (lambda time, cat: sys.exit("no such shop"), "partition_filter failed for .*: SystemExit: no such shop"),
        (lambda time: True, "partition_filter failed for .*: TypeError"),
    ],
)
def test_a_filter_that_fails(flow: Flow, start: Start, answer: Any, said: str) -> None:
    @flow.task(
        runner="thread",
        time_partitions=TimePartitions("yearly", start="2025"),
        cat_partitions=["a"],
        partition_filter=answer,
    )
    def load(a: dict[str, Any]) -> Any:
        return {}

    engine = start(flow)

    for call in (
        lambda: load({"time_partition": "2026", "cat_partition": "a"}),
        lambda: map_partitions(load),
        lambda: engine.submit_partitions(load, PartitionSelection(only="missing")),
        lambda: engine.partitions.grid(load),
    ):
        with pytest.raises(PartitionError, match=said):
            call()
    assert nothing_happened(engine)


def test_what_a_filter_leaves_out_can_be_no_partition_that_is_named_but_the_end_of_a_range(
    flow: Flow, start: Start
) -> None:
    @flow.task(
        runner="thread",
        time_partitions=TimePartitions("daily", start="2026-11-01", end="2026-11-10"),
        partition_filter=lambda time, cat: time.day not in (3, 5),
    )
    def by_day(a: dict[str, Any]) -> Any:
        return {}

    @flow.task(runner="thread", cat_partitions=["north", "south"], partition_filter=lambda time, cat: cat == "north")
    def by_category(a: dict[str, Any]) -> Any:
        return {}

    engine = start(flow)

    with pytest.raises(PartitionError, match="'by_day': partition 2026-11-03 is left out by partition_filter"):
        map_partitions(by_day, time_partitions=["2026-11-02", "2026-11-03"])
    with pytest.raises(PartitionError, match="'by_category': partition south is left out by partition_filter"):
        map_partitions(by_category, cat_partitions=["north", "south"])
    assert nothing_happened(engine)
    results = map_partitions(by_day, start="2026-11-03", end="2026-11-05")
    assert [result.time_partition.day for result in results if result.time_partition] == [4]


def test_keys_must_fit_every_partitioned_job_of_a_dag_run(flow: Flow, start: Start) -> None:
    @flow.task(runner="thread", time_partitions=TimePartitions("daily", start="2026-11-10"), cat_partitions=["a", "b"])
    def fetch(a: dict[str, Any]) -> Any:
        return {}

    @flow.task(
        runner="thread", inputs=[fetch], cat_partitions=["a", "b", "c"], partition_filter=lambda time, cat: cat != "b"
    )
    def clean(a: dict[str, Any]) -> Any:
        return {}

    @flow.task(runner="thread", inputs=[clean], time_partitions="daily", cat_partitions=["a", "b", "c"])
    def load(a: dict[str, Any]) -> Any:
        return {}

    engine = start(flow)
    day = {"start": "2026-11-10", "end": "2026-11-10"}

    for arguments, said in (
        ({"start": "2026-11-09", "cat_partitions": ["a"]}, "'fetch'.*before the first partition"),
        ({**day, "cat_partitions": ["c"]}, "'fetch' has no category 'c'"),
        ({**day, "cat_partitions": ["b"]}, "'clean'.*left out by partition_filter"),
    ):
        with pytest.raises(PartitionError, match=said):
            map_partitions(load, with_inputs=True, **arguments)
        with pytest.raises(PartitionError, match=said):
            engine.submit_partitions(load, PartitionSelection(**arguments), with_inputs=True)
    with pytest.raises(PartitionError, match="'fetch' has no category 'c'"):
        engine.submit(load, with_inputs=True, time_partition="2026-11-10", cat_partition="c")
    assert nothing_happened(engine)
    assert map_partitions(load, with_inputs=True, cat_partitions=["a"], **day) == [{}]


def test_jobs_of_different_frequencies_have_no_keys_in_common(flow: Flow, start: Start) -> None:
    @flow.task(runner="thread", time_partitions="daily")
    def fetch(a: dict[str, Any]) -> Any:
        return {}

    @flow.task(runner="thread", inputs=[fetch], time_partitions="monthly")
    def load(a: dict[str, Any]) -> Any:
        return {}

    engine = start(flow)

    for given in ("2026-11", datetime(2026, 11, 1)):
        with pytest.raises(PartitionError, match="'2026-11' is no daily partition"):
            engine.submit(load, with_inputs=True, time_partition=given)
    assert nothing_happened(engine)
    assert run_dag(load).status == "success"  # without keys they go together


def test_a_batch_that_is_too_large_or_that_nobody_takes(flow: Flow, start: Start) -> None:
    @flow.task(runner="thread", time_partitions=TimePartitions("hourly", start="2026-12-01T00:00"))
    def load(batch: list[dict[str, Any]]) -> Any:
        return {}

    @flow.task(runner="thread", cat_partitions=["a"])
    def takes_nothing() -> Any:
        return {}

    @flow.task(runner="thread", cat_partitions=["a"], inputs=[load, takes_nothing])
    def takes_two(a: dict[str, Any], b: dict[str, Any]) -> Any:
        return {}

    engine = start(flow)

    with pytest.raises(PayloadTooLarge, match="Job 'load': the inputs take"):
        map_partitions(load, batch_size=500)
    with pytest.raises(PartitionError, match="takes no input, so no batch"):
        map_partitions(takes_nothing, batch_size=2)
    with pytest.raises(InputCountError, match="takes 2 inputs, and 1 was given"):
        map_partitions(takes_two)
    assert nothing_happened(engine)


def test_a_definition_with_mistakes(flow: Flow) -> None:
    @flow.task(time_partitions="dayly", cat_partitions=["a", "", "a", "\ud800"], partition_filter="none")
    def load(a: dict[str, Any]) -> Any:
        return {}

    with pytest.raises(FlowCheckError) as caught:
        flow.check()
    told = str(caught.value)
    for said in (
        "'dayly'",
        "the empty name ''",
        "'a' more than once",
        "no valid Unicode",
        "partition_filter is 'none'",
    ):
        assert said in told
