"""Mappings that a server's death or its stop interrupts: the next server resumes them with the inputs that the store keeps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from microflow import Flow, PayloadError, create_flow
from microflow.engine.engine import Engine

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]
Attempts = Callable[[Engine, int], list[tuple[int, str, str]]]
End = Callable[[Engine], None]


def rows(engine: Engine, columns: str = "status, attempt", where: str = "1") -> list[Any]:
    return engine.store.database.read_text(f"SELECT {columns} FROM executions WHERE {where} ORDER BY id")


def wait(until: Any, engine: Engine, look: Look, number: int, status: str = "success") -> None:
    until(engine, lambda: look(engine, number)["status"] == status)


def kept(engine: Engine) -> list[Any]:
    """The mappings and the blocks of inputs that the store keeps."""
    return [
        engine.store.database.read_text(f"SELECT count(*) FROM {name}")[0][0] for name in ("mappings", "mapping_inputs")
    ]


def until_forgotten(clock: Any, engine: Engine) -> None:
    """The clock goes on until the inputs are deleted, a few at a time."""
    while kept(engine) != [0, 0]:
        clock.until_asleep(0.01)
        clock.advance(0.01)


def numbers(count: int) -> list[dict[str, int]]:
    return [{"n": number} for number in range(count)]


def flow_of(runner: Any, **given: Any) -> Flow:
    flow = create_flow("shop", max_concurrency=2)
    flow.task(name="load", runner=runner, **given)(lambda a: {})
    return flow


def test_a_mapping_goes_on_where_it_was(
    serve: Start, end: End, runner: Any, look: Look, attempts: Attempts, until: Any
) -> None:
    flow = flow_of(runner, retries=1)
    first = serve(flow)
    run = first.submit_map(flow.jobs["load"], numbers(6), trigger="api", max_concurrency=2)
    begun = {attempt.inputs[0]["n"]: attempt for attempt in (runner.next(), runner.next())}
    begun[0].succeed({})
    assert runner.next().inputs == [{"n": 2}]
    until(first, lambda: first.progress(run.id) == (1, 6, None))
    end(first)

    second = serve(flow)
    seen = []
    for number in range(5):
        attempt = runner.next()
        seen.append((attempt.inputs[0]["n"], attempt.request.attempt))
        until(second, lambda number=number: second.progress(run.id) == (1 + number, 6, None))  # type: ignore[misc]
        attempt.succeed({})
    wait(until, second, look, run.id)

    assert sorted(seen[:2]) == [(1, 2), (2, 2)]
    assert seen[2:] == [(3, 1), (4, 1), (5, 1)]
    after = look(second, run.id)
    assert (after["output"], after["trigger"]) == ({"success": 6}, "api")
    assert rows(second, "position, trigger", f"parent_id = {run.id}") == [(number, "map") for number in range(6)]
    assert attempts(second, run.id) == []


def test_what_ran_without_an_attempt_left_has_failed_and_the_others_run(
    serve: Start, end: End, runner: Any, look: Look, until: Any
) -> None:
    flow = flow_of(runner)
    first = serve(flow)
    run = first.submit_map(flow.jobs["load"], numbers(4))
    begun = [runner.next(), runner.next()]
    end(first)

    second = serve(flow)
    for number in (2, 3):
        attempt = runner.next()
        assert attempt.inputs == [{"n": number}]
        attempt.succeed({})
    wait(until, second, look, run.id, "error")

    assert len(begun) == 2
    assert look(second, run.id)["output"] == {"error": 2, "success": 2}
    assert look(second, run.id)["error"]["message"].startswith(
        "2 of 4 executions of 'load' failed; one of them: Interrupted: "
    )


def test_it_keeps_its_batches_and_how_many_run_at_once(
    serve: Start, end: End, runner: Any, look: Look, until: Any
) -> None:
    flow = flow_of(runner)
    first = serve(flow)
    run = first.submit_map(flow.jobs["load"], numbers(7), batch_size=2, max_concurrency=1)
    attempt = runner.next()
    first.pause(run.id)
    attempt.succeed({})
    until(first, lambda: first.progress(run.id) == (1, 4, None))
    end(first)

    second = serve(flow)
    wait(until, second, look, run.id, "running")
    until(second, lambda: second.progress(run.id) == (1, 4, None))
    assert look(second, run.id)["waiting"]["reason"] == "paused"
    assert runner.none_began()
    second.resume(run.id)
    for expected in ([2, 3], [4, 5], [6]):
        attempt = runner.next()
        assert [each["n"] for each in attempt.inputs[0]] == expected
        assert runner.none_began()
        attempt.succeed({})
    wait(until, second, look, run.id)
    assert look(second, run.id)["output"] == {"success": 4}


def test_the_inputs_are_kept_until_the_mapping_has_ended(
    serve: Start, end: End, runner: Any, look: Look, until: Any, clock: Any
) -> None:
    flow = flow_of(runner)
    first = serve(flow)
    run = first.submit_map(flow.jobs["load"], [{"n": number, "text": "x" * 1000} for number in range(200)])
    runner.next(), runner.next()
    end(first)

    second = serve(flow)
    found = [runner.next(), runner.next()]
    assert kept(second)[0] == 1
    assert kept(second)[1] > 1
    runner.answer = lambda attempt: attempt.succeed({})
    for attempt in found:
        attempt.succeed({})
    wait(until, second, look, run.id, "error")

    until_forgotten(clock, second)


def test_a_mapping_that_is_cancelled_keeps_no_inputs(serve: Start, runner: Any, clock: Any, until: Any) -> None:
    flow = flow_of(runner)
    engine = serve(flow)
    run = engine.submit_map(flow.jobs["load"], numbers(4))
    runner.next(), runner.next()

    engine.cancel(run.id)

    assert run.future.result().status == "cancelled"
    until_forgotten(clock, engine)


def test_a_mapping_that_is_refused_keeps_no_inputs(serve: Start, runner: Any) -> None:
    flow = flow_of(runner)
    engine = serve(flow)

    with pytest.raises(PayloadError, match=r'inputs\[0\]\["n"\]'):
        engine.submit_map(flow.jobs["load"], [*numbers(3), {"n": {1, 2}}])

    assert kept(engine) == [0, 0]
    assert rows(engine) == []


def test_a_script_keeps_no_inputs(start: Start, runner: Any) -> None:
    flow = flow_of(runner)
    engine = start(flow)
    runner.answer = lambda attempt: attempt.succeed({})

    run = engine.submit_map(flow.jobs["load"], numbers(5))

    assert run.future.result() == {"success": 5}
    assert kept(engine) == [0, 0]


def test_inputs_that_the_job_no_longer_takes_end_the_mapping(
    serve: Start, end: End, runner: Any, look: Look, clock: Any
) -> None:
    flow = flow_of(runner, retries=1)
    first = serve(flow)
    run = first.submit_map(flow.jobs["load"], numbers(4))
    runner.next(), runner.next()
    end(first)
    changed = create_flow("shop", max_concurrency=2)
    changed.task(name="load", runner=runner, retries=1)(lambda a, b: {})

    second = serve(changed)

    error = look(second, run.id)["error"]
    assert error["type"] == "Interrupted"
    assert error["message"].startswith("The server that ran this ended. It can't be resumed: load(a, b) takes 2 inputs")
    assert {status for (status,) in rows(second, "status")} == {"error"}
    assert runner.none_began()
    until_forgotten(clock, second)


def test_a_mapping_whose_job_is_gone_ends(serve: Start, end: End, runner: Any, look: Look, clock: Any) -> None:
    flow = flow_of(runner, retries=1)
    first = serve(flow)
    run = first.submit_map(flow.jobs["load"], numbers(4))
    runner.next(), runner.next()
    end(first)

    second = serve(create_flow("shop"))

    error = look(second, run.id)["error"]
    assert error["message"].endswith("ended. It can't be resumed: 'load' is no job of flow 'shop' any more.")
    assert {status for (status,) in rows(second, "status")} == {"error"}
    until_forgotten(clock, second)


def test_a_mapping_of_a_store_that_kept_no_inputs_yet_ends(serve: Start, end: End, runner: Any, look: Look) -> None:
    flow = flow_of(runner, retries=1)
    first = serve(flow)
    run = first.submit_map(flow.jobs["load"], numbers(4))
    runner.next(), runner.next()
    first.store.database.execute_text("DELETE FROM mappings", ())
    end(first)

    second = serve(flow)

    assert look(second, run.id)["error"]["message"] == (
        "The server that ran this ended. It can't be resumed: its inputs are not in the store."
    )


def test_inputs_of_a_server_that_died_while_it_stored_them_are_deleted(
    serve: Start, kill: End, runner: Any, clock: Any
) -> None:
    flow = flow_of(runner)
    first = serve(flow)
    first._mappings._inputs.store([b'[{"n":1}]'] * 3, first.store.executions.engine_id)
    kill(first)

    second = serve(flow)

    until_forgotten(clock, second)
    assert rows(second) == []


def test_dates_partitions_and_several_inputs_come_through(
    serve: Start, end: End, runner: Any, look: Look, until: Any
) -> None:
    flow = create_flow("shop", max_concurrency=1, timezone="UTC")
    pair = flow.task(name="pair", runner=runner, retries=1)(lambda a, b: {})
    daily = flow.task(name="daily", runner=runner, time_partitions="daily")(lambda a: {})
    pairs = [({"n": 0}, {"m": 0}), ({"at": datetime(2026, 5, 1, tzinfo=UTC)}, [{"day": date(2026, 5, 2)}])]
    first = serve(flow)
    runs = [first.submit_map(pair, pairs)]
    assert tuple(runner.next().inputs) == pairs[0]  # before the other, which has a thread of its own
    runs.append(first.submit_map(daily, [{"time_partition": "2026-05-01"}, {"time_partition": "2026-05-02", "x": 1}]))
    end(first)
    seen: list[tuple[str, Any]] = []

    def answer(attempt: Any) -> None:
        seen.append((attempt.job.name, tuple(attempt.inputs)))
        attempt.succeed({})

    runner.answer = answer
    second = serve(flow)
    for run in runs:
        wait(until, second, look, run.id)

    days = [{"time_partition": datetime(2026, 5, day, tzinfo=UTC), "cat_partition": None} for day in (1, 2)]
    assert [inputs for job, inputs in seen if job == "pair"] == pairs
    assert [inputs for job, inputs in seen if job == "daily"] == [(days[0],), ({**days[1], "x": 1},)]
    assert rows(second, "time_partition", f"parent_id = {runs[1].id}") == [("2026-05-01",), ("2026-05-02",)]
