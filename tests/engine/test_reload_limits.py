"""Limits while the definitions are replaced: both versions share them, and the newest one says how many places they have."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from microflow import ConcurrencyGroup, ExecutionStatus, Flow, create_flow, map_parallel
from microflow.engine.engine import Engine
from microflow.runners.base import Outcome

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]


def grouped(runner: Any, places: int, **group: Any) -> Flow:
    flow = create_flow("shop", max_concurrency=8)
    flow.task(name="load", runner=runner, max_concurrency=ConcurrencyGroup(places, name="api", **group))(lambda a: {})
    return flow


def only_number(runner: Any, places: int) -> Flow:
    flow = create_flow("shop", max_concurrency=8)
    flow.task(name="load", runner=runner, max_concurrency=places)(lambda a: {})
    return flow


def of_flow(runner: Any, places: int) -> Flow:
    flow = create_flow("shop", max_concurrency=places)
    flow.task(name="load", runner=runner)(lambda a=None: {})
    return flow


def keyed(runner: Any, places: int) -> Flow:
    return grouped(runner, places, key="customer")


@pytest.mark.parametrize("version", [of_flow, grouped, only_number, keyed])
def test_a_limit_of_both_versions_is_one_limit(start: Start, runner: Any, version: Any, until: Any, look: Look) -> None:
    engine = start(version(runner, 1))
    given = [{"customer": "a"}]
    engine.submit(engine.job("shop", "load"), given)
    first = runner.next()

    engine.serve([version(runner, 1)])
    waiting = engine.submit(engine.job("shop", "load"), given)
    assert look(engine, waiting.id)["status"] == "queued"
    assert engine.held_by(waiting.id) == [1]
    assert runner.none_began()

    first.succeed({})
    runner.next().succeed({})
    assert waiting.future.result().status == "success"


@pytest.mark.parametrize("version", [of_flow, grouped, only_number, keyed])
def test_a_limit_with_more_places_lets_in_who_waits_already(start: Start, runner: Any, version: Any) -> None:
    engine = start(version(runner, 1))
    given = [{"customer": "a"}]
    for _ in range(3):
        engine.submit(engine.job("shop", "load"), given)
    attempts = [runner.next()]
    assert runner.none_began()

    engine.serve([version(runner, 2)])

    attempts.append(runner.next())
    assert runner.none_began()
    attempts[0].succeed({})
    attempts.append(runner.next())
    for attempt in attempts[1:]:
        attempt.succeed({})


@pytest.mark.parametrize("version", [of_flow, grouped, only_number, keyed])
def test_a_limit_with_fewer_places_lets_nobody_in_until_enough_are_free(
    start: Start, runner: Any, version: Any, until: Any, look: Look
) -> None:
    engine = start(version(runner, 2))
    given = [{"customer": "a"}]
    numbers = [engine.submit(engine.job("shop", "load"), given).id for _ in range(3)]
    attempts = [runner.next(), runner.next()]

    engine.serve([version(runner, 1)])

    attempts[0].succeed({})
    ended = attempts[0].request.execution_id
    until(engine, lambda: look(engine, ended)["status"] == "success")
    assert look(engine, numbers[2])["status"] == "queued"
    attempts[1].succeed({})
    runner.next().succeed({})


def test_groups_of_one_name_in_one_flow_stay_different_limits_and_find_their_own_again(
    start: Start, runner: Any
) -> None:
    def version() -> Flow:
        flow = create_flow("shop", max_concurrency=8)
        for name, places in (("first", 1), ("second", 2)):
            group = ConcurrencyGroup(places, name="api")
            flow.task(name=name, runner=runner, max_concurrency=group)(lambda: {})
        return flow

    engine = start(version())
    engine.submit(engine.job("shop", "first"))
    first = runner.next()
    engine.serve([version()])
    engine.submit(engine.job("shop", "second"))
    second = runner.next()
    waits = engine.submit(engine.job("shop", "first"))

    assert engine.held_by(waits.id) == [1]
    assert sorted(state.limit for state in engine.concurrency() if state.name == "api") == [1, 2]
    first.succeed({})
    second.succeed({})
    runner.next().succeed({})


def test_a_run_key_runs_once_at_a_time_across_versions(start: Start, runner: Any) -> None:
    engine = start(of_flow(runner, 8))
    engine.submit(engine.job("shop", "load"), [{"run_key": "k"}])
    first = runner.next()
    engine.serve([of_flow(runner, 8)])
    second = engine.submit(engine.job("shop", "load"), [{"run_key": "k"}])

    assert runner.none_began()
    first.succeed({"done": True})

    result = second.future.result()
    assert (str(result.status), dict(result)) == ("skipped", {"done": True})


def test_a_call_that_waits_for_its_own_caller_since_its_limit_shrank_is_let_in(
    start: Start, runner: Any, until: Any
) -> None:
    def version(places: int) -> Flow:
        flow = create_flow("shop", max_concurrency=8)
        group = ConcurrencyGroup(places, name="api")
        flow.task(name="load", runner=runner, max_concurrency=group)(lambda: {})

        @flow.manager(max_concurrency=group)
        def manage() -> Any:
            return flow.jobs["load"]()

        return flow

    engine = start(version(2))
    engine.submit(engine.job("shop", "load"))
    other = runner.next()
    managing = engine.submit(engine.job("shop", "manage"))
    until(engine, lambda: engine.held_by(3))  # what the manager called waits for a place
    engine.serve([version(1)])

    other.succeed({})  # now the manager alone holds the only place, and waits for the call that waits for it
    runner.next().succeed({"fine": True})
    assert managing.future.result() == {"fine": True}


def test_limits_are_shown_as_the_new_version_has_them_and_others_as_long_as_they_are_used(
    start: Start, runner: Any
) -> None:
    engine = start(grouped(runner, 3))
    engine.submit(engine.job("shop", "load"), [{}])
    attempt = runner.next()

    engine.serve([of_flow(runner, 5)])
    assert {(state.name, state.limit, len(state.holders)) for state in engine.concurrency()} == {
        ("shop", 5, 1),
        ("api", 3, 1),
    }
    attempt.succeed({})
    assert engine._resources.live.wait_until_empty(60)
    assert {(state.name, state.limit) for state in engine.concurrency()} == {("shop", 5)}


def test_no_limit_is_exceeded_and_nothing_is_lost_while_definitions_are_replaced_again_and_again(start: Start) -> None:
    busiest: dict[str, int] = {}
    now: Counter[str] = Counter()
    lock = threading.Lock()

    class Counting:
        def run(self, job: Any, request: Any, observer: Any) -> Outcome:
            with lock:
                now[job.name] += 1
                busiest[job.name] = max(busiest.get(job.name, 0), now[job.name])
            threading.Event().wait(0.001)
            with lock:
                now[job.name] -= 1
            return Outcome(ExecutionStatus.SUCCESS, b"{}")

        def close(self) -> None:
            """Nothing is kept."""

    runner = Counting()

    def version() -> Flow:
        flow = create_flow("shop", max_concurrency=6)
        flow.task(name="one", runner=runner, max_concurrency=1)(lambda a: {})
        flow.task(name="two", runner=runner, max_concurrency=ConcurrencyGroup(2, name="api"))(lambda a: {})

        @flow.manager
        def both() -> Any:
            return [*map_parallel(flow.jobs["two"], [{}] * 4), flow.jobs["one"]({})]

        return flow

    engine = start(version())
    ended = threading.Event()

    def reload() -> None:
        while not ended.is_set():
            engine.serve([version()])

    reloading = threading.Thread(target=reload)
    reloading.start()
    begun = [engine.submit(engine.job("shop", "both")) for _ in range(40)]
    begun += [engine.submit(engine.job("shop", name), [{}]) for name in ("one", "two") for _ in range(40)]
    try:
        assert {str(each.future.result(60).status) for each in begun} == {"success"}
    finally:
        ended.set()
        reloading.join(60)

    assert engine.reloads
    assert busiest["one"] == 1
    assert busiest["two"] <= 2
    assert all(not state.holders and not state.waiters for state in engine.concurrency())
