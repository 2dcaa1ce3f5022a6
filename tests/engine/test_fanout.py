"""Many calls at once: results in order, everything runs even when some fail, limits are kept, few threads and rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from microflow import (
    ConcurrencyGroup,
    ExecutionResult,
    Flow,
    PayloadError,
    create_flow,
    current_execution,
    map_parallel,
    run_parallel,
)
from microflow.engine.engine import Engine

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]

MANAGERS = "SELECT id FROM executions WHERE job = 'manage'"


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop", max_concurrency=3)


def echo(attempt: Any) -> None:
    attempt.succeed(attempt.inputs[0] if attempt.inputs else {})


def numbers(count: int) -> list[dict[str, int]]:
    return [{"n": number} for number in range(count)]


# Mappings


def test_results_come_in_the_order_of_the_inputs(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    manage = flow.manager(name="manage")(lambda: map_parallel(load, numbers(3)))
    engine = start(flow)
    submitted = engine.submit(manage)

    began = sorted((runner.next() for _ in range(3)), key=lambda attempt: -attempt.inputs[0]["n"])
    for attempt in began:
        attempt.succeed({"n": attempt.inputs[0]["n"] * 10})

    assert submitted.future.result() == [{"n": 0}, {"n": 10}, {"n": 20}]


def test_everything_runs_even_when_some_fail(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    start(flow)
    runner.answer = lambda attempt: attempt.fail() if attempt.inputs[0]["n"] % 2 else echo(attempt)

    results = map_parallel(load, numbers(6))

    assert [str(result.status) for result in results] == ["success", "error"] * 3


def test_positions_are_those_of_the_inputs(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    manage = flow.manager(name="manage")(
        lambda: [load({"n": -1}), *map_parallel(load, numbers(20)), *run_parallel((load, {"n": 98}), (load, {"n": 99}))]
    )
    engine = start(flow)
    runner.answer = echo
    manage()

    rows = engine.store.database.read_text("SELECT inputs FROM executions WHERE parent_id = 1 ORDER BY position")
    assert [row for (row,) in rows] == [f'[{{"n":{n}}}]' for n in (-1, *range(20), 98, 99)]


def test_no_more_run_at_once_than_the_limits_allow_and_no_more_rows_wait(flow: Flow, start: Start, runner: Any) -> None:
    group = ConcurrencyGroup(2, name="api")
    load = flow.task(name="load", runner=runner, max_concurrency=group)(lambda a: a)
    manage = flow.manager(name="manage")(lambda: map_parallel(load, numbers(50)))
    engine = start(flow)
    submitted = engine.submit(manage)

    for _ in range(25):
        pair = [runner.next(), runner.next()]
        assert runner.none_began()
        assert max(len(state.holders) for state in engine.concurrency()) == 2
        (opened,) = engine.store.database.read_text(
            "SELECT count(*) FROM executions WHERE status IN ('queued', 'running')"
        )[0]
        assert opened <= 1 + 2 + 2, "rows are made for inputs that are far from their turn"
        for attempt in pair:
            echo(attempt)

    assert submitted.future.result().status == "success"


def test_a_mapping_may_be_bounded_alone(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    manage = flow.manager(name="manage")(lambda: map_parallel(load, numbers(4), max_concurrency=1))
    submitted = start(flow).submit(manage)

    for number in range(4):
        attempt = runner.next()
        assert attempt.inputs == [{"n": number}]
        assert runner.none_began()
        echo(attempt)

    assert submitted.future.result().status == "success"


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_mapping_over_many_inputs_needs_few_threads(start: Start, kind: str) -> None:
    flow = create_flow("shop", max_concurrency=2)
    load = flow.task(name="load", runner=kind)(lambda a: {"n": a["n"] + 1})
    start(flow)
    most = 0

    def inputs() -> Iterator[dict[str, int]]:
        nonlocal most
        for item in numbers(600):
            most = max(most, threading.active_count())
            yield item

    before = threading.active_count()
    results = map_parallel(load, inputs())

    assert [result["n"] for result in results] == list(range(1, 601))
    assert most - before <= 20, "threads grow with the inputs"  # one that has just ended its call is not idle yet


def test_a_generator_is_read_as_its_items_are_needed(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    read = []

    def inputs() -> Iterator[dict[str, int]]:
        for item in numbers(20):
            read.append(item)
            yield item

    manage = flow.manager(name="manage")(lambda: map_parallel(load, inputs()))
    submitted = start(flow).submit(manage)

    began = [runner.next() for _ in range(3)]
    assert len(read) <= 3 + 3 + 1
    runner.answer = echo
    for attempt in began:
        echo(attempt)

    assert len(submitted.future.result().output) == 20


def test_a_generator_may_call_jobs_and_is_part_of_its_manager(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    engine = start(flow)
    runner.answer = echo

    @flow.manager
    def manage() -> Any:
        def inputs() -> Iterator[ExecutionResult]:
            for item in numbers(10):
                current_execution().progress(item["n"])
                print("reading", item["n"])
                yield load(item)

        return map_parallel(load, inputs())

    assert manage().output == numbers(10)
    assert engine.store.logs.read(1).text.count("reading") == 10
    assert engine.store.database.read_text("SELECT count(*) FROM executions WHERE parent_id = 1") == [(20,)]


def test_a_generator_that_fails_ends_the_mapping_after_what_runs(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    engine = start(flow)
    runner.answer = echo

    def inputs() -> Iterator[dict[str, int]]:
        yield from numbers(2)
        raise ZeroDivisionError("no third")

    with pytest.raises(ZeroDivisionError, match="no third"):
        map_parallel(load, inputs())

    assert engine.store.database.read_text("SELECT status, count(*) FROM executions GROUP BY 1") == [("success", 2)]


def test_a_wrong_input_in_the_middle_is_named_after_what_runs(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    engine = start(flow)
    runner.answer = echo

    with pytest.raises(PayloadError, match=r"Job 'load': inputs\[0\] is a str"):
        map_parallel(load, [{}, {}, "text", {}])

    assert all(state.holders == [] for state in engine.concurrency())
    assert engine._resources.live.all() == []


def test_a_tuple_is_several_inputs_and_a_batch_is_a_list(flow: Flow, start: Start, runner: Any) -> None:
    pair = flow.task(name="pair", runner=runner)(lambda a, b: a)
    batch = flow.task(name="batch", runner=runner)(lambda rows: rows)
    start(flow)
    seen = []
    runner.answer = lambda attempt: (seen.append(attempt.inputs), attempt.succeed({}))

    map_parallel(pair, [({"a": 1}, {"b": 2})])
    results = map_parallel(batch, numbers(5), batch_size=2)

    assert len(results) == 3
    assert seen[0] == [{"a": 1}, {"b": 2}]
    assert sorted(seen[1:], key=str) == [[numbers(2)], [numbers(4)[2:]], [numbers(5)[4:]]]


def test_an_empty_mapping_is_an_empty_list(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    start(flow)

    assert map_parallel(load, []) == []
    assert map_parallel(load, [], batch_size=3) == []
    assert run_parallel() == []


def test_a_mapping_of_managers_runs_them_at_the_same_time(flow: Flow, start: Start) -> None:
    together = threading.Barrier(10)
    meet = flow.manager(name="meet")(lambda a: {"n": together.wait(60)})
    start(flow)

    results = map_parallel(meet, numbers(10))

    assert {result["n"] for result in results} == set(range(10))


def test_managers_of_managers_need_no_more_threads_than_there_are(
    start: Start, runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five deep, each with three calls: there are fewer threads than managers that wait for one another."""
    monkeypatch.setattr("microflow.engine.engine._THREADS_OF_FANOUTS", 7)
    flow = create_flow("shop", max_concurrency=2)
    load = flow.task(name="load", runner=runner)(lambda a: a)
    group = ConcurrencyGroup(40, name="group")
    most = 0

    @flow.manager(max_concurrency=group)
    def manage(a: dict[str, Any]) -> Any:
        nonlocal most
        most = max(most, threading.active_count())
        print("at depth", a["depth"])
        job = load if a["depth"] == 0 else manage
        results = map_parallel(job, [{"depth": a["depth"] - 1, "count": 1}] * 3)
        return {"count": sum(result["count"] for result in results)}

    engine = start(flow)
    runner.answer = echo
    before = threading.active_count()

    assert manage({"depth": 4, "count": 0}) == {"count": 3**5}
    assert most - before <= 20, "threads grow with the managers"
    texts = [engine.store.logs.read(number).text for (number,) in engine.store.database.read_text(MANAGERS)]
    assert sorted(texts) == sorted(f"at depth {4 - level}\n" for level in range(5) for _ in range(3**level))


def test_retries_inside_a_mapping(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.task(name="load", runner=runner, retries=1, retry_delay=0)(lambda a: a)
    start(flow)
    runner.answer = lambda attempt: attempt.fail() if attempt.request.attempt == 1 else echo(attempt)

    assert [result["n"] for result in map_parallel(load, numbers(12))] == list(range(12))
    assert runner.started == 24


def test_a_mapping_as_an_execution_has_children_progress_and_a_summary(
    flow: Flow, start: Start, runner: Any, look: Look
) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    engine = start(flow)
    runner.answer = lambda attempt: attempt.fail("OSError", "disk") if attempt.inputs[0]["n"] == 3 else echo(attempt)

    submitted = engine.submit_map(load, numbers(5))

    result = submitted.future.result()
    assert result.output == {"error": 1, "success": 4}
    assert result.error is not None
    assert result.error.message == "1 of 5 executions of 'load' failed; one of them: OSError: disk"
    row = look(engine, submitted.id)
    assert (row["kind"], row["trigger"], row["status"]) == ("map", "map", "error")
    assert row["progress"]["done"] == row["progress"]["total"] == 5


def test_keyed_limits_hold_for_each_value(flow: Flow, start: Start, runner: Any) -> None:
    group = ConcurrencyGroup(1, name="customer", key="customer")
    load = flow.task(name="load", runner=runner, max_concurrency=group)(lambda a: a)
    items = [{"customer": customer} for customer in ("a", "a", "a", "b", "c")]
    manage = flow.manager(name="manage")(lambda: map_parallel(load, items))
    submitted = start(flow).submit(manage)

    first = [runner.next() for _ in range(3)]
    assert sorted(attempt.inputs[0]["customer"] for attempt in first) == ["a", "b", "c"]
    assert runner.none_began()
    for attempt in first:
        echo(attempt)
    for _ in range(2):
        attempt = runner.next()
        assert runner.none_began()
        echo(attempt)

    assert submitted.future.result().output == items
