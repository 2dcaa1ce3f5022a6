"""Runs over partitions that a server's death or its stop interrupts: the next one walks on from where they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from microflow import ConflictError, Flow, create_flow
from microflow.engine.engine import Engine, Submitted
from microflow.runtime import PartitionSelection

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]
Attempts = Callable[[Engine, int], list[tuple[int, str, str]]]
End = Callable[[Engine], None]


def rows(engine: Engine, columns: str = "job, status, attempt", where: str = "1") -> list[Any]:
    return engine.store.database.read_text(f"SELECT {columns} FROM executions WHERE {where} ORDER BY id")


def wait(until: Any, engine: Engine, look: Look, number: int, status: str = "success") -> None:
    until(engine, lambda: look(engine, number)["status"] == status)


@pytest.fixture
def load(runner: Any) -> Any:
    flow = create_flow("shop", max_concurrency=2, timezone="UTC")
    return flow.task(
        name="load", time_partitions="daily", cat_partitions=["a", "b"], retries=1, runner=runner, retry_delay=0
    )(lambda a: {})


def partitions(engine: Engine, job: Any, **given: Any) -> Submitted:
    selection = PartitionSelection(start="2026-05-01", end="2026-05-03", **given)
    return engine.submit_partitions(job, selection)


def keys(attempt: Any) -> str:
    found = attempt.inputs[0] if isinstance(attempt.inputs[0], list) else attempt.inputs
    return " ".join(f"{key['time_partition']:%d}{key['cat_partition']}" for key in found)


@pytest.mark.parametrize(
    ("order", "expected"),
    [("asc", "01a 01b 02a 02b 03a 03b"), ("desc", "03a 03b 02a 02b 01a 01b")],
)
def test_a_run_over_partitions_walks_on_from_where_it_was(
    serve: Start,
    end: End,
    runner: Any,
    look: Look,
    attempts: Attempts,
    until: Any,
    load: Any,
    order: str,
    expected: str,
) -> None:
    walk = expected.split()
    first = serve(load.flow)
    run = partitions(first, load, order=order)
    one, two = runner.next(), runner.next()
    {keys(one): one, keys(two): two}[walk[0]].succeed({})
    three = runner.next()
    until(first, lambda: first.progress(run.id) == (1, 6, None))
    assert keys(three) == walk[2]
    end(first)

    second = serve(load.flow)
    seen = []
    for _ in range(2):
        attempt = runner.next()
        assert attempt.request.attempt == 2
        seen.append(keys(attempt))
        assert second.progress(run.id) == (1 + len(seen) - 1, 6, None)
        attempt.succeed({}) if len(seen) == 1 else attempt.fail()
        until(second, lambda: second.progress(run.id)[0] == 1 + len(seen))  # type: ignore[index]
    for _ in range(3):
        attempt = runner.next()
        seen.append(keys(attempt))
        attempt.succeed({})
    wait(until, second, look, run.id, "error")

    assert sorted(seen[:2]) == sorted(walk[1:3])
    assert seen[2:] == walk[3:]
    assert look(second, run.id)["output"] == {"error": 1, "success": 5}
    assert look(second, run.id)["progress"]["done"] == 6
    assert sorted(rows(second, "position", f"parent_id = {run.id}")) == [(number,) for number in range(6)]
    assert runner.started == 3 + 5


@pytest.mark.parametrize("only", ["missing", "failed", "missing_or_failed"])
def test_what_has_been_done_is_not_done_again(
    serve: Start, end: End, runner: Any, look: Look, until: Any, load: Any, only: str
) -> None:
    first = serve(load.flow)
    load.retries = 0
    for category, category_fails in (("a", only != "missing"), ("b", True)):
        if only == "missing" or (only == "missing_or_failed" and category == "b"):
            continue
        run = partitions(first, load, cat_partitions=[category])
        for _ in range(3):
            runner.next().fail() if category_fails else runner.next().succeed({})
        run.future.result()
    load.retries = 1
    run = partitions(first, load, only=only)
    walk = ["01a", "01b", "02a", "02b", "03a", "03b"]
    one, two = runner.next(), runner.next()
    found = {keys(one): one, keys(two): two}
    found[walk[0]].succeed(None)  # skipped: it is missing still
    three = runner.next()
    until(first, lambda: first.progress(run.id) == (1, 6, None))
    assert keys(three) == walk[2]
    end(first)

    second = serve(load.flow)
    seen = []
    for _ in range(5):
        attempt = runner.next()
        seen.append(keys(attempt))
        attempt.succeed({})
    wait(until, second, look, run.id)

    assert sorted(seen) == walk[1:]
    assert look(second, run.id)["output"] == {"skipped": 1, "success": 5}


def test_another_try_of_a_run_goes_on_with_what_did_not_succeed(
    serve: Start, end: End, runner: Any, look: Look, until: Any, load: Any
) -> None:
    first = serve(load.flow)
    load.retries = 0
    run = partitions(first, load)
    for _ in range(6):
        attempt = runner.next()
        attempt.fail() if keys(attempt) in ("01a", "02a", "03a") else attempt.succeed({})
    run.future.result()
    load.retries = 1
    again = first.retry(run.id)
    assert sorted((keys(runner.next()), keys(runner.next()))) == ["01a", "02a"]
    end(first)

    second = serve(load.flow)
    found = [runner.next(), runner.next()]
    assert sorted(map(keys, found)) == ["01a", "02a"]
    found[0].succeed({})
    found += [runner.next()]
    assert keys(found[2]) == "03a"
    found[1].succeed({})
    found[2].fail()
    found += [runner.next()]  # its last attempt
    found[3].fail()
    wait(until, second, look, again.id, "error")
    assert look(second, again.id)["output"] == {"error": 1, "success": 2}

    once_more = second.retry(again.id)
    attempt = runner.next()
    assert keys(attempt) == "03a"
    attempt.succeed({})
    assert once_more.future.result() == {"success": 1}


def test_batches_and_dag_runs_over_partitions_go_on(
    serve: Start, end: End, runner: Any, look: Look, until: Any, load: Any
) -> None:
    flow = load.flow
    flow.task(name="report", inputs=["load"], cat_partitions=["a", "b"], time_partitions="daily", runner=runner)(
        lambda a: {}
    )
    first = serve(flow)
    selection = PartitionSelection(start="2026-05-01", end="2026-05-03")
    batches = first.submit_partitions(load, selection, batch_size=4, max_concurrency=1)
    assert keys(runner.next()) == "01a 01b 02a 02b"
    end(first)
    second = serve(flow)
    for expected in ("01a 01b 02a 02b", "03a 03b"):
        attempt = runner.next()
        assert keys(attempt) == expected
        attempt.succeed({})
    wait(until, second, look, batches.id)

    dags = second.submit_partitions(flow.jobs["report"], selection, with_inputs=True, max_concurrency=2)
    seen: list[tuple[str, str, int]] = []

    def step(attempt: Any) -> None:
        seen.append((attempt.job.name, keys(attempt) if attempt.job is load else "", attempt.request.attempt))
        attempt.succeed({"n": 1})

    one, two = runner.next(), runner.next()
    step({keys(one): one, keys(two): two}["01a"])
    report = runner.next()
    assert report.job.name == "report"
    report.succeed({})
    until(second, lambda: second.progress(dags.id) == (1, 6, None))
    assert keys(runner.next()) == "02a"
    end(second)
    third = serve(flow)
    for _ in range(10):
        step(runner.next())
    wait(until, third, look, dags.id)

    tried_again = [each for each in seen if each[2] == 2]
    assert sorted(tried_again) == [("load", "01b", 2), ("load", "02a", 2)]
    assert sorted(key for job, key, _ in seen if job == "load") == ["01a", "01b", "02a", "02b", "03a", "03b"]
    assert rows(third, "status", f"parent_id = {dags.id}") == [("success",)] * 6


def test_a_paused_run_stays_paused(serve: Start, end: End, runner: Any, look: Look, until: Any, load: Any) -> None:
    first = serve(load.flow)
    run = partitions(first, load, cat_partitions=["a"])
    begun = [runner.next(), runner.next()]
    first.pause(run.id)
    for attempt in begun:
        # one says afterwards that it stands for another partition; the run has come to the one that it was called for
        attempt.succeed({}, cat_partition="b" if keys(attempt) == "02a" else None)
    until(first, lambda: first.progress(run.id) == (2, 3, None))
    end(first)

    second = serve(load.flow)
    wait(until, second, look, run.id, "running")
    until(second, lambda: second.progress(run.id) == (2, 3, None))
    assert look(second, run.id)["waiting"]["reason"] == "paused"
    assert runner.none_began()
    second.resume(run.id)
    attempt = runner.next()
    assert keys(attempt) == "03a"
    attempt.succeed({})
    wait(until, second, look, run.id)
    assert look(second, run.id)["output"] == {"success": 3}
    assert second.partitions.grid(load, "2026-05-01", "2026-05-03").lines == ["s.s", ".s."]


@pytest.mark.parametrize("only", ["all", "missing"])
def test_a_job_without_inputs_that_names_its_partition_afterwards_does_not_move_the_run(
    serve: Start, end: End, runner: Any, look: Look, until: Any, only: str
) -> None:
    flow = create_flow("shop", timezone="UTC")
    job = flow.task(name="load", time_partitions="daily", cat_partitions=["a", "b"], retries=1, runner=runner)(
        lambda: {}
    )
    first = serve(flow)
    selection = PartitionSelection(start="2026-05-01", end="2026-05-02", only=only)
    run = first.submit_partitions(job, selection, max_concurrency=1)
    attempt = runner.next()
    first.pause(run.id)
    attempt.succeed({}, cat_partition="b", time_partition=b'"2026-05-02"')
    until(first, lambda: first.progress(run.id) == (1, 4, None))
    assert look(first, run.id + 1)["cat_partition"] == "b"
    end(first)

    second = serve(flow)
    wait(until, second, look, run.id, "running")
    second.resume(run.id)
    seen = []
    for _ in range(3 if only == "all" else 2):
        attempt = runner.next()
        seen.append(attempt.request.cat_partition)
        attempt.succeed({})
    wait(until, second, look, run.id)

    # of what was missing the one that the first had named is not
    assert seen == (["b", "a", "b"] if only == "all" else ["b", "a"])


def test_a_script_leaves_the_runs_of_a_dead_server_to_the_next_one(
    serve: Start, start: Start, kill: End, runner: Any, look: Look, until: Any, load: Any
) -> None:
    first = serve(load.flow)
    run = partitions(first, load, cat_partitions=["a"])
    runner.next(), runner.next()
    kill(first)

    script = start(load.flow)
    assert "waits for a server" in look(script, run.id)["waiting"]["message"]
    assert runner.none_began()
    script.stop()
    second = serve(load.flow)
    for _ in range(3):
        runner.next().succeed({})
    wait(until, second, look, run.id)


def test_a_filter_that_raises_by_now_ends_its_run_and_keeps_nothing_else_from_going_on(
    serve: Start, end: End, runner: Any, look: Look, until: Any
) -> None:
    def flow(is_there: Callable[[Any, Any], bool]) -> Flow:
        flow = create_flow("shop", max_concurrency=2)
        flow.task(name="load", cat_partitions=["a", "b", "c"], partition_filter=is_there, runner=runner, retries=1)(
            lambda a: {}
        )
        flow.task(name="other", runner=runner, retries=1)(lambda: {})
        return flow

    def raises(_time: Any, _category: Any) -> bool:
        raise OSError("the list of shops is not there")

    before = flow(lambda *_: True)
    first = serve(before)
    run = first.submit_partitions(before.jobs["load"], PartitionSelection(), max_concurrency=1)
    other = first.submit(before.jobs["other"])
    runner.next(), runner.next()
    end(first)

    second = serve(flow(raises))
    attempt = runner.next()
    assert attempt.request.execution_id == other.id
    attempt.succeed({})
    wait(until, second, look, other.id)

    assert "It can't be resumed: " in look(second, run.id)["error"]["message"]
    assert "the list of shops is not there" in look(second, run.id)["error"]["message"]


def test_a_run_that_is_cancelled_before_it_goes_on_leaves_nothing_queued(
    serve: Start, end: End, runner: Any, look: Look, until: Any
) -> None:
    flow = create_flow("shop", max_concurrency=1)
    flow.task(name="load", cat_partitions=["a", "b", "c"], retries=1, runner=runner, max_concurrency=2)(lambda a: {})
    first = serve(flow)
    run = first.submit_partitions(flow.jobs["load"], PartitionSelection())
    runner.next()
    end(first)
    second = serve(flow)
    attempt = runner.next()

    second.cancel(run.id)
    attempt.succeed({})
    wait(until, second, look, run.id, "cancelled")

    assert {status for (status,) in rows(second, "status")} == {"cancelled"}
    with pytest.raises(ConflictError, match="has ended"):
        second.cancel(run.id)
