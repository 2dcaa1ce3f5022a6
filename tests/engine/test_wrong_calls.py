"""Calls that can't be made: each is an error with a name, a place and advice, and nothing has run or been recorded."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from microflow import (
    CallError,
    ConflictError,
    ExecutionError,
    ExecutionResult,
    Flow,
    InputCountError,
    OutsideExecutionError,
    PartitionError,
    PayloadError,
    PayloadTooLarge,
    Skip,
    UnknownNameError,
    create_flow,
    current_execution,
    map_parallel,
    map_partitions,
    run_parallel,
)
from microflow.engine.engine import Engine
from microflow.runtime import Progress

from .conftest import recorded

Start = Callable[..., Engine]


class Mute:
    """A message that has no text."""

    def __str__(self) -> str:
        raise ValueError("it has no text")


WAYS: dict[str, Callable[..., Any]] = {
    "call": lambda engine, job, *inputs: job(*inputs),
    "submit": lambda engine, job, *inputs: job.submit(*inputs),
    "engine": lambda engine, job, *inputs: engine.submit(job, inputs),
    "run_parallel": lambda engine, job, *inputs: run_parallel((job, *inputs)),
    "map_parallel": lambda engine, job, *inputs: map_parallel(job, [inputs]),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("value", "path"),
    [
        ((3, 4), 'inputs[0]["rows"][3]["x"] is a tuple. Use a list instead.'),
        ({3}, 'inputs[0]["rows"][3]["x"] is a set. Use a list instead.'),
        (b"x", 'inputs[0]["rows"][3]["x"] is a bytes. Payloads are text'),
        (math.nan, 'inputs[0]["rows"][3]["x"] is nan, which JSON does not have.'),
        (math.inf, 'inputs[0]["rows"][3]["x"] is inf, which JSON does not have.'),
        ({1: 2}, 'inputs[0]["rows"][3]["x"] has the key 1, an int; keys must be strings. Use str(key).'),
        (ExecutionResult({}), 'inputs[0]["rows"][3]["x"] is a microflow.model.results.ExecutionResult.'),
    ],
)
def test_an_input_that_no_payload_can_hold_is_named_before_anything_runs(
    flow: Flow, start: Start, way: str, value: Any, path: str
) -> None:
    engine = start(flow)
    payload = {"rows": [{"x": 0}, {"x": 1}, {"x": 2}, {"x": value}]}

    with pytest.raises(PayloadError) as raised:
        WAYS[way](engine, flow.jobs["load"], payload)

    assert str(raised.value).startswith(f"Job 'load': {path}")
    assert recorded(engine) == 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", ["text", 5, 2.5, True, None, ["a", "b"], [None], b"bytes"])
def test_an_input_that_is_no_dict_and_no_list_of_dicts_is_named(flow: Flow, start: Start, way: str, value: Any) -> None:
    engine = start(flow)

    with pytest.raises(PayloadError, match=r"Job 'load': inputs\[0\](\[0\])? is .*Wrap "):
        WAYS[way](engine, flow.jobs["load"], value)

    assert recorded(engine) == 0


def test_the_second_argument_is_named_as_the_second(flow: Flow, start: Start) -> None:
    start(flow)

    with pytest.raises(PayloadError, match=r"^Job 'add': inputs\[1\] is a str"):
        flow.jobs["add"]({}, "text")


@pytest.mark.parametrize("way", WAYS)
def test_inputs_that_are_too_large_are_refused_with_both_figures(flow: Flow, start: Start, way: str) -> None:
    engine = start(flow)

    with pytest.raises(
        PayloadTooLarge, match=r"take 40,013 bytes when encoded, and the limit is 32,768\. Hand over a key"
    ):
        WAYS[way](engine, flow.jobs["load"], {"text": "x" * 40_000})

    assert recorded(engine) == 0


def test_a_job_may_allow_more(flow: Flow, start: Start) -> None:
    large = flow.task(name="large", runner="thread", max_payload=100_000)(lambda a: a)
    start(flow)

    assert len(large({"text": "x" * 90_000})["text"]) == 90_000


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("job", "count", "message"),
    [
        ("load", 0, "load(a) takes 1 input, and 0 were given."),
        ("load", 2, "load(a) takes 1 input, and 2 were given."),
        ("add", 1, "add(a, b, c) takes 2 to 3 inputs, and 1 was given."),
        ("add", 4, "add(a, b, c) takes 2 to 3 inputs, and 4 were given."),
        ("manage", 1, "manage() takes no inputs, and 1 was given."),
    ],
)
def test_a_wrong_number_of_inputs_is_a_type_error(
    flow: Flow, start: Start, way: str, job: str, count: int, message: str
) -> None:
    engine = start(flow)

    with pytest.raises(InputCountError) as raised:
        WAYS[way](engine, flow.jobs[job], *[{}] * count)

    assert str(raised.value) == message
    assert isinstance(raised.value, TypeError)
    assert recorded(engine) == 0


@pytest.mark.parametrize("method", ["__call__", "submit"])
def test_inputs_are_positional(flow: Flow, start: Start, method: str) -> None:
    start(flow)

    with pytest.raises(InputCountError, match=r"^load\(\) was given a=…; inputs are positional: write load\(…\)\.$"):
        getattr(flow.jobs["load"], method)(a={})


@pytest.mark.parametrize("key", ["", 2.5, True, ["k"]])
def test_a_run_key_that_is_none_is_refused(flow: Flow, start: Start, key: Any) -> None:
    start(flow)

    with pytest.raises(PayloadError, match=r'inputs\[0\]\["run_key"\] is .*; a run key is a string that is not empty'):
        flow.jobs["load"]({"run_key": key})


def test_one_wrong_call_among_several_lets_none_run(flow: Flow, start: Start) -> None:
    engine = start(flow)
    load = flow.jobs["load"]

    with pytest.raises(PayloadError):
        run_parallel((load, {}), (load, {}), (load, {"x": {1}}))

    assert recorded(engine) == 0


# What a job may not return


@pytest.mark.parametrize("runner", ["thread", "process"])
@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("text", "output is a str, but it must be a dict or a list of dicts."),
        (5, "output is an int, but it must be a dict or a list of dicts."),
        (({"a": 1},), "output is a tuple, but it must be a dict or a list of dicts."),
        ([1], "output[0] is an int, but a list must hold dicts."),
        ([{}, None], "output[1] is None, but a list must hold dicts."),
        ({"x": {1}}, 'output["x"] is a set. Use a list instead.'),
        ({"text": "x" * 40_000}, "the output takes 40,011 bytes when encoded, and the limit is 32,768."),
    ],
)
def test_what_no_payload_can_hold_can_not_be_returned(
    flow: Flow, start: Start, runner: str, returned: Any, message: str
) -> None:
    @flow.task(runner=runner)
    def wrong() -> Any:
        return returned

    start(flow)
    result = wrong()

    assert result.status == "error"
    assert result.error is not None
    assert result.error.type in ("PayloadError", "PayloadTooLarge")
    assert result.error.message.startswith(f"Job 'wrong': {message}")


@pytest.mark.parametrize("runner", ["thread", "process"])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"run_key": ""}, "the run_key of the result that it returned is ''; a run key is a string that is not empty"),
        ({"run_key": {}}, "the run_key of the result that it returned is {}; a run key is a string that is not empty"),
        ({"run_key": "\ud800"}, "the run_key of the result that it returned is text that is not valid Unicode"),
        (
            {"run_key": "k" * 40_000},
            "the run_key of the result that it returned takes 40,002 bytes when encoded, and the limit is 32,768.",
        ),
        ({"cat_partition": 5}, "the cat_partition of the result that it returned is 5; give a string or None."),
        ({"reason": 5}, "the reason of the result that it returned is 5; give a string or None."),
        (
            {"error": "disk"},
            "the error of the result that it returned is 'disk'; give an ExecutionError(type, message)",
        ),
    ],
)
def test_a_result_with_a_field_of_the_wrong_kind_can_not_be_returned(
    flow: Flow, start: Start, runner: str, fields: dict[str, Any], message: str
) -> None:
    flow.task(name="wrong", runner=runner)(lambda: ExecutionResult({}, **fields))
    start(flow)

    error = flow.jobs["wrong"]().error

    assert error is not None
    assert error.type in ("PayloadError", "PayloadTooLarge")
    assert error.message.startswith(f"Job 'wrong': {message}")


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_text_that_is_no_unicode_is_told_all_the_same(flow: Flow, start: Start, runner: str) -> None:
    path = "/data/\udcff.csv"  # as Python gives the name of a file that is no UTF-8

    @flow.task(runner=runner)
    def skip() -> None:
        current_execution().progress(1, 2, f"looking at {path}")
        raise Skip(f"nothing in {path}")

    @flow.task(runner=runner)
    def fail() -> ExecutionResult:
        return ExecutionResult(status="error", error=ExecutionError("OSError", path), run_key=7)  # type: ignore[arg-type]

    start(flow)
    skipped, failed = skip(), fail()

    assert (skipped.status, skipped.reason) == ("skipped", "nothing in /data/\\udcff.csv")
    assert failed.error == ExecutionError("OSError", "/data/\\udcff.csv")


def test_a_result_that_has_not_ended_can_not_be_returned(flow: Flow, start: Start) -> None:
    flow.task(name="wrong", runner="thread")(lambda: ExecutionResult({}, status="running"))
    start(flow)

    error = flow.jobs["wrong"]().error
    assert error is not None
    assert "a job ends as 'success', 'skipped', 'error' or 'cancelled'." in error.message


# The engine itself


def test_unknown_names_are_named_with_those_that_were_perhaps_meant(flow: Flow, start: Start) -> None:
    engine = start(flow)

    with pytest.raises(UnknownNameError, match=r"^There is no flow 'shup' in this engine; did you mean 'shop'\?$"):
        engine.flow("shup")
    with pytest.raises(UnknownNameError, match=r"^There is no job 'lod' in flow 'shop'; did you mean 'load'"):
        engine.job("shop", "lod")
    with pytest.raises(UnknownNameError, match=r"^There is no job 'xyz' in flow 'shop'; there are: 'load', 'add', "):
        engine.job("shop", "xyz")
    for method in (engine.cancel, engine.retry):
        with pytest.raises(UnknownNameError, match=r"There is no execution 99; it may have been deleted"):
            method(99)


def test_what_has_ended_can_not_be_cancelled(flow: Flow, start: Start) -> None:
    engine = start(flow)
    submitted = engine.submit(flow.jobs["load"], [{}])
    submitted.future.result()

    with pytest.raises(ConflictError, match=r"^Execution 1 has ended \(success\), so there is nothing to cancel\.$"):
        engine.cancel(submitted.id)


def test_inputs_are_either_given_or_executed_first(flow: Flow, start: Start) -> None:
    engine = start(flow)

    with pytest.raises(CallError, match=r"was to run with its inputs and was given inputs too"):
        engine.submit(flow.jobs["load"], [{}], with_inputs=True)


@pytest.mark.parametrize(
    "call",
    [
        lambda flow: flow.jobs["paint"]({"cat_partition": "blue"}),
        lambda flow: flow.jobs["paint"]({"time_partition": "2026"}),
        lambda flow: map_partitions(flow.jobs["load"]),
        lambda flow: map_partitions(flow.jobs["paint"], cat_partitions=["blue"]),
    ],
)
def test_a_partition_that_does_not_exist_is_refused_before_anything_runs(
    flow: Flow, start: Start, call: Callable[[Flow], Any]
) -> None:
    engine = start(flow)

    with pytest.raises(PartitionError):
        call(flow)

    assert recorded(engine) == 0


def test_an_engine_that_has_stopped_takes_no_work(flow: Flow, start: Start) -> None:
    engine = start(flow)
    engine.stop()

    with pytest.raises(ConflictError, match="The engine is stopping and takes no new work"):
        engine.submit(flow.jobs["load"], [{}])


@pytest.mark.parametrize("runner", ["thread", "process"])
@pytest.mark.parametrize(
    ("report", "told"),
    [
        (("half",), "done is a str, and must be a number that is not nan or infinite"),
        ((math.nan,), "done is nan, and must be a number that is not nan or infinite"),
        ((None,), "done is None, and must be a number that is not nan or infinite"),
        ((1, -math.inf), "total is -inf, and must be a number that is not nan or infinite"),
        ((10**400,), "done can't be turned into a number (OverflowError: int too large to convert to float)"),
        ((1, 2, Mute()), "it has no text"),
    ],
)
def test_a_report_of_progress_that_can_not_be_shown_is_told_once_and_ends_no_job(
    flow: Flow, start: Start, runner: str, report: Any, told: str
) -> None:
    @flow.task(runner=runner)
    def wrong() -> dict[str, Any]:
        for _ in range(3):
            current_execution().progress(*report)
        return {"done": True}

    engine = start(flow)

    assert wrong() == {"done": True}
    log = engine.store.logs.read(1).text
    assert log.count("A report of progress is not shown") == 1
    assert f"WARNING shop.wrong: A report of progress is not shown: {told}." in log
    assert engine.store.database.read_text("SELECT progress FROM executions") == [(None,)]


def test_a_runner_of_somebody_elses_that_reports_nonsense_ends_no_job(start: Start, runner: Any) -> None:
    flow = create_flow("shop")
    load = flow.task(name="load", runner=runner)(lambda: {})

    def answer(attempt: Any) -> None:
        attempt.observer.progress(Progress("much", object()))  # type: ignore[arg-type]
        attempt.succeed({"n": 1})

    runner.answer = answer
    engine = start(flow)
    engine.events.subscribe(lambda event: engine.progress(event.id))

    assert load() == {"n": 1}


def test_context_needs_an_execution_and_values_that_a_payload_can_hold(flow: Flow, start: Start) -> None:
    @flow.task(runner="thread")
    def wrong(a: dict[str, Any]) -> None:
        flow.context[a.get("key", 5)] = {1}

    start(flow)

    keyed, valued = wrong({}).error, wrong({"key": "seen"}).error
    assert keyed is not None
    assert keyed.message == "flow.context keys are strings, and 5 is an int. Use str(key)."
    assert valued is not None
    assert valued.message == "Job 'wrong': flow.context['seen'] is a set. Use a list instead."
    with pytest.raises(OutsideExecutionError):
        flow.context["seen"] = 1
