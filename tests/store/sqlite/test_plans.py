"""Which indexes SQLite uses: what is looked at often stays quick with millions of executions."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from microflow import ExecutionStatus
from microflow.model.results import Trigger
from microflow.store import Reading
from microflow.store import open as open_store
from microflow.store.database import Row, Values
from microflow.store.filters import Filters
from microflow.store.rows import Ending, Opening
from microflow.store.sqlite.database import Database, all_statements, statement

QUEUED, RUNNING, SUCCESS, SKIPPED, ERROR, CANCELLED = ExecutionStatus
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_what_has_not_ended_is_looked_for_among_the_few_that_have_not(database: Database) -> None:
    texts = {
        name: text for name, text in all_statements().items() if re.match(r"SELECT[^;]*status <> 'success' AND", text)
    }
    assert len(texts) > 5
    for name, text in texts.items():
        values = dict.fromkeys(re.findall(r":(\w+)", text), 1)
        plan = [row[3] for row in database.read_text(f"EXPLAIN QUERY PLAN {text}", values)]
        assert any("INDEX executions_open" in step for step in plan), (name, plan)


def test_what_is_looked_for_often_is_found_by_an_index(database: Database) -> None:
    for name, values in (
        ("open_top_level", {}),
        ("ticks_not_started", {}),
        ("top_level_elsewhere", {"flow": "", "engine_id": 0}),
        ("newest_ticks", {"flow": "", "schedule": "", "before": 0, "limit": 1}),
        ("schedule", {"flow": "", "name": ""}),
    ):
        plan = database.read_text(f"EXPLAIN QUERY PLAN {statement(name)}", values)
        assert not [row for row in plan if str(row[3]).startswith("SCAN")], (name, plan)


def test_few_are_looked_at_to_see_what_goes_on_now(database: Database) -> None:
    """With 200,000 partitions the queries about live executions read their own small indexes, not the grid."""
    values = {"flow": "f", "job": "j", "cat_partition": "", "time_partition": "", "after": 1, "cursor": 1, "limit": 1}
    for name in ("live_partitions", "live_partition", "succeeded_partitions", "changed_partitions", "partition_cursor"):
        plan = database.execute_text(f"EXPLAIN QUERY PLAN {statement(name)}", values).fetchall()
        steps = [row[3] for row in plan if row[3] != "SCAN CONSTANT ROW"]
        assert not [step for step in steps if step.startswith("SCAN") and "USING" not in step], steps
        assert not [step for step in steps if "PRIMARY KEY (flow=? AND job=?)" in step], steps


def test_the_newest_success_is_looked_for_in_the_index_of_jobs(database: Database) -> None:
    values = {"before": 1.0, "after": 0, "count": 1}
    plan = database.read_text(f"EXPLAIN QUERY PLAN {statement('old_executions')}", values)
    assert "SEARCH newer USING INDEX executions_job (flow=? AND job=? AND id>?)" in {row[3] for row in plan}


def test_deleting_ticks_looks_at_no_others(database: Database) -> None:
    plan = database.read_text(f"EXPLAIN QUERY PLAN {statement('delete_ticks')}", {"before": 1.0, "count": 1})
    steps = {row[3].replace("COVERING INDEX", "INDEX") for row in plan}  # SQLite says that from 3.46 on
    assert "SEARCH ticks USING INDEX ticks_at (at<?)" in steps


@pytest.mark.parametrize(
    ("filters", "plan"),
    [
        (Filters(), "SCAN executions"),
        (Filters(top_level=True), "executions_top (root_id=?"),
        (Filters(top_level=True, flow="shop"), "executions_top (root_id=?"),
        (Filters(trigger=Trigger.RETRY), "executions_top (root_id=?"),
        (Filters(top_level=True, flow="shop", job="load"), "executions_job (flow=? AND job=?"),
        (Filters(top_level=True, status=(RUNNING,)), "executions_open (status=?"),
        (Filters(top_level=True, run_key="a"), "executions_run_key (run_key=?"),
        (Filters(since=NOON), "USING INTEGER PRIMARY KEY (rowid>?)"),
        (Filters(flow="shop", job="load"), "executions_job (flow=? AND job=?"),
        (Filters(flow="shop"), "executions_job (flow=? AND job=?"),
        (Filters(flow="shop", job="load", status=(ERROR,)), "executions_open (status=?"),
        (Filters(status=(RUNNING, QUEUED)), "executions_open (status=?"),
        (Filters(parent=1, flow="shop", job="load"), "executions_tree (root_id=? AND parent_id=?"),
        (Filters(root=1, status=(ERROR,)), "executions_tree (root_id=?"),
        (Filters(run_key="a"), "executions_run_key (run_key=?"),
        (Filters(flow="shop", job="load", run_key="a", status=(ERROR,)), "executions_run_key (run_key=?"),
        (
            Filters(flow="shop", job="load", cat_partition="eu", top_level=True),
            "executions_cat_partition (cat_partition=?",
        ),
        (Filters(time_partition="2026-11", cat_partition="eu"), "executions_time_partition (time_partition=?"),
        (Filters(flow="shop", time_partition="2026-11"), "executions_time_partition (time_partition=?"),
    ],
)
def test_each_list_goes_through_the_index_that_leaves_least(
    store: str, monkeypatch: pytest.MonkeyPatch, filters: Filters, plan: str
) -> None:
    with closing(open_store(store)) as opened:
        new = {"flow": "shop", "kind": "task", "trigger": "api", "inputs": b"[]"}
        parent = opened.executions.open(Opening(**new, job="load"), 1.0)
        part = opened.executions.open(Opening(**new, job="part", parent_id=parent.id, root_id=parent.id), 2.0)
        opened.executions.finish(part, Ending(status=ExecutionStatus.SUCCESS), 3.0)
        database: Any = opened.database
        _check_plan(database, opened.reading, monkeypatch, filters, plan)


def _check_plan(
    database: Database, reading: Reading, monkeypatch: pytest.MonkeyPatch, filters: Filters, plan: str
) -> None:
    asked: list[tuple[str, Values]] = []
    read_text = database.read_text

    def recorded(text: str, values: Values = ()) -> list[Row]:
        asked.append((text, values))
        return read_text(text, values)

    monkeypatch.setattr(database, "read_text", recorded)
    reading.executions(filters)
    text, values = next(query for query in asked if query[0].endswith(statement("newest_first")))
    steps = [row[3] for row in read_text(f"EXPLAIN QUERY PLAN {text}", values)]
    assert any(plan in step for step in steps), steps
    sorted_anew = any("TEMP B-TREE" in step for step in steps)
    assert sorted_anew == (filters.root is not None)
