"""A value that can't be read back is refused where it is given; one that is in the store already harms nobody else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from microflow import (
    ConflictError,
    ExecutionError,
    ExecutionResult,
    ExecutionStatus,
    Flow,
    InputCountError,
    PartitionError,
    PayloadError,
    create_flow,
    current_execution,
    map_parallel,
)
from microflow.engine.engine import Engine
from microflow.runners.base import Outcome

Start = Callable[..., Engine]
Until = Callable[..., None]

NEVER = '{"newest":{"$datetime":"NaT"}}'
"""What earlier versions stored of ``pandas.NaT``."""

DAMAGED = '{"newest":'


class Never(datetime):
    """Like ``pandas.NaT``."""

    def isoformat(self, *_: Any, **__: Any) -> str:
        return "never"


# What is given


@pytest.mark.parametrize("runner", ["thread", "process"])
@pytest.mark.parametrize(
    ("returned", "place"),
    [
        (lambda: {"newest": Never(2026, 1, 1)}, 'output["newest"] is '),
        (lambda: [{"rows": [1, Never(2026, 1, 1)]}], 'output[0]["rows"][1] is '),
        (lambda: {"many": 10**5000}, 'output["many"] is a whole number of thousands of digits'),
        (lambda: ExecutionResult({}, time_partition=Never(2026, 1, 1)), "time_partition is "),
        (lambda: ExecutionResult({"newest": Never(2026, 1, 1)}), 'output["newest"] is '),
    ],
)
def test_what_a_job_returns_that_would_not_come_back_is_its_error_and_holds_no_place(
    start: Start, runner: str, returned: Callable[[], Any], place: str
) -> None:
    flow = create_flow("shop", max_concurrency=1)
    newest = flow.task(name="newest", runner=runner, time_partitions="daily", retries=3)(returned)
    fine = flow.task(name="fine", runner=runner)(lambda: {"ok": True})
    engine = start(flow)

    for result in (newest(), newest.submit().result(60), *map_parallel(newest, [(), ()])):
        assert result.error is not None
        assert result.error.type == "PayloadError"
        assert place in result.error.message

    assert fine() == {"ok": True}
    assert all(state.holders == [] for state in engine.concurrency())
    assert engine.store.database.read_text("SELECT DISTINCT status, attempt FROM executions WHERE job = 'newest'") == [
        ("error", 1)
    ]
    assert engine.stop()


@pytest.mark.parametrize("runner", ["thread", "process"])
@pytest.mark.parametrize("in_list", [False, True])
def test_a_result_that_a_manager_makes_itself_is_looked_at_before_a_job_is_given_it(
    start: Start, runner: str, in_list: bool
) -> None:
    flow = create_flow("shop", max_concurrency=1)

    @flow.task(runner=runner)
    def key_of(result: Any) -> dict[str, Any]:
        given = current_execution().inputs[0]
        return {"key": (given[0] if in_list else given).run_key}

    def given(**fields: Any) -> ExecutionResult:
        result = ExecutionResult({"a": 1}, **fields)
        return key_of([result] if in_list else result)

    @flow.manager
    def hands_on() -> list[dict[str, Any]]:
        told = []
        for fields in ({"run_key": 1.5}, {"run_key": "\ud800"}, {"error": "it failed"}, {"cat_partition": 5}):
            with pytest.raises(PayloadError, match=r"the \w+ of inputs\[0\]"):
                given(**fields)
            told.append(fields.popitem()[0])
        return [given(run_key=5), {"told": told}]

    start(flow)

    assert hands_on() == [{"key": "5"}, {"told": ["run_key", "run_key", "error", "cat_partition"]}]
    assert hands_on.submit().result(60).status is ExecutionStatus.SUCCESS


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_a_value_of_the_context_that_would_not_come_back_is_refused_when_it_is_set(start: Start, runner: str) -> None:
    flow = create_flow("shop")

    @flow.task(runner=runner)
    def remember(a: dict[str, Any]) -> dict[str, Any]:
        if a["wrong"]:
            flow.context["seen"] = Never(2026, 1, 1)
        flow.context["count"] = flow.context.get("count", 0) + 1
        return {"count": flow.context["count"]}

    start(flow)

    error = remember({"wrong": True}).error
    assert error is not None
    assert error.type == "PayloadError"
    assert "flow.context['seen'] is " in error.message
    assert remember({"wrong": False}) == {"count": 1}


def test_an_input_that_would_not_come_back_is_refused_before_anything_runs(flow: Flow, start: Start) -> None:
    load = flow.jobs["load"]
    engine = start(flow)

    for call in (
        load,
        load.submit,
        lambda value: map_parallel(load, [value]),
        lambda value: engine.submit(load, [value]),
    ):
        with pytest.raises(PayloadError, match=r'inputs\[0\]\["newest"\] is .*Never'):
            call({"newest": Never(2026, 1, 1)})
    with pytest.raises(PayloadError, match=r'inputs\[0\]\["newest"\] is .*Never'):
        engine.submit_map(load, [{"newest": Never(2026, 1, 1)}])
    assert engine.store.database.read_text("SELECT count(*) FROM executions WHERE status <> 'error'") == [(0,)]


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Outcome(ExecutionStatus.SUCCESS, NEVER.encode()), "is not a date and time in ISO 8601"),
        (Outcome(ExecutionStatus.SUCCESS, b"{}", time_partition=b'{"$datetime":"NaT"}'), "is not a date and time"),
        (Outcome(ExecutionStatus.SUCCESS, b"{}", time_partition=b"nonsense"), "This is not the JSON of a payload"),
        (Outcome(ExecutionStatus.SUCCESS, b"{}", context={"a": b"["}), "This is not the JSON of a payload"),
        (Outcome(ExecutionStatus.SUCCESS, b"{}", context={"\ud800": b"1"}), ""),
        (Outcome(ExecutionStatus.SUCCESS, b"{}", run_key="\ud800"), ""),
        (Outcome(ExecutionStatus.SUCCESS, b"{}", peak_memory=2**63), ""),
    ],
)
def test_what_a_runner_of_somebody_elses_returns_is_read_before_it_counts(
    start: Start, runner: Any, outcome: Outcome, told: str
) -> None:
    flow = create_flow("shop", max_concurrency=1)
    load = flow.task(name="load", runner=runner, time_partitions="daily")(lambda: {})
    runner.answer = lambda attempt: attempt.end(outcome)
    engine = start(flow)

    for result in (load(), *map_parallel(load, [(), ()])):
        assert result.error is not None
        assert told in result.error.message
    runner.answer = lambda attempt: attempt.succeed({"n": 1})
    assert load() == {"n": 1}
    assert engine._resources.live.all() == []


def test_a_runner_that_raises_what_no_text_can_hold_ends_with_it(start: Start, runner: Any) -> None:
    flow = create_flow("shop", max_concurrency=1)
    load = flow.task(name="load", runner=runner)(lambda: {})
    runner.answer = lambda attempt: attempt.end(SystemExit("\ud800"))  # as a WorkerDied with these words
    start(flow)

    error = load().error
    assert error is not None
    assert error.message == "The runner FakeRunner raised SystemExit: \\ud800."


# Mistakes that last


@pytest.mark.parametrize("error", [PayloadError, PartitionError, InputCountError])
def test_a_mistake_that_another_attempt_can_not_mend_is_not_tried_again(
    start: Start, runner: Any, error: type[Exception]
) -> None:
    flow = create_flow("shop")
    load = flow.task(name="load", runner=runner, retries=3, retry_delay=0)(lambda: {})
    runner.answer = lambda attempt: attempt.fail(error.__name__)
    start(flow)

    assert load().status == "error"
    assert runner.started == 1


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_texts_of_a_result_that_are_not_unicode_are_escaped(start: Start, runner: str) -> None:
    flow = create_flow("shop")

    @flow.task(runner=runner, run_strategy="always")
    def seen(given: Any) -> dict[str, Any]:
        result = current_execution().inputs[0]
        return {"type": result.error.type, "message": result.error.message, "reason": result.reason}

    @flow.manager
    def make() -> Any:
        made = ExecutionResult(status="error", error=ExecutionError("\ud800", "b\udcff"))
        made.reason = "\udcff"
        return seen(made)

    start(flow)

    assert make().output == {"type": "\\ud800", "message": "b\\udcff", "reason": "\\udcff"}


def test_neither_is_a_manager_that_makes_it(start: Start) -> None:
    flow = create_flow("shop")
    load = flow.task(name="load", runner="thread")(lambda a: a)
    attempts: list[int] = []

    @flow.manager(retries=3, retry_delay=0)
    def wrong(a: dict[str, Any]) -> Any:
        attempts.append(current_execution().attempt)
        return {"size": load({"size": (1, 2)})} if a["what"] == "value" else load()

    @flow.task(retries=3, retry_delay=0, max_payload=100, runner="thread")
    def large() -> Any:
        attempts.append(current_execution().attempt)
        return {"text": "x" * 1000}

    start(flow)

    assert wrong({"what": "value"}).error.type == "PayloadError"
    assert wrong({"what": "count"}).error.type == "InputCountError"
    assert large().error.type == "PayloadTooLarge"
    assert attempts == [1, 1, 1]


# What is in the store


def stored(engine: Engine, text: str, column: str = "output", table: str = "executions") -> None:
    """What an earlier version, or a damaged disk, has left."""
    engine.store.database.execute_text(f"UPDATE {table} SET {column} = ?", (text,))


@pytest.mark.parametrize("text", [NEVER, DAMAGED])
def test_a_run_key_whose_output_can_not_be_read_is_an_error_of_that_execution(
    flow: Flow, start: Start, text: str
) -> None:
    load = flow.jobs["load"]
    engine = start(flow)
    load({"run_key": "k"})
    stored(engine, text, "output", "run_keys")

    for result in (load({"run_key": "k"}), load.submit({"run_key": "k"}).result(60)):
        assert result.status == "error"
        assert result.error is not None
        assert result.error.message.startswith(
            "The output that the store holds can't be read (run key 'k' succeeded before, in execution 1). "
        )
    assert engine._resources.live.all() == []
    assert engine.submit(load, [{"run_key": "k"}], force=True).future.result(60) == {"run_key": "k"}
    assert load({"run_key": "k"}).status == "skipped"


@pytest.mark.parametrize("runner", ["thread", "process"])
@pytest.mark.parametrize("text", [NEVER, DAMAGED])
def test_what_a_context_can_not_read_is_left_out_and_its_log_says_so(start: Start, runner: str, text: str) -> None:
    flow = create_flow("shop")

    @flow.task(runner=runner)
    def remember() -> dict[str, Any]:
        context = dict(flow.context)
        flow.context["count"] = flow.context.get("count", 0) + 1
        return {"seen": sorted(context)}

    engine = start(flow)
    assert remember() == {"seen": []}
    stored(engine, text)
    stored(engine, text, "value", "context")

    assert remember() == {"seen": []}
    log = engine.store.logs.read(2).text
    assert "flow.context['count'] can't be read, and is left out until it is set again." in log
    assert "The last output can't be read, so flow.context does not fall back to it." in log
    assert remember() == {"seen": ["count", "seen"]}


@pytest.mark.parametrize("text", [NEVER, DAMAGED])
def test_an_execution_is_run_again_whatever_its_output_is_and_not_if_its_inputs_can_not_be_read(
    flow: Flow, start: Start, text: str
) -> None:
    engine = start(flow)
    flow.jobs["load"]({"n": 1})
    stored(engine, text)
    assert engine.retry(1).future.result(60) == {"n": 1}

    stored(engine, text, "inputs")
    with pytest.raises(ConflictError, match="Execution 1 can't be run again, since its inputs can't be read any more"):
        engine.retry(1)


@pytest.mark.parametrize("text", [NEVER, DAMAGED])
def test_a_run_that_goes_on_takes_an_output_that_can_not_be_read_for_an_error(
    serve: Start, runner: Any, kill: Callable[[Engine], None], until: Until, text: str
) -> None:
    flow = create_flow("shop")
    first = flow.task(name="first", runner=runner, retries=1)(lambda: {})
    other = flow.task(name="other", runner=runner, retries=1)(lambda: {})
    last = flow.task(name="last", runner=runner, inputs=[first, other], retries=1)(lambda a, b: a)
    engine = serve(flow)
    run = engine.submit(last, with_inputs=True)
    attempts = {attempt.job.name: attempt for attempt in (runner.next(), runner.next())}
    attempts["first"].succeed({"n": 1})
    until(engine, lambda: engine.store.database.read_text("SELECT 1 FROM executions WHERE output = '{\"n\":1}'"))
    engine.store.database.execute_text("UPDATE executions SET output = ? WHERE job = 'first'", (text,))
    kill(engine)

    later = serve(flow)
    runner.next().succeed({"n": 2})
    assert later._resources.live.wait_until_empty(60)

    rows = dict(later.store.database.read_text("SELECT job, status FROM executions WHERE parent_id = ?", (run.id,)))
    assert rows == {"first": "success", "other": "success", "last": "error"}
    ((error,),) = later.store.database.read_text("SELECT error FROM executions WHERE job = 'last' AND parent_id > 0")
    assert "The output that the store holds can't be read" in error
