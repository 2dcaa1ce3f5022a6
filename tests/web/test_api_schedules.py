"""GET /api/schedules and what is below it; POST …/pause, …/resume and …/run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from microflow import Schedule, create_flow
from microflow.engine.engine import Engine
from microflow.store.rows import TickRecord
from microflow.web.http.site import Site

NOW = datetime(2026, 10, 24, 10, 0, tzinfo=UTC)
DAILY = "/api/schedules/shop/daily"


class Clock:
    """Stands still."""

    now = staticmethod(NOW.timestamp)
    monotonic = staticmethod(lambda: 0.0)
    wait = staticmethod(lambda event, seconds: event.wait(60))


@pytest.fixture
def engine(tmp_path: Path, gate: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(Site, "now", lambda _: NOW)
    flow = create_flow("shop", timezone="Europe/Berlin")
    shared = Schedule("30 2 * * *", name="daily", catch_up="all")

    @flow.task(runner="thread", schedule=shared)
    def load() -> dict[str, Any]:
        gate.wait()
        return {}

    @flow.task(runner="thread", schedule=shared, inputs=[load])
    def report(data: Any) -> dict[str, Any]:
        return {}

    @flow.manager(schedule=Schedule("*/10 * * * *", timezone="UTC", overlap="queue"))
    def check() -> dict[str, Any]:
        return {}

    empty = create_flow("garden")
    engine = Engine([flow, empty], store=f"sqlite:///{tmp_path}/store.db", clock=Clock())
    engine.start()
    engine.scheduler.open(NOW.timestamp())
    yield engine
    gate.opened.set()
    engine.stop(grace=30)


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", "/api/schedules?flow=none", "There is no flow 'none'"),
        ("GET", "/api/schedules/shop/weekly", "no schedule 'weekly' in flow 'shop'; there are: 'daily', 'check'"),
        ("GET", "/api/schedules/garden/daily/ticks", "no schedule 'daily' in flow 'garden'; it has none"),
        ("POST", "/api/schedules/none/daily/pause", "There is no flow 'none'"),
        ("POST", "/api/schedules/shop/weekly/resume", "no schedule 'weekly'"),
        ("POST", "/api/schedules/shop/weekly/run", "no schedule 'weekly'"),
    ],
)
def test_an_unknown_schedule_is_a_404(client: Any, method: str, path: str, said: str) -> None:
    answer = client.get(path) if method == "GET" else client.post(path)

    assert answer.status == 404
    assert said in answer.detail


def test_a_schedule_says_what_it_is_and_what_comes_next(client: Any) -> None:
    daily, check = client.get("/api/schedules").json["items"]

    assert {
        name: daily[name] for name in ("flow", "name", "cron", "description", "timezone", "catch_up", "overlap")
    } == {
        "flow": "shop",
        "name": "daily",
        "cron": "30 2 * * *",
        "description": "every day at 02:30",
        "timezone": "Europe/Berlin",
        "catch_up": "all",
        "overlap": "skip",
    }
    assert (daily["jobs"], check["jobs"], check["overlap"]) == (["load", "report"], ["check"], "queue")
    assert (daily["served_since"], daily["paused_at"]) == ("2026-10-24T10:00:00Z", None)
    assert (daily["last"], daily["running"]) == (None, [])
    assert len(daily["next"]) == len(check["next"]) == 10
    assert daily["next"][:3] == ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"]
    assert client.get("/api/schedules?flow=garden").json == {"items": [], "next": None}
    assert client.get(DAILY).json == daily


def test_a_schedule_shows_the_ticks_around_the_next_clock_change(client: Any) -> None:
    daily, check = client.get("/api/schedules?flow=shop").json["items"]

    assert check["clock_change"] is None
    change = daily["clock_change"]
    assert (change["at"], change["before"], change["after"]) == ("2026-10-25T01:00:00Z", 7200.0, 3600.0)
    assert [tick[8:16] for tick in change["ticks"]] == [
        "23T00:30",
        "24T00:30",
        "25T00:30",
        "26T01:30",
        "27T01:30",
        "28T01:30",
    ]


def test_pausing_and_resuming(client: Any) -> None:
    for _ in range(2):
        answer = client.post(f"{DAILY}/pause")
        assert (answer.status, answer.json["paused_at"]) == (200, "2026-10-24T10:00:00Z")
    assert client.get(DAILY).json["paused_at"] == "2026-10-24T10:00:00Z"
    for _ in range(2):
        assert client.post(f"{DAILY}/resume", {}).json["paused_at"] is None


def test_run_now(client: Any, gate: Any) -> None:
    answer = client.post(f"{DAILY}/run")
    started = answer.json

    assert (answer.status, answer.headers["location"]) == (201, f"/api/executions/{started['id']}")
    assert (started["kind"], started["trigger"], started["scheduled_at"]) == ("dag", "api", "2026-10-24T10:00:00Z")
    assert gate.reached.wait(60)
    assert client.get(DAILY).json["running"] == [started["id"]]
    refused = client.post(f"{DAILY}/run")
    assert refused.status == 409
    assert f"still running (execution {started['id']})" in refused.detail


@pytest.mark.parametrize(
    ("at", "utc"),
    [
        ("2026-11-22T06:30:00+01:00", "2026-11-22T05:30:00Z"),
        ("2026-11-22T06:30", "2026-11-22T05:30:00Z"),
        ("2026-07-01", "2026-06-30T22:00:00Z"),
    ],
)
def test_run_as_of_a_tick(client: Any, gate: Any, at: str, utc: str) -> None:
    gate.opened.set()
    started = client.post(f"{DAILY}/run", {"at": at})

    assert (started.status, started.json["scheduled_at"]) == (201, utc)
    assert client.get(f"{DAILY}/ticks").json["items"] == [], "it takes no tick's record"


@pytest.mark.parametrize("at", ["yesterday", "", "2026-02-30", "1969-01-01", "9999-12-31T23:59:59-12:00", "x" * 5_000])
def test_a_tick_that_is_no_moment_is_refused(client: Any, at: str) -> None:
    for address, body in ((f"{DAILY}/run", {"at": at}), ("/api/jobs/shop/load/executions", {"inputs": [], "at": at})):
        refused = client.post(address, body)
        assert refused.status == 422
        assert "is not a moment from 1970 to 9998" in refused.detail
        assert len(refused.detail) < 300


def test_a_retry_of_a_run_runs_all_its_jobs_again(client: Any, gate: Any, engine: Engine) -> None:
    gate.opened.set()
    submitted = engine.run_schedule("shop", "daily")
    submitted.future.result(60)
    retried = engine.retry(submitted.id)
    retried.future.result(60)

    tree = client.get(f"/api/executions/{retried.id}/tree").json["execution"]
    assert (tree["kind"], tree["trigger"]) == ("dag", "retry")
    assert [child["job"] for child in tree["children"]] == ["load", "report"]


def record(engine: Engine, count: int) -> None:
    records = [
        TickRecord(1_000.0 + 60 * number, "missed", "Missed: no server ran at that time.") for number in range(count)
    ]
    engine.store.schedules.record("shop", "daily", records, NOW.timestamp())


def test_the_last_ticks_page_by_page(client: Any, engine: Engine) -> None:
    record(engine, 5)
    first = client.get(f"{DAILY}/ticks?limit=3").json
    second = client.get(f"{DAILY}/ticks?limit=3&cursor={first['next'].replace('+', '%2B')}").json

    assert [tick["at"] for tick in first["items"]] == [f"1970-01-01T00:{20 + n}:40Z" for n in (0, -1, -2)]
    assert [tick["at"][14:16] for tick in second["items"]] == ["17", "16"]
    assert second["next"] is None
    assert first["items"][0] == client.get(DAILY).json["last"]
    assert {name: first["items"][0][name] for name in ("outcome", "reason", "execution_id", "status", "count")} == {
        "outcome": "missed",
        "reason": "Missed: no server ran at that time.",
        "execution_id": None,
        "status": None,
        "count": 1,
    }


def test_without_a_limit_the_last_hundred_are_given(client: Any, engine: Engine) -> None:
    record(engine, 120)

    assert len(client.get(f"{DAILY}/ticks").json["items"]) == 100


@pytest.mark.parametrize("query", ["cursor=soon", "cursor=2026-05-04T00:00", "limit=0", "limit=501"])
def test_a_part_that_can_not_be_given_is_a_422(client: Any, query: str) -> None:
    assert client.get(f"{DAILY}/ticks?{query}").status == 422


def test_a_change_of_a_schedule_is_told_as_an_event(client: Any, engine: Engine) -> None:
    told: list[Any] = []
    engine.events.subscribe(told.append)
    client.post(f"{DAILY}/pause")

    assert [(event.topic, event.flow, event.name, event.status) for event in told] == [
        ("schedule", "shop", "daily", "paused")
    ]


def test_a_thousand_schedules_are_listed(tmp_path: Path, make_client: Callable[..., Any]) -> None:
    flow = create_flow("many", timezone="Europe/Berlin")
    for number in range(1_000):

        @flow.task(name=f"job_{number}", schedule=f"{number % 60} * * * *", runner="thread")
        def load() -> dict[str, Any]:
            return {}

    engine = Engine([flow], store=f"sqlite:///{tmp_path}/many.db", clock=Clock())
    engine.start()
    engine.scheduler.open(NOW.timestamp())
    assert len(make_client(engine).get("/api/schedules").json["items"]) == 1_000
    engine.stop(grace=0)
