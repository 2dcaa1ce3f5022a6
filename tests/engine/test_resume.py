"""Runs that a server's death or its stop interrupts: the next server resumes them where they were."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from microflow import ConcurrencyGroup, Flow, Schedule, create_flow
from microflow.engine.engine import Engine
from microflow.engine.execution.state import State
from microflow.runtime import PartitionSelection

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]
Attempts = Callable[[Engine, int], list[tuple[int, str, str]]]
End = Callable[[Engine], None]


def chain(runner: Any, *, retries: int = 1, last_retries: int = 0) -> Flow:
    """``first`` and ``beside`` go into ``middle``, and that into ``last``."""
    flow = create_flow("shop", timezone="UTC", max_concurrency=4)
    for name, inputs, tries in (
        ("first", [], retries),
        ("beside", [], retries),
        ("middle", ["first", "beside"], retries),
        ("last", ["middle"], last_retries),
    ):
        flow.task(name=name, inputs=inputs, retries=tries, runner=runner)(lambda *given: {})
    return flow


def rows(engine: Engine, columns: str = "job, status, attempt", where: str = "1") -> list[Any]:
    return engine.store.database.read_text(f"SELECT {columns} FROM executions WHERE {where} ORDER BY id")


def wait(until: Any, engine: Engine, look: Look, number: int, status: str = "success") -> None:
    until(engine, lambda: look(engine, number)["status"] == status)


def a_minute_later(clock: Any) -> None:
    clock.until_asleep(30)  # the scheduler looks at the clock as often
    clock.advance(60)


def of_jobs(*attempts: Any) -> dict[str, Any]:
    return {attempt.job.name: attempt for attempt in attempts}


def test_a_dag_run_goes_on_where_it_was(
    serve: Start, end: End, runner: Any, look: Look, attempts: Attempts, until: Any, clock: Any
) -> None:
    flow = chain(runner)
    first = serve(flow)
    run = first.submit(flow.jobs["last"], with_inputs=True)
    of_jobs(runner.next(), runner.next())["first"].succeed({"n": 1}, run_key="a")
    until(first, lambda: rows(first)[1][1] == "success" or rows(first)[2][1] == "success")
    before = look(first, run.id)
    clock.advance(60)
    end(first)

    second = serve(flow)
    again = runner.next()
    assert (again.job.name, again.request.attempt) == ("beside", 2)
    again.succeed({"n": 2})
    middle = runner.next()
    assert middle.inputs == [{"n": 1}, {"n": 2}]
    assert [(status.status, status.run_key) for status in middle.request.statuses] == [
        ("success", "a"),
        ("success", None),
    ]
    assert middle.request.attempt == 1
    middle.succeed({"n": 3})
    runner.next().succeed({"n": 4})
    wait(until, second, look, run.id)

    assert sorted(rows(second)) == [
        ("beside", "success", 2),
        ("first", "success", 1),
        ("last", "success", 1),
        ("last", "success", 1),
        ("middle", "success", 1),
    ]
    after = look(second, run.id)
    assert after["output"] == {"n": 4}
    assert (after["started_at"], after["attempt"]) == (before["started_at"], 1)
    assert attempts(second, run.id) == []
    assert attempts(second, again.request.execution_id) == [(1, "error", "Interrupted")]
    assert sorted(rows(second, "position", f"parent_id = {run.id}")) == [(0,), (1,), (2,), (3,)]
    assert runner.started == 5


def test_it_goes_on_again_and_again_as_long_as_there_are_attempts(
    serve: Start, end: End, runner: Any, look: Look, attempts: Attempts, until: Any
) -> None:
    flow = chain(runner, retries=2, last_retries=1)
    engine = serve(flow)
    run = engine.submit(flow.jobs["last"], with_inputs=True)
    for tried in (1, 2):
        found = of_jobs(runner.next(), runner.next())
        assert {each.request.attempt for each in found.values()} == {tried}
        end(engine)
        engine = serve(flow)
    for _ in range(3):
        runner.next().succeed({})
    last = runner.next()
    end(engine)
    engine = serve(flow)
    assert runner.next().request.attempt == 2
    end(engine)

    engine = serve(flow)

    wait(until, engine, look, run.id, "error")
    assert look(engine, run.id)["error"]["type"] == "Interrupted"  # a run ends as its target does
    assert attempts(engine, last.request.execution_id) == [(1, "error", "Interrupted")]
    assert rows(engine, "job, status, attempt", f"parent_id = {run.id} AND status <> 'success'") == [
        ("last", "error", 2)
    ]


def test_a_member_without_an_attempt_left_has_failed_and_the_run_goes_on_with_the_others(
    serve: Start, end: End, runner: Any, look: Look, until: Any
) -> None:
    flow = chain(runner, retries=0)
    flow.task(name="apart", inputs=["first"], runner=runner)(lambda a: {})
    flow.task(name="all", inputs=["last", "apart"], run_strategy="always", runner=runner)(lambda a, b: {})
    first = serve(flow)
    run = first.submit(flow.jobs["all"], with_inputs=True)
    found = of_jobs(runner.next(), runner.next())
    end(first)

    second = serve(flow)
    attempt = runner.next()
    assert attempt.job.name == "all"
    assert attempt.inputs == [None, None]
    attempt.succeed({"n": 1})
    wait(until, second, look, run.id)

    assert {each.request.attempt for each in found.values()} == {1}
    errors = {
        job: error and msgspec.json.decode(error)["type"]
        for job, error in rows(second, "job, error", f"parent_id = {run.id}")
    }
    assert errors == {
        "first": "Interrupted",
        "beside": "Interrupted",
        "middle": "UpstreamFailed",
        "apart": "UpstreamFailed",
        "last": "UpstreamFailed",
        "all": None,
    }


def test_a_member_that_has_not_begun_begins_whatever_its_retries(
    serve: Start, end: End, runner: Any, look: Look, until: Any
) -> None:
    flow, group = create_flow("shop", max_concurrency=4), ConcurrencyGroup(1, name="narrow")
    for name in ("first", "second"):
        flow.task(name=name, runner=runner, max_concurrency=group)(lambda: {})
    flow.task(name="last", inputs=["first", "second"], runner=runner, run_strategy="any_success")(lambda a, b: {})
    first = serve(flow)
    run = first.submit(flow.jobs["last"], with_inputs=True)
    began = runner.next()
    until(first, lambda: len(rows(first)) == 3)
    end(first)

    second = serve(flow)
    attempt = runner.next()
    assert {began.job.name, attempt.job.name} == {"first", "second"}
    assert attempt.request.attempt == 1
    attempt.succeed({})
    last = runner.next()
    last.succeed({"n": 1})
    wait(until, second, look, run.id)

    assert look(second, run.id)["output"] == {"n": 1}


def test_a_server_that_stops_lets_a_run_begin_nothing_more_and_waits_for_what_has_begun(
    serve: Start, runner: Any, look: Look, until: Any, attempts: Attempts
) -> None:
    flow = chain(runner, retries=0)
    flow.task(name="part", cat_partitions=list("abcd"), runner=runner, max_concurrency=1)(lambda a: {})
    first = serve(flow)
    dag = first.submit(flow.jobs["last"], with_inputs=True)
    begun = [runner.next(), runner.next()]
    runs = [
        first.submit_partitions(flow.jobs["part"], PartitionSelection()),
        first.submit_map(flow.jobs["part"], [{"cat_partition": "a"}, {"cat_partition": "b"}], max_concurrency=1),
    ]
    begun.append(runner.next())
    thread = threading.Thread(target=first.stop, args=(60,))
    thread.start()
    # each is left in its turn: until then a member that waits could be granted the place of one that ends
    while any(
        execution.state is State.PARKED or (execution.parent is None and not execution.stop.reason)
        for execution in first._resources.live.all()
    ):
        time.sleep(0.001)  # no event tells of what is left
    for attempt in begun:
        attempt.succeed({"n": 1})
    thread.join()

    assert runner.none_began()
    assert first.left == 3
    runner.answer = lambda attempt: attempt.succeed({"n": 2})
    second = serve(flow)
    for run in (dag, *runs):
        wait(until, second, look, run.id)
    assert runner.started == 4 + 4 + 2
    assert attempts(second, dag.id) == []


def test_what_waited_for_a_place_waits_again_and_a_manager_is_called_anew(
    serve: Start, end: End, runner: Any, look: Look, until: Any
) -> None:
    flow, group = create_flow("shop", max_concurrency=4), ConcurrencyGroup(1, name="narrow")
    holds = flow.task(name="holds", runner=runner, max_concurrency=group)(lambda: {})
    work = flow.task(name="work", runner=runner)(lambda: {})
    flow.manager(name="manage", retries=1)(lambda: work())
    flow.task(name="waits", runner=runner, max_concurrency=group)(lambda: {})
    flow.task(name="last", inputs=["manage", "waits"], runner=runner)(lambda *given: {})
    first = serve(flow)
    first.submit(holds)
    runner.next()
    run = first.submit(flow.jobs["last"], with_inputs=True)
    runner.next()
    until(first, lambda: ("waits", "queued", 1) in rows(first))
    end(first)

    second = serve(flow)
    for _ in range(3):
        runner.next().succeed({"n": 1})
    wait(until, second, look, run.id)

    assert sorted(rows(second)) == [
        ("holds", "error", 1),
        ("last", "success", 1),
        ("last", "success", 1),
        ("manage", "success", 2),
        ("waits", "success", 1),
        ("work", "error", 1),
        ("work", "success", 1),
    ]


def test_a_run_that_only_waits_for_next_attempts_is_left_at_once(
    serve: Start, runner: Any, look: Look, until: Any, attempts: Attempts
) -> None:
    flow = chain(runner, retries=2)
    for name in ("first", "beside"):
        flow.jobs[name].retry_delay = 3600
    first = serve(flow)
    run = first.submit(flow.jobs["last"], with_inputs=True)
    for attempt in (runner.next(), runner.next()):
        attempt.fail()
    until(first, lambda: len(rows(first, where="status = 'queued'")) == 2)

    assert first.stop(grace=3600)

    second = serve(flow)
    found = of_jobs(runner.next(), runner.next())
    assert {attempt.request.attempt for attempt in found.values()} == {2}
    for attempt in found.values():
        attempt.succeed({})
    runner.next().succeed({})
    runner.next().succeed({})
    wait(until, second, look, run.id)
    assert attempts(second, found["first"].request.execution_id) == [(1, "error", "ValueError")]


def test_the_run_of_a_tick_that_goes_on_is_still_going(
    serve: Start, end: End, runner: Any, look: Look, until: Any, clock: Any
) -> None:
    flow = create_flow("shop", timezone="UTC")
    schedule = Schedule("* * * * *", name="minutely", overlap="skip")
    flow.task(name="first", schedule=schedule, retries=1, runner=runner)(lambda: {})

    def last(_: Any) -> dict[str, Any]:
        return {}

    flow.task(name="last", schedule=schedule, inputs=["first"], runner=runner)(last)
    first = serve(flow)
    a_minute_later(clock)
    tick = runner.next().request
    end(first)

    second = serve(flow)
    again = runner.next()
    assert (again.request.scheduled_at, again.request.attempt) == (tick.scheduled_at, 2)
    a_minute_later(clock)
    until(second, lambda: len(second.store.schedules.ticks("shop", "minutely")) == 2)
    assert [known.outcome for known in second.store.schedules.ticks("shop", "minutely")] == ["overlap", "run"]
    again.succeed({})
    runner.next().succeed({})
    wait(until, second, look, 1)
    assert [scheduled for (scheduled,) in rows(second, "scheduled_at")] == [tick.scheduled_at] * 3


@pytest.mark.parametrize(
    ("jobs", "why"),
    [
        ({"new": [], "first": ["new"], "beside": [], "last": ["first"]}, "it has run job "),
        ({"first": [], "beside": [], "last": ["first"]}, "it has run job 'beside', which is no part of it any more."),
        ({"first": [], "beside": []}, "'last' is no job of flow 'shop' any more."),
    ],
)
def test_a_run_whose_definition_is_another_one_ends_with_the_reason(
    serve: Start, end: End, runner: Any, look: Look, jobs: dict[str, list[str]], why: str
) -> None:
    first = serve(chain(runner))
    run = first.submit(first.job("shop", "last"), with_inputs=True)
    runner.next(), runner.next()
    end(first)
    flow = create_flow("shop")
    for name, inputs in jobs.items():
        flow.task(name=name, inputs=inputs, retries=1, runner=runner)(lambda *given: {})

    second = serve(flow)

    error = look(second, run.id)["error"]
    assert error["type"] == "Interrupted"
    assert f"It can't be resumed: {why}" in error["message"]
    assert {status for (status,) in rows(second, "status")} == {"error"}


def test_a_job_that_was_to_run_whatever_its_run_key_still_is(
    serve: Start, end: End, runner: Any, look: Look, until: Any
) -> None:
    flow = create_flow("shop")
    load = flow.task(name="load", runner=runner, retries=1)(lambda a: a)
    first = serve(flow)
    done = first.submit(load, [{"run_key": "a"}])
    runner.next().succeed({})
    done.future.result()
    forced = first.submit(load, [{"run_key": "a"}], force=True)
    runner.next()
    end(first)

    second = serve(flow)
    runner.next().succeed({"n": 1})

    wait(until, second, look, forced.id)
