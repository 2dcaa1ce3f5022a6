"""The geometry of the pictures: bars of a day, durations, time axes, the rows of calls."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microflow import ExecutionStatus
from microflow.store.views import Bucket, ExecutionDuration, Tree, TreeNode
from microflow.web.pages import charts
from microflow.web.pages.calls import CROWD_HEIGHT, IN_ALL, PER_PARENT, CallRow, RestRow, calls_of

START = datetime(2026, 11, 22, 5, tzinfo=UTC)


def bucket(number: int, **statuses: int) -> Bucket:
    begin = START + timedelta(minutes=15 * number)
    return Bucket(begin, begin + timedelta(minutes=15), statuses)


def test_the_fullest_bucket_is_as_high_as_the_picture() -> None:
    quiet, busy, empty = charts.day_slots([bucket(0, success=1), bucket(1, success=3, error=1), bucket(2)], 50)
    assert sum(bar.height for bar in busy.bars) == pytest.approx(50)
    assert sum(bar.height for bar in quiet.bars) == pytest.approx(25)
    assert empty.bars == []
    assert busy.text == "05:15 to 05:30 UTC: 3 success, 1 error"
    assert empty.text == "05:30 to 05:45 UTC: nothing"
    assert (quiet.failed, busy.failed, empty.failed) == ("", "error", "")


def test_one_failure_among_thousands_is_seen() -> None:
    [slot] = charts.day_slots([bucket(0, success=5000, error=1)], 50)
    assert slot.bars[-1].status == "error"
    assert slot.bars[-1].height >= 3


def durations(*seconds: float) -> list[ExecutionDuration]:
    """Executions, oldest first as given, newest first as read."""
    made = [ExecutionDuration(number, ExecutionStatus.SUCCESS, START, value) for number, value in enumerate(seconds, 1)]
    return made[::-1]


def test_a_duration_chart_goes_from_the_oldest_to_the_newest() -> None:
    chart = charts.duration_chart(durations(1, 4, 2), 100, 60)
    assert chart is not None
    assert [item.id for item in chart.bars] == [1, 2, 3]
    assert [label for _, label in chart.lines] == ["5 s", "2.5 s"]
    assert [item.bar.height for item in chart.bars] == [20, 80, 40]
    assert chart.summary == "Durations: median 2.00 s, 1.00 s to 4.00 s in the last 3"


def test_one_execution_has_no_median() -> None:
    chart = charts.duration_chart(durations(4), 100, 60)
    assert chart is not None
    assert chart.range == "4.00 s in the only one"


def test_no_execution_is_no_chart() -> None:
    assert charts.duration_chart([], 100, 60) is None
    assert charts.sparkline([], 20, 20) == []


def test_a_sparkline_ends_at_the_right_with_the_newest() -> None:
    bars = charts.sparkline(durations(0, 10), 20, 20)
    assert [bar.height for bar in bars] == [3, 20]
    assert 95 < bars[-1].x < 100


@given(st.floats(1e-6, 1e7))
def test_an_axis_has_few_round_marks_within_it(seconds: float) -> None:
    marks = charts.ticks(seconds)
    assert marks[0] == charts.Tick(0.0, "0")
    assert len(marks) <= 6
    assert all(0 < mark.x < 97.5 for mark in marks[1:])
    assert len({mark.label for mark in marks}) == len(marks)


@given(st.floats(1e-9, 1e9))
def test_the_round_number_above_is_not_far_above(value: float) -> None:
    assert value * (1 - 1e-9) <= charts.nice_above(value) <= value * 3


def node(id_: int, begin: float | None, end: float | None, parent: int | None = None, **others: Any) -> TreeNode:
    values: dict[str, Any] = {
        "status": ExecutionStatus.SUCCESS if end is not None else ExecutionStatus.RUNNING,
        "queued_at": START,
        **others,
    }
    return TreeNode(
        id=id_,
        flow="shop",
        job=f"job_{id_}",
        kind="task",
        trigger="call",
        parent_id=parent,
        position=id_,
        reason=None,
        run_key=None,
        time_partition=None,
        cat_partition=None,
        attempt=1,
        started_at=None if begin is None else START + timedelta(seconds=begin),
        ended_at=None if end is None else START + timedelta(seconds=end),
        progress=None,
        waiting=None,
        **values,
    )


def tree_of(root: TreeNode, *children: TreeNode) -> Tree:
    root.children = list(children)
    return Tree(root, 1 + len(children), False)


def test_calls_lie_on_one_time_axis() -> None:
    tree = tree_of(node(1, 0, 10), node(2, 0, 5, 1), node(3, 5, 10, 1), node(4, None, None, 1))
    calls = calls_of(tree, START + timedelta(seconds=10))
    spans = [row.span and tuple(row.span) for row in calls.rows if isinstance(row, CallRow)]
    assert spans == [(0, 0, 100), (0, 0, 50), (0, 50, 50), None]
    assert [row.depth for row in calls.rows] == [0, 1, 1, 1]
    assert [mark.label for mark in calls.ticks] == ["0", "2 s", "4 s", "6 s", "8 s"]


def test_what_still_waits_waits_until_now() -> None:
    waiting = node(2, None, None, 1, status=ExecutionStatus.QUEUED, queued_at=START + timedelta(seconds=5))
    calls = calls_of(tree_of(node(1, 0, None), waiting), START + timedelta(seconds=20))
    assert isinstance(calls.rows[1], CallRow)
    assert calls.rows[1].span == (25, 100, None)


def test_what_still_runs_reaches_until_now() -> None:
    calls = calls_of(tree_of(node(1, 0, None), node(2, 15, None, 1)), START + timedelta(seconds=20))
    assert isinstance(calls.rows[1], CallRow)
    assert calls.rows[1].span == (0, 75, 25)


def test_of_many_children_the_noteworthy_are_shown_in_their_order() -> None:
    children = [node(number, 0, 1, 1) for number in range(2, 302)]
    children[250].status = ExecutionStatus.ERROR
    calls = calls_of(tree_of(node(1, 0, 1), *children), START)
    shown = [row.node.id for row in calls.rows if isinstance(row, CallRow)]
    assert len(shown) == 1 + PER_PARENT
    assert shown[-1] == 252
    assert shown == sorted(shown)
    assert calls.rows[-1] == RestRow(1, 1, 300 - PER_PARENT)
    assert calls.statuses == {ExecutionStatus.SUCCESS: 299, ExecutionStatus.ERROR: 1}
    assert calls.count == 300


def test_of_many_children_that_run_the_failed_ones_are_shown_too() -> None:
    children = [node(number, 0, None, 1) for number in range(2, 102)]
    for child in children[60:]:
        child.status = ExecutionStatus.ERROR
    calls = calls_of(tree_of(node(1, 0, None), *children), START + timedelta(seconds=5))
    shown = Counter(row.node.status for row in calls.rows[1:] if isinstance(row, CallRow))
    assert shown == {ExecutionStatus.RUNNING: PER_PARENT // 2, ExecutionStatus.ERROR: PER_PARENT // 2}


def test_the_children_left_out_are_drawn_where_they_ran() -> None:
    children = [node(number, number % 2 * 5, number % 2 * 5 + 5, 1) for number in range(2, 102)]
    children.append(node(102, None, None, 1, status=ExecutionStatus.QUEUED))
    calls = calls_of(tree_of(node(1, 0, 10), *children), START + timedelta(seconds=10))
    assert isinstance(calls.rows[-1], RestRow)
    assert calls.rows[-1].left_out == 101 - PER_PARENT
    drawn = calls.crowds[1]
    assert [(bar.x, bar.width, bar.height) for bar in drawn][-1] == (50, 50, CROWD_HEIGHT)
    assert sum(bar.width for bar in drawn) == pytest.approx(100)
    assert {bar.status for bar in drawn} == {"success"}
    cut_off = Tree(node(1, 0, 10), 100, True)
    cut_off.execution.children = children
    assert calls_of(cut_off, START + timedelta(seconds=10)).crowds == {}


def test_in_a_crowd_one_failure_is_seen() -> None:
    spans = [(index / 10, index / 10 + 1, "success") for index in range(990)] + [(40.0, 40.01, "error")]
    bars = charts.crowd(spans, 100, 18)
    [failure] = [bar for bar in bars if bar.status == "error"]
    assert failure == charts.Bar(40, 1, failure.y, 4, "error")
    assert min(bar.y for bar in bars) >= 0
    assert max(bar.height for bar in bars) <= 18
    assert max(bar.x + bar.width for bar in bars) <= 100.001
    assert charts.crowd([], 100, 18) == []


def test_calls_that_are_alike_all_the_time_are_one_bar() -> None:
    assert charts.crowd([(0, 60, "success"), (60, 100, "success")], 50, 18) == [charts.Bar(0, 100, 0, 18, "success")]


def test_a_wide_and_deep_tree_is_bounded_and_every_gap_is_told() -> None:
    branches = []
    for branch in range(30):
        top = node(1000 * (branch + 1), 0, 1, 1)
        top.children = [node(top.id + number, 0, 1, top.id) for number in range(1, 31)]
        branches.append(top)
    calls = calls_of(tree_of(node(1, 0, 1), *branches), START)
    shown = sum(isinstance(row, CallRow) for row in calls.rows)
    told = sum(row.left_out for row in calls.rows if isinstance(row, RestRow))
    below_untold = sum(
        30 for top in branches if not any(isinstance(row, CallRow) and row.node.id == top.id for row in calls.rows)
    )
    assert shown <= IN_ALL
    assert shown + told + below_untold == 1 + 30 + 900
