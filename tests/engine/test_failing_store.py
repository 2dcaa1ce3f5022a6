"""A store that refuses one statement, whichever: the execution ends with a clear error, nothing leaks, the engine goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from microflow import ConflictError, Flow, StoreError, create_flow, current_execution, map_parallel, run_dag
from microflow.engine.engine import Engine
from microflow.store.database import Values
from microflow.store.sqlite.database import Database

Start = Callable[..., Engine]

FULL = "The store failed: database or disk is full."


@contextmanager
def failing(numbers: range, error: type[Exception] = StoreError) -> Iterator[list[str]]:
    """While this lasts, those of the statements that are written fail; the list tells which were tried."""
    tried: list[str] = []
    carry_out = Database.execute_text

    def execute_text(self: Database, text: str, values: Values) -> Any:
        tried.append(text.split("(")[0].strip()[:40])
        if len(tried) in numbers:
            raise error(FULL)
        return carry_out(self, text, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "execute_text", execute_text)
        yield tried


def shop(runner: Any) -> Flow:
    """A flow in which one run of ``everything`` writes whatever can be written."""
    flow = create_flow("shop", max_concurrency=1)

    @flow.task(runner=runner, retries=1, retry_delay=0)
    def load(a: dict[str, Any]) -> Any: ...

    @flow.task(runner=runner, cat_partitions=["red", "blue"])
    def paint(a: dict[str, Any]) -> Any: ...

    @flow.task(runner=runner, inputs=["load"])
    def after(a: dict[str, Any]) -> Any: ...

    @flow.manager(max_concurrency=1)
    def everything(a: dict[str, Any]) -> Any:
        flow.context["count"] = flow.context.get("count", 0) + 1
        current_execution().progress(1, 2)
        load({"run_key": "k", "fail once": True})
        map_parallel(paint, [{"cat_partition": "red"}, {"cat_partition": "blue"}, {}])
        run_dag(flow.jobs["paint"])
        return {"count": flow.context["count"]}

    return flow


def answer(attempt: Any) -> None:
    first_of_load = attempt.inputs[0].get("fail once") and attempt.request.attempt == 1
    attempt.fail() if first_of_load else attempt.succeed({}, context={"a": b"1"})


def test_whichever_statement_is_refused_the_engine_goes_on(start: Start, runner: Any, clock: Any) -> None:
    runner.answer = answer
    flow = shop(runner)
    engine = start(flow, clock=clock)
    everything = flow.jobs["everything"]
    with failing(range(0)) as whole:
        assert engine.submit(everything, [{}]).future.result().status == "success"
    assert len(whole) > 30

    clear = []
    for number in range(1, len(whole) + 1):
        with failing(range(number, number + 1)):
            try:
                result = engine.submit(everything, [{}], force=True).future.result(60)
            except StoreError as error:
                clear.append(str(error))
            else:
                if result.status == "error":
                    assert result.error is not None
                    clear.append(result.error.message)
        engine._resources.record_refused_ends()
        assert unfinished(engine) == []
        assert_nothing_leaks(engine)

    assert len(clear) >= 10
    assert all(FULL in message for message in clear)
    assert engine.submit(everything, [{}], force=True).future.result(60).status == "success"


def unfinished(engine: Engine) -> list[Any]:
    return engine.store.database.read_text(
        "SELECT id, job, status FROM executions WHERE status IN ('queued', 'running')"
    )


def assert_nothing_leaks(engine: Engine) -> None:
    assert engine._resources.live.all() == []
    assert all(state.holders == [] and state.waiters == [] for state in engine.concurrency())
    assert not engine.store.database._writer.in_transaction


def test_an_end_that_is_refused_is_recorded_later(start: Start, runner: Any, clock: Any, until: Any) -> None:
    flow = create_flow("shop")
    load = flow.task(name="load", runner=runner)(lambda: {})
    engine = start(flow, clock=clock)
    submitted = engine.submit(load)
    attempt = runner.next()

    with failing(range(1, 3)):
        attempt.succeed({})
        result = submitted.future.result()
        assert result.status == "error"
        assert result.error is not None
        assert result.error.type == "StoreError"
        assert result.error.message == FULL
        assert [status for _, _, status in unfinished(engine)] == ["running"]
        assert_nothing_leaks(engine)
        with pytest.raises(ConflictError, match="Execution 1 is ending at this moment, so there is nothing to cancel"):
            engine.cancel(submitted.id)
        clock.until_asleep(1)
        clock.advance(1)  # refused again
        clock.until_asleep(1)
    clock.advance(1)

    until(engine, lambda: not unfinished(engine))
    assert engine.store.database.read_text("SELECT status FROM executions") == [("error",)]


def with_a_refused_end(start: Start, runner: Any, clock: Any) -> Engine:
    """An engine whose store did not take the end of its one execution."""
    flow = create_flow("shop")
    load = flow.task(name="load", runner=runner)(lambda: {})
    engine = start(flow, clock=clock)
    submitted = engine.submit(load)
    attempt = runner.next()
    with failing(range(1, 2)):
        attempt.succeed({})
        submitted.future.result()
    return engine


def test_an_end_that_was_refused_is_recorded_when_the_engine_stops(
    start: Start, runner: Any, clock: Any, store: str
) -> None:
    engine = with_a_refused_end(start, runner, clock)

    engine.stop()

    database = Database(store)
    assert database.read_text("SELECT status FROM executions") == [("error",)]
    database.close()


def test_a_store_that_refuses_everything_when_the_engine_stops_is_cleared_up_by_the_next(
    start: Start, runner: Any, clock: Any
) -> None:
    flow = create_flow("shop")
    load = flow.task(name="load", runner=runner)(lambda: {})
    engine = start(flow, clock=clock, kind="server")
    submitted = engine.submit(load)
    attempt = runner.next()

    with failing(range(1, 1000)):
        attempt.succeed({})
        submitted.future.result()
        engine.stop()

    assert flow.runtime is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("microflow.store.sqlite.engines.is_alive", lambda *_: False)
        later = start(flow, kind="server")
    assert unfinished(later) == []
    assert later.store.database.read_text("SELECT status FROM executions") == [("error",)]


def test_a_store_that_refuses_to_open_an_engine_leaves_nothing_open(start: Start, runner: Any) -> None:
    flow = create_flow("shop")
    flow.task(name="load", runner=runner)(lambda: {})
    start(create_flow("other"))  # so that there is a store

    with failing(range(1, 2)), pytest.raises(StoreError):
        start(flow, kind="server")

    assert flow.runtime is None
    start(flow, kind="server")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps files that are open where they are")
def test_what_ends_while_the_store_is_away_is_recorded_when_it_is_back(
    start: Start, runner: Any, clock: Any, until: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microflow.store.sqlite.presence.LOOK_AGAIN", 0.0)
    flow = create_flow("shop")
    load = flow.task(name="load", runner=runner)(lambda: {})
    engine = start(flow, clock=clock)
    submitted = engine.submit(load)
    attempt = runner.next()
    path, away = tmp_path / "store.db", tmp_path / "away.db"

    path.rename(away)
    attempt.succeed({})
    error = submitted.future.result().error
    with pytest.raises(StoreError, match="was removed or replaced"):
        engine.submit(load)
    away.rename(path)
    clock.until_asleep(1.0)
    clock.advance(1.0)

    assert error is not None
    assert "was removed or replaced" in error.message
    until(engine, lambda: engine.store.database.read_text("SELECT status FROM executions") == [("error",)])
    runner.answer = lambda attempt: attempt.succeed({})
    assert load().status == "success"


def test_of_two_that_record_a_refused_end_at_once_neither_fails(
    start: Start, runner: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = with_a_refused_end(start, runner, clock)
    finish = engine.store.executions.finish

    def beside_the_timers(*arguments: Any) -> bool:
        monkeypatch.undo()
        engine._resources.record_refused_ends()
        return finish(*arguments)

    monkeypatch.setattr(engine.store.executions, "finish", beside_the_timers)
    engine._resources.record_refused_ends()

    assert unfinished(engine) == []
    assert engine._resources._refused == {}
