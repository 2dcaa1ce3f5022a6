"""Calls and their results: what a job is given, what its status travels with, what a manager hands on."""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from microflow import (
    ExecutionFailed,
    ExecutionResult,
    Flow,
    Skip,
    create_flow,
    current_execution,
    map_parallel,
    run_parallel,
)
from microflow.engine.engine import Engine
from microflow.engine.execution.execution import Execution

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]


@pytest.fixture
def flow() -> Flow:
    flow = create_flow("shop", max_concurrency=4)

    @flow.task(runner="thread")
    def load(a: dict[str, Any]) -> Any:
        """Ends as its input says."""
        if a.get("fail"):
            raise ValueError(a["fail"])
        if a.get("skip"):
            raise Skip(a["skip"])
        return None if a.get("nothing") else a

    return flow


FAIL, SKIP, NOTHING, FINE = {"fail": "no such file"}, {"skip": "nothing new"}, {"nothing": True}, {"n": 1}


# What becomes of a function


@pytest.mark.parametrize("runner", ["thread", "process", "fresh"])
@pytest.mark.parametrize(
    ("returned", "status", "output"),
    [
        (lambda: {"a": 1}, "success", {"a": 1}),
        (lambda: {}, "success", {}),
        (lambda: [{"a": 1}, {}], "success", [{"a": 1}, {}]),
        (lambda: [], "success", []),
        (lambda: None, "skipped", None),
        (lambda: ExecutionResult({"a": 1}), "success", {"a": 1}),
        (lambda: ExecutionResult(), "success", None),
        (lambda: ExecutionResult({"a": 1}, status="skipped"), "skipped", {"a": 1}),
        (lambda: ExecutionResult(status="error"), "error", None),
        (lambda: ExecutionResult(status="cancelled"), "cancelled", None),
    ],
)
def test_what_is_returned_decides_the_status(
    start: Start, runner: str, returned: Any, status: str, output: Any
) -> None:
    flow = create_flow("shop")
    job = flow.task(name="load", runner=runner)(returned)
    start(flow)

    result = job()

    assert result.status == status
    assert result.output == output
    assert (result.error is not None) is (status == "error")


def test_an_exception_is_an_error_with_the_traceback_of_the_job(flow: Flow, start: Start, look: Look) -> None:
    engine = start(flow)

    result = flow.jobs["load"](FAIL)

    assert result.status == "error"
    assert result.error is not None
    assert (result.error.type, result.error.message) == ("ValueError", "no such file")
    assert result.error.traceback.splitlines()[1].lstrip().startswith("File")
    assert ", in load" in result.error.traceback.splitlines()[1], "the first frame is the job's own"
    assert look(engine, 1)["error"]["type"] == "ValueError"
    with pytest.raises(ExecutionFailed, match=r"Job 'load' failed: ValueError: no such file") as raised:
        result["n"]
    assert "in load" in raised.value.__notes__[0]


def test_skip_and_its_reason(flow: Flow, start: Start, look: Look) -> None:
    engine = start(flow)

    assert flow.jobs["load"](SKIP).reason == "nothing new"
    assert flow.jobs["load"](NOTHING).reason == "load returned nothing"
    assert look(engine, 1)["reason"] == "nothing new"


def test_what_a_job_gets_is_its_own_copy(flow: Flow, start: Start) -> None:
    @flow.task(runner="thread")
    def change(a: dict[str, Any]) -> dict[str, Any]:
        a["rows"].append(1)
        return a

    start(flow)
    given: dict[str, Any] = {"rows": []}

    assert change(given) == {"rows": [1]}
    assert given == {"rows": []}


# Managers


def test_a_manager_calls_and_hands_on(flow: Flow, start: Start, look: Look) -> None:
    load = flow.jobs["load"]

    @flow.manager
    def manage(a: dict[str, Any]) -> Any:
        first = load(a)
        return load({"n": first["n"] + 1})

    engine = start(flow)

    assert manage({"n": 1}) == {"n": 2}
    row = look(engine, 1)
    assert (row["kind"], row["trigger"], row["parent_id"]) == ("manager", "python", None)
    children = [look(engine, number) for number in (2, 3)]
    assert [(child["kind"], child["trigger"], child["parent_id"], child["root_id"]) for child in children] == [
        ("task", "call", 1, 1)
    ] * 2
    assert [child["position"] for child in children] == [0, 1]
    assert [child["inputs"] for child in children] == [[{"n": 1}], [{"n": 2}]]


@pytest.mark.parametrize(("given", "status"), [(FINE, "success"), (FAIL, "error"), (SKIP, "skipped")])
def test_a_manager_hands_on_the_status_of_what_it_returns(flow: Flow, start: Start, given: Any, status: str) -> None:
    load = flow.jobs["load"]
    manage = flow.manager(name="manage")(lambda: load(given))
    start(flow)

    result = manage()

    assert result.status == status
    assert result.job == "manage"
    if status == "error":
        assert result.error is not None
        assert result.error.type == "ValueError"
    if status == "skipped":
        assert result.reason == "nothing new"


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ([FINE, FINE], "success"),
        ([FINE, SKIP], "success"),
        ([SKIP, NOTHING], "skipped"),
        ([FINE, FAIL, SKIP], "error"),
    ],
)
def test_a_manager_that_returns_results_has_their_status_together(
    flow: Flow, start: Start, given: list[Any], status: str
) -> None:
    load = flow.jobs["load"]
    manage = flow.manager(name="manage")(lambda: map_parallel(load, given))
    start(flow)

    result = manage()

    assert result.status == status
    if status == "success":
        assert result.output == [FINE if item is FINE else None for item in given]
    if status == "error":
        assert result.error is not None
        assert result.error.message == "1 of 3 results failed; the first, of job 'load': ValueError: no such file"


def test_reading_a_failed_result_ends_a_manager_as_failed_and_a_skipped_one_as_skipped(
    flow: Flow, start: Start
) -> None:
    load = flow.jobs["load"]
    manage = flow.manager(name="manage")(lambda a: {"n": load(a)["n"]})
    start(flow)

    failed, skipped = manage(FAIL), manage(SKIP)

    assert failed.error is not None
    assert failed.error.type == "ExecutionFailed"
    assert failed.error.message == "Job 'load' failed: ValueError: no such file"
    assert skipped.status == "skipped"
    assert skipped.reason == "Job 'load' was skipped, so its result holds no data: nothing new."


def test_managers_call_managers(flow: Flow, start: Start, look: Look) -> None:
    load = flow.jobs["load"]
    inner = flow.manager(name="inner")(lambda a: load(a))
    outer = flow.manager(name="outer")(lambda a: inner(inner(a)))
    engine = start(flow)

    assert outer(FINE) == FINE
    rows = [look(engine, number) for number in range(1, 6)]
    assert [row["parent_id"] for row in rows] == [None, 1, 2, 1, 4]
    assert {row["root_id"] for row in rows[1:]} == {1}


def test_submit_gives_a_future(flow: Flow, start: Start) -> None:
    load = flow.jobs["load"]

    @flow.manager
    def manage() -> Any:
        futures = [load.submit({"n": number}) for number in range(3)]
        return [future.result() for future in futures]

    start(flow)
    outside = load.submit(FINE)

    assert isinstance(outside, Future)
    assert outside.result() == FINE
    assert load.submit(FAIL).result().status == "error"
    assert manage() == [{"n": 0}, {"n": 1}, {"n": 2}]


# Results as inputs


def test_a_job_is_given_plain_data_and_may_look_at_the_results(flow: Flow, start: Start) -> None:
    load = flow.jobs["load"]

    @flow.task(runner="thread", run_strategy="always")
    def gather(a: Any, b: Any, c: Any, d: Any) -> Any:
        results = current_execution().inputs
        return {
            "plain": [a, b, c, d],
            "kinds": [type(value).__name__ for value in (a, b, c, d)],
            "statuses": [str(getattr(result, "status", None)) for result in results],
            "jobs": [getattr(result, "job", None) for result in results],
            "errors": [str(getattr(result, "error", None) and result.error.message) for result in results],
            "reasons": [str(getattr(result, "reason", None)) for result in results],
        }

    manage = flow.manager(name="manage")(lambda: gather(load(FINE), load(FAIL), load(SKIP), {"plain": True}))
    start(flow)

    assert manage().output == {
        "plain": [FINE, None, None, {"plain": True}],
        "kinds": ["dict", "NoneType", "NoneType", "dict"],
        "statuses": ["success", "error", "skipped", "None"],
        "jobs": ["load", "load", "load", None],
        "errors": ["None", "no such file", "None", "None"],
        "reasons": ["None", "None", "nothing new", "None"],
    }


def test_a_list_of_results_is_a_list_of_their_data(flow: Flow, start: Start) -> None:
    load = flow.jobs["load"]

    @flow.task(runner="thread", run_strategy="always")
    def gather(rows: list[Any]) -> Any:
        (results,) = current_execution().inputs
        return {"rows": rows, "statuses": [str(result.status) if result is not None else "" for result in results]}

    manage = flow.manager(name="manage")(lambda: gather(map_parallel(load, [FINE, FAIL, SKIP])))
    start(flow)

    assert manage().output == {"rows": [FINE, None, None], "statuses": ["success", "error", "skipped"]}


def test_the_outputs_of_batches_are_one_list(flow: Flow, start: Start) -> None:
    batch = flow.task(name="batch", runner="thread")(lambda rows: [{"n": row["n"] * 2} for row in rows])
    gather = flow.task(name="gather", runner="thread")(
        lambda rows: {"sum": sum(row["n"] for row in rows), "results": len(current_execution().inputs[0])}
    )
    manage = flow.manager(name="manage")(
        lambda: gather(map_parallel(batch, ({"n": number} for number in range(5)), batch_size=2))
    )
    start(flow)

    assert manage() == {"sum": 20, "results": 3}


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize(
    ("strategy", "given", "status"),
    [
        ("any_success_no_error", [FINE, SKIP], "success"),
        ("any_success_no_error", [FINE, FAIL], "error"),
        ("any_success_no_error", [SKIP, SKIP], "skipped"),
        ("any_success", [FINE, FAIL], "success"),
        ("any_success", [SKIP, FAIL], "error"),
        ("all_success", [FINE, SKIP], "skipped"),
        ("all_success", [FINE, FINE], "success"),
        ("always", [FAIL, SKIP], "success"),
    ],
)
def test_the_run_strategy_looks_at_every_result(
    flow: Flow, start: Start, as_list: bool, strategy: str, given: list[Any], status: str
) -> None:
    load = flow.jobs["load"]
    target = flow.task(name="target", runner="thread", run_strategy=strategy)(lambda *inputs: {"ran": True})

    @flow.manager
    def manage() -> Any:
        results = run_parallel(*((load, item) for item in given))
        return target(results) if as_list else target(*results)

    start(flow)
    result = manage()

    assert result.status == status
    assert result.output == ({"ran": True} if status == "success" else None)


@pytest.mark.parametrize(
    ("inputs", "place"),
    [
        (lambda bad: ({}, bad), "inputs[1]"),
        (lambda bad: ([{}, {}], {}, [{}, ExecutionResult({}), bad]), "inputs[2][2]"),
        (lambda bad: ([ExecutionResult([{}, {}]), bad], {}), "inputs[0][1]"),
    ],
)
def test_an_input_that_is_no_jobs_result_is_named_by_its_place(
    flow: Flow, start: Start, inputs: Any, place: str
) -> None:
    target = flow.task(name="target", runner="thread")(lambda *inputs: {"ran": True})
    start(flow)

    failed = target(*inputs(ExecutionResult(status="cancelled")))
    skipped = target(ExecutionResult(status="skipped"))

    assert failed.error is not None
    assert failed.error.message == f"The input {place} ended as cancelled, so 'target' did not run"
    assert skipped.reason == "the input inputs[0] was skipped"


def test_a_job_that_an_input_kept_from_running_says_which(flow: Flow, start: Start, look: Look) -> None:
    load = flow.jobs["load"]
    target = flow.task(name="target", runner="thread")(lambda a: {"ran": True})
    manage = flow.manager(name="manage")(lambda a: target(load(a)))
    engine = start(flow)

    failed, skipped = manage(FAIL), manage(SKIP)

    assert failed.error is not None
    assert failed.error.type == "UpstreamFailed"
    assert failed.error.message == (
        "The input of job 'load' ended as error, so 'target' did not run: ValueError: no such file"
    )
    assert skipped.reason == "the input of job 'load' was skipped: nothing new"
    assert look(engine, 3)["attempt"] == 1


def test_plain_data_counts_as_success(flow: Flow, start: Start) -> None:
    target = flow.task(name="target", runner="thread", run_strategy="all_success")(lambda a, b: {"ran": True})
    start(flow)

    assert target({}, [{}, {}]) == {"ran": True}


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_what_is_built_in_and_does_not_tell_its_parameters_is_called_with_what_it_is_given(
    flow: Flow, start: Start, runner: str
) -> None:
    copy = flow.task(name="copy", runner=runner)(dict)
    start(flow)

    assert copy({"a": 1}) == {"a": 1}
    assert copy() == {}
    assert copy({}, {}, {}).error.type == "TypeError"


def live_executions() -> list[Execution]:
    return [found for found in gc.get_objects() if isinstance(found, Execution)]


@pytest.mark.parametrize("given", [FINE, FAIL], ids=["fine", "fail"])
def test_what_has_ended_is_freed_at_once(flow: Flow, start: Start, given: dict[str, Any]) -> None:
    """It refers to nothing that refers to it: many thousands of them would keep the garbage collector busy."""
    load = flow.jobs["load"]
    start(flow)
    load(given)
    gc.collect()
    gc.disable()
    try:
        others = live_executions()
        load(given)
        assert not [left for left in live_executions() if left not in others]
    finally:
        gc.enable()
