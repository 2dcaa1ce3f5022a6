"""A schedule's run that another process began by hand is one that the others must not overlap."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from microflow import Flow, Schedule
from microflow.engine.engine import Engine
from microflow.engine.execution.other_engines import LOOK
from microflow.errors import ConflictError

from ..conftest import FakeRunner
from .conftest import flow_with, utc

Start = Callable[..., Engine]


def test_a_tick_during_a_run_of_another_process_is_skipped(server: Any) -> None:
    server.runner.hold("load")
    server.start(flow_with(server.runner, "0 * * * *"))
    server.look()
    other = Engine([flow_with(server.runner, "0 * * * *")], store=server._store, clock=server.clock)
    other.start()
    try:
        run = other.run_schedule("shop", "load", trigger="cli")
        server.advance_to(utc("2026-05-04T01:30"))
        with pytest.raises(ConflictError, match=f"still running \\(execution {run.id}\\)"):
            server.engine.run_schedule("shop", "load")
        server.runner.release()
        run.future.result()
        server.advance_to(utc("2026-05-04T02:30"))
    finally:
        server.runner.release()
        other.stop(grace=0)

    newest, skipped = server.engine.store.schedules.ticks("shop", "load")
    assert (newest.outcome, skipped.outcome, skipped.execution_id) == ("run", "overlap", run.id)


@pytest.mark.parametrize("overlap", ["queue", "allow"])
def test_a_run_waits_for_one_of_another_process_where_it_is_to_be_queued(
    start: Start, clock: Any, overlap: Any
) -> None:
    runner = FakeRunner()

    def flow() -> Flow:
        return flow_with(runner, Schedule("0 * * * *", overlap=overlap))

    first = start(flow()).run_schedule("shop", "load")
    attempt = runner.next()
    other = start(flow(), clock=clock)
    second = other.run_schedule("shop", "load")

    if overlap == "queue":
        clock.until_asleep(LOOK)
        assert runner.none_began()
        waiting = other.store.reading.execution(second.id).waiting
        assert waiting is not None
        assert (waiting.reason, waiting.message, list(waiting.held_by)) == (
            "schedule",
            f"waits for execution {first.id}, a run of schedule 'load' in process {os.getpid()}",
            [first.id],
        )
        clock.advance(LOOK)
        clock.until_asleep(LOOK)
        attempt.succeed({})
        first.future.result()
        clock.advance(LOOK)
    runner.next().succeed({})
    assert second.future.result().status == "success"
    attempt.succeed({})
    assert first.future.result().status == "success"
