"""Old history goes, in small steps; what later executions need of it stays."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from microflow import ExecutionStatus
from microflow.store import Store
from microflow.store.retention import STEP
from microflow.store.rows import Ending, Opened, Opening, Waiting

DAY = 86_400.0
SUCCESS = ExecutionStatus.SUCCESS


class History:
    """A store with executions that ended on given days."""

    def __init__(self, stores: Any, store: Store) -> None:
        self._stores = stores
        self.store = store
        self.executions, self.logs, self.retention = store.executions, store.logs, store.retention

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._stores.rows(self.store, query)  # type: ignore[no-any-return]

    def change(self, statement: str) -> None:
        self._stores.change(self.store, statement)

    def open(self, day: float, **named: object) -> Opened:
        whose = {"flow": "f", "job": "j", "kind": "task", "trigger": "call", "inputs": b"[]"}
        return self.executions.open(Opening(**whose | named), day * DAY)  # type: ignore[arg-type]

    def ended(self, day: float, status: ExecutionStatus = ExecutionStatus.SKIPPED, **named: object) -> int:
        opened = self.open(day, **named)
        ending = Ending(status=status, output=b'{"day":%d}' % day, run_key=named.get("run_key"))  # type: ignore[arg-type]
        self.executions.finish(opened, ending, day * DAY)
        log = self.logs.open(opened.id)
        log.append(b"printed\n")
        log.close()
        return opened.id

    def forget(self, before: float) -> int:
        return sum(self.retention.steps(before))

    def kept(self) -> list[int]:
        return [row[0] for row in self.rows("SELECT id FROM executions ORDER BY id")]


@pytest.fixture
def history(stores: Any, store: Store) -> History:
    return History(stores, store)


def test_what_ended_before_is_deleted_with_its_log_and_what_ended_later_stays(history: History) -> None:
    old, young = history.ended(1), history.ended(10)
    assert history.forget(5 * DAY) == 1
    assert history.kept() == [young]
    assert history.logs.read(old).text == ""
    assert history.logs.read(young).text == "printed\n"


def test_what_has_not_ended_stays_however_old_it_is(history: History) -> None:
    running = history.open(1)
    history.ended(2)
    history.forget(5 * DAY)
    assert history.kept() == [running.id]


def test_the_newest_execution_of_a_run_key_and_of_a_partition_stays(history: History) -> None:
    history.ended(1, SUCCESS, run_key="a")
    key = history.ended(2, SUCCESS, run_key="a")
    history.ended(1, partitions=[("2026-01-01", "")])
    partition = history.ended(2, partitions=[("2026-01-01", "")])
    last = history.ended(3, SUCCESS)
    assert history.forget(5 * DAY) == 2
    assert history.kept() == [key, partition, last]
    assert history.executions.success_with_key("f", "j", "a") == (key, b'{"day":2}')


def test_the_newest_success_of_a_job_stays_which_its_context_falls_back_to(history: History) -> None:
    history.ended(1, SUCCESS)
    last = history.ended(2, SUCCESS)
    other = history.ended(1, SUCCESS, job="other")
    history.ended(3, ExecutionStatus.ERROR)
    history.ended(3)
    history.ended(4, SUCCESS, kind="map")  # a mapping of the job is no execution of it
    assert history.forget(5 * DAY) == 4
    assert history.kept() == [last, other]
    assert history.executions.context("f", "j")[1] == {"day": 2}
    assert history.logs.read(last).text == "printed\n"
    newer = history.ended(4, SUCCESS)
    assert history.forget(5 * DAY) == 1
    assert history.kept() == [other, newer]


def test_what_a_kept_success_called_goes_and_its_own_attempts_stay(history: History) -> None:
    parent = history.open(1, kind="manager")
    child = history.ended(1, parent_id=parent.id, root_id=parent.id, job="child")
    history.executions.retry(parent, Ending(status=ExecutionStatus.ERROR), Waiting("retry", "again", 0.0), DAY)
    history.executions.finish(parent, Ending(status=SUCCESS, output=b"{}"), DAY)
    history.ended(2, job="child")
    assert history.forget(2 * DAY) == 1
    assert child not in history.kept()
    tree = history.store.reading.tree(parent.id)
    assert (tree.execution.id, tree.execution.children) == (parent.id, [])
    assert [attempt.attempt for attempt in history.store.reading.attempts(parent.id)] == [1]


def test_a_context_stays_when_the_execution_that_wrote_it_goes(history: History) -> None:
    opened = history.open(1)
    history.executions.finish(opened, Ending(status=ExecutionStatus.SKIPPED, context={"cursor": b"7"}), DAY)
    history.forget(5 * DAY)
    assert history.kept() == []
    assert history.executions.context("f", "j")[0] == {"cursor": 7}


def test_a_step_looks_at_few_and_the_next_goes_on_behind_it(history: History) -> None:
    with history.store.executions.together():
        ids = [history.open(1).id for _ in range(2 * STEP + 10)]
        history.change("UPDATE executions SET status = 'skipped', ended_at = 1.0")
    first = history.retention.step(5 * DAY)
    assert (first.deleted, first.next) == (STEP, ids[STEP - 1])
    assert history.kept() == ids[STEP:]
    assert history.forget(5 * DAY) == STEP + 10
    assert history.kept() == []


def test_the_attempts_of_what_is_deleted_are_deleted(history: History) -> None:
    old, young = history.ended(1), history.ended(10)
    for number in (old, young):
        history.store.database.execute(
            "open_attempt",
            {"execution_id": number, "attempt": 1, "status": "error", "started_at": 0, "ended_at": 1, "error": None},
        )
    history.forget(5 * DAY)
    assert history.rows("SELECT execution_id FROM attempts") == [(young,)]


def test_old_ticks_go_a_few_at_a_time(history: History) -> None:
    row = {
        "flow": "f",
        "schedule": "s",
        "outcome": "run",
        "reason": None,
        "execution_id": 1,
        "count": 1,
        "recorded_at": 0,
    }
    with history.store.executions.together():
        for number in range(2 * STEP + 10):
            history.store.database.execute("record_tick", {**row, "at": float(number), "first_at": 0})
        history.store.database.execute("record_tick", {**row, "at": 9 * DAY, "first_at": 0})
    left = []
    while history.retention.finish(5 * DAY):
        left.append(history.rows("SELECT count(*) FROM ticks")[0][0])
    assert left[-1] == 1
    assert all(1 <= before - after <= STEP + 1 for before, after in pairwise([2 * STEP + 11, *left]))
    assert history.rows("SELECT at FROM ticks") == [(9 * DAY,)]


def test_nothing_old_is_nothing_to_do(history: History) -> None:
    history.ended(10)
    assert history.retention.step(5 * DAY) == (0, None)


def test_an_empty_store_is_nothing_to_do(store: Store) -> None:
    assert sum(store.retention.steps(5 * DAY)) == 0
