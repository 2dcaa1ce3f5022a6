"""Engines that share a store: which live, which one is the server, what the dead have left, and what two of them decide at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from microflow import ExecutionError, ExecutionStatus, StoreLocked
from microflow.model.events import EventBus
from microflow.store import Store, StoreView
from microflow.store import open as open_store
from microflow.store.options import Options
from microflow.store.rows import NOBODY, Ending, Opened, Opening, TickRecord, Waiting

QUEUED, RUNNING, SUCCESS, SKIPPED, ERROR, CANCELLED = ExecutionStatus
BUSY = Waiting("limit", "waits for a slot", 1.0)
INTERRUPTED = ExecutionError("Interrupted", "the engine ended")
NEW = {"flow": "shop", "job": "load", "kind": "task", "trigger": "call", "inputs": b'[{"a":1}]'}


def opened(store: Store, **given: Any) -> Opened:
    return store.executions.open(Opening(**{**NEW, **given}), 1.0)


def status(store: Store, execution_id: int) -> str:
    return store.executions.call_of(execution_id).status


# Which live


def test_an_engine_knows_itself_and_its_end(store: Store) -> None:
    assert store.engines.own == store.executions.engine_id > NOBODY
    assert not store.engines.has_ended
    assert not store.engines.is_open(store.engines.own), "only engines of other processes are asked for"

    store.engines.unregister(now=2.0, reason="stopped")

    assert store.engines.has_ended


def test_what_lives_is_not_dead(store: Store, other: Store) -> None:
    assert store.engines.own != other.engines.own
    assert store.engines.dead() == other.engines.dead() == []
    assert other.engines.is_open(store.engines.own)

    store.engines.unregister(now=2.0, reason="stopped")

    assert not other.engines.is_open(store.engines.own)
    assert other.engines.dead() == []


def test_an_engine_whose_process_died_is_found_until_its_end_is_recorded(
    shared: Any, store: Store, other: Store
) -> None:
    died = store.engines.own
    shared.die(store)

    ((number, kind, process),) = other.engines.dead()
    assert (number, kind) == (died, "server")
    assert process
    assert other.engines.is_open(died)

    other.executions.interrupt(died, INTERRUPTED, 3.0, {})

    assert other.engines.dead() == []
    assert not other.engines.is_open(died)


def test_the_server_of_a_store_is_seen_by_those_who_look(shared: Any, store: Store, view: StoreView) -> None:
    state = view.engines.server()
    assert state.process is not None
    assert (state.started_at, state.ended_at) == (0.0, None)

    store.engines.unregister(now=7.0, reason="stopped")

    assert view.engines.server() == (None, 0.0, 7.0)


def test_a_server_that_died_is_told_from_one_that_ended(shared: Any, store: Store, view: StoreView) -> None:
    shared.die(store)

    assert view.engines.server() == (None, 0.0, None)


def test_a_store_without_a_server_says_so(shared: Any) -> None:
    store = open_store(shared.url)
    store.engines.register("local", 0.0)
    try:
        assert store.engines.server() == (None, None, None)
    finally:
        store.close()


def test_the_executions_of_a_server_that_died_are_orphans(
    shared: Any, store: Store, other: Store, view: StoreView
) -> None:
    queued, lives = opened(store, waiting=BUSY), opened(other, waiting=BUSY)
    assert view.engines.orphans([queued.id, lives.id]) == set()

    shared.die(store)

    assert view.engines.orphans([queued.id, lives.id, 99]) == {queued.id}
    assert view.engines.orphans([lives.id]) == set()


# One server at a time


def test_only_one_can_be_the_server(shared: Any, store: Store) -> None:
    store.engines.become_server()
    late = open_store(shared.url)
    try:
        with pytest.raises(StoreLocked, match=r"Another server .* runs on this store"):
            late.engines.become_server()

        store.close()
        late.engines.become_server()
    finally:
        late.close()


# What the dead have left


def test_what_a_dead_engine_left_ends_and_what_has_an_attempt_left_is_queued_again(
    shared: Any, store: Store, other: Store
) -> None:
    dead = store.engines.own
    manager = opened(store, job="all", kind="manager")
    task = opened(store, parent_id=manager.id, root_id=manager.id, time_partition="2026", partitions=[("2026", "")])
    queued = opened(store, waiting=BUSY)
    done = opened(store)
    store.executions.finish(done, Ending(status=SUCCESS), 2.0)
    shared.die(store)
    heard: list[tuple[int, str]] = []
    other.events.subscribe(lambda event: heard.append((event.id, event.status)))
    later = other.executions

    again = Waiting("retry", "it is tried again", 3.0)
    assert [found.id for found, _ in later.unfinished(dead)] == [queued.id, task.id, manager.id]
    assert later.interrupt(dead, INTERRUPTED, 3.0, {queued.id: again}) == 3

    ended = [status(other, number) for number in (manager.id, task.id, queued.id, done.id)]
    assert ended == ["error", "error", "queued", "success"]
    assert other.reading.execution(task.id).error == INTERRUPTED
    assert later.call_of(queued.id).engine_id == other.engines.own
    assert other.partitions.lines("shop", "load", ["2026"], [None]) == ["e"]
    assert other.engines.dead() == []
    assert later.interrupt(dead, INTERRUPTED, 3.0, {}) == 0
    assert [number for number, told in heard if told == "error"] == [task.id, manager.id], (
        "children end before their parents"
    )


def test_what_is_left_to_nobody_is_counted_for_the_next_server(store: Store) -> None:
    kept, ended = opened(store, waiting=BUSY), opened(store)
    server = Waiting("server", "waits for a server", 2.0)

    store.executions.interrupt(store.engines.own, INTERRUPTED, 2.0, {kept.id: server}, nobodys=[kept.id])

    assert store.executions.call_of(kept.id).engine_id == NOBODY
    assert status(store, ended.id) == "error"
    assert [found.id for found, _ in store.executions.unfinished(NOBODY)] == [kept.id]
    assert store.executions.count_left(["shop"]) == 1
    assert store.executions.count_left(["other"]) == 0


def test_the_calls_of_a_run_that_have_not_ended_are_found(store: Store) -> None:
    run = opened(store, kind="map")
    calls = [opened(store, parent_id=run.id, root_id=run.id) for _ in range(3)]
    store.executions.finish(calls[1], Ending(status=SUCCESS), 2.0)
    opened(store)

    assert [found.id for found, _ in store.executions.unfinished_calls(run)] == [calls[2].id, calls[0].id]


# What runs elsewhere


def test_a_run_key_that_another_engine_runs_with_is_found(shared: Any, store: Store, other: Store) -> None:
    mine = opened(store, run_key="k")
    opened(store, run_key="k", waiting=BUSY)
    opened(store, run_key="other")

    ((number, process),) = other.executions.running_elsewhere("shop", "load", "k")
    assert number == mine.id
    assert process
    assert store.executions.running_elsewhere("shop", "load", "k") == []
    assert other.executions.running_elsewhere("shop", "save", "k") == []
    assert other.executions.running_elsewhere("else", "load", "k") == []

    store.executions.finish(mine, Ending(status=SUCCESS), 2.0)
    assert other.executions.running_elsewhere("shop", "load", "k") == []


def test_what_a_dead_engine_runs_is_not_found(shared: Any, store: Store, other: Store) -> None:
    options = Options(schedule="daily").encode()
    opened(store, run_key="k", options=options)
    assert len(other.executions.running_elsewhere("shop", "load", "k")) == 1
    assert len(other.schedules.running_elsewhere("shop", "daily")) == 1

    shared.die(store)

    assert other.executions.running_elsewhere("shop", "load", "k") == []
    assert other.schedules.running_elsewhere("shop", "daily") == []


def test_the_runs_of_a_schedule_that_another_engine_has_are_found(store: Store, other: Store) -> None:
    runs = [opened(store, options=Options(schedule="daily").encode()) for _ in range(2)]
    opened(store, options=Options(schedule="daily").encode(), waiting=BUSY)
    opened(store, options=Options(schedule="hourly").encode())
    opened(store, flow="else", options=Options(schedule="daily").encode())
    opened(store)

    assert [number for number, _ in other.schedules.running_elsewhere("shop", "daily")] == [run.id for run in runs]
    assert store.schedules.running_elsewhere("shop", "daily") == []


# What is decided once


def test_of_two_engines_only_one_finds_that_nobody_runs_with_a_key(store: Store, other: Store) -> None:
    together = threading.Barrier(2)

    def start(engine: Store) -> bool:
        together.wait()
        with engine.executions.together():
            if engine.executions.running_elsewhere("shop", "load", "k"):
                return False
            opened(engine, run_key="k")
            return True

    with ThreadPoolExecutor(2) as threads:
        for _ in range(10):
            started = list(threads.map(start, (store, other)))
            assert sorted(started) == [False, True]
            for engine in (store, other):
                for found, _ in engine.executions.unfinished(engine.engines.own):
                    engine.executions.finish(found, Ending(status=SUCCESS), 2.0)


def test_of_two_engines_only_one_claims_a_tick(store: Store, other: Store) -> None:
    together = threading.Barrier(2)
    store.schedules.serve("shop", "daily", "@daily", "UTC", 0.0)

    def claim(engine: Store, at: float) -> bool:
        together.wait()
        with engine.schedules.transaction():
            return engine.schedules.claim("shop", "daily", TickRecord(at, "run"), at)

    with ThreadPoolExecutor(2) as threads:
        for number in range(1, 11):
            at = 60.0 * number
            assert sorted(threads.map(claim, (store, other), (at, at))) == [False, True]


def test_only_one_of_two_engines_starts_what_is_queued(store: Store, other: Store) -> None:
    together = threading.Barrier(2)

    def start(engine: Store, queued: Opened) -> bool:
        together.wait()
        return engine.executions.start(queued, 2.0) is not None

    with ThreadPoolExecutor(2) as threads:
        for _ in range(10):
            queued = opened(store, waiting=BUSY)
            assert sorted(threads.map(start, (store, other), (queued, queued))) == [False, True]


# Events, and what is written together


def test_what_another_engine_commits_can_be_read_at_once(store: Store, other: Store, view: StoreView) -> None:
    load = opened(store)
    assert status(other, load.id) == "running"
    assert view.reading.execution(load.id).status is RUNNING

    with store.executions.together():
        store.executions.finish(load, Ending(status=SUCCESS), 2.0)
        assert status(other, load.id) == "running"
        assert view.reading.execution(load.id).status is RUNNING

    assert status(other, load.id) == "success"
    assert view.reading.execution(load.id).status is SUCCESS


def test_what_several_parts_write_together_is_there_together_or_not_at_all(stores: Any, store: Store) -> None:
    heard: list[str] = []
    store.events.subscribe(lambda event: heard.append(event.topic))
    known = stores.rows(store, "SELECT count(*) FROM executions")

    with suppress(ZeroDivisionError), store.executions.together():
        load = opened(store, run_key="k")
        store.schedules.serve("shop", "daily", "@daily", "UTC", 1.0)
        store.schedules.record("shop", "daily", [TickRecord(60.0, "missed")], 90.0)
        with store.executions.together():
            store.executions.finish(load, Ending(status=SUCCESS, run_key="k", context={"a": b"1"}), 2.0)
        raise ZeroDivisionError
    assert stores.rows(store, "SELECT count(*) FROM executions") == known
    assert store.schedules.of_flow("shop") == {}
    assert store.executions.success_with_key("shop", "load", "k") is None
    assert store.executions.context("shop", "load") == ({}, {})
    assert heard == []

    with store.executions.together():
        opened(store)
        store.schedules.serve("shop", "daily", "@daily", "UTC", 1.0)
        assert heard == []
    assert heard == ["execution", "schedule"]


def test_a_claim_that_raises_opens_nothing(store: Store) -> None:
    def claim(execution_id: int, waiting: Waiting | None) -> None:
        raise LookupError("taken")

    with pytest.raises(LookupError):
        store.executions.open(Opening(**NEW), 1.0, claim)

    assert store.reading.executions().items == []


def test_a_follower_of_a_commit_that_fails_keeps_nobody_from_hearing(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def fail() -> None:
        raise ValueError("a follower of its own")

    with store.executions.together():
        store.executions.after_commit(fail)
        store.executions.after_commit(lambda: heard.append("both"))
    store.executions.after_commit(lambda: heard.append("at once"))

    assert heard == ["both", "at once"]
    assert "Something that follows a commit failed." in caplog.text


def test_threads_that_open_executions_get_the_numbers_of_their_own_rows(store: Store) -> None:
    with ThreadPoolExecutor(4) as threads:
        numbers = list(threads.map(lambda name: (opened(store, job=name).id, name), map(str, range(200))))

    assert [(number, store.executions.call_of(number).job) for number, _ in numbers] == numbers
    assert len(dict(numbers)) == 200


def test_a_store_of_one_process_has_engines_too() -> None:
    store = open_store(":memory:", events=EventBus())
    try:
        store.engines.become_server()
        store.engines.register("server", 5.0)
        assert store.engines.dead() == []
        assert store.engines.server().started_at == 5.0
    finally:
        store.close()
