"""A task can't call a job, however it tries: the error says who should."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any

import pytest

from microflow import (
    Flow,
    JobCallInTaskError,
    map_parallel,
    map_partitions,
    run_all,
    run_dag,
    run_parallel,
)
from microflow.engine.engine import Engine

from .conftest import recorded

Start = Callable[..., Engine]


@pytest.mark.parametrize("runner", ["thread", "process"])
@pytest.mark.parametrize(
    "way",
    [
        "call",
        "submit",
        "run_parallel",
        "map_parallel",
        "run_dag",
        "run_all",
        "flow.run_all",
        "map_partitions",
        "manager",
    ],
)
def test_a_task_can_call_no_job(flow: Flow, start: Start, way: str, runner: str) -> None:
    load, paint, manage = flow.jobs["load"], flow.jobs["paint"], flow.jobs["manage"]
    flow.task(name="second", inputs=["load"])(lambda a: a)
    calls: dict[str, Callable[[], Any]] = {
        "call": lambda: load({}),
        "submit": lambda: load.submit({}),
        "run_parallel": lambda: run_parallel((load, {})),
        "map_parallel": lambda: map_parallel(load, [{}]),
        "run_dag": lambda: run_dag(load),
        "run_all": lambda: run_all(),
        "flow.run_all": lambda: flow.run_all(),
        "map_partitions": lambda: map_partitions(paint),
        "manager": lambda: manage(),
    }
    call = calls[way]

    @flow.task(runner=runner)
    def wrong() -> Any:
        return call()

    engine = start(flow)
    error = wrong().error

    assert error is not None
    assert error.type == JobCallInTaskError.__name__
    assert error.message.startswith("Task 'wrong' called ")
    assert "A task can't call a job: make the caller a manager (@flow.manager), which may call tasks" in error.message
    assert recorded(engine) == 1


def test_a_task_in_a_runner_of_ones_own_can_call_no_job_either(flow: Flow, start: Start, runner: Any) -> None:
    load = flow.jobs["load"]
    wrong = flow.task(name="wrong", runner=runner)(lambda: load({}))
    manage = flow.manager(name="other manager")(lambda: wrong())
    engine = start(flow)
    runner.answer = lambda attempt: attempt.job.fn()

    error = manage().error

    assert error is not None
    assert error.type == "JobCallInTaskError"
    assert recorded(engine) == 2


def test_a_thread_inside_a_task_can_call_no_job_either(flow: Flow, start: Start) -> None:
    load = flow.jobs["load"]

    @flow.task
    def wrong() -> dict[str, str]:
        errors = []

        def work() -> None:
            try:
                load({})
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return {"error": errors[0]}

    start(flow)

    assert wrong()["error"].startswith("JobCallInTaskError: ")


def test_nor_can_code_in_a_task_that_has_an_empty_context(flow: Flow, start: Start) -> None:
    """As in a thread that a library started without Python."""
    load = flow.jobs["load"]

    @flow.task
    def wrong() -> dict[str, str]:
        try:
            Context().run(load, {})
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}
        return {"error": "none"}

    start(flow)

    assert wrong()["error"].startswith("JobCallInTaskError: Code in a worker process called job 'load'.")


def test_the_plain_function_may_be_called(flow: Flow, start: Start) -> None:
    load = flow.jobs["load"]

    @flow.task(runner="thread")
    def right() -> Any:
        return load.fn({"a": 1})

    start(flow)

    assert right() == {"a": 1}
