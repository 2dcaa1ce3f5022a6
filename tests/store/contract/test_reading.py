"""What is looked at: single executions, lists with filters and cursors, trees, counts, timelines, from a real store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from microflow import ExecutionError, ExecutionStatus, StoreError, UnknownNameError
from microflow.store import Reading, Store
from microflow.store.filters import Filters, read_cursor
from microflow.store.rows import Ending, Opened, Opening, Waiting

QUEUED, RUNNING, SUCCESS, SKIPPED, ERROR, CANCELLED = ExecutionStatus
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class History:
    """Writes executions into a store, a second apart."""

    def __init__(self, store: Store) -> None:
        self.executions = store.executions
        self.now = NOON.timestamp()

    def opened(self, job: str = "load", parent: Opened | None = None, **given: Any) -> Opened:
        new = Opening(
            **{
                "flow": "shop",
                "job": job,
                "kind": "task" if parent else "manager",
                "trigger": "call" if parent else "api",
                "inputs": b"[]",
                "parent_id": parent.id if parent else None,
                "root_id": parent.root_id if parent else None,
                **given,
            }
        )
        opened = self.executions.open(new, self.now)
        self.now += 1
        return opened

    def ended(
        self, job: str = "load", parent: Opened | None = None, status: ExecutionStatus = SUCCESS, **given: Any
    ) -> int:
        opened = self.opened(job, parent, **given)
        assert self.executions.finish(opened, Ending(status=status), self.now)
        return opened.id


@pytest.fixture
def history(store: Store) -> History:
    return History(store)


@pytest.fixture
def reading(store: Store) -> Reading:
    return store.reading


def ids(reading: Reading, filters: Filters = Filters(), limit: int = 50) -> list[int]:  # noqa: B008 - frozen
    return [execution.id for execution in reading.executions(filters, limit).items]


def test_an_execution_that_is_not_there_is_an_error(reading: Reading) -> None:
    with pytest.raises(UnknownNameError, match="no execution 7"):
        reading.execution(7)
    with pytest.raises(UnknownNameError, match="no execution 7"):
        reading.tree(7)


def test_a_closed_store_is_an_error(store: Store, reading: Reading) -> None:
    reading.check()
    store.close()
    with pytest.raises(StoreError):
        reading.check()


BEYOND = "YmVmb3JlOjk5OTk5OTk5OTk5OTk5OTk5OTk5"


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "YmVmb3JlOjA", "YmVmb3JlOi0x", "YmVmb3JlOjUK", "é", "=" * 9, "YmVmb3JlOjU=", BEYOND, "x" * 10_000],
)
def test_a_cursor_that_no_list_gave_is_an_error(reading: Reading, cursor: str) -> None:
    with pytest.raises(ValueError, match="which no list gave"):
        reading.executions(cursor=cursor)


def test_an_execution_is_read_as_it_was_written(history: History, reading: Reading) -> None:
    opened = history.opened(
        inputs=b'[{"day":{"$date":"2026-11-22"}}]',
        run_key="k",
        time_partition="2026-11-22",
        cat_partition="eu",
        scheduled_at=NOON.timestamp() - 60,
    )
    ending = Ending(
        status=ERROR,
        output=b'{"n":1}',
        error=ExecutionError("ValueError", "no", "trace"),
        reason="because",
        progress=b'{"done":1,"total":2,"message":null}',
        cpu_seconds=0.5,
        peak_memory=1_000,
    )
    history.executions.finish(opened, ending, NOON.timestamp() + 2.5)
    execution = reading.execution(opened.id)
    assert bytes(execution.inputs) == b'[{"day":{"$date":"2026-11-22"}}]'
    assert execution.output is not None
    assert bytes(execution.output) == b'{"n":1}'
    assert (execution.flow, execution.job, execution.kind, execution.trigger) == ("shop", "load", "manager", "api")
    assert execution.status is ERROR
    assert execution.error == ExecutionError("ValueError", "no", "trace")
    assert (execution.reason, execution.run_key) == ("because", "k")
    assert (execution.time_partition, execution.cat_partition) == ("2026-11-22", "eu")
    assert execution.scheduled_at == NOON - timedelta(minutes=1)
    assert execution.queued_at == execution.started_at == NOON
    assert execution.ended_at == NOON + timedelta(seconds=2.5)
    assert execution.progress is not None
    assert (execution.progress.done, execution.progress.total) == (1, 2)
    assert (execution.cpu_seconds, execution.peak_memory) == (0.5, 1_000)
    assert (execution.parent_id, execution.root_id) == (None, opened.id)
    assert execution.attempts == ()


def test_a_queued_execution_says_why_it_waits(history: History, reading: Reading) -> None:
    since = NOON.timestamp()
    waiting = reading.execution(history.opened(waiting=Waiting("limit", "two run", since, since + 5)).id).waiting
    assert waiting is not None
    assert (waiting.reason, waiting.message) == ("limit", "two run")
    assert (waiting.since, waiting.until) == (NOON, NOON + timedelta(seconds=5))


def test_failed_attempts_come_with_a_single_execution_only(history: History, reading: Reading) -> None:
    opened = history.opened()
    failed = Ending(status=ERROR, error=ExecutionError("OSError", "gone"))
    history.executions.retry(opened, failed, Waiting("retry", "again", 0.0), NOON.timestamp() + 3)
    (attempt,) = reading.execution(opened.id).attempts or ()
    assert (attempt.attempt, attempt.status, attempt.error) == (1, ERROR, ExecutionError("OSError", "gone"))
    assert (attempt.started_at, attempt.ended_at) == (NOON, NOON + timedelta(seconds=3))
    assert not reading.executions().items[0].attempts


def test_an_empty_store_is_an_empty_list(reading: Reading) -> None:
    page = reading.executions(Filters(since=NOON, flow="shop"))
    assert (page.items, page.next) == ([], None)
    assert reading.timeline(NOON, NOON + timedelta(hours=1), 2)[1].statuses == {}


def test_a_list_is_newest_first_and_pages_lose_nothing(history: History, reading: Reading) -> None:
    written = [history.ended() for _ in range(7)]
    found, cursor = [], None
    while True:
        page = reading.executions(limit=3, cursor=cursor)
        found += [execution.id for execution in page.items]
        history.ended("later")  # what comes meanwhile is on the first page only
        if page.next is None:
            break
        cursor = page.next
    assert found == written[::-1]


def test_a_full_last_page_has_no_next(history: History, reading: Reading) -> None:
    history.ended(), history.ended()
    assert reading.executions(limit=2).next is None
    assert reading.executions(limit=1).next is not None


def test_a_cursor_is_opaque_and_the_lists_own(history: History, reading: Reading) -> None:
    history.ended(), history.ended()
    cursor = reading.executions(limit=1).next
    assert cursor is not None
    assert not cursor.isdigit()
    assert read_cursor(cursor) == 2


def test_filters_by_flow_and_job(history: History, reading: Reading) -> None:
    load, save = history.ended("load"), history.ended("save")
    other = history.ended("load", flow="bakery")
    assert ids(reading, Filters(flow="shop")) == [save, load]
    assert ids(reading, Filters(job="load")) == [other, load]
    assert ids(reading, Filters(flow="bakery", job="load")) == [other]
    assert ids(reading, Filters(flow="shop", job="nothing")) == []
    assert ids(reading, Filters(flow="shop"), limit=1) == [save]


def test_filters_by_status_one_or_several(history: History, reading: Reading) -> None:
    by_status = {status: history.ended(status=status) for status in (SUCCESS, SKIPPED, ERROR, CANCELLED)}
    by_status[RUNNING] = history.opened().id
    by_status[QUEUED] = history.opened(waiting=Waiting("limit", "full", 0.0)).id
    for status, id_ in by_status.items():
        assert ids(reading, Filters(status=(status,))) == [id_]
    assert ids(reading, Filters(status=(ERROR, RUNNING))) == [by_status[RUNNING], by_status[ERROR]]
    assert ids(reading, Filters(status=(ERROR, RUNNING)), limit=1) == [by_status[RUNNING]]
    assert ids(reading, Filters(status=(SUCCESS, ERROR))) == [by_status[ERROR], by_status[SUCCESS]]
    assert ids(reading, Filters(status=(ERROR, ERROR))) == [by_status[ERROR]]
    assert len(ids(reading, Filters(status=tuple(ExecutionStatus)))) == 6
    assert ids(reading, Filters(status=(ERROR,), job="save")) == []
    assert ids(reading, Filters(status=(SKIPPED,), flow="shop", job="load")) == [by_status[SKIPPED]]


def test_filters_by_what_an_execution_is_for(history: History, reading: Reading) -> None:
    plain = history.ended(trigger="schedule")
    keyed = history.ended(run_key="a", trigger="cli")
    partitioned = history.ended(time_partition="2026-11", cat_partition="eu")
    assert ids(reading, Filters(trigger="schedule")) == [plain]
    assert ids(reading, Filters(run_key="a")) == [keyed]
    assert ids(reading, Filters(time_partition="2026-11")) == [partitioned]
    assert ids(reading, Filters(cat_partition="eu", flow="shop")) == [partitioned]
    assert ids(reading, Filters(cat_partition="us")) == []


def test_filters_by_parent_root_and_top_level(history: History, reading: Reading) -> None:
    root = history.opened("all")
    middle = history.opened("some", root, kind="manager")
    leaf = history.ended("one", middle)
    direct = history.ended("two", root, status=ERROR)
    other = history.ended("alone")
    assert ids(reading, Filters(parent=root.id)) == [direct, middle.id]
    assert ids(reading, Filters(parent=middle.id)) == [leaf]
    assert ids(reading, Filters(parent=leaf)) == []
    assert ids(reading, Filters(parent=99)) == []
    assert ids(reading, Filters(root=root.id)) == [direct, leaf, middle.id, root.id]
    assert ids(reading, Filters(root=other)) == [other]
    assert ids(reading, Filters(root=root.id, status=(ERROR,))) == [direct]
    assert ids(reading, Filters(root=root.id, job="one")) == [leaf]
    assert ids(reading, Filters(root=root.id, parent=middle.id)) == [leaf]
    assert ids(reading, Filters(root=other, parent=middle.id)) == []
    assert ids(reading, Filters(top_level=True)) == [other, root.id]
    assert ids(reading, Filters(top_level=True, job="one")) == []


def test_filters_by_time_both_ends_included(history: History, reading: Reading) -> None:
    written = [history.ended() for _ in range(10)]

    def within(first: float, last: float) -> list[int]:
        span = Filters(since=NOON + timedelta(seconds=first), until=NOON + timedelta(seconds=last))
        return ids(reading, span)

    assert within(3, 5) == written[5:2:-1]
    assert within(2.5, 5.5) == written[5:2:-1]
    assert within(-100, 0) == written[:1]
    assert within(9, 100) == written[9:]
    assert within(20, 30) == []
    assert within(-30, -20) == []
    assert within(6, 4) == []


def test_filters_by_time_in_a_history_with_gaps(stores: Any, store: Store, history: History, reading: Reading) -> None:
    written = [history.ended() for _ in range(40)]
    kept = [id_ for id_ in written if id_ % 7 == 3]
    stores.change(store, "DELETE FROM executions WHERE id % 7 <> 3")
    for second in range(-1, 42):
        moment = NOON + timedelta(seconds=second)
        since = [id_ for id_ in kept if id_ - 1 >= second]
        assert ids(reading, Filters(since=moment)) == since[::-1]
        assert ids(reading, Filters(until=moment)) == [id_ for id_ in reversed(kept) if id_ - 1 <= second]


def test_filters_by_time_never_show_what_lies_outside(history: History, reading: Reading) -> None:
    # threads that open executions at once may get ids in another order than that of their times
    history.ended()
    history.now = NOON.timestamp() + 3
    late = history.ended()
    history.now = NOON.timestamp() + 2
    early = history.ended()
    assert late not in ids(reading, Filters(until=NOON + timedelta(seconds=2)))
    assert early not in ids(reading, Filters(since=NOON + timedelta(seconds=3)))


def test_a_tree_is_nested_in_the_order_of_the_calls(history: History, reading: Reading) -> None:
    root = history.opened("all")
    second = history.opened("second", root, kind="manager", position=1)
    first = history.ended("first", root, position=0)
    leaves = [history.ended("leaf", second, position=position) for position in (2, 0, 1)]
    history.ended("alone")
    tree = reading.tree(root.id)
    assert (tree.count, tree.truncated) == (6, False)
    assert [child.id for child in tree.execution.children] == [first, second.id]
    assert [child.id for child in tree.execution.children[1].children] == [leaves[1], leaves[2], leaves[0]]
    assert tree.execution.children[1].children[0].parent_id == second.id
    below = reading.tree(second.id)
    assert (below.execution.id, below.count) == (second.id, 4)
    assert reading.tree(first).count == 1


@pytest.mark.parametrize(("limit", "truncated"), [(1, True), (4, True), (6, True), (7, False), (8, False)])
def test_a_large_tree_shows_its_upper_part(history: History, reading: Reading, limit: int, truncated: bool) -> None:
    root = history.opened("all")
    inner = [history.opened("some", root, kind="manager", position=position) for position in (0, 1)]
    leaves = [history.ended("leaf", parent, position=position) for parent in inner for position in (0, 1)]
    tree = reading.tree(root.id, limit)
    assert (tree.count, tree.truncated) == (min(limit, 7), truncated)
    upper = [root.id, *(opened.id for opened in inner), *leaves][: tree.count]
    shown, nodes = [], [tree.execution]
    for node in nodes:
        shown.append(node.id)
        nodes += node.children
    assert shown == upper


def test_counts_of_what_runs_waits_and_failed(history: History, reading: Reading) -> None:
    history.ended(status=ERROR)
    history.now += 100
    history.ended(status=ERROR), history.ended(status=CANCELLED), history.ended(), history.ended(status=SKIPPED)
    history.opened(), history.opened()
    history.opened(waiting=Waiting("limit", "full", 0.0))
    counts = reading.counts(NOON + timedelta(seconds=50))
    assert (counts.running, counts.queued, counts.failed) == (2, 1, 2)
    assert reading.counts(NOON).failed == 3


def test_a_timeline_counts_what_nobody_called(history: History, reading: Reading) -> None:
    root = history.opened("all")
    history.ended("part", root)
    history.ended(status=ERROR)
    history.now = NOON.timestamp() + 90
    history.ended(), history.ended()
    history.now = NOON.timestamp() + 3_600
    history.ended()
    first, second, third = reading.timeline(NOON, NOON + timedelta(minutes=3), 3)
    assert (first.start, first.end) == (NOON, NOON + timedelta(minutes=1))
    assert first.statuses == {"running": 1, "error": 1}
    assert second.statuses == {"success": 2}
    assert third.statuses == {}
    assert third.end == NOON + timedelta(minutes=3)


def test_durations_of_a_job_newest_first(history: History, reading: Reading) -> None:
    for seconds in (5, 2):
        opened = history.opened()
        history.executions.finish(opened, Ending(status=SUCCESS), history.now - 1 + seconds)
    history.opened()
    assert [duration.seconds for duration in reading.durations("shop", "load")] == [2, 5]
    assert [duration.seconds for duration in reading.durations("shop", "load", limit=1)] == [2]
    assert reading.durations("shop", "save") == []
