"""A store that fails at any one statement (full, locked, an I/O error): what was written is whole steps, nothing in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from microflow import ExecutionError, ExecutionStatus, StoreError
from microflow.model.events import Event
from microflow.store import Store
from microflow.store import open as open_store
from microflow.store.database import Values
from microflow.store.rows import Ending, Opening, Waiting
from microflow.store.sqlite.database import Database

BUSY = Waiting("limit", "waits for a place", 1.0)
BROKEN = ExecutionError("ValueError", "no")
INTERRUPTED = ExecutionError("Interrupted", "the engine ended")
TABLES = ("executions", "attempts", "run_keys", "partitions", "context", "engines")


def life(store: Store) -> Iterator[None]:
    """All that is written for a partitioned execution which fails once and then succeeds; pauses after each whole step."""
    partitions = [("2026", "red"), ("2027", "red")]
    executions = store.executions
    store.engines.register("server", 0.0)
    yield
    load = executions.open(
        Opening(
            flow="shop",
            job="load",
            kind="task",
            trigger="call",
            inputs=b"[]",
            waiting=BUSY,
            run_key="k",
            partitions=partitions,
        ),
        1.0,
    )
    yield
    executions.wait(load, BUSY)
    yield
    started = executions.start(load, 2.0)
    assert started is not None
    yield
    executions.retry(started, Ending(status=ExecutionStatus.ERROR, error=BROKEN), BUSY, 3.0)
    yield
    again = executions.start(load, 4.0, attempt=2)
    assert again is not None
    yield
    ending = Ending(
        status=ExecutionStatus.SUCCESS,
        output=b"{}",
        run_key="k",
        context={"a": b"1", "b": None},
        partition=("2028", "red"),
        cat_partition="red",
    )
    executions.finish(again, ending, 5.0)
    yield
    store.engines.unregister(now=6.0, reason="stopped")
    yield


def death(store: Store) -> Iterator[None]:
    """All that is written when an engine finds what a dead one left."""
    executions = store.executions
    store.engines.register("server", 0.0)
    yield
    dead = executions.engine_id
    new = Opening(flow="shop", job="load", kind="task", trigger="call", inputs=b"[]", partitions=[("2026", "")])
    first = executions.open(new, 1.0)
    yield
    executions.open(new, 1.0)
    yield
    store.engines.register("server", 2.0)
    yield
    executions.interrupt(dead, INTERRUPTED, 3.0, {first.id: BUSY})
    yield


@pytest.mark.parametrize("story", [life, death])
def test_a_store_that_fails_at_any_statement_holds_whole_steps_only(
    story: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, heard_whole, count = tell(story, tmp_path / "whole.db", None, monkeypatch)
    assert count > 10

    for failing in range(1, count + 1):
        states, heard, _ = tell(story, tmp_path / f"{failing}.db", failing, monkeypatch)

        assert states == whole[: len(states)], f"statement {failing} left something half-written"
        assert heard == heard_whole[: len(heard)], f"somebody heard of what statement {failing} undid"
        assert len(states) < len(whole)


def tell(
    story: Any, path: Path, failing: int | None, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Any], list[Event], int]:
    """The story up to the statement that fails: the store after each step and at the end, what was heard, how many statements."""
    store = open_store(f"sqlite:///{path}")
    heard: list[Event] = []
    store.events.subscribe(heard.append)
    carry_out = Database.execute_text
    count = 0

    def execute_text(self: Database, text: str, values: Values) -> Any:
        nonlocal count
        count += 1
        if count == failing:
            raise StoreError("The store failed: database or disk is full.")
        return carry_out(self, text, values)

    states = []
    with closing(store), monkeypatch.context() as patch:
        patch.setattr(Database, "execute_text", execute_text)
        try:
            for _ in story(store):
                states.append(contents(path))  # noqa: PERF401 - those before the failure count
        except StoreError:
            assert contents(path) == (states[-1] if states else contents(path))
            assert not store.database._writer.in_transaction  # type: ignore[attr-defined]
    return states, heard, count


def contents(path: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(path)) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in TABLES}
