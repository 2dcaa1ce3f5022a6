"""Runs over partitions: which cells they take, in which order, as one execution with children or from a manager."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from microflow import (
    ConflictError,
    ExecutionStatus,
    Flow,
    TimePartitions,
    current_execution,
    map_partitions,
)
from microflow.engine.engine import Engine
from microflow.runtime import PartitionSelection

BERLIN = ZoneInfo("Europe/Berlin")
Start = Callable[..., Engine]


@pytest.fixture
def taken() -> list[tuple[str, str | None]]:
    return []


@pytest.fixture
def load(flow: Flow, taken: list[tuple[str, str | None]]) -> Any:
    """A job with the months from October 2026 on and two categories; it fails where ``bad`` says so."""

    @flow.task(
        runner="thread",
        max_concurrency=1,
        time_partitions=TimePartitions("monthly", start="2026-10"),
        cat_partitions=["a", "b"],
    )
    def load(a: dict[str, Any]) -> Any:
        key = f"{a['time_partition']:%Y-%m}", a["cat_partition"]
        taken.append(key)
        if key in load.bad:  # type: ignore[attr-defined]
            raise ValueError("bad")
        return {}

    load.bad = []  # type: ignore[attr-defined]
    return load


def cells(*texts: str) -> list[tuple[str, str]]:
    return [(text, category) for text in texts for category in "ab"]


def test_every_partition_up_to_now(load: Any, start: Start, taken: list[Any], clock: Any) -> None:
    start(load.flow)
    results = map_partitions(load)

    assert taken == cells("2026-10", "2026-11", "2026-12", "2027-01")
    assert [(result.time_partition, result.cat_partition) for result in results][:3] == [
        (datetime(2026, 10, 1, tzinfo=BERLIN), "a"),
        (datetime(2026, 10, 1, tzinfo=BERLIN), "b"),
        (datetime(2026, 11, 1, tzinfo=BERLIN), "a"),
    ]
    clock.advance(31 * 86_400)
    map_partitions(load, only="missing")
    assert taken[8:] == cells("2027-02")  # an open range has grown


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"start": "2026-11", "end": "2026-12"}, cells("2026-11", "2026-12")),
        ({"start": date(2026, 12, 1)}, cells("2026-12", "2027-01")),
        ({"end": datetime(2026, 10, 1)}, cells("2026-10")),
        ({"end": "2030-01"}, cells("2026-10", "2026-11", "2026-12", "2027-01")),
        ({"start": "2027-05"}, []),
        ({"order": "desc", "start": "2026-12"}, cells("2027-01", "2026-12")),
        ({"time_partitions": ["2026-12", "2026-10", "2026-12"]}, cells("2026-10", "2026-12")),
        ({"time_partitions": ["2027-06"]}, cells("2027-06")),  # a single one may be named ahead of its time
        ({"time_partitions": ()}, []),
        ({"cat_partitions": ["b"], "end": "2026-11"}, [("2026-10", "b"), ("2026-11", "b")]),
        ({"cat_partitions": []}, []),
    ],
)
def test_a_selection(load: Any, start: Start, taken: list[Any], arguments: dict[str, Any], expected: Any) -> None:
    start(load.flow)
    results = map_partitions(load, **arguments)

    assert taken == expected
    assert len(results) == len(expected)


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ("all", cells("2026-10", "2026-11")),
        ("missing", [("2026-10", "b")]),
        ("failed", [("2026-11", "a")]),
        ("missing_or_failed", [("2026-10", "b"), ("2026-11", "a")]),
    ],
)
def test_only(load: Any, start: Start, taken: list[Any], only: Any, expected: Any) -> None:
    start(load.flow)
    load.bad = [("2026-11", "a")]
    map_partitions(load, end="2026-10", cat_partitions=["a"])
    map_partitions(load, time_partitions=["2026-11"])
    taken.clear()
    load.bad = []

    results = map_partitions(load, end="2026-11", only=only)
    assert taken == expected
    assert all(results)


def test_without_a_start_the_range_begins_at_the_earliest_executed(flow: Flow, start: Start) -> None:
    @flow.task(runner="thread", time_partitions="daily", cat_partitions=["a", "b"])
    def load(a: dict[str, Any]) -> Any:
        return {"day": f"{a['time_partition']:%d}"}

    start(flow)

    assert [result["day"] for result in map_partitions(load, cat_partitions=["a"])] == ["15"]
    map_partitions(load, time_partitions=["2027-01-12", "2027-02-01"], cat_partitions=["b"])
    assert [result["day"] for result in map_partitions(load, cat_partitions=["a"])] == ["12", "13", "14", "15"]


def test_earlier_frequencies_are_not_taken_for_this_one(flow: Flow, start: Start) -> None:
    @flow.task(name="load", runner="thread", time_partitions="quarterly")
    def by_quarter(a: dict[str, Any]) -> Any:
        return {}

    engine = start(flow)
    map_partitions(by_quarter, time_partitions=["2020-Q1"])
    del flow.jobs["load"]

    @flow.task(name="load", runner="thread", time_partitions="monthly")
    def by_month(a: dict[str, Any]) -> Any:
        return {}

    assert engine.partitions.grid(by_month).times == ["2027-01"]
    map_partitions(by_month, time_partitions=["2026-12"])
    assert engine.partitions.grid(by_month).times == ["2026-12", "2027-01"]


def test_batches(flow: Flow, start: Start) -> None:
    @flow.task(runner="thread", time_partitions=TimePartitions("monthly", start="2026-10"), cat_partitions=["a", "b"])
    def load(batch: list[dict[str, Any]]) -> Any:
        return {"seen": [f"{item['time_partition']:%m}{item['cat_partition']}" for item in batch]}

    engine = start(flow)
    results = map_partitions(load, batch_size=3)

    assert [result["seen"] for result in results] == [["10a", "10b", "11a"], ["11b", "12a", "12b"], ["01a", "01b"]]
    assert engine.partitions.grid(load).lines == ["ssss", "ssss"]


def test_a_bound_of_its_own(flow: Flow, start: Start, runner: Any) -> None:
    @flow.task(runner=runner, cat_partitions=["a", "b", "c"])
    def load(a: dict[str, Any]) -> Any:
        raise AssertionError("the fake runner answers for it")

    engine = start(flow)
    submitted = engine.submit_partitions(load, PartitionSelection(), max_concurrency=1)
    for _ in range(3):
        attempt = runner.next()
        assert runner.none_began()
        attempt.succeed({})
    assert submitted.future.result().status == "success"


def test_as_one_execution_with_children(load: Any, start: Start, look: Any, taken: list[Any]) -> None:
    engine = start(load.flow)
    load.bad = [("2026-10", "b"), ("2026-12", "a")]
    submitted = engine.submit_partitions(load, PartitionSelection(end="2026-12", order="desc"))
    result = submitted.future.result()

    assert taken == cells("2026-12", "2026-11", "2026-10")
    assert (result.status, result.output) == ("error", {"error": 2, "success": 4})
    assert result.error is not None
    assert result.error.message == "2 of 6 executions of 'load' failed; one of them: ValueError: bad"
    run, child = look(engine, submitted.id), look(engine, submitted.id + 1)
    assert (run["kind"], run["trigger"], run["progress"]) == (
        "partitions",
        "partitions",
        {"done": 6, "total": 6, "message": None},
    )
    assert (child["kind"], child["trigger"], child["parent_id"], child["position"]) == ("task", "partitions", 1, 0)
    assert (child["time_partition"], child["cat_partition"]) == ("2026-12", "a")


def test_nothing_to_do_is_a_success(load: Any, start: Start) -> None:
    engine = start(load.flow)
    map_partitions(load)
    submitted = engine.submit_partitions(load, PartitionSelection(only="missing"))

    assert submitted.future.result().status == "success"


def test_with_inputs_each_is_a_dag_run(flow: Flow, start: Start, look: Any) -> None:
    @flow.task(runner="thread", time_partitions="monthly")
    def fetch(a: dict[str, Any]) -> Any:
        if f"{a['time_partition']:%m}" == "12":
            raise ValueError("no December")
        return {"from": f"{a['time_partition']:%m}"}

    @flow.manager(inputs=[fetch], time_partitions="monthly", cat_partitions=["a", "b"])
    def load(a: dict[str, Any]) -> Any:
        return {"seen": a["from"] + a["cat_partition"], "current": current_execution().time_partition}

    engine = start(flow)
    selection = PartitionSelection(start="2026-11", end="2026-12", cat_partitions=["b"])
    submitted = engine.submit_partitions(load, selection, with_inputs=True)

    assert submitted.future.result().output == {"error": 1, "success": 1}
    assert engine.partitions.grid(fetch, "2026-11", "2026-12").lines == ["se"]
    assert engine.partitions.grid(load, "2026-11", "2026-12").lines == ["..", "se"]
    kinds = [look(engine, number)["kind"] for number in range(1, 8)]
    assert sorted(kinds) == ["dag", "dag", "manager", "manager", "partitions", "task", "task"]

    @flow.manager
    def manage() -> Any:
        return map_partitions(load, start="2026-10", end="2026-11", with_inputs=True)

    assert manage() == [{"seen": seen, "current": current} for seen, current in _expected()]


def _expected() -> list[tuple[str, datetime]]:
    october, november = datetime(2026, 10, 1, tzinfo=BERLIN), datetime(2026, 11, 1, tzinfo=BERLIN)
    return [("10a", october), ("10b", october), ("11a", november), ("11b", november)]


def test_from_a_manager(load: Any, start: Start, taken: list[Any], look: Any) -> None:
    @load.flow.manager
    def manage() -> Any:
        return map_partitions(load, end="2026-10")

    engine = start(load.flow)

    assert manage() == [{}, {}]
    assert taken == cells("2026-10")
    assert look(engine, 2)["parent_id"] == 1


def test_managers_may_have_partitions(flow: Flow, start: Start) -> None:
    @flow.manager(time_partitions=TimePartitions("yearly", start="2020"))
    def load(a: dict[str, Any]) -> Any:
        return {"year": a["time_partition"].year}

    start(flow)

    assert [result["year"] for result in map_partitions(load)] == [*range(2020, 2028)]


def test_a_run_is_not_tried_again_as_a_whole(flow: Flow, start: Start, runner: Any) -> None:
    runner.answer = lambda attempt: attempt.fail()

    @flow.task(runner=runner, cat_partitions=["a"], retries=1, retry_delay=0)
    def load(a: dict[str, Any]) -> Any:
        raise AssertionError("the fake runner answers for it")

    engine = start(flow)

    assert engine.submit_partitions(load, PartitionSelection()).future.result().status == "error"
    assert runner.started == 2


def test_many_partitions_hold_neither_rows_nor_threads(flow: Flow, start: Start, runner: Any) -> None:
    @flow.task(runner=runner, time_partitions=TimePartitions("hourly", start="2004-01-01T00:00"))
    def load(a: dict[str, Any]) -> Any:
        raise AssertionError("the fake runner answers for it")

    engine = start(flow)
    submitted = engine.submit_partitions(load, PartitionSelection())
    attempts = [runner.next(), runner.next()]

    assert engine.progress(submitted.id) == (0, 201_970, None)
    assert engine.store.database.read_text("SELECT count(*) FROM executions") == [(3,)]
    engine.cancel(submitted.id)
    assert [attempt.observer.stop.reason for attempt in attempts] == ["cancelled", "cancelled"]
    assert submitted.future.result().status == "cancelled"


# Again


def again(engine: Engine, execution_id: int) -> ExecutionStatus:
    return engine.retry(execution_id).future.result().status


def test_a_retry_runs_what_did_not_succeed(load: Any, start: Start, taken: list[Any], clock: Any) -> None:
    engine = start(load.flow)
    load.bad = [("2026-11", "b")]
    map_partitions(load, end="2026-10")
    run = engine.submit_partitions(load, PartitionSelection(order="desc"))
    run.future.result()
    clock.advance(31 * 86_400)
    taken.clear()
    load.bad = []

    assert again(engine, run.id) == "success"
    assert taken == [("2026-11", "b")]  # neither those that succeeded, nor February
    with pytest.raises(ConflictError, match="Everything that execution 3 was to run has succeeded"):
        again(engine, run.id)


def test_a_retry_of_a_run_that_was_cut_short(load: Any, start: Start, taken: list[Any]) -> None:
    engine = start(load.flow)
    map_partitions(load, end="2026-11")

    def cut_short(event: Any) -> None:
        if event.topic == "progress" and (done := engine.progress(event.id)) is not None and done.done == 3:
            engine.cancel(event.id)

    unsubscribe = engine.events.subscribe(cut_short)
    run = engine.submit_partitions(load, PartitionSelection())
    assert run.future.result().status == "cancelled"
    unsubscribe()
    taken.clear()

    assert again(engine, run.id) == "success"
    # of a run over all it does not matter what had succeeded before: what this run did not come to is run now
    assert taken == cells("2026-10", "2026-11", "2026-12", "2027-01")[3:]


def test_a_retry_of_missing_leaves_alone_what_had_failed_before(load: Any, start: Start, taken: list[Any]) -> None:
    engine = start(load.flow)
    load.bad = [("2026-10", "a"), ("2026-11", "a")]
    map_partitions(load, end="2026-10", cat_partitions=["a"])
    run = engine.submit_partitions(load, PartitionSelection(end="2026-11", only="missing"))
    run.future.result()
    taken.clear()

    assert again(engine, run.id) == "error"
    assert taken == [("2026-11", "a")]


def test_a_retry_of_chosen_partitions_in_batches(flow: Flow, start: Start) -> None:
    failing = [True]

    @flow.task(runner="thread", time_partitions="daily", cat_partitions=["a", "b"])
    def load(batch: list[dict[str, Any]]) -> Any:
        if failing[0]:
            raise ValueError("not yet")
        return {"count": len(batch)}

    engine = start(flow)
    selection = PartitionSelection(time_partitions=["2027-01-01", "2026-11-22"], cat_partitions=["b"], order="desc")
    run = engine.submit_partitions(load, selection, batch_size=2)
    run.future.result()
    failing[0] = False

    assert again(engine, run.id) == "success"
    assert engine.partitions.grid(load, times=["2026-11-22", "2027-01-01"]).lines == ["..", "ss"]
