"""Workers are ready when a tick is due, with its function imported, so that it starts at once."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from microflow import Schedule, create_flow
from microflow.engine.engine import Engine
from microflow.errors import WorkerDied
from microflow.loading import load_flow

from .conftest import utc

COUNTED = """
import os
from pathlib import Path

from microflow import create_flow

with (Path(__file__).parent / "imported.txt").open("a") as file:
    file.write(f"{os.getpid()}\\n")

if "breaks" in __file__ and os.getpid() != int(os.environ["PARENT"]):
    raise ImportError("not here")

flow = create_flow("counted")


@flow.task
def work(value):
    return {"process": os.getpid(), "value": value["value"]}
"""


@pytest.fixture
def warmed(make_server: Any) -> Any:
    """A server of four schedules, and what it asks for, with the time: (minute, second, tasks)."""
    server = make_server()
    flow, asked = create_flow("shop", timezone="UTC", max_concurrency=2), []

    def work() -> dict[str, Any]:
        return {}

    for name in ("a", "b", "c"):
        flow.task(name=name, schedule=Schedule("30 * * * *", name=name))(work)
    flow.task(name="thread", schedule="10 * * * *", runner="thread")(work)
    flow.manager(name="manager", schedule="50 * * * *")(lambda: None)
    server.start(flow)

    def warm(jobs: list[Any]) -> None:
        now = datetime.fromtimestamp(server.clock.now(), UTC)
        asked.append((now.minute, now.second, [job.name for job in jobs]))

    server.engine._schedule_runs._warm = warm
    return server, asked


def test_before_a_tick_there_are_as_many_workers_as_can_be_used(warmed: Any) -> None:
    server, asked = warmed
    server.engine.pause_schedule("shop", "a")
    server.advance_to(utc("2026-05-04T00:29:59"))
    assert asked == [(9, 55, []), (29, 55, ["b", "c"])]
    server.engine.resume_schedule("shop", "a")
    server.advance_to(utc("2026-05-04T01:29:59"))
    assert asked[2:] == [(49, 55, ["a"]), (9, 55, []), (29, 55, ["a", "b"])]


@pytest.mark.parametrize("error", [WorkerDied("No worker process could be started."), BrokenPipeError("it was killed")])
def test_a_worker_that_can_not_be_made_ready_keeps_no_tick_from_its_time(
    warmed: Any, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    server, _ = warmed

    def refuse(_: Any) -> None:
        raise error

    server.engine._schedule_runs._warm = refuse
    server.advance_to(utc("2026-05-04T00:15"))
    assert server.ticks("shop", "thread") == [("05-04T00:10", "run")]
    assert f"No worker is made ready for the next ticks: {type(error).__name__}: {error}" in caplog.text


@pytest.mark.parametrize("name", ["counted_flow", "breaks_flow"])
def test_a_ready_worker_has_imported_the_function_and_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / f"{name}.py").write_text(COUNTED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PARENT", str(os.getpid()))
    flow = load_flow(f"{name}:flow")
    engine = Engine([flow], store=f"sqlite:///{tmp_path}/store.db")
    engine.start()
    pool = engine._pool
    try:
        pool.warm([flow.jobs["work"]] * 2)
        ready = {worker.pid for worker in pool._idle}
        pool.warm([flow.jobs["work"]])
        assert {worker.pid for worker in pool._idle} == ready
        results = [flow.jobs["work"]({"value": value}) for value in range(4)]
    finally:
        engine.stop()

    assert [result["value"] for result in results] == [0, 1, 2, 3]
    assert {result["process"] for result in results} <= ready
    imported = [int(line) for line in (tmp_path / "imported.txt").read_text().splitlines()]
    assert imported.count(results[0]["process"]) == (1 if name == "counted_flow" else 2)
