"""Whatever raises once an execution's end is decided: it ends, its callers are answered, and it holds nothing any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from microflow import Flow, StoreError, create_flow, current_execution, map_parallel, run_dag
from microflow.engine.admission.slots import Admission
from microflow.engine.background.timers import Timers
from microflow.engine.engine import Engine
from microflow.engine.execution import ending, execution, record
from microflow.engine.execution.live import Live
from microflow.engine.execution.observation import Observation
from microflow.engine.runs import batch, fanout
from microflow.engine.runs.sources import Calls
from microflow.model.events import EventBus
from microflow.runners.local.attempts import Attempt
from microflow.runners.local.chunk import Chunk
from microflow.runners.local.pool import ProcessPool
from microflow.runners.local.workers import Worker
from microflow.runtime import Progress
from microflow.store import Executions

Start = Callable[..., Engine]

PATIENCE = 60.0


def shop(runner: Any) -> Flow:
    """Jobs of which one at a time has a place, so that the others are parked; ``flaky`` fails at first."""
    flow = create_flow("shop", max_concurrency=1)

    @flow.task(runner=runner, cat_partitions=["red"])
    def load(a: dict[str, Any]) -> Any: ...

    @flow.task(runner=runner, retries=1, retry_delay=0)
    def flaky(a: dict[str, Any]) -> Any: ...

    @flow.task(runner=runner, inputs=["load"])
    def after(a: dict[str, Any]) -> Any: ...

    @flow.manager
    def nightly() -> Any:
        current_execution().progress(1, 2)
        flow.jobs["load"]({})
        return {"n": 1}

    return flow


def answer(attempt: Any) -> None:
    if attempt.job.name == "flaky" and attempt.request.attempt == 1:
        attempt.fail()
    else:
        attempt.observer.progress(Progress(1, 2))
        attempt.succeed({"n": 1}, cat_partition="red" if attempt.job.name == "load" else None)


def call(flow: Flow) -> Any:
    return [flow.jobs["load"]({})]


def submit(flow: Flow) -> Any:
    return [future.result(PATIENCE) for future in [flow.jobs["load"].submit({}) for _ in range(3)]]


def retried(flow: Flow) -> Any:
    return [future.result(PATIENCE) for future in [flow.jobs["flaky"].submit({}) for _ in range(2)]]


def mapping(flow: Flow) -> Any:
    return map_parallel(flow.jobs["flaky"], [{"n": n} for n in range(3)])


def dag(flow: Flow) -> Any:
    return [run_dag(flow.jobs["after"])]


def manager(flow: Flow) -> Any:
    return [flow.jobs["nightly"].submit().result(PATIENCE)]


def cancelled(flow: Flow) -> Any:
    futures = [flow.jobs["flaky"].submit({}) for _ in range(4)]
    caller: Any = flow.runtime
    for live in reversed(caller._resources.live.all()):
        live.cancel()
    return [future.result(PATIENCE) for future in futures]


SCENARIOS = [call, submit, retried, mapping, dag, manager, cancelled]

SEAMS: list[tuple[Any, str]] = [
    (ending, "name_partition"),
    (ending, "result_of"),
    (execution, "settle"),
    (record, "waiting_for_retry"),
    (record, "earlier_success"),
    (Progress, "_asdict"),
    (Observation, "close"),
    (Observation, "next_attempt"),
    (Executions, "finish"),
    (Executions, "retry"),
    (Executions, "start"),
    (Executions, "wait"),
    (Admission, "take"),
    (Admission, "park"),
    (Admission, "release"),
    (Admission, "withdraw"),
    (Live, "remove"),
    (EventBus, "publish"),
    (Timers, "later"),
    (Future, "set_result"),
]


class Broken:
    """While this lasts, one call of a function raises, before it does anything or after it did it."""

    def __init__(self, seam: tuple[Any, str], turn: int, late: bool, error: Exception) -> None:
        owner, name = seam
        self.raised = False
        whole = getattr(owner, name)
        turns = iter(range(turn, -1, -1))

        def broken(*given: Any, **named: Any) -> Any:
            is_now = next(turns, -1) == 0
            if is_now and not late:
                self.raised = True
                raise error
            value = whole(*given, **named)
            if is_now:
                self.raised = True
                raise error
            return value

        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(owner, name, broken)

    def __enter__(self) -> Broken:
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


def carried_out(scenario: Callable[[Flow], Any], flow: Flow) -> Any:
    """What became of a scenario, or what it raised; a caller that nobody answers is a failure."""
    ended: Future[Any] = Future()

    def carry_out() -> None:
        try:
            ended.whole = scenario(flow)  # type: ignore[attr-defined]  # set_result may be what is broken
        except Exception as error:
            ended.whole = error  # type: ignore[attr-defined]

    caller = threading.Thread(target=carry_out, daemon=True)
    caller.start()
    caller.join(PATIENCE)
    assert not caller.is_alive(), "a caller was not answered"
    return ended.whole  # type: ignore[attr-defined]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
@pytest.mark.parametrize("seam", SEAMS, ids=lambda seam: f"{seam[0].__name__.rpartition('.')[2]}.{seam[1]}")
def test_whatever_raises_at_the_end_of_an_execution_nothing_is_held(
    start: Start, runner: Any, seam: tuple[Any, str], scenario: Callable[[Flow], Any]
) -> None:
    runner.answer = answer
    flow = shop(runner)
    engine = start(flow)
    engine.events.subscribe(lambda _: None)
    for late in (False, True):
        for turn in range(3):
            for error in (RuntimeError("broken"), StoreError("broken")):
                with Broken(seam, turn, late, error):
                    results = carried_out(scenario, flow)
                assert results is error or isinstance(results, list), results
                assert engine._resources.live.wait_until_empty(
                    PATIENCE
                )  # a caller may have gone on before the others ended
                engine._resources.record_refused_ends()
                assert all(state.holders == [] and state.waiters == [] for state in engine.concurrency())
                assert unfinished(engine) == []
    assert [result.status for result in carried_out(call, flow)] == ["success"]
    assert engine.stop()


CHUNK_SEAMS: list[tuple[Any, str]] = [
    (ending, "result_of"),
    (batch, "record_start"),
    (fanout, "step_back"),
    (Attempt, "_handle"),
    (Attempt, "_drain"),
    (Chunk, "ended"),
    (Chunk, "give_back"),
    (Calls, "ended"),
    (Executions, "finish"),
    (Executions, "start"),
    (Admission, "pass_on"),
    (Admission, "release"),
    (ProcessPool, "_give_back"),
    (Worker, "close"),
    (Live, "remove"),
    (EventBus, "publish"),
]


@pytest.mark.parametrize("seam", CHUNK_SEAMS, ids=lambda seam: f"{seam[0].__name__.rpartition('.')[2]}.{seam[1]}")
def test_whatever_raises_at_the_end_of_one_in_a_chunk_nothing_is_held(start: Start, seam: tuple[Any, str]) -> None:
    flow = create_flow("shop", max_concurrency=2)

    @flow.task
    def load(a: dict[str, Any]) -> dict[str, Any]:
        if a["n"] == 3:
            time.sleep(0.02)  # the worker gives back those behind it
        return a

    def many(flow: Flow) -> Any:
        return map_parallel(flow.jobs["load"], [{"n": n % 40} for n in range(120)])

    engine = start(flow)
    engine.events.subscribe(lambda _: None)
    assert len(many(flow)) == 120
    for late in (False, True):
        for turn in (0, 7):
            for error in (RuntimeError("broken"), StoreError("broken")):
                with Broken(seam, turn, late, error):
                    results = carried_out(many, flow)
                assert results is error or (isinstance(results, list) and len(results) == 120), results
                assert engine._resources.live.wait_until_empty(PATIENCE)
                engine._resources.record_refused_ends()
                assert all(state.holders == [] and state.waiters == [] for state in engine.concurrency())
                assert unfinished(engine) == []
    assert [result.status for result in many(flow)] == ["success"] * 120
    assert engine.stop()


def unfinished(engine: Engine) -> list[Any]:
    return engine.store.database.read_text(
        "SELECT id, job, status FROM executions WHERE status IN ('queued', 'running')"
    )
