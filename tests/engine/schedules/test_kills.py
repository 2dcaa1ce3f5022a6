"""Death at every step of what the scheduler writes: each tick still fires exactly once, and nothing is left running."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from microflow import Flow, Schedule, create_flow
from microflow.errors import StoreError

from .conftest import utc


class Killed(BaseException):
    """The process ends here."""


def flow_of(runner: Any, *, changed: bool = False) -> Flow:
    """Schedules of every kind: a task, a DAG, what is caught up, what is queued, and one whose expression changes."""
    flow = create_flow("shop", timezone="UTC", max_concurrency=100)
    shared = Schedule("0 * * * *", name="dag")
    plain: dict[str, Any] = {
        "single": Schedule("0 * * * *"),
        "all": Schedule("0 * * * *", catch_up="all"),
        "queue": Schedule("*/20 * * * *", overlap="queue"),
        "changed": Schedule("30 * * * *" if changed else "0 * * * *", catch_up="all"),
        "first": shared,
    }
    for name, schedule in plain.items():

        @flow.task(name=name, schedule=schedule, runner=runner)
        def load() -> dict[str, Any]:
            return {}

    @flow.task(schedule=shared, inputs=["first"], runner=runner)
    def second() -> dict[str, Any]:
        return {}

    return flow


def kill_at(database: Any, number: int, *, after: bool) -> Callable[[], bool]:
    """Nothing is written from write number ``number`` on, or ``after`` it; returns what says whether it came to that."""
    carry_out, numbers, scheduler = database.execute_text, count(1), threading.current_thread()

    def execute(text: str, values: Any) -> Any:
        this = next(numbers)
        found = carry_out(text, values) if this < number + after else None
        if this >= number:
            # the other threads of a dead process do nothing; these here have to come to an end somehow
            raise Killed if threading.current_thread() is scheduler else StoreError("the process died")
        return found

    database.execute_text = execute
    return lambda: next(numbers) > number


def fail_at(database: Any, number: int) -> Callable[[], bool]:
    """Write number ``number`` of the scheduler is refused; returns what says whether it came to that."""
    carry_out, numbers, scheduler = database.execute_text, count(1), threading.current_thread()

    def execute(text: str, values: Any) -> Any:
        if threading.current_thread() is scheduler and next(numbers) == number:
            raise StoreError("the disk is full")
        return carry_out(text, values)

    database.execute_text = execute
    return lambda: next(numbers) > number


def check(server: Any) -> None:
    """No tick without its record, no run without its execution, none twice, nothing in between."""
    runs = [execution for execution in server.executions() if execution.trigger == "schedule"]
    fired = Counter((execution.job, execution.scheduled_at) for execution in runs)
    assert set(fired.values()) <= {1}
    assert {str(execution.status) for execution in runs} <= {"success", "error", "cancelled"}
    assert max(server.runner.runs.values()) == 1
    hours = [f"05-04T{hour:02}:00" for hour in (1, 2, 3)]
    for name in ("single", "all", "dag"):
        assert [at for at, _ in server.ticks("shop", name)] == hours
    assert [outcome for _, outcome in server.ticks("shop", "single")].count("missed") <= 2
    assert [at[6:] for at, _ in server.ticks("shop", "queue")] == [
        f"{minutes // 60:02}:{minutes % 60:02}" for minutes in range(20, 200, 20)
    ]
    assert [at[6:] for at, _ in server.ticks("shop", "changed")] == ["01:00", "02:00", "02:30"]
    for name in ("single", "all", "queue", "changed", "dag"):
        job = "first" if name == "dag" else name
        ran = [tick for tick in server.engine.store.schedules.ticks("shop", name) if tick.outcome in ("run", "queued")]
        assert {tick.at for tick in ran} == {at for known, at in fired if known == job}


def story(server: Any) -> None:
    """An hour is served, one is missed, the next is served by code that has changed."""
    server.start(flow_of(server.runner))
    server.advance_to(utc("2026-05-04T01:01"))
    server.stop()
    server.clock.advance(3600)
    server.runner.hold("queue")


def the_rest(server: Any) -> None:
    server.runner.release()
    server.start(flow_of(server.runner, changed=True))
    server.advance_to(utc("2026-05-04T03:10"))


def last_acts(server: Any) -> None:
    """What is interrupted: beginning to serve, catching up, ticks that are due together."""
    server.engine.scheduler.open(server.clock.now())
    server.engine.scheduler.run_once(server.clock.now())
    server.clock.advance(29 * 60 + 30)
    server.engine.scheduler.run_once(server.clock.now())


def interrupted(server: Any, number: int, after: bool) -> bool:
    """Serve until write number ``number`` and die there; False if there were fewer."""
    flow = flow_of(server.runner, changed=True)
    server.start(flow, opened=False)
    was_reached = kill_at(server.engine.store.database, number, after=after)
    with suppress(Killed):
        last_acts(server)
    server.die()
    return was_reached()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_dying_at_any_write_fires_every_tick_exactly_once(make_server: Any, after: bool) -> None:
    for number in count(1):
        server = make_server()
        story(server)
        reached = interrupted(server, number, after)
        the_rest(server)
        check(server)
        server.bury()
        if not reached:
            break
    assert number > 30


def test_a_store_that_fails_at_any_write_delays_ticks_and_nothing_else(make_server: Any) -> None:
    for number in count(1):
        server = make_server()
        story(server)
        server.start(flow_of(server.runner, changed=True), opened=False)
        server.engine.scheduler.open(server.clock.now())
        was_reached = fail_at(server.engine.store.database, number)
        server.look()
        reached = was_reached()
        server.runner.release()
        server.advance_to(utc("2026-05-04T03:10"))
        check(server)
        server.bury()
        if not reached:
            break
    assert number > 20
