"""What is looked at of a tree of calls that is very deep, what one lacks that was cut off, and what tells one call from another."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from microflow import ExecutionError, ExecutionStatus
from microflow.store import MAXIMUM_DEPTH, Executions, Store
from microflow.store.rows import Ending, Opened, Opening

CLOSED = ExecutionError("ValueError", "the shop is closed", "Traceback …")


@pytest.fixture
def executions(store: Store) -> Executions:
    return store.executions


def opened(executions: Executions, parent: Opened | None = None, **given: Any) -> Opened:
    kind, of = ("task", parent.id) if parent else ("manager", None)
    new = {
        "flow": "shop",
        "job": "load",
        "kind": kind,
        "trigger": "api",
        "inputs": b"[]",
        "parent_id": of,
        "root_id": of,
    }
    return executions.open(Opening(**{**new, **given}), 1.0)


def ended(executions: Executions, status: str, parent: Opened | None = None, **given: Any) -> int:
    call = opened(executions, parent, **given)
    error = CLOSED if status == "error" else None
    assert executions.finish(call, Ending(status=ExecutionStatus(status), error=error), 2.0)
    return call.id


@pytest.mark.parametrize(("levels", "truncated"), [(MAXIMUM_DEPTH, False), (MAXIMUM_DEPTH + 1, True), (1_200, True)])
def test_a_deep_tree_shows_its_upper_levels(executions: Executions, store: Store, levels: int, truncated: bool) -> None:
    caller = root = opened(executions)
    with store.executions.together():
        for _ in range(levels):
            caller = opened(executions, caller, kind="manager", root_id=root.id)
    tree = store.reading.tree(root.id)
    assert (tree.count, tree.truncated) == (min(levels, MAXIMUM_DEPTH) + 1, truncated)
    depth, node = 0, tree.execution
    while node.children:
        depth, node = depth + 1, node.children[0]
    assert depth == min(levels, MAXIMUM_DEPTH)
    assert msgspec.json.encode(tree)


def test_of_a_tree_cut_off_what_runs_and_what_failed_is_found(executions: Executions, store: Store) -> None:
    reading = store.reading
    root, other = opened(executions), opened(executions)
    calls = [ended(executions, "success", root, position=position) for position in range(4)]
    failed = ended(executions, "error", root, position=4)
    ended(executions, "cancelled", root, position=5)
    ended(executions, "error", other, position=0)
    opened(executions, other, position=1)
    later = ended(executions, "error", root, position=7)
    running = opened(executions, root, position=6)
    tree = reading.tree(root.id, 3)
    assert [node.id for node in tree.execution.children] == calls[:2]
    assert [node.id for node in reading.noteworthy(tree.execution)] == [failed, running.id, later]
    assert [node.id for node in reading.noteworthy(tree.execution, 1)] == [failed, running.id]
    assert reading.noteworthy(reading.tree(root.id).execution) == []


def test_remarks_are_the_error_and_the_beginning_of_the_inputs(executions: Executions, store: Store) -> None:
    failed = ended(executions, "error", inputs=b'[{"n":1}]')
    long = ended(executions, "success", inputs=b'[{"text":"' + b"x" * 10_000 + b'"}]')
    remarks = store.reading.remarks([failed, long, 999])
    assert list(remarks) == [failed, long]
    assert (remarks[failed].error, bytes(remarks[failed].inputs)) == (CLOSED, b'[{"n":1}]')
    assert (remarks[long].error, len(bytes(remarks[long].inputs))) == (None, 4097)
