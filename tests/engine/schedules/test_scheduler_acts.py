"""What becomes of schedules that are paused, changed, removed, run now, or that the store fails for; and the loop itself."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from microflow import Schedule, create_flow
from microflow.engine.schedules.scheduler import Scheduler
from microflow.errors import ConflictError, StoreError, UnknownNameError
from microflow.store import Schedules

from .conftest import flow_with, utc

# Paused, changed, removed


def test_a_paused_schedule_runs_nothing_and_says_of_each_tick_that_it_was_paused(server: Any) -> None:
    flow = flow_with(server.runner, Schedule("0 * * * *", catch_up="all"))
    server.start(flow)
    server.engine.pause_schedule("shop", "load")
    server.advance_to(utc("2026-05-04T01:30"))
    server.stop()
    server.clock.advance(3600)
    server.start(flow)
    server.advance_to(utc("2026-05-04T03:30"))
    assert [outcome for _, outcome in server.ticks("shop", "load")] == ["paused"] * 3

    server.engine.resume_schedule("shop", "load")
    server.engine.resume_schedule("shop", "load")
    server.advance_to(utc("2026-05-04T04:30"))
    assert [outcome for _, outcome in server.ticks("shop", "load")] == [*["paused"] * 3, "run"]


def test_ticks_that_passed_before_anyone_looked_are_recorded_when_it_is_resumed(server: Any) -> None:
    server.start(flow_with(server.runner, "0 * * * *"))
    server.engine.pause_schedule("shop", "load")
    server.clock.advance(2.5 * 3600)
    server.engine.resume_schedule("shop", "load")
    server.look()

    assert [outcome for _, outcome in server.ticks("shop", "load")] == ["paused", "paused"]


def test_pausing_and_resuming_twice_is_once(server: Any) -> None:
    server.start(flow_with(server.runner, "0 * * * *"))
    server.engine.resume_schedule("shop", "load")
    server.engine.pause_schedule("shop", "load")
    since = server.engine.store.schedules.find("shop", "load").paused_at
    server.clock.advance(60)
    server.engine.pause_schedule("shop", "load")

    assert server.engine.store.schedules.find("shop", "load").paused_at == since


def test_what_is_paused_before_it_was_ever_served_has_missed_nothing_either(server: Any) -> None:
    flow = flow_with(server.runner, Schedule("0 * * * *", catch_up="all"))
    server.start(flow)
    server.engine.store.database.execute_text("DELETE FROM schedules", ())
    server.engine.pause_schedule("shop", "load")
    server.engine.resume_schedule("shop", "load")
    server.stop()
    server.clock.advance(5 * 3600)
    server.start(flow)
    server.look()

    assert server.ticks("shop", "load") == []


@pytest.mark.parametrize("after", [Schedule("30 * * * *"), Schedule("0 * * * *", timezone="Asia/Kolkata")])
def test_a_changed_schedule_makes_no_tick_before_the_change(server: Any, after: Schedule) -> None:
    server.start(flow_with(server.runner, Schedule("0 * * * *", catch_up="all")))
    server.advance_to(utc("2026-05-04T01:15"))
    server.stop()
    server.clock.advance(2 * 3600)
    changed = Schedule(after.cron, timezone=after.timezone, catch_up="all")
    server.start(flow_with(server.runner, changed))
    server.advance_to(utc("2026-05-04T05:00"))

    assert server.ticks("shop", "load") == [
        ("05-04T01:00", "run"),
        ("05-04T02:00", "missed"),
        ("05-04T03:00", "missed"),
        ("05-04T03:30", "run"),
        ("05-04T04:30", "run"),
    ]
    missed = server.engine.store.schedules.ticks("shop", "load")[2]
    assert missed.reason == "Missed: no server ran at that time, and the schedule was changed before one did."


def test_a_schedule_that_was_removed_and_comes_back_begins_anew(server: Any) -> None:
    scheduled, other = flow_with(server.runner, "0 * * * *"), flow_with(server.runner, "@yearly", job="other")
    for flow in (scheduled, other, scheduled):
        server.start(flow)
        server.advance_to(datetime.fromtimestamp(server.clock.now() + 5400, UTC))
        server.stop()
    server.start(scheduled)

    assert server.ticks("shop", "load") == [("05-04T01:00", "run"), ("05-04T04:00", "run")]
    assert server.engine.store.schedules.find("shop", "other").removed_at == utc("2026-05-04T03:00").timestamp()


def test_the_schedules_of_flows_that_are_not_served_are_left_alone(server: Any) -> None:
    here, there = flow_with(server.runner, "0 * * * *"), flow_with(server.runner, "0 * * * *", name="garden")
    server.start(here, there)
    server.stop()
    server.start(here)

    assert server.engine.store.schedules.find("garden", "load").removed_at is None


# Run now


def test_run_now_is_a_run_without_a_tick(server: Any) -> None:
    server.start(flow_with(server.runner, "0 * * * *"))
    server.engine.pause_schedule("shop", "load")
    moment = datetime.fromtimestamp(server.clock.now(), UTC)
    submitted = server.engine.run_schedule("shop", "load", trigger="web")

    assert submitted.future.result(60).status == "success"
    (run,) = server.executions()
    assert (run.id, run.trigger, run.scheduled_at) == (submitted.id, "web", moment)
    assert server.ticks("shop", "load") == []


def test_run_now_keeps_to_the_overlap_of_the_schedule(server: Any) -> None:
    server.runner.hold("load")
    server.start(flow_with(server.runner, "0 * * * *"))
    first = server.engine.run_schedule("shop", "load").id

    with pytest.raises(ConflictError, match=rf"still running \(execution {first}\), and its overlap is 'skip'"):
        server.engine.run_schedule("shop", "load")
    server.advance_to(utc("2026-05-04T01:30"))
    assert server.ticks("shop", "load") == [("05-04T01:00", "overlap")]
    assert server.engine.store.schedules.running() == {("shop", "load"): [first]}


def test_an_unknown_schedule_is_named(server: Any) -> None:
    server.start(flow_with(server.runner, "0 * * * *"))

    for act in (server.engine.pause_schedule, server.engine.resume_schedule, server.engine.run_schedule):
        with pytest.raises(UnknownNameError, match="no schedule 'lode' in flow 'shop'; there are: 'load'"):
            act("shop", "lode")


# Events, failures, the loop itself


def test_every_tick_is_told_once_it_can_be_read(server: Any) -> None:
    told = []
    server.start(flow_with(server.runner, "0 * * * *"))
    server.engine.events.subscribe(
        lambda event: (
            told.append((event.name, event.status, len(server.ticks("shop", "load"))))
            if event.topic == "schedule"
            else None
        )
    )
    server.advance_to(utc("2026-05-04T01:30"))
    server.engine.pause_schedule("shop", "load")
    server.advance_to(utc("2026-05-04T02:30"))

    assert told == [("load", "run", 1), ("load", "paused", 1), ("load", "paused", 2)]


def test_a_store_that_fails_for_one_schedule_keeps_no_other_from_running(server: Any) -> None:
    flow = create_flow("shop", timezone="UTC")
    for name in ("a", "b", "c"):

        @flow.task(name=name, schedule="0 * * * *", runner=server.runner)
        def load() -> dict[str, Any]:
            return {}

    server.start(flow)
    database = server.engine.store.database
    carry_out = database.execute_text

    def refuse(text: str, values: Any) -> Any:
        if "INTO ticks" in text and values["schedule"] == "b":
            raise StoreError("the disk is full")
        return carry_out(text, values)

    database.execute_text = refuse
    server.look()
    server.clock.advance(3600)
    swept = server.look()
    assert (swept.started, swept.failed, swept.wait) == (2, 1, 1.0)
    assert [execution.job for execution in server.executions()] == ["a", "c"]

    database.execute_text = carry_out
    server.clock.advance(1)
    assert server.look().started == 1
    assert [execution.job for execution in server.executions()] == ["a", "c", "b"]
    assert server.executions()[2].scheduled_at == utc("2026-05-04T01:00")


def test_schedules_that_are_due_together_share_a_transaction_before_which_none_runs(server: Any) -> None:
    flow = create_flow("shop", timezone="UTC", max_concurrency=2)
    for number in range(5):

        @flow.task(name=f"load {number}", schedule="0 * * * *", runner=server.runner)
        def load() -> dict[str, Any]:
            return {}

    server.start(flow)
    server.look()
    database, scheduler = server.engine.store.database, threading.current_thread()
    carry_out, begun = database.execute_text, []

    def count(text: str, values: Any) -> Any:
        if threading.current_thread() is scheduler and text.startswith("BEGIN"):
            assert not server.runner.runs
            begun.append(text)
        return carry_out(text, values)

    database.execute_text = count
    server.runner.hold(*flow.jobs)  # so that no place is free again for those that wait for one
    server.clock.advance(3600)
    assert server.look().started == 5
    database.execute_text = carry_out
    assert len(begun) == 1
    server.runner.release()
    server.settle()
    assert sum(server.runner.runs.values()) == 5


def test_a_server_runs_its_schedules_by_itself(start: Any, clock: Any) -> None:
    flow, ran = create_flow("shop", timezone="UTC"), threading.Event()

    @flow.task(schedule="*/10 * * * *", runner="thread")
    def load() -> dict[str, Any]:
        ran.set()
        return {}

    engine = start(flow, kind="server", clock=clock)
    while not ran.wait(0.01):
        clock.advance(5)
    assert [tick.outcome for tick in engine.store.schedules.ticks("shop", "load")] == ["run"]


def test_a_look_that_breaks_is_not_the_last_one(
    start: Any, clock: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    flow, ran, broke = create_flow("shop", timezone="UTC"), threading.Event(), threading.Event()
    flow.task(name="load", schedule="*/10 * * * *", runner="thread")(lambda: ran.set())
    notice = Scheduler._notice_jumps

    def break_once(self: Scheduler, now: float) -> None:
        if broke.is_set():
            return notice(self, now)
        broke.set()
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(Scheduler, "_notice_jumps", break_once)
    start(flow, kind="server", clock=clock)
    while not ran.wait(0.01):
        clock.advance(5)
    assert "A look at the schedules failed" in caplog.text
    assert "nobody thought of this" in caplog.text


def test_a_local_engine_runs_no_schedule(start: Any, clock: Any) -> None:
    engine = start(flow_with("thread", "* * * * *"), clock=clock)
    clock.advance(3600)

    assert engine.store.schedules.of_flow("shop") == {}


def test_twenty_quick_restarts_fire_every_tick_once(server: Any) -> None:
    flow = flow_with(server.runner, Schedule("* * * * *", catch_up="all", overlap="allow"))
    server.start(flow)
    for number in range(20):
        server.look()
        (server.die if number % 2 else server.stop)()
        server.clock.advance(29.5)
        server.start(flow)
    server.advance_to(utc("2026-05-04T00:10"))

    assert server.ticks("shop", "load") == [(f"05-04T00:{minute:02}", "run") for minute in range(1, 11)]
    assert sorted(execution.scheduled_at.minute for execution in server.executions()) == list(range(1, 11))


def test_another_try_of_a_tick_has_its_time_and_is_no_tick(server: Any) -> None:
    server.start(flow_with(server.runner, "0 * * * *"))
    server.advance_to(utc("2026-05-04T01:30"))
    (first,) = server.executions()
    assert server.engine.retry(first.id).future.result(60).status == "success"

    again = server.executions()[1]
    assert (again.job, again.trigger, again.scheduled_at) == ("load", "retry", first.scheduled_at)
    assert server.ticks("shop", "load") == [("05-04T01:00", "run")]


def test_another_try_of_a_run_is_of_its_job_also_when_its_schedule_has_other_jobs_by_now(server: Any) -> None:
    def flow_of(job: str) -> Any:
        flow = create_flow("shop", timezone="UTC")
        for name in ("load", "report"):
            schedule = Schedule("0 * * * *", name="hourly") if name == job else None
            flow.task(name=name, schedule=schedule, runner=server.runner)(lambda: {})
        return flow

    server.start(flow_of("load"))
    server.advance_to(utc("2026-05-04T01:30"))
    server.stop()
    server.start(flow_of("report"))
    server.engine.retry(server.executions()[0].id)
    server.settle()

    assert [(found.job, found.trigger) for found in server.executions()] == [("load", "schedule"), ("load", "retry")]


def test_a_schedule_object_that_two_flows_have_is_one_schedule_of_each(server: Any) -> None:
    shared = Schedule("0 * * * *", name="hourly")
    server.start(flow_with(server.runner, shared), flow_with(server.runner, shared, name="garden"))
    server.engine.pause_schedule("garden", "hourly")
    server.advance_to(utc("2026-05-04T01:30"))

    assert server.ticks("shop", "hourly") == [("05-04T01:00", "run")]
    assert server.ticks("garden", "hourly") == [("05-04T01:00", "paused")]


def test_a_schedule_without_a_name_is_called_after_the_first_job_of_each_flow(server: Any) -> None:
    shared = Schedule("0 * * * *")
    garden = flow_with(server.runner, shared, name="garden", job="water")
    shop = flow_with(server.runner, shared)
    server.start(shop)
    server.engine.pause_schedule("shop", "load")
    server.stop()
    server.start(garden, shop)
    server.advance_to(utc("2026-05-04T01:30"))

    assert server.ticks("garden", "water") == [("05-04T01:00", "run")]
    assert server.ticks("shop", "load") == [("05-04T01:00", "paused")]


def test_a_store_that_fails_when_serving_begins_is_tried_again(start: Any, clock: Any, monkeypatch: Any) -> None:
    flow, ran = create_flow("shop", timezone="UTC"), threading.Event()

    @flow.task(schedule="* * * * *", runner="thread")
    def load() -> dict[str, Any]:
        ran.set()
        return {}

    def refuse(*_: Any) -> Any:
        monkeypatch.undo()
        raise StoreError("the disk is full")

    monkeypatch.setattr(Schedules, "of_flow", refuse)
    engine = start(flow, kind="server", clock=clock)
    clock.until_asleep(1)
    assert engine.store.schedules.of_flow("shop") == {}
    while not ran.wait(0.01):
        clock.advance(1)
