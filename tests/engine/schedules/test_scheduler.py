"""Ticks become runs: what fires, what is caught up, what overlaps, and what is recorded of it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from microflow import Flow, Schedule, create_flow

from .conftest import flow_with, utc

Make = Callable[..., Any]


# Ticks in their time


def test_a_tick_is_the_execution_of_a_job_that_is_alone_on_its_schedule(server: Any) -> None:
    server.start(flow_with(server.runner, "10 * * * *"))
    server.advance_to(utc("2026-05-04T02:00"))

    assert server.ticks("shop", "load") == [("05-04T00:10", "run"), ("05-04T01:10", "run")]
    first, second = server.executions()
    assert (first.job, first.kind, first.trigger, first.parent_id) == ("load", "task", "schedule", None)
    assert (first.scheduled_at, second.scheduled_at) == (utc("2026-05-04T00:10"), utc("2026-05-04T01:10"))
    assert [tick.execution_id for tick in server.engine.store.schedules.ticks("shop", "load")] == [second.id, first.id]


def test_one_schedule_of_several_jobs_is_one_dag_run_with_what_they_need(server: Any) -> None:
    flow, shared = create_flow("shop", timezone="UTC"), Schedule("0 6 * * *", name="morning")

    @flow.task(runner=server.runner)
    def source() -> dict[str, Any]:
        return {}

    @flow.task(runner=server.runner, schedule=shared, inputs=[source])
    def clean(data: Any) -> dict[str, Any]:
        return {}

    @flow.task(runner=server.runner, schedule=shared, inputs=[clean])
    def report(data: Any) -> dict[str, Any]:
        return {}

    server.start(flow)
    server.advance_to(utc("2026-05-04T07:00"))

    assert server.ticks("shop", "morning") == [("05-04T06:00", "run")]
    run, *children = server.executions()
    assert (run.kind, run.trigger, str(run.status)) == ("dag", "schedule", "success")
    assert [(child.job, child.parent_id) for child in children] == [
        ("source", run.id),
        ("clean", run.id),
        ("report", run.id),
    ]
    assert {execution.scheduled_at for execution in [run, *children]} == {utc("2026-05-04T06:00")}
    assert set(server.runner.runs) == {(name, run.scheduled_at.timestamp()) for name in ("source", "clean", "report")}


def test_what_a_scheduled_manager_calls_is_of_the_tick_too(server: Any) -> None:
    flow = create_flow("shop", timezone="UTC")

    @flow.task(runner=server.runner)
    def load(order: dict[str, Any]) -> dict[str, Any]:
        return {}

    @flow.manager
    def check(schedule: str = "*/30 * * * *") -> Any:
        return load({"order": 1})

    server.start(flow)
    server.advance_to(utc("2026-05-04T00:45"))

    assert [(found.job, found.scheduled_at) for found in server.executions()] == [
        ("check", utc("2026-05-04T00:30")),
        ("load", utc("2026-05-04T00:30")),
    ]


def test_a_job_that_skips_ends_the_run_of_its_schedule(server: Any) -> None:
    flow, shared = create_flow("shop", timezone="UTC"), Schedule("0 * * * *")

    @flow.task(runner=server.runner, schedule=shared)
    def fetch() -> None:
        return None

    @flow.task(runner=server.runner, schedule=shared, inputs=[fetch])
    def update() -> dict[str, Any]:
        return {}

    server.runner.output = None
    server.start(flow)
    server.advance_to(utc("2026-05-04T01:30"))

    assert [str(execution.status) for execution in server.executions()] == ["skipped"] * 3
    assert [job for job, _ in server.runner.runs] == ["fetch"]


def test_a_schedule_ticks_in_its_own_time_zone(server: Any) -> None:
    server.start(flow_with(server.runner, Schedule("0 8 * * *", timezone="Asia/Tokyo")))
    server.advance_to(utc("2026-05-05T00:00"))

    assert server.ticks("shop", "load") == [("05-04T23:00", "run")]


# Ticks that were missed


@pytest.mark.parametrize(
    ("catch_up", "outcomes"),
    [
        ("last", ["missed", "missed", "run"]),
        ("all", ["run", "run", "run"]),
        ("none", ["missed", "missed", "missed"]),
    ],
)
def test_what_was_missed_is_caught_up(server: Any, catch_up: Any, outcomes: list[str]) -> None:
    schedule = Schedule("0 * * * *", catch_up=catch_up, overlap="allow")
    server.start(flow_with(server.runner, schedule))
    server.advance_to(utc("2026-05-04T00:30"))
    server.stop()
    server.clock.advance(3 * 3600)
    server.start(flow_with(server.runner, schedule))
    server.look()

    assert [outcome for _, outcome in server.ticks("shop", "load")] == outcomes
    late = [tick for tick in server.engine.store.schedules.ticks("shop", "load") if tick.outcome == "run"]
    assert {tick.reason for tick in late} <= {"Run late: no server ran at that time."}


def test_a_schedule_that_was_never_served_has_missed_nothing(server: Any) -> None:
    server.start(flow_with(server.runner, "0 * * * *", job="old"))
    server.stop()
    server.clock.advance(5 * 3600)
    server.start(flow_with(server.runner, Schedule("0 * * * *", catch_up="all"), job="new"))
    server.look()

    assert server.ticks("shop", "new") == []


def test_all_that_was_missed_runs_in_order_one_after_the_other(server: Any) -> None:
    schedule = Schedule("0 * * * *", catch_up="all")
    server.start(flow_with(server.runner, schedule))
    server.stop()
    server.clock.advance(3 * 3600 + 1)
    server.runner.hold("load")
    server.start(flow_with(server.runner, schedule))
    server.look()

    assert [outcome for _, outcome in server.ticks("shop", "load")] == ["run", "queued", "queued"]
    assert [str(execution.status) for execution in server.executions()] == ["running", "queued", "queued"]
    server.runner.release()
    server.settle()
    ran = server.executions()
    assert [execution.scheduled_at.hour for execution in ran] == [1, 2, 3]
    assert [str(execution.status) for execution in ran] == ["success"] * 3
    assert all(one.ended_at <= other.started_at for one, other in pairwise(ran))


def test_a_long_backlog_that_is_stopped_in_the_middle_goes_on_with_the_next_server(server: Any) -> None:
    schedule = Schedule("* * * * *", catch_up="all")
    server.start(flow_with(server.runner, schedule))
    server.look()
    server.stop()
    server.clock.advance(10_000 * 60)
    server.runner.hold("load")
    server.start(flow_with(server.runner, schedule))
    scheduler, database = server.engine.scheduler, server.engine.store.database
    carry_out, claimed = database.execute_text, []

    def stop_after_three_hundred(text: str, values: Any) -> Any:
        if "INTO executions" in text:
            claimed.append(values)
            if len(claimed) == 300:
                scheduler._ended.set()
        return carry_out(text, values)

    database.execute_text = stop_after_three_hundred
    server.look()
    server.stop()
    assert len(claimed) == 300
    server.runner.release()
    server.start(flow_with(server.runner, schedule))
    server.look()

    ticks = server.engine.store.schedules.ticks("shop", "load", 100_000)
    assert sum(tick.count for tick in ticks) == 10_000
    missed, *ran = sorted(ticks, key=lambda tick: tick.at)
    assert (missed.outcome, missed.count, missed.reason) == (
        "missed",
        9_000,
        "Missed: of the ticks due at once, the newest 1,000 are run.",
    )
    assert {tick.outcome for tick in ran} <= {"run", "queued"}
    runs = server.executions()
    assert [execution.scheduled_at for execution in runs] == [tick.at for tick in ran]
    assert [str(execution.status) for execution in runs] == ["error", *["success"] * 999]


def test_a_machine_that_slept_catches_up_what_it_missed(server: Any) -> None:
    server.start(flow_with(server.runner, "*/10 * * * *"))
    server.advance_to(utc("2026-05-04T00:15"))
    server.clock.sleep(3600)
    server.look()

    outcomes = [outcome for _, outcome in server.ticks("shop", "load")]
    assert outcomes == ["run", *["missed"] * 5, "run"]


def test_a_clock_that_is_put_back_fires_no_tick_twice_and_loses_none(server: Any) -> None:
    server.start(flow_with(server.runner, "*/10 * * * *"))
    server.advance_to(utc("2026-05-04T01:05"))
    server.clock.sleep(-3600)
    server.advance_to(utc("2026-05-04T01:25"))

    fired = [(f"05-04T{minutes // 60:02}:{minutes % 60:02}", "run") for minutes in range(10, 90, 10)]
    assert server.ticks("shop", "load") == fired
    assert len(server.executions()) == len(fired)


def test_what_a_clock_that_was_ahead_made_one_miss_runs_when_its_time_comes(server: Any) -> None:
    server.start(flow_with(server.runner, "0 * * * *"))
    server.advance_to(utc("2026-05-04T01:30"))
    server.stop()
    server.clock.sleep(5 * 3600)  # the machine started with a wrong clock, which is corrected a little later
    server.start(flow_with(server.runner, "0 * * * *"))
    server.look()
    assert [outcome for _, outcome in server.ticks("shop", "load")] == ["run", *["missed"] * 4, "run"]
    server.clock.sleep(-5 * 3600)
    server.advance_to(utc("2026-05-04T07:30"))

    assert [outcome for _, outcome in server.ticks("shop", "load")] == ["run"] * 7
    assert [execution.scheduled_at.hour for execution in server.executions()] == [1, 6, 2, 3, 4, 5, 7]
    assert {tick.reason for tick in server.engine.store.schedules.ticks("shop", "load")} == {
        None,
        "Run late: no server ran at that time.",
    }


def test_a_clock_that_was_years_ahead_does_not_silence_a_schedule(make_server: Make) -> None:
    server = make_server("2031-01-01T00:00")
    server.start(flow_with(server.runner, "0 * * * *"))
    server.advance_to(utc("2031-01-01T03:30"))
    server.clock.sleep((utc("2026-05-04T00:30") - utc("2031-01-01T03:30")).total_seconds())
    server.advance_to(utc("2026-05-04T02:30"))

    assert server.ticks("shop", "load")[:2] == [("05-04T01:00", "run"), ("05-04T02:00", "run")]


# Overlap


def test_a_tick_during_the_run_before_it_is_skipped_and_says_so(server: Any) -> None:
    server.runner.hold("load")
    server.start(flow_with(server.runner, "0 * * * *"))
    server.advance_to(utc("2026-05-04T02:30"))
    (run,) = server.executions()

    newest, _ = server.engine.store.schedules.ticks("shop", "load")
    assert (newest.outcome, newest.execution_id, str(newest.status)) == ("overlap", run.id, "running")
    assert newest.reason == f"Skipped: execution {run.id}, the run before it, was still going."
    server.runner.release()
    server.settle()
    server.advance_to(utc("2026-05-04T03:30"))
    assert [outcome for _, outcome in server.ticks("shop", "load")] == ["run", "overlap", "run"]


def test_a_tick_that_is_queued_says_what_it_waits_for_and_runs_after_it(server: Any) -> None:
    server.runner.hold("load")
    server.start(flow_with(server.runner, Schedule("0 * * * *", overlap="queue")))
    server.advance_to(utc("2026-05-04T03:30"))
    first, second, third = server.executions()

    assert [outcome for _, outcome in server.ticks("shop", "load")] == ["run", "queued", "queued"]
    assert (second.waiting.reason, second.waiting.message) == (
        "schedule",
        "waits for the previous run of schedule 'load'",
    )
    assert server.engine.held_by(second.id) == server.engine.held_by(third.id) == [first.id]
    server.engine.cancel(second.id)
    server.runner.release()
    server.settle()
    assert [str(execution.status) for execution in server.executions()] == ["success", "cancelled", "success"]


def test_ticks_that_may_overlap_run_beside_each_other(server: Any) -> None:
    server.runner.hold("load")
    flow = flow_with(server.runner, Schedule("0 * * * *", overlap="allow"))
    flow.max_concurrency = 3
    server.start(flow)
    server.advance_to(utc("2026-05-04T03:30"))

    assert [str(execution.status) for execution in server.executions()] == ["running"] * 3


@pytest.mark.parametrize("end", ["stop", "die"])
def test_what_is_queued_runs_after_a_restart(server: Any, end: str) -> None:
    flow = flow_with(server.runner, Schedule("0 * * * *", overlap="queue"))
    server.runner.hold("load")
    server.start(flow)
    server.advance_to(utc("2026-05-04T03:30"))
    getattr(server, end)()
    server.clock.advance(60)
    server.start(flow)
    server.look()

    first, second, third = server.executions()
    assert str(first.status) in ("cancelled", "error")
    assert [str(execution.status) for execution in (second, third)] == ["running", "queued"]
    assert third.waiting.reason == "schedule"
    server.runner.release()
    server.settle()
    assert [str(execution.status) for execution in server.executions()[1:]] == ["success", "success"]
    assert [outcome for _, outcome in server.ticks("shop", "load")] == ["run", "queued", "queued"]


@pytest.mark.parametrize("end", ["stop", "die"])
def test_a_tick_that_waits_for_a_place_survives_a_restart(server: Any, end: str) -> None:
    def flow() -> Flow:
        flow = create_flow("shop", timezone="UTC", max_concurrency=1)
        for name in ("a", "b"):

            @flow.task(name=name, schedule="0 * * * *", runner=server.runner)
            def load() -> dict[str, Any]:
                return {}

        return flow

    server.runner.hold("a")
    server.start(flow())
    server.advance_to(utc("2026-05-04T01:30"))
    getattr(server, end)()
    server.runner.release()
    server.start(flow())
    server.look()

    first, second = server.executions()
    assert (second.job, str(second.status), second.attempt) == ("b", "success", 1)
    assert (first.job, server.runner.runs["b", second.scheduled_at.timestamp()]) == ("a", 1)


def test_a_queued_tick_whose_schedule_was_removed_is_cancelled(server: Any) -> None:
    server.runner.hold("load")
    server.start(flow_with(server.runner, Schedule("0 * * * *", overlap="queue")))
    server.advance_to(utc("2026-05-04T02:30"))
    server.stop()
    server.start(flow_with(server.runner, "@yearly", job="other"))

    _, second = server.executions()
    assert (str(second.status), second.reason) == (
        "cancelled",
        "its schedule was removed or given to other jobs before its turn came",
    )
    assert server.engine.store.schedules.of_flow("shop")["load"].removed_at == server.clock.now()


def test_an_interrupted_run_that_is_tried_again_still_counts_as_going(server: Any) -> None:
    flow = flow_with(server.runner, "0 * * * *", retries=1)
    server.runner.hold("load")
    server.start(flow)
    server.advance_to(utc("2026-05-04T01:30"))
    server.die()
    server.start(flow)
    server.advance_to(utc("2026-05-04T02:30"))

    assert [outcome for _, outcome in server.ticks("shop", "load")] == ["run", "overlap"]
    (run,) = server.executions()
    assert (str(run.status), run.attempt) == ("running", 2)
