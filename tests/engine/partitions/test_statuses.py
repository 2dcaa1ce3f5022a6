"""The status of a partition: that of its newest execution that was not skipped, and what goes on now."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from microflow import ExecutionResult, Flow, Job
from microflow.engine.engine import Engine
from microflow.store.rows import PartitionRecord

Start = Callable[..., Engine]
Lines = Callable[..., list[str]]


def load_of(flow: Flow, runner: Any, **arguments: Any) -> Job[Any]:
    """A job with the categories a and b that does what the test says."""

    @flow.task(runner=runner, cat_partitions=["a", "b"], **arguments)
    def load(a: dict[str, Any]) -> Any:
        raise AssertionError("the fake runner answers for it")

    return load


def begin(engine: Engine, job: Job[Any], category: str = "a") -> Any:
    return engine.submit(job, [{"cat_partition": category}])


def test_it_follows_the_executions(flow: Flow, start: Start, runner: Any, lines: Lines) -> None:
    load = load_of(flow, runner)
    engine = start(flow)
    seen = [lines(engine, load)]
    for end in ("succeed", "fail", "skip", "succeed"):
        submitted = begin(engine, load)
        attempt = runner.next()
        seen.append(lines(engine, load))
        attempt.fail() if end == "fail" else attempt.succeed({} if end == "succeed" else None)
        submitted.future.result()
        seen.append(lines(engine, load))

    letters = "".join(first for first, _ in seen)
    #        none, while it runs and when it ended: success, error, skipped (the error stays), success
    assert letters == "." + "rs" + "re" + "re" + "rs"
    assert {second for _, second in seen} == {"."}


def test_only_skipped_is_skipped_until_something_else_happens(
    flow: Flow, start: Start, runner: Any, lines: Lines
) -> None:
    load = load_of(flow, runner)
    runner.answer = lambda attempt: attempt.succeed(None)
    engine = start(flow)
    begin(engine, load).future.result()
    second = begin(engine, load)
    second.future.result()

    assert lines(engine, load) == ["k", "."]
    record = engine.partitions.statuses.record("shop", "load", ("", "a"))
    assert record is not None
    assert record.execution_id == second.id

    runner.answer = lambda attempt: attempt.fail()
    begin(engine, load).future.result()
    assert lines(engine, load) == ["e", "."]


def test_queued_and_cancelled(flow: Flow, start: Start, runner: Any, lines: Lines) -> None:
    load = load_of(flow, runner, max_concurrency=1)
    engine = start(flow)
    first, second = begin(engine, load), begin(engine, load, "b")
    attempt = runner.next()
    assert lines(engine, load) == ["r", "q"]

    engine.cancel(second.id)
    second.future.result()
    assert lines(engine, load) == ["r", "c"]

    engine.cancel(first.id)
    attempt.end(None)
    first.future.result()
    assert lines(engine, load) == ["c", "c"]


def test_the_newest_counts_whichever_ends_last(flow: Flow, start: Start, runner: Any, lines: Lines) -> None:
    load = load_of(flow, runner)
    engine = start(flow)
    older = begin(engine, load)
    older_attempt = runner.next()
    newer = begin(engine, load)
    newer_attempt = runner.next()

    newer_attempt.succeed({})
    newer.future.result()
    assert lines(engine, load) == ["s", "."]  # though the older one still runs

    older_attempt.fail()
    older.future.result()
    assert lines(engine, load) == ["s", "."]
    record = engine.partitions.statuses.record("shop", "load", ("", "a"))
    assert isinstance(record, PartitionRecord)
    assert record.execution_id == newer.id


def test_a_newer_one_that_is_skipped_leaves_the_older_one_to_it(
    flow: Flow, start: Start, runner: Any, lines: Lines
) -> None:
    load = load_of(flow, runner)
    engine = start(flow)
    older = begin(engine, load)
    older_attempt = runner.next()
    newer = begin(engine, load)
    runner.next().succeed(None)
    newer.future.result()
    assert lines(engine, load) == ["r", "."]

    older_attempt.succeed({})
    older.future.result()
    assert lines(engine, load) == ["s", "."]


def test_two_with_one_run_key(flow: Flow, start: Start, runner: Any, lines: Lines) -> None:
    load = load_of(flow, runner)
    engine = start(flow)
    given = {"cat_partition": "a", "run_key": "file"}
    first, second = engine.submit(load, [given]), engine.submit(load, [given])
    runner.next().succeed({})

    assert (first.future.result().status, second.future.result().status) == ("success", "skipped")
    assert lines(engine, load) == ["s", "."]


def test_what_never_ran_because_of_its_input(flow: Flow, start: Start, runner: Any, lines: Lines) -> None:
    @flow.task(runner=runner)
    def fetch() -> Any:
        raise AssertionError("the fake runner answers for it")

    load = load_of(flow, runner, inputs=[fetch])
    engine = start(flow)
    for category, end in (("a", lambda attempt: attempt.fail()), ("b", lambda attempt: attempt.succeed(None))):
        runner.answer = end
        engine.submit(load, with_inputs=True, cat_partition=category).future.result()

    assert lines(engine, load) == ["e", "k"]
    assert runner.started == 2


def test_a_batch(flow: Flow, start: Start, runner: Any, lines: Lines) -> None:
    load = load_of(flow, runner)
    engine = start(flow)
    batch = [{"cat_partition": "a"}, {"cat_partition": "b"}]
    seen = []
    for end in ("succeed", "skip", "fail"):
        submitted = engine.submit(load, [batch])
        attempt = runner.next()
        seen.append(lines(engine, load))
        attempt.fail() if end == "fail" else attempt.succeed({} if end == "succeed" else None)
        submitted.future.result()
        seen.append(lines(engine, load))

    assert ["".join(pair) for pair in seen] == ["rr", "ss", "rr", "ss", "rr", "ee"]


def test_a_batch_and_others_at_the_same_time(flow: Flow, start: Start, runner: Any, lines: Lines) -> None:
    load = load_of(flow, runner, max_concurrency=3)
    engine = start(flow)
    batch = [{"cat_partition": "a"}, {"cat_partition": "b"}]
    older, older_attempt = engine.submit(load, [batch]), runner.next()
    newer, newer_attempt = engine.submit(load, [batch]), runner.next()

    newer_attempt.succeed(None)
    newer.future.result()
    older_attempt.fail()
    older.future.result()
    assert lines(engine, load) == ["e", "e"]

    older, older_attempt = engine.submit(load, [batch]), runner.next()
    newer, newer_attempt = begin(engine, load, "b"), runner.next()
    newer_attempt.succeed({})
    newer.future.result()
    assert lines(engine, load) == ["r", "s"]
    older_attempt.fail()
    older.future.result()
    assert lines(engine, load) == ["e", "s"]


def test_a_retry_belongs_to_its_execution(
    flow: Flow, start: Start, clock: Any, runner: Any, lines: Lines, until: Any
) -> None:
    load = load_of(flow, runner, retries=1, retry_delay=60)
    engine = start(flow)
    submitted = begin(engine, load)
    runner.next().fail()
    until(engine, lambda: lines(engine, load) == ["q", "."])
    clock.until_asleep(60)
    clock.advance(60)
    runner.next().succeed({})
    submitted.future.result()

    assert lines(engine, load) == ["s", "."]
    record = engine.partitions.statuses.record("shop", "load", ("", "a"))
    assert record == PartitionRecord("success", submitted.id, clock.now(), clock.now(), 2)


def test_an_execution_without_keys_leaves_them_alone(flow: Flow, start: Start, runner: Any, lines: Lines) -> None:
    load = load_of(flow, runner)
    runner.answer = lambda attempt: attempt.succeed({})
    engine = start(flow)
    load()
    load({"x": 1})

    assert lines(engine, load) == [".", "."]
    assert engine.store.database.read_text("SELECT count(*) FROM partitions") == [(0,)]


def test_what_a_dead_engine_left_is_failed(
    flow: Flow, start: Start, runner: Any, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = load_of(flow, runner, max_concurrency=1)
    dying = start(flow)
    batch = [{"cat_partition": "a"}, {"cat_partition": "b"}]
    begin(dying, load)
    runner.next()
    begin(dying, load, "b")
    assert lines(dying, load) == ["r", "q"]
    monkeypatch.setattr("microflow.store.sqlite.engines.is_alive", lambda pid, started: False)
    engine = start(flow)
    assert lines(engine, load) == ["e", "e"]

    dying = engine
    dying.submit(load, [batch])
    runner.next()
    assert lines(dying, load) == ["r", "r"]
    engine = start(flow)
    assert lines(engine, load) == ["e", "e"]
    assert [row[0] for row in engine.store.database.read_text("SELECT live_id FROM partitions")] == [None, None]


def test_a_partition_set_afterwards_does_not_hide_what_runs(flow: Flow, start: Start, lines: Lines) -> None:
    reached, opened = threading.Event(), threading.Event()

    @flow.task(runner="thread", cat_partitions=["a", "b"])
    def load(a: dict[str, Any]) -> Any:
        if a["cat_partition"] is None:
            return ExecutionResult({}, cat_partition="a")
        reached.set()
        assert opened.wait(60)
        return {}

    engine = start(flow)
    running = begin(engine, load)
    assert reached.wait(60)
    load()
    assert lines(engine, load) == ["s", "."]  # newer, and it has ended
    opened.set()
    running.future.result()
    assert lines(engine, load) == ["s", "."]
