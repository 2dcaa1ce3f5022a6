"""How a worker comes by a function: by import where that works, else by value; closures, lambdas, methods, whatever can travel."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import cloudpickle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microflow import ExecutionResult, Flow, create_flow, current_execution
from microflow.engine.engine import Engine

Serve = Callable[..., Engine]
Log = Callable[..., str]


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop", max_concurrency=1)


# What can't travel


def test_a_function_that_holds_what_cannot_travel_is_named_with_advice(flow: Flow, serve: Serve) -> None:
    lock = threading.Lock()

    @flow.task
    def wrong() -> dict[str, Any]:
        with lock:
            return {}

    @flow.task
    def fine() -> dict[str, Any]:
        return {"fine": True}

    serve(flow)

    error = wrong().error
    assert error is not None
    assert error.type == "PayloadError"
    assert error.message.startswith("Task 'wrong' can't be sent to a worker process: TypeError: cannot pickle")
    assert 'open what it needs (files, locks, connections) inside it, or use runner="thread".' in error.message
    assert fine() == {"fine": True}


def test_a_function_that_cannot_be_unpickled_there_ends_its_execution(flow: Flow, serve: Serve) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return exec, ("raise RuntimeError('not in a worker')",)

    trap = Trap()

    @flow.task
    def wrong() -> dict[str, Any]:
        return {"trap": str(trap)}

    @flow.task
    def fine() -> dict[str, Any]:
        return {"fine": True}

    serve(flow)

    error = wrong().error
    assert error is not None
    assert (error.type, error.message) == ("RuntimeError", "not in a worker")
    assert fine() == {"fine": True}


def test_a_module_that_fails_in_a_worker_only_is_sent_by_value(module: Callable[..., ModuleType], serve: Serve) -> None:
    text = """
import os
from microflow import create_flow
if os.environ.get("MICROFLOW_WORKER"):
    raise {error}
flow = create_flow("shop")
FACTOR = 3
def times(n):
    return n * FACTOR
@flow.task
def work(a):
    return {{"n": times(a["n"])}}
"""
    for number, error in enumerate(("ImportError('only in the parent')", "SystemExit(0)")):
        found = module(text.format(error=error), f"shop_flow_{number}")
        engine = serve(found.flow)
        assert found.work({"n": 2}) == {"n": 6}
        found.FACTOR = 4
        assert found.work({"n": 2}) == {"n": 8}
        engine.stop()


# What can


def test_closures_lambdas_partials_methods_and_callable_objects(flow: Flow, serve: Serve) -> None:
    factor = 3

    class Shop:
        def __init__(self, base: int) -> None:
            self.base = base

        def sell(self, a: dict[str, int]) -> dict[str, int]:
            return {"n": a["n"] + self.base}

        def __call__(self, a: dict[str, int]) -> dict[str, int]:
            return {"n": a["n"] - self.base}

    def times(a: dict[str, int], by: int) -> dict[str, int]:
        return {"n": a["n"] * by}

    @flow.task
    def closure(a: dict[str, int]) -> dict[str, int]:
        return times(a, factor)

    jobs = [
        closure,
        flow.task(name="lambda")(lambda a: {"n": a["n"] + factor}),
        flow.task(name="partial")(functools.partial(times, by=5)),
        flow.task(name="method")(Shop(100).sell),
        flow.task(name="object")(Shop(1)),
    ]
    serve(flow)

    assert [job({"n": 2})["n"] for job in jobs] == [6, 5, 10, 102, 1]


def test_functions_of_a_module_are_imported_and_the_module_is_alive_there(
    module: Callable[..., ModuleType], serve: Serve
) -> None:
    found = module("""
import os
from microflow import create_flow
flow = create_flow("shop", max_concurrency=1)
calls = 0
parent = os.environ.get("MICROFLOW_WORKER") is None
@flow.task
def count():
    global calls
    calls += 1
    return {"calls": calls, "parent": parent, "module": __name__}
other_name = flow.task(name="renamed")(lambda: {"from": "a lambda of the module"})
""")
    serve(found.flow)

    assert found.count() == {"calls": 1, "parent": False, "module": "shop_flow"}
    assert found.count()["calls"] == 2
    assert found.other_name() == {"from": "a lambda of the module"}
    assert found.calls == 0


def test_a_task_may_use_its_flow_and_other_jobs_without_calling_them(
    module: Callable[..., ModuleType], flow: Flow, serve: Serve
) -> None:
    @flow.task
    def inner(a: dict[str, int]) -> dict[str, int]:
        return {"n": a["n"] + 1}

    @flow.task
    def outer(a: dict[str, int]) -> dict[str, Any]:
        flow.context["seen"] = a["n"]
        return {"flow": flow.name, "job": inner.name, "seen": flow.context["seen"], "n": inner.fn(a)["n"]}

    found = module("""
from microflow import create_flow
flow = create_flow("module")
@flow.task
def inner(a):
    return {"n": a["n"] + 1}
@flow.task
def outer(a):
    return {"n": inner.fn(a)["n"], "jobs": sorted(flow.jobs)}
""")
    serve(flow, found.flow)

    assert outer({"n": 1}) == {"flow": "shop", "job": "inner", "seen": 1, "n": 2}
    assert found.outer({"n": 1}) == {"n": 2, "jobs": ["inner", "outer"]}


def test_a_traceback_names_the_file_of_a_function_by_value_even_if_cloudpickle_drops_it(
    flow: Flow, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = cloudpickle.CloudPickler.dispatch_table.maps[0]
    reduced = table[CodeType]

    def without_file(code: CodeType) -> Any:  # as cloudpickle has it from 3.1.3 on
        return reduced(code.replace(co_filename="<dynamic-code>"))

    monkeypatch.setitem(table, CodeType, without_file)

    @flow.task
    def fail() -> None:
        def inner() -> None:
            raise ValueError("here")

        inner()

    serve(flow)
    error = fail().error

    assert error is not None
    assert error.traceback.count(f'File "{__file__}"') == 2


def test_a_function_by_value_may_call_itself_and_others_that_call_it(flow: Flow, serve: Serve) -> None:
    @flow.task
    def even(a: dict[str, int]) -> dict[str, bool]:
        return {"answer": True} if a["n"] == 0 else odd.fn({"n": a["n"] - 1})

    @flow.task
    def odd(a: dict[str, int]) -> dict[str, bool]:
        return {"answer": False} if a["n"] == 0 else even.fn({"n": a["n"] - 1})

    serve(flow)

    assert even({"n": 10}) == {"answer": True}
    assert odd({"n": 10}) == {"answer": False}


def test_a_function_by_value_is_sent_again_when_what_it_refers_to_changed(flow: Flow, serve: Serve) -> None:
    settings = {"factor": 2}

    @flow.task
    def work(a: dict[str, int]) -> dict[str, int]:
        return {"n": a["n"] * settings["factor"]}

    manage = flow.manager(name="manage")(lambda: work({"n": 1}))
    serve(flow)

    assert work({"n": 1}) == {"n": 2}
    settings["factor"] = 3
    assert work({"n": 1}) == {"n": 3}
    assert manage() == {"n": 3}
    settings["factor"] = 4
    assert manage() == {"n": 4}, "a notebook's next cell changed what the task refers to"


def test_many_functions_and_workers_stay_apart(start: Callable[..., Engine]) -> None:
    flow = create_flow("shop", max_concurrency=3)
    jobs = [flow.task(name=f"job{number}")(lambda number=number: {"n": number}) for number in range(30)]
    start(flow)

    futures = [job.submit() for job in jobs * 3]

    assert [future.result()["n"] for future in futures] == list(range(30)) * 3


def test_options_and_paths_of_the_interpreter_reach_the_worker(flow: Flow, serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("VALUE = 5")
    sys.path.insert(0, str(tmp_path))
    try:

        @flow.task
        def look() -> dict[str, Any]:
            import beside  # type: ignore[import-not-found]

            return {"value": beside.VALUE, "executable": sys.executable, "folder": os.getcwd()}

        serve(flow)
        seen = look()
    finally:
        sys.path.remove(str(tmp_path))

    assert seen == {"value": 5, "executable": sys.executable, "folder": os.getcwd()}


# Data on its way

moments = st.datetimes(
    timezones=st.sampled_from(
        [None, UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Tokyo"), timezone(timedelta(hours=-3))]
    )
).map(lambda moment: moment.replace(fold=0))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.dates()
    | moments,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab$é", max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_whatever_a_payload_holds_goes_to_a_task_and_back_and_stays_in_the_store(
    flow: Flow, start: Callable[..., Engine]
) -> None:
    @flow.task
    def echo(a: dict[str, Any]) -> dict[str, Any]:
        return {**a, "types": repr(a)}

    engine = start(flow)

    @settings(
        max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(st.dictionaries(st.text("ab$é", min_size=1, max_size=5), values, max_size=4))
    def check(payload: dict[str, Any]) -> None:
        submitted = engine.submit(echo, [payload])
        result = submitted.future.result()

        assert result.status == "success", result
        assert result.output == {**payload, "types": repr(payload)}
        row = engine.store.executions.call_of(submitted.id)
        from microflow.model.payloads import decode

        assert repr(decode(row.inputs)) == repr([payload])

    check()


@pytest.mark.parametrize("size", [0, 1, 4096, 65_536, 2_000_000])
def test_payloads_of_any_size_pass_through_the_pipes(flow: Flow, serve: Serve, size: int) -> None:
    echo = flow.task(name="echo", max_payload=10_000_000)(lambda a: a)
    serve(flow)

    assert len(echo({"text": "x" * size})["text"]) == size


def test_whatever_is_a_number_tells_progress(flow: Flow, serve: Serve) -> None:
    class Int64:  # like numpy's: not an int by inheritance
        def __index__(self) -> int:
            return 7

    @flow.task
    def report(a: Any) -> Any:
        numbers = {"plain": (True, 10**30), "numpy": (Int64(), Int64()), "exact": (Fraction(1, 2), Decimal("2.5"))}
        current_execution().progress(*numbers[a["kind"]])
        return {"reported": True}

    engine = serve(flow)
    for kind in ("plain", "numpy", "exact"):
        assert report({"kind": kind}) == {"reported": True}
    assert engine.store.database.read_text("SELECT progress FROM executions ORDER BY id") == [
        ('{"done":1.0,"total":1e30,"message":null}',),
        ('{"done":7.0,"total":7.0,"message":null}',),
        ('{"done":0.5,"total":2.5,"message":null}',),
    ]


def test_results_and_statuses_reach_a_task(flow: Flow, serve: Serve) -> None:
    fail = flow.task(name="fail")(lambda: 1 / 0)
    fine = flow.task(name="fine")(lambda: {"on": date(2026, 11, 22), "at": datetime(2026, 11, 22, tzinfo=UTC)})

    @flow.task(run_strategy="always")
    def gather(a: Any, b: Any, rows: Any) -> dict[str, Any]:
        from microflow import current_execution

        one, two, many = current_execution().inputs
        return {
            "plain": [a, b, rows],
            "error": one.error.type,
            "reads": two["on"],
            "many": [str(result.status) for result in many],
        }

    manage = flow.manager(name="manage")(lambda: gather(fail(), fine(), [fine(), fail(), ExecutionResult({"n": 1})]))
    serve(flow)

    data = {"on": date(2026, 11, 22), "at": datetime(2026, 11, 22, tzinfo=UTC)}
    assert manage().output == {
        "plain": [None, data, [data, None, {"n": 1}]],
        "error": "ZeroDivisionError",
        "reads": date(2026, 11, 22),
        "many": ["success", "error", "success"],
    }
