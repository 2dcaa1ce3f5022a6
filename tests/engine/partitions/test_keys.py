"""The keys in a partitioned job's first input, in every shape of call, and what the job and the store have of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from microflow import ExecutionResult, Flow, TimePartitions, current_execution, map_parallel, run_dag
from microflow.engine.engine import Engine

BERLIN = ZoneInfo("Europe/Berlin")
DAY = datetime(2026, 11, 22, tzinfo=BERLIN)

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]
RUNNERS = pytest.mark.parametrize("runner", ["process", "thread"])


@RUNNERS
def test_nothing_was_passed(flow: Flow, start: Start, look: Look, runner: str) -> None:
    @flow.task(runner=runner, time_partitions="daily", cat_partitions=["a", "b"])
    def load(a: dict[str, Any]) -> Any:
        execution = current_execution()
        return {"seen": a, "current": [execution.time_partition, execution.cat_partition, execution.time_window]}

    engine = start(flow)
    result = load()

    assert result == {"seen": {"time_partition": None, "cat_partition": None}, "current": [None, None, None]}
    row = look(engine, 1)
    assert row["inputs"] == [{"time_partition": None, "cat_partition": None}]
    assert (row["time_partition"], row["cat_partition"]) == (None, None)
    assert engine.partitions.grid(load).lines == [".", "."]


@RUNNERS
@pytest.mark.parametrize("given", ["2026-11-22", date(2026, 11, 22), DAY, datetime(2026, 11, 22)])
def test_a_dict_with_keys(flow: Flow, start: Start, look: Look, runner: str, given: Any) -> None:
    @flow.task(runner=runner, time_partitions="daily", cat_partitions=["a", "b"])
    def load(a: dict[str, Any]) -> Any:
        execution = current_execution()
        assert a["time_partition"] == execution.time_partition
        return {"seen": a, "kind": type(a["time_partition"]).__name__, "window": list(execution.time_window or ())}

    engine = start(flow)
    result = load({"time_partition": given, "cat_partition": "b", "x": 1})

    assert result["seen"] == {"time_partition": DAY, "cat_partition": "b", "x": 1}
    assert result["seen"]["time_partition"].utcoffset() == DAY.utcoffset()
    assert result["kind"] == "datetime"
    assert result["window"] == [DAY, datetime(2026, 11, 23, tzinfo=BERLIN)]
    assert (result.time_partition, result.cat_partition) == (DAY, "b")
    row = look(engine, 1)
    assert (row["time_partition"], row["cat_partition"]) == ("2026-11-22", "b")
    assert engine.partitions.grid(load, "2026-11-21", "2026-11-22").lines == ["..", ".s"]


def test_a_key_of_one_dimension_alone(flow: Flow, start: Start, look: Look) -> None:
    @flow.task(runner="thread", time_partitions="monthly", cat_partitions=["a", "b"])
    def load(a: dict[str, Any]) -> Any:
        return {"seen": a}

    engine = start(flow)

    assert load({"cat_partition": "a"}) == {"seen": {"time_partition": None, "cat_partition": "a"}}
    assert load({"time_partition": "2026-11"})["seen"]["cat_partition"] is None
    assert (look(engine, 1)["cat_partition"], look(engine, 2)["time_partition"]) == ("a", "2026-11")
    assert engine.partitions.grid(load, "2026-11", "2026-11").lines == [".", "."]  # neither named a whole partition


def test_other_inputs_stay_as_they_are(flow: Flow, start: Start) -> None:
    @flow.task(runner="thread", cat_partitions=["a"])
    def load(a: Any, *others: Any) -> Any:
        return {"a": a, "others": list(others)}

    start(flow)
    keys = {"time_partition": None, "cat_partition": None}

    assert load() == {"a": keys, "others": []}
    assert load({"x": 1}, {"cat_partition": "z"}) == {"a": {"x": 1, **keys}, "others": [{"cat_partition": "z"}]}


def test_a_function_that_takes_nothing(flow: Flow, start: Start, look: Look) -> None:
    @flow.task(runner="thread", cat_partitions=["a"])
    def load() -> Any:
        return {"seen": current_execution().cat_partition}

    engine = start(flow)

    assert load() == {"seen": None}
    assert engine.submit(load, cat_partition="a").future.result() == {"seen": "a"}
    assert look(engine, 2)["inputs"] == []
    assert engine.partitions.grid(load).lines == ["s"]


@RUNNERS
def test_a_list_of_dicts_stands_for_all_its_partitions(flow: Flow, start: Start, look: Look, runner: str) -> None:
    @flow.task(runner=runner, time_partitions="yearly", cat_partitions=["a", "b"])
    def load(batch: list[dict[str, Any]]) -> Any:
        assert current_execution().time_partition is None
        return {"seen": [[item["time_partition"].year, item["cat_partition"]] for item in batch]}

    engine = start(flow)
    batch = [{"time_partition": "2025", "cat_partition": "a"}, {"time_partition": "2026", "cat_partition": "b"}]

    assert load(batch) == {"seen": [[2025, "a"], [2026, "b"]]}
    assert look(engine, 1)["time_partition"] is None
    assert engine.partitions.grid(load, "2025", "2026").lines == ["s.", ".s"]


def test_a_list_may_be_about_one_partition_or_about_none(flow: Flow, start: Start, look: Look) -> None:
    @flow.task(runner="thread", cat_partitions=["a", "b"])
    def load(batch: list[dict[str, Any]]) -> Any:
        return {"seen": [item["cat_partition"] for item in batch], "current": current_execution().cat_partition}

    engine = start(flow)

    assert load([{"cat_partition": "b"}, {"x": 1, "cat_partition": "b"}]) == {"seen": ["b", "b"], "current": "b"}
    assert look(engine, 1)["cat_partition"] == "b"
    assert load([{"x": 1}]) == {"seen": [None], "current": None}
    assert load([]) == {"seen": [], "current": None}
    assert load([{"x": 1}, {"cat_partition": "a"}]) == {"seen": [None, "a"], "current": None}
    assert engine.partitions.grid(load).lines == ["s", "s"]
    result = engine.submit(load, [[{"x": 1}, {"x": 2}]], cat_partition="a").future.result()
    assert result == {"seen": ["a", "a"], "current": "a"}


def test_a_result_as_input_keeps_its_status(flow: Flow, start: Start) -> None:
    @flow.task(runner="thread")
    def find(a: dict[str, Any]) -> Any:
        return a["output"]

    @flow.task(runner="thread", cat_partitions=["a", "b"], run_strategy="always")
    def load(a: Any) -> Any:
        given = current_execution().inputs[0]
        return {"seen": a, "status": str(given.status), "job": given.job, "current": current_execution().cat_partition}

    engine = start(flow)
    keys = {"time_partition": None, "cat_partition": None}

    @flow.manager
    def manage() -> Any:
        plain = load(find({"output": {"x": 1}}))
        keyed = load(find({"output": {"cat_partition": "b"}}))
        several = load(find({"output": [{"x": 1}, {"x": 2}]}))
        nothing = load(find({"output": None}))
        return [plain, keyed, several, nothing]

    plain, keyed, several, nothing = manage()

    assert plain == {"seen": {"x": 1, **keys}, "status": "success", "job": "find", "current": None}
    assert keyed == {
        "seen": {"time_partition": None, "cat_partition": "b"},
        "status": "success",
        "job": "find",
        "current": "b",
    }
    assert several["seen"] == [{"x": 1, **keys}, {"x": 2, **keys}]
    assert (several["status"], several["job"]) == ("success", "find")
    assert (nothing["seen"], nothing["status"]) == (None, "skipped")
    assert engine.partitions.grid(load).lines == [".", "s"]


def test_a_list_of_results_as_input(flow: Flow, start: Start) -> None:
    @flow.task(runner="thread")
    def find(a: dict[str, Any]) -> Any:
        return a["output"]

    @flow.task(runner="thread", cat_partitions=["a", "b"], run_strategy="always")
    def load(rows: list[Any]) -> Any:
        statuses = [str(given.status) for given in current_execution().inputs[0]]
        return {"seen": rows, "statuses": statuses}

    start(flow)

    @flow.manager
    def manage() -> Any:
        outputs = [{"x": 1}, None, [{"cat_partition": "a"}, {"x": 3}]]
        return load(map_parallel(find, [{"output": output} for output in outputs]))

    keys = {"time_partition": None, "cat_partition": None}
    assert manage() == {
        "seen": [{"x": 1, **keys}, None, {"time_partition": None, "cat_partition": "a"}, {"x": 3, **keys}],
        "statuses": ["success", "skipped", "success"],
    }


def test_every_partitioned_job_of_a_dag_run_gets_the_keys_of_its_dimensions(
    flow: Flow, start: Start, look: Look
) -> None:
    @flow.task(runner="thread", time_partitions="daily")
    def fetch(a: dict[str, Any]) -> Any:
        return {"fetched": a["time_partition"], "cat": a["cat_partition"]}

    @flow.task(runner="thread")
    def plain() -> Any:
        return {"y": 1}

    @flow.task(runner="thread", inputs=[fetch, plain], time_partitions="daily", cat_partitions=["a", "b"])
    def load(a: dict[str, Any], b: dict[str, Any]) -> Any:
        return {"a": a, "b": b}

    engine = start(flow)
    run = engine.submit(load, with_inputs=True, time_partition=date(2026, 11, 22), cat_partition="b")
    result = run.future.result()

    assert result["a"] == {"fetched": DAY, "cat": "b", "time_partition": DAY, "cat_partition": "b"} | {"cat": None}
    assert result["b"] == {"y": 1}
    assert (result.time_partition, result.cat_partition) == (DAY, "b")
    rows = {look(engine, number)["kind"]: look(engine, number) for number in (1, 2, 3, 4)}
    assert (rows["dag"]["time_partition"], rows["dag"]["cat_partition"]) == ("2026-11-22", "b")
    assert engine.partitions.grid(fetch, "2026-11-21", "2026-11-22").lines == [".s"]
    assert engine.partitions.grid(load, "2026-11-22", "2026-11-22").lines == [".", "s"]
    again = engine.retry(run.id).future.result()
    assert (again.status, again["a"]["cat_partition"]) == ("success", "b")


def test_a_dag_run_without_keys_has_the_keys_and_they_are_none(flow: Flow, start: Start) -> None:
    @flow.task(runner="thread", time_partitions="daily")
    def fetch(a: dict[str, Any]) -> Any:
        return {"fetched": a["time_partition"]}

    @flow.manager(inputs=[fetch], cat_partitions=["a"])
    def load(a: dict[str, Any]) -> Any:
        return a

    start(flow)

    assert run_dag(load) == {"fetched": None, "time_partition": None, "cat_partition": None}


@RUNNERS
def test_the_result_names_the_partition_afterwards(flow: Flow, start: Start, look: Look, runner: str) -> None:
    @flow.task(runner=runner, time_partitions="daily", cat_partitions=["a", "b"])
    def load(a: dict[str, Any]) -> Any:
        return ExecutionResult({}, time_partition="2026-11-22", cat_partition="b")

    engine = start(flow)
    result = load()

    assert (result.status, result.time_partition, result.cat_partition) == ("success", DAY, "b")
    assert (look(engine, 1)["time_partition"], look(engine, 1)["cat_partition"]) == ("2026-11-22", "b")
    assert engine.partitions.grid(load, "2026-11-22", "2026-11-22").lines == [".", "s"]


def test_what_the_result_names_goes_with_what_the_caller_named(flow: Flow, start: Start, look: Look) -> None:
    @flow.task(runner="thread", time_partitions="daily", cat_partitions=["a", "b"])
    def load(a: dict[str, Any]) -> Any:
        return ExecutionResult({}, cat_partition="b")

    engine = start(flow)

    assert load({"time_partition": DAY}).cat_partition == "b"
    assert load({"time_partition": "2026-11-21", "cat_partition": "a"}).cat_partition == "b"
    assert look(engine, 2)["cat_partition"] == "b"
    # the second one stands for the partition that it says, not for the one that it was called for
    assert engine.partitions.grid(load, "2026-11-21", "2026-11-22").lines == ["..", "ss"]


def test_a_batch_may_name_one_more_afterwards(flow: Flow, start: Start) -> None:
    @flow.task(runner="thread", cat_partitions=["a", "b", "c"])
    def load(batch: list[dict[str, Any]]) -> Any:
        return ExecutionResult({}, cat_partition="c")

    engine = start(flow)
    load([{"cat_partition": "a"}, {"cat_partition": "b"}])

    assert engine.partitions.grid(load).lines == ["s", "s", "s"]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"time_partition": "2026-11"}, "'2026-11' is no daily partition"),
        ({"time_partition": "2019-01-01"}, "before the first partition"),
        ({"cat_partition": "z"}, "has no category 'z'"),
        ({"time_partition": "2026-11-22", "cat_partition": "b"}, "left out by partition_filter"),
    ],
)
def test_a_result_that_names_no_partition_is_an_error(
    flow: Flow, start: Start, named: dict[str, Any], said: str
) -> None:
    @flow.task(
        runner="thread",
        time_partitions=TimePartitions("daily", start="2020-01-01"),
        cat_partitions=["a", "b"],
        partition_filter=lambda time, cat: cat == "a",
    )
    def load() -> Any:
        return ExecutionResult({}, **named)

    @flow.task(runner="thread")
    def unpartitioned() -> Any:
        return ExecutionResult({}, cat_partition="a")

    start(flow)
    result = load()

    assert result.status == "error"
    assert result.error is not None
    assert result.error.type == "PartitionError"
    assert said in result.error.message
    assert "has none; declare its partitions" in str(unpartitioned().error)


def test_a_result_that_was_handed_on_keeps_its_partition_to_itself(flow: Flow, start: Start) -> None:
    @flow.task(runner="thread", cat_partitions=["a"])
    def load() -> Any:
        return ExecutionResult({}, cat_partition="a")

    @flow.manager
    def manage() -> Any:
        return load()

    start(flow)

    assert manage().status == "success"
    assert manage().cat_partition is None


def test_hours_of_the_days_when_the_clock_is_changed(flow: Flow, start: Start, look: Look) -> None:
    @flow.task(runner="thread", time_partitions="hourly")
    def load(a: dict[str, Any]) -> Any:
        begin, end = current_execution().time_window or (None, None)
        return {"begin": begin, "end": end, "fold": a["time_partition"].fold}

    engine = start(flow)
    first, second = (
        load({"time_partition": "2026-10-25T02:00+02:00"}),
        load({"time_partition": "2026-10-25T02:00+01:00"}),
    )

    assert (first["fold"], second["fold"]) == (0, 1)
    assert first["end"].isoformat() == second["begin"].isoformat() == "2026-10-25T02:00:00+01:00"
    assert second["end"].isoformat() == "2026-10-25T03:00:00+01:00"
    assert look(engine, 2)["time_partition"] == "2026-10-25T02:00+01:00"
    assert engine.partitions.grid(load, "2026-10-25T00:00", "2026-10-25T23:00").lines == ["..ss" + "." * 21]
