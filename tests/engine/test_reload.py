"""An engine that serves other definitions: new executions have the new jobs, what was begun keeps its own, limits are shared."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from microflow import Flow, create_flow, run_dag
from microflow.engine.engine import Engine
from microflow.errors import ConflictError, DefinitionError, FlowCheckError, UnknownNameError
from microflow.model.events import Event

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]


def shop(runner: Any, label: str, **arguments: Any) -> Flow:
    """A flow whose job ``load`` runs in ``runner``; ``label`` tells the versions apart."""
    flow = create_flow("shop", **arguments)
    flow.task(name="load", runner=runner)(lambda a=None: {"label": label})
    flow.jobs["load"].label = label  # type: ignore[attr-defined]
    return flow


def label_of(attempt: Any) -> str:
    return str(attempt.job.label)


# What runs, and what is new


def test_the_next_execution_is_of_the_new_jobs_and_the_one_that_runs_keeps_its_own(start: Start, runner: Any) -> None:
    engine = start(shop(runner, "old"))
    begun = engine.submit(engine.job("shop", "load"))
    first = runner.next()

    engine.serve([shop(runner, "new")])
    later = engine.submit(engine.job("shop", "load"))
    second = runner.next()

    assert (label_of(first), label_of(second)) == ("old", "new")
    first.succeed({})
    second.succeed({})
    assert begun.future.result().status == later.future.result().status == "success"


def test_a_manager_that_runs_goes_on_calling_the_jobs_of_its_own_version(start: Start, runner: Any) -> None:
    old = shop(runner, "old")
    served = threading.Event()

    @old.manager
    def nightly() -> Any:
        load = old.jobs["load"]
        first = load()
        assert served.wait(60)
        return [first, load(), *run_dag(load, load)]

    engine = start(old)
    begun = engine.submit(old.jobs["nightly"])
    attempts = [runner.next()]
    attempts[0].succeed({})
    engine.serve([shop(runner, "new")])
    served.set()
    for _ in range(2):
        attempts.append(runner.next())
        attempts[-1].succeed({})

    assert begun.future.result().status == "success"
    assert [label_of(attempt) for attempt in attempts] == ["old"] * 3


def test_what_was_queued_before_runs_as_it_was_accepted(start: Start, runner: Any) -> None:
    engine = start(shop(runner, "old", max_concurrency=1))
    both = [engine.submit(engine.job("shop", "load")) for _ in range(2)]
    first = runner.next()

    engine.serve([shop(runner, "new", max_concurrency=1)])
    first.succeed({})
    second = runner.next()
    second.succeed({})

    assert label_of(second) == "old"
    assert [each.future.result().status for each in both] == ["success", "success"]


def test_the_next_attempt_of_what_failed_keeps_its_version_and_a_retry_has_the_new_one(
    start: Start, runner: Any, clock: Any, until: Any, look: Look
) -> None:
    def version(label: str) -> Flow:
        flow = create_flow("shop")
        flow.task(name="load", runner=runner, retries=1, retry_delay=10)(lambda: {})
        flow.jobs["load"].label = label  # type: ignore[attr-defined]
        return flow

    engine = start(version("old"), clock=clock)
    begun = engine.submit(engine.job("shop", "load"))
    runner.next().fail()
    until(engine, lambda: look(engine, begun.id)["status"] == "queued")
    engine.serve([version("new")])

    clock.until_asleep(10)
    clock.advance(10)
    again = runner.next()
    again.fail()
    assert label_of(again) == "old"
    assert begun.future.result().status == "error"

    engine.retry(begun.id)
    retried = runner.next()
    retried.succeed({})
    assert label_of(retried) == "new"


def test_a_mapping_that_runs_keeps_its_version(start: Start, runner: Any) -> None:
    engine = start(shop(runner, "old", max_concurrency=1))
    mapping = engine.submit_map(engine.job("shop", "load"), [{"n": n} for n in range(3)])
    first = runner.next()
    engine.serve([shop(runner, "new", max_concurrency=1)])
    seen = [first]
    first.succeed({})
    for _ in range(2):
        seen.append(runner.next())
        seen[-1].succeed({})

    assert mapping.future.result().status == "success"
    assert [label_of(attempt) for attempt in seen] == ["old"] * 3


def test_a_job_that_is_gone_can_no_longer_be_asked_for_and_what_runs_of_it_ends(start: Start, runner: Any) -> None:
    old = shop(runner, "old")
    old.task(name="extra", runner=runner)(lambda: {})
    engine = start(old)
    begun = engine.submit(old.jobs["extra"])
    attempt = runner.next()

    engine.serve([shop(runner, "new")])
    attempt.succeed({"fine": True})

    assert begun.future.result() == {"fine": True}
    with pytest.raises(UnknownNameError):
        engine.job("shop", "extra")
    with pytest.raises(UnknownNameError):
        engine.retry(begun.id)


def test_a_flow_of_another_name_takes_the_place_of_the_old_one(start: Start, runner: Any) -> None:
    engine = start(shop(runner, "old"))
    other = create_flow("store")
    other.task(name="load", runner=runner)(lambda: {})

    engine.serve([other])

    assert list(engine.flows) == ["store"]
    with pytest.raises(UnknownNameError):
        engine.flow("shop")
    engine.submit(engine.job("store", "load"))
    runner.next().succeed({})


def test_a_call_outside_any_execution_finds_the_engine_by_the_new_flow_and_by_the_old_one(
    start: Start, runner: Any
) -> None:
    runner.answer = lambda attempt: attempt.succeed({"label": label_of(attempt)})
    old, new = shop(runner, "old"), shop(runner, "new")
    engine = start(old)
    engine.serve([new])

    assert new.jobs["load"]() == {"label": "new"}
    assert old.jobs["load"]() == {"label": "old"}  # a thread that its module started has it still

    engine.stop(grace=5)
    assert old.runtime is None
    assert new.runtime is None


# What is refused


def test_definitions_with_mistakes_are_refused_with_all_of_them_and_everything_stays(start: Start, runner: Any) -> None:
    engine = start(shop(runner, "old"))
    told: list[Event] = []
    engine.events.subscribe(told.append)
    broken = shop(runner, "new")
    broken.task(name="a", inputs=["nobody"])(lambda x: {})
    broken.task(name="b", retries=-1)(lambda: {})

    with pytest.raises(FlowCheckError) as refused:
        engine.serve([broken])
    assert "nobody" in str(refused.value)
    assert "retries" in str(refused.value)
    with pytest.raises(DefinitionError, match="Two flows are named 'shop'"):
        engine.serve([shop(runner, "new"), shop(runner, "newer")])

    assert broken.runtime is None
    assert told == []
    engine.submit(engine.job("shop", "load"))
    attempt = runner.next()
    attempt.succeed({})
    assert label_of(attempt) == "old"


def test_an_engine_that_stops_serves_nothing_else(start: Start, runner: Any) -> None:
    engine = start(shop(runner, "old"))
    engine.stop(grace=5)

    with pytest.raises(ConflictError, match="stopping"):
        engine.serve([shop(runner, "new")])


def test_whoever_listens_is_told_that_the_code_is_another_one(start: Start, runner: Any) -> None:
    engine = start(shop(runner, "old"))
    told: list[Event] = []
    engine.events.subscribe(told.append)

    engine.serve([shop(runner, "new")])

    assert told == [Event("code")]


# What is left behind


def limited(runner: Any) -> Flow:
    flow = create_flow("shop", max_concurrency=8)
    flow.task(name="load", runner=runner, max_concurrency=2)(lambda a: {})
    return flow


def test_definitions_that_were_replaced_are_freed_once_nothing_of_them_lives(start: Start, runner: Any) -> None:
    engine = start(limited(runner))
    old = weakref.ref(engine.flow("shop"))
    begun = engine.submit(engine.job("shop", "load"), [{}])
    attempt = runner.next()

    engine.serve([limited(runner)])
    gc.collect()
    assert old() is not None

    attempt.succeed({})
    begun.future.result()
    del attempt, begun
    assert engine._resources.live.wait_until_empty(60)
    seen = [old]
    for _ in range(3):
        seen.append(weakref.ref(engine.flow("shop")))
        engine.serve([limited(runner)])
    gc.collect()
    assert [flow() for flow in seen] == [None] * 4
    assert len(engine._resources.limits._flows) == len(engine._resources.limits._groups) == 1


def test_definitions_that_name_another_store_are_refused(runner: Any, tmp_path: Any) -> None:
    def version(store: str) -> Flow:
        return shop(runner, store, store=f"sqlite:///{tmp_path.as_posix()}/{store}.db")

    engine = Engine([version("one")])
    engine.start()
    try:
        engine.serve([version("one")])
        with pytest.raises(
            DefinitionError, match=r"name the store .*two\.db now, and this server has .*one\.db; start it again"
        ):
            engine.serve([version("two")])
    finally:
        engine.stop(grace=0)


def test_a_runner_of_a_users_own_is_closed_once_no_version_needs_it(start: Start, runner: Any, clock: Any) -> None:
    closed, other = threading.Event(), type(runner)()
    runner.close = closed.set
    engine = start(shop(runner, "old"), clock=clock)
    engine.serve([shop(runner, "newer")])
    begun = engine.submit(engine.job("shop", "load"))
    attempt = runner.next()
    engine.serve([shop(other, "newest")])
    assert not closed.is_set()

    attempt.succeed({})
    assert begun.future.result().status == "success"
    assert engine._resources.live.wait_until_empty(60)
    clock.until_asleep(30)
    clock.advance(30)
    assert closed.wait(60)
    assert other.closed == 0


# When the server stops


@pytest.mark.parametrize("is_there", [True, False])
def test_what_has_attempts_left_waits_for_the_next_server_if_its_job_is_still_there(
    start: Start, runner: Any, clock: Any, until: Any, look: Look, is_there: bool
) -> None:
    def version(name: str) -> Flow:
        flow = create_flow("shop")
        flow.task(name=name, runner=runner, retries=1, retry_delay=1000)(lambda: {})
        return flow

    engine = start(version("load"), kind="server", clock=clock)
    number = engine.submit(engine.job("shop", "load")).id
    runner.next().fail()
    until(engine, lambda: look(engine, number)["status"] == "queued")
    engine.serve([version("load" if is_there else "other")])
    engine.stop(grace=0)

    following = start(version("load" if is_there else "other"), kind="server", clock=clock)
    if is_there:
        again = runner.next()
        again.succeed({})
        assert again.request.attempt == 2
        until(following, lambda: look(following, number)["status"] == "success")
    else:
        assert look(following, number)["status"] == "error"
        assert runner.none_began()


def test_a_dag_run_that_runs_keeps_the_shape_and_the_jobs_it_began_with(start: Start, runner: Any) -> None:
    def version(label: str, *names: str) -> Flow:
        flow = create_flow("shop", max_concurrency=4)
        for number, name in enumerate(names):
            inputs = list(names[number - 1 : number]) if number else []
            flow.task(name=name, runner=runner, inputs=inputs)(lambda *given: {})
            flow.jobs[name].label = label  # type: ignore[attr-defined]
        return flow

    engine = start(version("old", "first", "middle", "last"))
    begun = engine.submit(engine.job("shop", "last"), with_inputs=True)
    seen = [runner.next()]
    engine.serve([version("new", "first", "last")])
    seen[0].succeed({})
    for _ in range(2):
        seen.append(runner.next())
        seen[-1].succeed({})

    assert begun.future.result().status == "success"
    assert [(each.job.name, label_of(each)) for each in seen] == [("first", "old"), ("middle", "old"), ("last", "old")]
    engine.submit(engine.job("shop", "last"), with_inputs=True)
    for name in ("first", "last"):
        attempt = runner.next()
        attempt.succeed({})
        assert (attempt.job.name, label_of(attempt)) == (name, "new")
