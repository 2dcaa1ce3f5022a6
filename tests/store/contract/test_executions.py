"""The life of executions in the store: who comes too late changes nothing, who hears of a change can read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from microflow import ExecutionError, ExecutionStatus, UnknownNameError
from microflow.model.events import Event, EventBus
from microflow.model.results import Kind, Trigger
from microflow.store import Executions, Store
from microflow.store.rows import Ending, Opened, Opening, Waiting

QUEUED, RUNNING, SUCCESS, SKIPPED, ERROR, CANCELLED = ExecutionStatus
BUSY = Waiting("limit", "waits for a place", 1.0)
BROKEN = ExecutionError("ValueError", "no")
NEW = {"flow": "shop", "job": "load", "kind": "task", "trigger": "call", "inputs": b'[{"a":1}]'}
Row = Callable[[int], dict[str, Any]]
Everything = Callable[[], dict[str, list[Any]]]
TABLES = ("executions", "attempts", "run_keys", "partitions", "context", "engines")


@pytest.fixture
def executions(store: Store) -> Executions:
    return store.executions


def opened(executions: Executions, **given: Any) -> Opened:
    return executions.open(Opening(**{**NEW, **given}), 1.0)


COLUMNS = (
    "status, parent_id, root_id, position, queued_at, started_at, ended_at, scheduled_at, waiting, output, error, cpu_seconds, "
    "peak_memory, progress, run_key, engine_id"
)


@pytest.fixture
def row(stores: Any, store: Store) -> Callable[[int], dict[str, Any]]:
    """``row(id)``: an execution as its table has it."""

    def find(execution_id: int) -> dict[str, Any]:
        (values,) = stores.rows(store, f"SELECT {COLUMNS} FROM executions WHERE id = {execution_id}")
        return dict(zip(COLUMNS.split(", "), values, strict=True))

    return find


@pytest.fixture
def everything(stores: Any, store: Store) -> Callable[[], dict[str, list[Any]]]:
    """``everything()``: all that is in the tables."""
    return lambda: {table: stores.rows(store, f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in TABLES}


# Too late


def test_an_execution_that_does_not_exist_is_unknown(executions: Executions) -> None:
    with pytest.raises(
        UnknownNameError, match=r"There is no execution 7; it may have been deleted with the old history\."
    ):
        executions.call_of(7)


def test_an_execution_ends_once(executions: Executions, everything: Everything) -> None:
    load = opened(executions)

    assert executions.finish(load, Ending(status=SUCCESS, output=b'{"a":1}'), 2.0)
    before = everything()
    assert not executions.finish(load, Ending(status=ERROR, error=BROKEN, run_key="k"), 3.0)
    assert not executions.finish(load, Ending(status=SUCCESS, run_key="k", context={"a": b"1"}), 3.0)
    assert everything() == before


def test_what_was_cancelled_while_it_was_queued_never_starts(executions: Executions, row: Row) -> None:
    load = opened(executions, waiting=BUSY)
    executions.finish(load, Ending(status=CANCELLED), 2.0)

    assert executions.start(load, 3.0) is None
    assert row(load.id)["status"] == "cancelled"
    assert row(load.id)["started_at"] is None


def test_what_has_ended_does_not_wait_again_and_nobody_is_told_so(
    executions: Executions, events: EventBus, row: Row
) -> None:
    load = opened(executions)
    executions.finish(load, Ending(status=CANCELLED), 2.0)
    heard: list[Event] = []
    events.subscribe(heard.append)

    assert not executions.wait(load, BUSY)
    assert not executions.retry(load, Ending(status=ERROR, error=BROKEN), BUSY, 3.0)
    assert row(load.id)["status"] == "cancelled"
    assert heard == []


def test_only_one_can_start_a_queued_execution(executions: Executions) -> None:
    load = opened(executions, waiting=BUSY)

    assert executions.start(load, 2.0) is not None
    assert executions.start(load, 2.0) is None


# The way through


def test_a_row_holds_what_was_called(executions: Executions, row: Row) -> None:
    manager = opened(executions, job="all", kind="manager", trigger="api", options=b'{"force":true}')
    task = opened(executions, parent_id=manager.id, root_id=manager.root_id, position=3, scheduled_at=0.5, waiting=BUSY)

    assert manager.root_id == manager.id
    assert task.root_id == manager.id
    held = row(task.id)
    assert held["status"] == "queued"
    assert (held["parent_id"], held["root_id"], held["position"]) == (manager.id, manager.id, 3)
    assert (held["queued_at"], held["started_at"], held["scheduled_at"]) == (1.0, None, 0.5)
    assert json.loads(held["waiting"]) == {"reason": "limit", "message": "waits for a place", "since": 1.0}
    assert executions.call_of(task.id).inputs == b'[{"a":1}]'
    assert executions.call_of(manager.id).options == '{"force":true}'
    assert row(manager.id)["root_id"] is None


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("trigger", Trigger)
def test_a_row_holds_kind_and_trigger_as_plain_text(
    stores: Any, store: Store, executions: Executions, kind: Kind, trigger: Trigger
) -> None:
    load = opened(executions, kind=kind, trigger=trigger)

    (held,) = stores.rows(store, f"SELECT kind, trigger FROM executions WHERE id = {load.id}")
    assert [type(text) for text in held] == [str, str]
    assert tuple(held) == (kind.value, trigger.value)
    known = executions.call_of(load.id)
    assert (known.kind, known.trigger) == (kind, trigger)
    assert (type(known.kind), type(known.trigger)) == (Kind, Trigger)


def test_from_queued_to_its_end(executions: Executions, row: Row) -> None:
    load = executions.start(opened(executions, waiting=BUSY), 2.0)
    assert load is not None

    executions.finish(
        load, Ending(status=SUCCESS, output=b'{"n":1}', cpu_seconds=0.5, peak_memory=10, progress=b"[1]"), 3.0
    )

    held = row(load.id)
    assert held["status"] == "success"
    assert (held["started_at"], held["ended_at"], held["waiting"]) == (2.0, 3.0, None)
    assert (held["output"], held["cpu_seconds"], held["peak_memory"], held["progress"]) == ('{"n":1}', 0.5, 10, "[1]")


def test_a_failed_attempt_is_recorded_and_the_execution_waits(
    executions: Executions, row: Row, everything: Everything
) -> None:
    load = opened(executions)

    assert executions.retry(load, Ending(status=ERROR, error=BROKEN), Waiting("retry", "in 5 s", 2.0, 7.0), 2.0)

    assert row(load.id)["status"] == "queued"
    assert json.loads(row(load.id)["waiting"])["until"] == 7.0
    ((_, attempt, status, started, ended, error),) = everything()["attempts"]
    assert (attempt, status, started, ended, json.loads(error)["type"]) == (1, "error", 1.0, 2.0, "ValueError")
    again = executions.start(load, 7.0, attempt=2)
    assert again is not None
    assert again.attempt == 2


def test_whoever_hears_of_a_change_can_read_it(executions: Executions, events: EventBus, store: Store) -> None:
    heard: list[tuple[str, str]] = []
    events.subscribe(lambda event: heard.append((event.status, store.executions.call_of(event.id).status)))

    load = opened(executions, waiting=BUSY, partitions=[("2026", "")])
    executions.start(load, 2.0)
    executions.retry(load, Ending(status=ERROR, error=BROKEN), BUSY, 2.0)
    executions.start(load, 3.0, attempt=2)
    executions.finish(load, Ending(status=SUCCESS, run_key="k", context={"a": b"1"}), 4.0)

    assert heard == [(status, status) for status in ("queued", "running", "queued", "running", "success")]


# Run keys


def test_a_run_key_leads_to_its_newest_success(executions: Executions) -> None:
    assert executions.success_with_key("shop", "load", "k") is None
    executions.finish(opened(executions, run_key="k"), Ending(status=ERROR, error=BROKEN, run_key="k"), 2.0)
    executions.finish(opened(executions, run_key="k"), Ending(status=SKIPPED, run_key="k"), 2.0)
    assert executions.success_with_key("shop", "load", "k") is None

    first, second = opened(executions, run_key="k"), opened(executions, run_key="k")
    executions.finish(first, Ending(status=SUCCESS, output=b'{"n":1}', run_key="k"), 2.0)
    assert executions.success_with_key("shop", "load", "k") == (first.id, b'{"n":1}')
    executions.finish(second, Ending(status=SUCCESS, output=b'{"n":2}', run_key="k"), 2.0)

    assert executions.success_with_key("shop", "load", "k") == (second.id, b'{"n":2}')
    assert executions.success_with_key("shop", "other", "k") is None
    assert executions.success_with_key("other", "load", "k") is None


def test_a_run_key_set_afterwards_is_on_the_execution(executions: Executions, row: Row) -> None:
    load = opened(executions)
    executions.finish(load, Ending(status=SUCCESS, output=b"{}", run_key="late"), 2.0)

    assert row(load.id)["run_key"] == "late"
    assert executions.success_with_key("shop", "load", "late") == (load.id, b"{}")


# Context


@pytest.mark.parametrize("status", [SUCCESS, SKIPPED])
def test_context_is_kept_when_the_execution_succeeds_or_is_skipped(
    executions: Executions, status: ExecutionStatus
) -> None:
    executions.finish(opened(executions), Ending(status=SUCCESS, context={"a": b"1", "b": b'"x"'}), 2.0)
    executions.finish(opened(executions), Ending(status=status, context={"a": b"2", "b": None}), 2.0)

    assert executions.context("shop", "load")[0] == {"a": 2}
    assert executions.context("shop", "other")[0] == {}


@pytest.mark.parametrize("status", [ERROR, CANCELLED])
def test_context_is_dropped_when_the_execution_fails_or_is_cancelled(
    executions: Executions, status: ExecutionStatus
) -> None:
    executions.finish(opened(executions), Ending(status=status, context={"a": b"1"}), 2.0)

    assert executions.context("shop", "load")[0] == {}


def test_the_last_output_is_that_of_the_newest_success(executions: Executions) -> None:
    assert executions.context("shop", "load") == ({}, {})
    executions.finish(opened(executions), Ending(status=SUCCESS, output=b'{"cursor":1}'), 2.0)
    executions.finish(opened(executions), Ending(status=SUCCESS, output=b'{"cursor":2}'), 2.0)
    executions.finish(opened(executions), Ending(status=SKIPPED, output=b'{"cursor":3}'), 2.0)
    assert executions.context("shop", "load") == ({}, {"cursor": 2})

    executions.finish(opened(executions), Ending(status=SUCCESS, output=b"[{}]"), 2.0)
    assert executions.context("shop", "load") == ({}, {})


def test_a_key_that_was_deleted_does_not_fall_back_to_the_last_output(executions: Executions) -> None:
    executions.finish(opened(executions), Ending(status=SUCCESS, output=b'{"a":1,"b":1}'), 2.0)
    executions.finish(opened(executions), Ending(status=SKIPPED, context={"a": None}), 2.0)
    assert executions.context("shop", "load") == ({}, {"b": 1})

    executions.finish(opened(executions), Ending(status=SKIPPED, context={"a": b"2"}), 2.0)
    assert executions.context("shop", "load") == ({"a": 2}, {"a": 1, "b": 1})
