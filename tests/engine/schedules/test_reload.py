"""Schedules while the definitions are replaced: no tick is lost or runs twice, and what differs counts from that moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microflow import Flow, Schedule, create_flow
from microflow.engine.engine import Engine
from microflow.errors import ConflictError, StoreUnavailable

from .conftest import Server, flow_with, utc

MakeServer = Callable[..., Server]


def reload(server: Server, *flows: Flow) -> None:
    assert server.engine is not None
    server.engine.serve(flows)


def test_a_schedule_that_is_as_it_was_goes_on_where_it_was(make_server: MakeServer) -> None:
    server = make_server("2026-05-04T00:00")
    server.start(flow_with(server.runner, "*/10 * * * *"))
    for minute in (5, 15, 25):
        server.advance_to(utc(f"2026-05-04T00:{minute:02}"))
        reload(server, flow_with(server.runner, "*/10 * * * *"))
    server.advance_to(utc("2026-05-04T00:31"))

    assert server.ticks("shop", "load") == [(f"05-04T00:{minute}", "run") for minute in (10, 20, 30)]


def test_a_tick_that_is_due_at_the_moment_of_the_reload_runs_once(make_server: MakeServer) -> None:
    server = make_server("2026-05-04T00:00")
    server.start(flow_with(server.runner, "*/10 * * * *"))
    server.look()
    server.clock.advance(600)  # due, and the loop has not looked yet

    reload(server, flow_with(server.runner, "*/10 * * * *"))
    server.look()

    assert server.ticks("shop", "load") == [("05-04T00:10", "run")]
    assert sum(server.runner.runs.values()) == 1


def test_a_tick_that_is_due_when_its_schedule_is_changed_or_removed_runs_as_it_was(make_server: MakeServer) -> None:
    for new in ("30 * * * *", None):
        server = make_server("2026-05-04T00:00")
        server.start(flow_with(server.runner, "*/10 * * * *"))
        server.look()
        server.clock.advance(600)

        reload(server, create_flow("shop") if new is None else flow_with(server.runner, new))
        server.look()

        assert server.ticks("shop", "load") == [("05-04T00:10", "run")]


def test_a_changed_schedule_counts_from_the_reload(make_server: MakeServer) -> None:
    server = make_server("2026-05-04T00:00")
    server.start(flow_with(server.runner, "0 * * * *"))
    server.advance_to(utc("2026-05-04T01:30"))

    reload(server, flow_with(server.runner, "15,45 * * * *"))
    server.advance_to(utc("2026-05-04T02:20"))

    assert server.ticks("shop", "load") == [("05-04T01:00", "run"), ("05-04T01:45", "run"), ("05-04T02:15", "run")]


def test_a_new_schedule_counts_from_the_reload_and_a_removed_one_runs_no_more(make_server: MakeServer) -> None:
    server = make_server("2026-05-04T00:30")
    server.start(flow_with(server.runner, "0 * * * *", job="old"))
    server.advance_to(utc("2026-05-04T01:30"))

    reload(server, flow_with(server.runner, "0 * * * *", job="new"))
    server.advance_to(utc("2026-05-04T02:30"))

    assert server.engine is not None
    assert server.ticks("shop", "old") == [("05-04T01:00", "run")]
    assert server.ticks("shop", "new") == [("05-04T02:00", "run")]
    row = server.engine.store.schedules.find("shop", "old")
    assert row is not None
    assert row.removed_at == utc("2026-05-04T01:30").timestamp()
    assert list(server.engine.scheduler.served) == [("shop", "new")]


def test_a_paused_schedule_stays_paused(make_server: MakeServer) -> None:
    server = make_server("2026-05-04T00:30")
    server.start(flow_with(server.runner, "0 * * * *"))
    assert server.engine is not None
    server.engine.pause_schedule("shop", "load")

    reload(server, flow_with(server.runner, "0 * * * *"))
    server.advance_to(utc("2026-05-04T01:30"))

    assert server.ticks("shop", "load") == [("05-04T01:00", "paused")]


@pytest.mark.parametrize(("overlap", "outcome"), [("skip", "overlap"), ("queue", "queued"), ("allow", "run")])
def test_a_run_of_the_old_version_is_the_run_before_the_next_one(
    make_server: MakeServer, overlap: str, outcome: str
) -> None:
    def version() -> Flow:
        return flow_with(server.runner, Schedule("0 * * * *", name="hourly", overlap=overlap))  # type: ignore[arg-type]

    server = make_server("2026-05-04T00:30")
    server.start(version())
    server.runner.hold("load")
    server.advance_to(utc("2026-05-04T01:30"))

    reload(server, version())
    server.advance_to(utc("2026-05-04T02:30"))

    assert server.ticks("shop", "hourly") == [("05-04T01:00", "run"), ("05-04T02:00", outcome)]
    assert sum(server.runner.runs.values()) == (2 if overlap == "allow" else 1)
    server.runner.release()
    server.settle()
    assert sum(server.runner.runs.values()) == (1 if overlap == "skip" else 2)


def test_an_overlap_that_is_changed_holds_from_the_reload_on(make_server: MakeServer) -> None:
    def version(overlap: Any) -> Flow:
        return flow_with(server.runner, Schedule("0 * * * *", name="hourly", overlap=overlap))

    server = make_server("2026-05-04T00:30")
    server.start(version("queue"))
    server.runner.hold("load")
    server.advance_to(utc("2026-05-04T01:30"))

    reload(server, version("skip"))
    server.advance_to(utc("2026-05-04T02:30"))
    assert server.engine is not None
    with pytest.raises(ConflictError, match="still running"):
        server.engine.run_schedule("shop", "hourly")
    reload(server, version("allow"))
    server.advance_to(utc("2026-05-04T03:30"))

    assert [outcome for _, outcome in server.ticks("shop", "hourly")] == ["run", "overlap", "run"]


def test_a_tick_that_waits_in_the_queue_runs_the_job_of_its_version(make_server: MakeServer) -> None:
    server = make_server("2026-05-04T00:30")
    seen: list[str] = []

    def version(label: str) -> Flow:
        flow = flow_with(server.runner, Schedule("0 * * * *", name="hourly", overlap="queue"))
        flow.jobs["load"].label = label  # type: ignore[attr-defined]
        return flow

    run = server.runner.run

    def noting(job: Any, request: Any, observer: Any) -> Any:
        seen.append(job.label)
        return run(job, request, observer)

    server.runner.run = noting  # type: ignore[method-assign]
    server.start(version("old"))
    server.runner.hold("load")
    server.advance_to(utc("2026-05-04T02:30"))
    reload(server, version("new"))
    server.advance_to(utc("2026-05-04T03:30"))
    server.runner.release()
    server.settle()

    assert seen == ["old", "old", "new"]


def test_a_store_that_fails_refuses_the_reload_and_the_schedules_stay(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server("2026-05-04T00:30")
    server.start(flow_with(server.runner, "0 * * * *"), flow_with(server.runner, "0 * * * *", name="store"))
    assert server.engine is not None
    before = dict(server.engine.scheduler.served)
    serve = server.engine.store.schedules.serve

    def failing(flow: str, *given: Any) -> None:
        if flow == "store":
            raise StoreUnavailable("the disk is full")
        serve(flow, *given)

    monkeypatch.setattr(server.engine.store.schedules, "serve", failing)
    changed = [flow_with(server.runner, "5 * * * *"), flow_with(server.runner, "5 * * * *", name="store")]
    with pytest.raises(StoreUnavailable):
        reload(server, *changed)

    assert server.engine.scheduler.served == before
    row = server.engine.store.schedules.find("shop", "load")
    assert row is not None
    assert row.cron == "0 * * * *"  # nothing of the reload is written
    server.advance_to(utc("2026-05-04T01:10"))
    assert server.ticks("shop", "load") == [("05-04T01:00", "run")]


def test_a_server_without_schedules_begins_to_look_when_it_gets_one(
    start: Callable[..., Engine], clock: Any, runner: Any
) -> None:
    engine = start(create_flow("shop"), kind="server", clock=clock)

    engine.serve([flow_with(runner, "* * * * *")])

    clock.until_asleep(30)
    clock.advance(60)
    attempt = runner.next()
    assert attempt.request.scheduled_at is not None
    attempt.succeed({})


def test_a_schedule_that_is_due_sooner_is_not_slept_through(
    start: Callable[..., Engine], clock: Any, runner: Any
) -> None:
    engine = start(flow_with(runner, "0 0 1 1 *"), kind="server", clock=clock)
    clock.until_asleep(30)
    clock.advance(1)
    looked = threading.Event()
    look = engine.scheduler._look

    def looking(now: float) -> Any:
        found = look(now)
        if threading.current_thread().name == "microflow-scheduler":
            looked.set()
        return found

    engine.scheduler._look = looking  # type: ignore[method-assign]

    engine.serve([flow_with(runner, "* * * * *")])

    assert looked.wait(60)  # it looked at once, though it had meant to sleep longer


@settings(max_examples=40, deadline=None)
@given(
    crons=st.lists(st.sampled_from(["*/10 * * * *", "*/15 * * * *", "5 * * * *"]), min_size=1, max_size=4),
    steps=st.lists(st.integers(1, 35), min_size=4, max_size=4),
)
def test_whenever_it_is_reloaded_each_tick_of_the_schedule_as_it_stood_runs_once(
    tmp_path_factory: pytest.TempPathFactory, crons: list[str], steps: list[int]
) -> None:
    server = Server(f"sqlite:///{tmp_path_factory.mktemp('reload')}/store.db", utc("2026-05-04T00:00"))
    try:
        moment = utc("2026-05-04T00:00")
        expected: list[str] = []
        for number, (cron, step) in enumerate(zip(crons, steps, strict=False)):
            flow = flow_with(server.runner, Schedule(cron, name="often", overlap="allow"))
            server.start(flow) if number == 0 else reload(server, flow)
            until = moment + timedelta(minutes=step)
            minutes = {"*/10 * * * *": range(0, 60, 10), "*/15 * * * *": range(0, 60, 15), "5 * * * *": [5]}[cron]
            while moment < until:
                moment += timedelta(minutes=1)
                if moment.minute in minutes:
                    expected.append(moment.strftime("%m-%dT%H:%M"))
            server.advance_to(until)
            server.clock.advance(0.5)  # the tick of this very minute may be due, and not looked at yet
        server.look()
        assert server.ticks("shop", "often") == [(at, "run") for at in expected]
    finally:
        server.bury()
