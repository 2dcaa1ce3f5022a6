"""Several schedules for one job: each has its own ticks, overlap, catch-up, pause and runs by hand."""

from __future__ import annotations

from typing import Any

import pytest

from microflow import Flow, Schedule, create_flow
from microflow.model.results import Trigger

from .conftest import utc


def flow_with_several(runner: Any, *schedules: Schedule | str, **arguments: Any) -> Flow:
    flow = create_flow("shop", timezone="UTC")

    @flow.task(schedule=list(schedules), runner=runner, **arguments)
    def load() -> dict[str, Any]:
        return {}

    return flow


def test_each_schedule_of_a_job_has_ticks_of_its_own(server: Any) -> None:
    server.start(flow_with_several(server.runner, "0 * * * *", Schedule("30 1 * * *", "early"), "0 1 * * *"))
    server.advance_to(utc("2026-05-04T02:30"))

    assert server.ticks("shop", "load") == [("05-04T01:00", "run"), ("05-04T02:00", "run")]
    assert server.ticks("shop", "early") == [("05-04T01:30", "run")]
    assert server.ticks("shop", "load-2") == [("05-04T01:00", "run")]
    ran = [(execution.job, execution.scheduled_at) for execution in server.executions()]
    assert ran == [
        ("load", utc(f"2026-05-04T{moment}")) for moment in ("01:00", "01:00", "01:30", "02:00")
    ]  # two schedules that are due at one minute run the job twice


def test_overlap_is_asked_of_each_schedule_alone(server: Any) -> None:
    skips, queues = Schedule("*/10 * * * *", "skips"), Schedule("5-55/10 * * * *", "queues", overlap="queue")
    server.runner.hold("load")
    server.start(flow_with_several(server.runner, skips, queues, max_concurrency=5))
    server.advance_to(utc("2026-05-04T00:26"))

    assert server.ticks("shop", "skips") == [("05-04T00:10", "run"), ("05-04T00:20", "overlap")]
    assert server.ticks("shop", "queues") == [
        ("05-04T00:05", "run"),
        ("05-04T00:15", "queued"),
        ("05-04T00:25", "queued"),
    ]
    server.runner.release("load")
    server.settle()
    assert [str(execution.status) for execution in server.executions()] == ["success"] * 4


def test_catch_up_and_pause_are_of_each_schedule_alone(server: Any) -> None:
    def flow() -> Flow:
        hourly = Schedule("0 * * * *", "hourly", catch_up="all", overlap="allow")
        return flow_with_several(server.runner, hourly, Schedule("30 * * * *", "half", catch_up="none"), "45 * * * *")

    server.start(flow())
    server.look()
    server.engine.pause_schedule("shop", "load")
    server.stop()
    server.clock.sleep(2 * 3600)
    server.start(flow())
    server.look()

    assert server.ticks("shop", "hourly") == [("05-04T01:00", "run"), ("05-04T02:00", "run")]
    assert server.ticks("shop", "half") == [("05-04T00:30", "missed"), ("05-04T01:30", "missed")]
    assert server.ticks("shop", "load") == [("05-04T00:45", "paused"), ("05-04T01:45", "paused")]


def test_a_schedule_is_run_by_its_name(server: Any) -> None:
    server.start(flow_with_several(server.runner, "0 6 * * *", Schedule("0 7 * * *", "late")))
    server.runner.hold("load")
    for name in ("load", "late"):
        server.engine.run_schedule("shop", name, trigger=Trigger.CLI)
    server.settle()

    assert [server.engine.store.schedules.running()["shop", name] for name in ("load", "late")] == [[1], [2]]


@pytest.mark.parametrize("several", [True, False])
def test_a_schedule_that_others_share_is_a_dag_run_and_the_jobs_own_is_not(server: Any, several: bool) -> None:
    flow, shared = create_flow("shop", timezone="UTC"), Schedule("0 6 * * *", "morning")

    @flow.task(runner=server.runner, schedule=shared)
    def fetch() -> dict[str, Any]:
        return {}

    @flow.task(runner=server.runner, schedule=[shared, "0 9 * * *"] if several else shared)
    def clean() -> dict[str, Any]:
        return {}

    server.start(flow)
    server.advance_to(utc("2026-05-04T10:00"))

    kinds = [(execution.kind, execution.job) for execution in server.executions()]
    assert kinds[0][0] == "dag"
    assert sorted(kinds[1:]) == [("task", "clean"), *([("task", "clean")] if several else []), ("task", "fetch")]
