"""Whatever can be called can be a job, in every runner: by import where its flow is found, else by value."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from microflow import DuplicateJobError, Flow, create_flow
from microflow.callables import module_of, name_of, place_of, plain_function
from microflow.engine.engine import Engine

Serve = Callable[..., Engine]

JOBS = '''
import functools
import operator

from microflow import create_flow

flow = create_flow("shop", max_concurrency=2)


def load(table, extra=None):
    """Load a table."""
    return {"table": table}


def twice(fn):
    @functools.wraps(fn)
    def wrapper(*inputs):
        return {**fn(*inputs), "twice": True}

    return wrapper


class Loader:
    """Loads what it was made for."""

    def __init__(self, table):
        self.table = table

    def __call__(self):
        return {"table": self.table}

    def method(self):
        return {"table": self.table}

    @classmethod
    def made(cls):
        return {"table": cls.__name__}

    @staticmethod
    def static():
        return {"table": "static"}


class Waiter:
    async def __call__(self):
        return {"table": "awaited"}


async def wait(table):
    return {"table": table}


class Row(dict):
    def __init__(self):
        super().__init__(table="row")


@functools.lru_cache
def cached():
    return {"table": "cached"}


@twice
def decorated():
    return {"table": "decorated"}


CALLABLES = {
    "partial": functools.partial(load, "orders"),
    "keyword": functools.partial(load, table="orders"),
    "nested": functools.partial(functools.partial(load, "orders"), extra=1),
    "object": Loader("users"),
    "waiter": Waiter(),
    "coroutine": functools.partial(wait, "later"),
    "bound": Loader("bound").method,
    "class_method": Loader.made,
    "static": Loader.static,
    "lambda": lambda: {"table": "lambda"},
    "cached": cached,
    "decorated": decorated,
    "of_wrapped": functools.partial(decorated),
    "row": Row,
    "getter": functools.partial(operator.itemgetter("a"), {"a": {"table": "a"}}),
    "built_in": functools.partial(dict, table="built in"),
}
for name, fn in CALLABLES.items():
    for runner in ("process", "fresh", "thread"):
        flow.task(name=f"{name}_{runner}", runner=runner)(fn)
    flow.manager(name=f"{name}_manager")(fn)
flow.task(name="pick")(operator.itemgetter("row"))
'''

TABLES = {
    **{"partial": "orders", "keyword": "orders", "nested": "orders", "object": "users", "waiter": "awaited"},
    **{"coroutine": "later", "bound": "bound", "class_method": "Loader", "static": "static", "lambda": "lambda"},
    **{"cached": "cached", "decorated": "decorated", "of_wrapped": "decorated", "row": "row", "getter": "a"},
    **{"built_in": "built in"},
}


@pytest.mark.parametrize("runner", ["process", "fresh", "thread", "manager"])
def test_every_kind_of_callable_of_a_module_runs(module: Callable[..., ModuleType], serve: Serve, runner: str) -> None:
    flow: Flow = module(JOBS).flow
    serve(flow)

    results = {name: flow.jobs[f"{name}_{runner}"]() for name in TABLES}

    assert {name: (result.status, result.error) for name, result in results.items()} == dict.fromkeys(
        TABLES, ("success", None)
    )
    assert {name: result["table"] for name, result in results.items()} == TABLES


def test_what_is_built_in_takes_its_inputs(module: Callable[..., ModuleType], serve: Serve) -> None:
    flow: Flow = module(JOBS).flow
    serve(flow)

    assert flow.jobs["pick"]({"row": {"x": 1}}).output == {"x": 1}


def test_every_kind_of_callable_of_a_script_runs(script: Callable[..., subprocess.Popen[str]]) -> None:
    text = (
        JOBS
        + '\nimport json\nprint(json.dumps({name: flow.jobs[name]().output for name in flow.jobs if name != "pick"}))\n'
    )

    out, err = script(text).communicate(timeout=120)

    found = json.loads(out.splitlines()[-1]) if out else err
    assert {name: output["table"] for name, output in found.items()} == {
        f"{name}_{runner}": table
        for name, table in TABLES.items()
        for runner in ("process", "fresh", "thread", "manager")
    }


def test_a_job_that_another_module_makes_of_a_foreign_callable_is_found_by_import(
    module: Callable[..., ModuleType], serve: Serve
) -> None:
    module("from microflow import create_flow\nflow = create_flow('parts', max_concurrency=1)\n", "parts_flow")
    jobs = module(
        "import sys\nfrom functools import partial\nfrom parts_flow import flow\n"
        "flow.task(name='load')(partial(dict, where=__name__))\n",
        "parts_jobs",
    )
    serve(jobs.flow)

    assert jobs.flow.jobs["load"]().output == {"where": "parts_jobs"}


@pytest.mark.parametrize("runner", ["process", "fresh"])
def test_a_callable_that_holds_what_cannot_travel_is_refused_in_words(serve: Serve, runner: str) -> None:
    import threading

    flow = create_flow("shop")
    job = flow.task(name="held", runner=runner)(partial(dict, lock=threading.Lock()))
    serve(flow)

    error = job().error

    assert error is not None
    assert error.message.startswith("Task 'held' can't be sent to a worker process: TypeError: cannot pickle")
    assert "Traceback" not in error.message


def test_a_job_has_the_name_and_the_description_of_the_function_behind_it() -> None:
    flow = create_flow("shop")

    def load(table: str) -> dict[str, str]:
        """Load a table."""
        return {"table": table}

    class Loader:
        """Loads."""

        def __call__(self) -> dict[str, str]:
            return {}

    jobs = [flow.task(partial(load, "x")), flow.task(Loader()), flow.task(itemgetter("a"))]

    assert [(job.name, job.description) for job in jobs] == [
        ("load", "Load a table."),
        ("Loader", "Loads."),
        ("itemgetter", ""),
    ]


def test_two_jobs_of_one_name_are_refused_whatever_they_are_made_of() -> None:
    flow = create_flow("shop")
    flow.task(name="get")(itemgetter("a"))

    with pytest.raises(DuplicateJobError, match=r"has a task named 'get' already \(line \? of operator\)"):
        flow.task(name="get")(partial(dict))


def test_a_schedule_given_as_a_default_is_found_behind_a_decorator_and_a_partial() -> None:
    import functools

    flow = create_flow("shop")

    def check(table: str = "x", schedule: str = "*/10 * * * *") -> dict[str, str]:
        return {}

    @functools.wraps(check)
    def wrapped(*inputs: Any) -> Any:
        return check(*inputs)

    jobs = [flow.manager(name="partial")(partial(check, "orders")), flow.manager(name="wrapped")(wrapped)]

    assert [schedule.cron for job in jobs for schedule in job.schedules] == ["*/10 * * * *"] * 2


def test_what_is_behind_a_callable() -> None:
    def plain() -> None: ...

    class Loop:
        __name__ = "loop"

        def __call__(self) -> None: ...

    loop: Any = Loop()
    loop.__wrapped__ = loop

    assert plain_function(partial(partial(plain))) is plain
    assert plain_function(loop) is None
    assert plain_function(len) is None
    assert plain_function(Path) is None
    assert (name_of(partial(len)), name_of(itemgetter(1))) == ("len", "itemgetter")
    assert (module_of(partial(plain)), module_of(str.upper), module_of(itemgetter(1))) == (
        __name__,
        "builtins",
        "operator",
    )
    assert place_of(itemgetter(1)) == ("operator", "itemgetter")
