"""Pausing, resuming and cancelling a run over partitions, and what stops it from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from microflow import ConflictError, Flow, UnknownNameError
from microflow.engine.engine import Engine
from microflow.runtime import PartitionSelection

Start = Callable[..., Engine]


@pytest.fixture
def load(flow: Flow, runner: Any) -> Any:
    @flow.task(runner=runner, max_concurrency=1, cat_partitions=["a", "b", "c"])
    def load(a: dict[str, Any]) -> Any:
        raise AssertionError("the fake runner answers for it")

    return load


def test_a_paused_run_begins_nothing_new(
    load: Any, start: Start, runner: Any, look: Any, until: Any, clock: Any
) -> None:
    engine = start(load.flow)
    run = engine.submit_partitions(load, PartitionSelection())
    attempt = runner.next()
    engine.pause(run.id)

    row = look(engine, run.id)
    assert row["status"] == "running"
    assert row["waiting"] == {
        "reason": "paused",
        "message": "it is paused: what it has begun goes on, and nothing new is begun",
        "since": clock.now(),
    }
    attempt.succeed({})
    until(engine, lambda: engine.partitions.grid(load).lines == ["s", ".", "."])
    until(engine, lambda: engine.progress(run.id) == (1, 3, None))
    assert runner.none_began()

    engine.resume(run.id)
    assert look(engine, run.id)["waiting"] is None
    runner.next().succeed({})
    runner.next().succeed({})
    assert run.future.result().output == {"success": 3}


def test_pausing_twice_or_resuming_what_runs_is_a_conflict(load: Any, start: Start, runner: Any) -> None:
    engine = start(load.flow)
    run = engine.submit_partitions(load, PartitionSelection())
    attempt = runner.next()
    child = run.id + 1

    with pytest.raises(ConflictError, match="is not paused, so it can't be resumed"):
        engine.resume(run.id)
    engine.pause(run.id)
    with pytest.raises(ConflictError, match="is paused already"):
        engine.pause(run.id)
    with pytest.raises(ConflictError, match="is one task of 'load'; only a run over many inputs"):
        engine.pause(child)
    with pytest.raises(UnknownNameError, match="no execution 99"):
        engine.pause(99)
    engine.cancel(run.id)
    attempt.end(None)
    run.future.result()
    for act in (engine.pause, engine.resume):
        with pytest.raises(ConflictError, match=r"has ended \(cancelled\)"):
            act(run.id)


def test_a_paused_run_can_be_cancelled(load: Any, start: Start, runner: Any, until: Any) -> None:
    engine = start(load.flow)
    run = engine.submit_partitions(load, PartitionSelection())
    attempt = runner.next()
    engine.pause(run.id)
    attempt.succeed({})
    until(engine, lambda: engine.progress(run.id) == (1, 3, None))

    engine.cancel(run.id)

    assert run.future.result().status == "cancelled"
    assert runner.started == 1
    assert engine.partitions.grid(load).lines == ["s", ".", "."]


def test_a_paused_run_with_nothing_left_to_begin_ends(load: Any, start: Start, runner: Any) -> None:
    engine = start(load.flow)
    run = engine.submit_partitions(load, PartitionSelection(cat_partitions=["a"]))
    attempt = runner.next()
    engine.pause(run.id)
    attempt.succeed({})

    assert run.future.result().status == "success"


def test_an_engine_that_stops_does_not_wait_for_paused_runs(load: Any, start: Start, runner: Any, look: Any) -> None:
    engine = start(load.flow)
    run = engine.submit_partitions(load, PartitionSelection())
    attempt = runner.next()
    engine.pause(run.id)
    attempt.succeed({})

    assert engine.stop(grace=60)
    error = run.future.result().error
    assert error is not None
    assert error.type == "Interrupted"
    engine = start(load.flow)
    assert engine.partitions.grid(load).lines == ["s", ".", "."]
    again = engine.retry(run.id)
    runner.next().succeed({})
    runner.next().succeed({})
    assert again.future.result().output == {"success": 2}


def test_with_inputs_what_has_begun_ends_as_a_whole(flow: Flow, start: Start, runner: Any, until: Any) -> None:
    @flow.task(runner=runner, cat_partitions=["a", "b"])
    def fetch(a: dict[str, Any]) -> Any:
        raise AssertionError("the fake runner answers for it")

    @flow.task(runner=runner, inputs=[fetch], cat_partitions=["a", "b"])
    def load(a: dict[str, Any]) -> Any:
        raise AssertionError("the fake runner answers for it")

    engine = start(flow)
    run = engine.submit_partitions(load, PartitionSelection(), with_inputs=True, max_concurrency=1)
    attempt = runner.next()
    engine.pause(run.id)
    attempt.succeed({})
    attempt = runner.next()
    assert attempt.job is load
    attempt.succeed({})
    until(engine, lambda: engine.progress(run.id) == (1, 2, None))
    assert runner.none_began()

    engine.resume(run.id)
    runner.next().succeed({})
    runner.next().succeed({})
    assert run.future.result().output == {"success": 2}


def test_a_mapping_over_inputs_can_be_paused_too(flow: Flow, start: Start, runner: Any, until: Any) -> None:
    @flow.task(runner=runner, max_concurrency=1)
    def work(a: dict[str, Any]) -> Any:
        raise AssertionError("the fake runner answers for it")

    engine = start(flow)
    run = engine.submit_map(work, [{"x": 1}, {"x": 2}])
    attempt = runner.next()
    engine.pause(run.id)
    attempt.succeed({})
    until(engine, lambda: engine.progress(run.id) == (1, 2, None))
    engine.resume(run.id)
    runner.next().succeed({})

    assert run.future.result().status == "success"
