"""Limits in a running engine: never exceeded, never leaked, shared as declared; who could only wait for itself is told so."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from microflow import ConcurrencyGroup, Flow, create_flow, map_parallel, run_dag, run_parallel
from microflow.engine.admission import limits
from microflow.engine.engine import Engine

Start = Callable[..., Engine]


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop", max_concurrency=3)


# Waiting for oneself


def test_a_call_that_waits_for_its_own_caller_fails_at_once(flow: Flow, start: Start) -> None:
    group = ConcurrencyGroup(1, name="api")
    load = flow.task(name="load", runner="thread", max_concurrency=group)(lambda a: a)
    inner = flow.manager(name="inner", max_concurrency=group)(lambda: {})
    other = flow.task(name="other", runner="thread")(lambda: {"fine": True})

    @flow.manager(max_concurrency=group)
    def outer() -> Any:
        results = [load({}), inner(), *map_parallel(load, [{}, {}]), *run_parallel((load, {}), other)]
        return [{"errors": [result.error.type if result.error else str(result.status) for result in results]}]

    engine = start(flow)

    assert outer() == [{"errors": ["DeadlockError"] * 5 + ["success"]}]
    message = load_error(engine)
    assert message == (
        "This call would wait for ever: the limit of 1 of 'api' is held only by its own callers (execution 1), which wait for it. "
        "Raise the limit, or take it from the caller."
    )
    assert load({"n": 1}) == {"n": 1}


def load_error(engine: Engine) -> str:
    from microflow.model.payloads import decode

    ((error,),) = engine.store.database.read_text("SELECT error FROM executions WHERE id = 2")
    return str(decode(error)["message"])


def test_a_manager_that_calls_itself_with_its_own_run_key_fails_at_once(flow: Flow, start: Start) -> None:
    @flow.manager
    def manage(a: dict[str, Any]) -> Any:
        return manage(a)

    start(flow)

    result = manage({"run_key": "k"})

    assert result.error is not None
    assert result.error.type == "DeadlockError"
    assert "run key 'k'" in result.error.message


def test_managers_that_wait_for_each_other_do_not_wait_for_ever(flow: Flow, start: Start) -> None:
    """Of two that fill a group and call a task of it, one is told; then the other has its turn."""
    group, both = ConcurrencyGroup(2, name="api"), threading.Barrier(2)
    load = flow.task(name="load", runner="thread", max_concurrency=group)(lambda: {})
    report = flow.task(name="report", runner="thread", inputs=[load])(lambda a: {})

    def outcomes(results: list[Any]) -> dict[str, Any]:
        return {"ended": [result.error.type if result.error else str(result.status) for result in results]}

    @flow.manager(max_concurrency=group)
    def manage(a: dict[str, Any]) -> Any:
        both.wait(60)
        return outcomes([[load()], map_parallel(load, [()]), [run_dag(report)]][a["n"]])

    start(flow)

    for n, told in enumerate(("DeadlockError", "DeadlockError", "UpstreamFailed")):
        results = map_parallel(manage, [{"n": n}, {"n": n}])
        assert sorted(result["ended"] for result in results) == [[told], ["success"]]


def test_jobs_that_call_each_other_with_run_keys_do_not_wait_for_ever(flow: Flow, start: Start) -> None:
    both = threading.Barrier(2)

    @flow.manager
    def one(a: dict[str, Any]) -> Any:
        if a.get("inner"):
            return {}
        both.wait(60)
        return {"ended": str(other({"run_key": "k", "inner": True}).status)}

    @flow.manager
    def other(a: dict[str, Any]) -> Any:
        if a.get("inner"):
            return {}
        both.wait(60)
        return {"ended": str(one({"run_key": "k", "inner": True}).status)}

    start(flow)

    results = run_parallel((one, {"run_key": "k"}), (other, {"run_key": "k"}))
    assert sorted(result["ended"] for result in results) == ["error", "skipped"]


# Never exceeded


def test_many_managers_and_tasks_keep_every_limit(flow: Flow, start: Start) -> None:
    api, customer = ConcurrencyGroup(2, name="api"), ConcurrencyGroup(1, name="customer", key="customer")
    lock, now, most = threading.Lock(), Counter[str](), Counter[str]()

    def busy(*names: str) -> None:
        with lock:
            now.update(names)
            for name in now:
                most[name] = max(most[name], now[name])
        threading.Event().wait(0.0005)  # let others try to get in
        with lock:
            now.subtract(names)

    @flow.task(runner="thread", max_concurrency=api)
    def ask(a: dict[str, Any]) -> Any:
        busy("flow", "api")
        return a

    @flow.task(runner="thread", max_concurrency=[api, customer])
    def serve(a: dict[str, Any]) -> Any:
        busy("flow", "api", f"customer {a['customer']}")
        return a

    @flow.task(runner="thread", max_concurrency=1)
    def alone(a: dict[str, Any]) -> Any:
        busy("flow", "alone")
        return a

    @flow.manager(max_concurrency=4)
    def manage(a: dict[str, Any]) -> Any:
        busy("manage")
        items = [{"customer": number % 3} for number in range(6)]
        first = map_parallel([ask, serve, alone][a["n"] % 3], items)
        return first + run_parallel(*((job, items[0]) for job in (ask, serve, alone)))

    engine = start(flow)
    results = map_parallel(manage, [{"n": n} for n in range(12)])

    assert all(results), results
    limits_of = {"flow": 3, "api": 2, "alone": 1, "manage": 4, **{f"customer {n}": 1 for n in range(3)}}
    assert all(most[name] <= limits_of[name] for name in most), most
    assert set(most) == set(limits_of)
    assert all(state.holders == [] and state.waiters == [] for state in engine.concurrency())


def test_what_the_engine_tells_of_its_limits(flow: Flow, start: Start, runner: Any) -> None:
    api = ConcurrencyGroup(1, name="api")
    load = flow.task(name="load", runner=runner, max_concurrency=api)(lambda a: a)
    engine = start(flow)
    running, first, second = (engine.submit(load, [{}]) for _ in range(3))
    attempt = runner.next()

    states = {state.name: state for state in engine.concurrency()}

    assert (states["api"].limit, states["api"].holders, states["api"].waiters) == (
        1,
        [running.id],
        [first.id, second.id],
    )
    assert (states["shop"].limit, states["shop"].holders, states["shop"].waiters) == (3, [running.id], [])
    assert engine.held_by(second.id) == [running.id]
    assert engine.held_by(running.id) == []
    attempt.succeed({})
    for _ in range(2):
        runner.next().succeed({})
    second.future.result()


def test_managers_take_places_only_in_limits_given_to_them(flow: Flow, start: Start) -> None:
    together = threading.Barrier(8)
    manage = flow.manager(name="manage")(lambda a: {"n": together.wait(60)})
    start(flow)

    assert len({result["n"] for result in map_parallel(manage, [{}] * 8)}) == 8


# The default


@pytest.mark.parametrize(
    ("quota", "cores", "expected"), [(None, 8, 8), (2.0, 8, 2), (1.5, 8, 2), (0.2, 8, 1), (16.0, 8, 8)]
)
def test_the_default_is_what_affinity_and_container_allow(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, cores: int, expected: int
) -> None:
    monkeypatch.setattr(limits, "_container_quota", lambda: quota)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)

    assert limits.available_cores() == expected
