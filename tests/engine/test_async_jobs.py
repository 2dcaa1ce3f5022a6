"""Jobs that are coroutine functions: whoever calls them and wherever, and what is told of their failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from microflow import create_flow, current_execution
from microflow.engine.engine import Engine

Start = Callable[..., Engine]


@pytest.mark.parametrize("kind", ["task", "manager"])
def test_async_functions_are_jobs_too(start: Start, kind: str) -> None:
    flow = create_flow("shop")

    @getattr(flow, kind)
    async def load(a: dict[str, Any]) -> Any:
        await asyncio.sleep(0)
        current_execution().progress(1)
        return {"n": a["n"] + 1}

    start(flow)

    assert load({"n": 1}) == {"n": 2}


def test_async_jobs_are_called_where_a_loop_runs_already(start: Start) -> None:
    flow = create_flow("shop")

    @flow.task(runner="thread")
    async def load(a: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"n": a["n"] + 1}

    @flow.manager
    async def inner(a: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        print("inner", current_execution().id)
        return {"n": load(a)["n"] + 1}

    @flow.manager
    async def outer(a: dict[str, Any]) -> Any:
        return inner(a)

    async def cell() -> tuple[Any, Any]:  # as a notebook runs one
        return outer({"n": 1}), load({"n": 1})

    engine = start(flow)

    assert asyncio.run(cell()) == ({"n": 3}, {"n": 2})
    rows = engine.store.database.read_text("SELECT job, parent_id FROM executions ORDER BY id", ())
    assert rows == [("outer", None), ("inner", 1), ("load", 2), ("load", None)]
    assert engine.store.logs.read(2).text == "inner 2\n"


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_a_traceback_begins_with_the_function_of_the_job(start: Start, runner: str) -> None:
    flow = create_flow("shop")

    @flow.task(runner=runner)
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("here")

    @flow.task(runner=runner)
    def wrong() -> int:
        return 5

    start(flow)
    raised, returned = fail().error, wrong().error

    assert raised is not None
    assert returned is not None
    head, first, *_ = raised.traceback.splitlines()
    assert head == "Traceback (most recent call last):"
    assert (__file__ in first, first.endswith("in fail")) == (True, True)
    assert raised.traceback.count("  File ") == 1
    assert returned.traceback.count("  File ") == 0, "the function had returned"
    assert returned.traceback.startswith("microflow.errors.PayloadError: Job 'wrong': output is an int")
