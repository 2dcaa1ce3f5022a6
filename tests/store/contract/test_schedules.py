"""Schedules in the store: what is kept of them, and that a tick has one record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from microflow.model.events import Event, EventBus
from microflow.store import Schedules, Store
from microflow.store.options import schedule_of
from microflow.store.rows import Opening, ScheduleRow, TickRecord, Waiting

NOW = 1_800_000_000.0


@pytest.fixture
def schedules(store: Store) -> Schedules:
    return store.schedules


def open_run(store: Store, at: float, *, waiting: bool = False, name: str = "load", **given: Any) -> int:
    """A tick that is claimed with its execution."""
    reason = Waiting("schedule", "waits", at) if waiting else None

    def claim(execution_id: int, _: Waiting | None) -> None:
        if not store.schedules.claim("shop", name, TickRecord(at, "run", None, execution_id), at):
            raise LookupError("taken")

    new = Opening(
        flow="shop",
        job=name,
        kind="task",
        trigger="schedule",
        inputs=b"[]",
        scheduled_at=at,
        waiting=reason,
        options=b'{"schedule": "%s"}' % name.encode(),
        **given,
    )
    return store.executions.open(new, at, claim).id


def test_a_schedule_that_was_never_served_is_not_there(schedules: Schedules) -> None:
    assert schedules.find("shop", "load") is None
    assert schedules.of_flow("shop") == {}
    assert schedules.ticks("shop", "load") == []


def test_serving_begins_now_and_again_after_a_change(schedules: Schedules) -> None:
    schedules.serve("shop", "load", "@daily", "UTC", NOW)
    assert schedules.find("shop", "load") == ScheduleRow("load", "@daily", "UTC", NOW, NOW, None, None)
    schedules.remove("shop", "load", NOW + 5)
    schedules.remove("shop", "load", NOW + 7)
    assert schedules.of_flow("shop")["load"].removed_at == NOW + 5
    schedules.serve("shop", "load", "@hourly", "Asia/Tokyo", NOW + 10)

    row = schedules.find("shop", "load")
    assert row == ScheduleRow("load", "@hourly", "Asia/Tokyo", NOW + 10, NOW + 10, None, None)


def test_a_pause_outlives_a_change(schedules: Schedules) -> None:
    schedules.pause("shop", "load", "@daily", "UTC", NOW)
    schedules.serve("shop", "load", "@hourly", "UTC", NOW + 10)
    schedules.pause("shop", "load", "@hourly", "UTC", NOW + 20)
    paused = schedules.find("shop", "load")
    assert paused is not None
    assert (paused.served_since, paused.paused_at) == (NOW + 10, NOW)
    schedules.resume("shop", "load", [TickRecord(NOW + 15, "paused")], NOW + 30)
    schedules.resume("shop", "load", [], NOW + 40)

    resumed = schedules.find("shop", "load")
    assert resumed is not None
    assert (resumed.paused_at, resumed.seen_until) == (None, NOW + 30)
    assert [tick.outcome for tick in schedules.ticks("shop", "load")] == ["paused"]


def test_a_tick_is_claimed_once_and_opens_one_execution(stores: Any, store: Store, schedules: Schedules) -> None:
    schedules.serve("shop", "load", "@daily", "UTC", NOW)
    first = open_run(store, NOW + 60)
    with pytest.raises(LookupError):
        open_run(store, NOW + 60)

    (tick,) = schedules.ticks("shop", "load")
    assert (tick.execution_id, tick.status, tick.count) == (first, "running", 1)
    assert stores.rows(store, "SELECT count(*) FROM executions") == [(1,)]
    row = schedules.find("shop", "load")
    assert row is not None
    assert row.seen_until == NOW + 60


def test_a_record_is_not_changed_by_a_later_one(schedules: Schedules) -> None:
    schedules.serve("shop", "load", "@daily", "UTC", NOW)
    assert schedules.record("shop", "load", [TickRecord(NOW + 60, "missed", "first")], NOW + 90) == 1
    assert schedules.record("shop", "load", [TickRecord(NOW + 60, "paused"), TickRecord(NOW + 120, "paused")], NOW) == 1

    assert [(tick.outcome, tick.reason) for tick in schedules.ticks("shop", "load")] == [
        ("paused", None),
        ("missed", "first"),
    ]


def test_what_was_seen_goes_back_only_when_it_is_told_to(schedules: Schedules) -> None:
    schedules.serve("shop", "load", "@daily", "UTC", NOW)
    for until, expected in ((NOW + 50, NOW), (NOW - 50, NOW - 50)):
        schedules.rewind("shop", "load", until)
        row = schedules.find("shop", "load")
        assert row is not None
        assert row.seen_until == expected


def test_ticks_are_given_newest_first_and_page_by_page(schedules: Schedules) -> None:
    records = [TickRecord(NOW + number, "missed") for number in range(5)]
    shared = TickRecord(NOW - 1, "missed", "long ago", None, 1_000, NOW - 60_000)
    schedules.record("shop", "load", [shared, *records], NOW + 9)
    schedules.record("shop", "other", [TickRecord(NOW + 100, "paused")], NOW + 9)

    newest = schedules.ticks("shop", "load", 3)
    rest = schedules.ticks("shop", "load", 30, newest[-1].at)
    assert [tick.at.timestamp() - NOW for tick in (*newest, *rest)] == [4, 3, 2, 1, 0, -1]
    assert (rest[-1].count, rest[-1].first, rest[-1].recorded_at) == (
        1_000,
        datetime.fromtimestamp(NOW - 60_000, UTC),
        datetime.fromtimestamp(NOW + 9, UTC),
    )


def test_runs_that_go_on_are_found_by_their_schedule(stores: Any, store: Store, schedules: Schedules) -> None:
    one = open_run(store, NOW)
    two = open_run(store, NOW + 60, waiting=True)
    other = open_run(store, NOW, name="other")
    stores.change(store, f"UPDATE executions SET status = 'success' WHERE id = {one}")
    plain = Opening(flow="shop", job="load", kind="task", trigger="api", inputs=b"[]", options=b'{"force": true}')
    store.executions.open(plain, NOW)

    assert schedules.running() == {("shop", "load"): [two], ("shop", "other"): [other]}


def test_only_runs_of_ticks_that_never_began_are_left_to_the_next_server(
    stores: Any, store: Store, schedules: Schedules
) -> None:
    open_run(store, NOW)
    left = open_run(store, NOW + 60, waiting=True)
    began = open_run(store, NOW + 120, waiting=True)
    stores.change(store, f"UPDATE executions SET started_at = 1 WHERE id = {began}")

    assert [(opened.id, opened.job, opened.started_at) for opened in schedules.not_started()] == [(left, "load", None)]


@pytest.mark.parametrize(
    ("options", "name"), [(None, ""), (b'{"schedule":"a b"}', "a b"), ('{"with_inputs":true}', ""), ("", "")]
)
def test_the_schedule_of_a_run_is_among_its_options(options: Any, name: str) -> None:
    assert schedule_of(options) == name


def test_the_events_of_a_transaction_are_told_after_it(schedules: Schedules, events: EventBus) -> None:
    told: list[Event] = []
    events.subscribe(told.append)
    with schedules.transaction():
        schedules.serve("shop", "load", "@daily", "UTC", NOW)
        schedules.record("shop", "load", [TickRecord(NOW + 60, "missed")], NOW + 90)
        assert told == []

    assert [(event.topic, event.flow, event.name, event.status) for event in told] == [
        ("schedule", "shop", "load", "served"),
        ("schedule", "shop", "load", "missed"),
    ]
