"""``flow.context`` and ``current_execution()``: durable state of a job, kept with its success, dropped with its failure."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from microflow import Flow, Skip, create_flow, current_execution, map_parallel
from microflow.engine.engine import Engine

Start = Callable[..., Engine]

RUNNERS = pytest.mark.parametrize("runner", ["thread", "process"])


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop")


def jobs(flow: Flow, runner: str) -> tuple[Any, Any]:
    """A job that writes to its context and ends as its input says, and one that reads it."""

    @flow.task(runner=runner)
    def load(a: dict[str, Any]) -> Any:
        context = flow.context
        if "set" in a:
            context.update(a["set"])
        for key in a.get("delete", []):
            del context[key]
        end = a.get("end", "success")
        if end == "error":
            raise ValueError("no")
        if end == "skipped":
            raise Skip("nothing new")
        return {"seen": dict(context), "length": len(context), **a.get("output", {})}

    return load, lambda: load({})["seen"]


@RUNNERS
@pytest.mark.parametrize(("end", "kept"), [("success", True), ("skipped", True), ("error", False)])
def test_what_is_written_is_kept_unless_the_execution_fails(
    flow: Flow, start: Start, runner: str, end: str, kept: bool
) -> None:
    load, _ = jobs(flow, runner)
    start(flow)

    assert load({"set": {"cursor": 5}, "end": end}).status == end

    assert load({})["seen"].get("cursor") == (5 if kept else None)


def test_what_a_cancelled_execution_wrote_is_dropped(flow: Flow, start: Start) -> None:
    engine: Engine

    @flow.manager
    def load() -> Any:
        before = flow.context.get("cursor")
        flow.context["cursor"] = 5
        if before is None and not flow.context.get("done"):
            engine.cancel(current_execution().id)
        return {"before": before}

    engine = start(flow)

    assert load().status == "cancelled"
    assert engine.store.executions.context("shop", "load")[0] == {}


@RUNNERS
def test_what_a_failed_attempt_wrote_is_not_seen_by_the_next(flow: Flow, start: Start, runner: str) -> None:
    @flow.task(runner=runner, retries=1, retry_delay=0)
    def load() -> Any:
        seen = dict(flow.context)
        flow.context["cursor"] = 5
        if current_execution().attempt == 1:
            raise ValueError("no")
        return {"seen": seen}

    start(flow)

    assert load() == {"seen": {}}


@RUNNERS
def test_values_arrive_as_they_were_written(flow: Flow, start: Start, runner: str) -> None:
    load, read = jobs(flow, runner)
    start(flow)
    values = {
        "at": datetime(2026, 11, 22, 5, tzinfo=UTC),
        "day": date(2026, 11, 22),
        "list": [1, None, {"a": 2.5}],
        "none": None,
    }

    load({"set": values})

    seen = read()
    assert {key: seen[key] for key in values} == values


@RUNNERS
def test_a_key_can_be_deleted(flow: Flow, start: Start, runner: str) -> None:
    load, _ = jobs(flow, runner)
    engine = start(flow)
    load({"set": {"a": 1, "b": 2}})

    assert load({"delete": ["a"]})["seen"]["b"] == 2
    assert engine.store.executions.context("shop", "load")[0] == {"b": 2}
    error = load({"delete": ["a", "nowhere"], "set": {"a": 1}}).error
    assert error is not None
    assert error.type == "KeyError"


@RUNNERS
def test_what_is_changed_in_place_is_kept_too(flow: Flow, start: Start, runner: str) -> None:
    @flow.task(runner=runner)
    def load(a: dict[str, Any]) -> Any:
        context = flow.context
        context.setdefault("seen", []).append(a["n"])
        if a["n"] == 0:
            context["deep"] = {"x": {"count": 0}}
        context["deep"]["x"]["count"] += 1
        context.get("tags", []).append(a["n"])  # the last output's
        return {"seen": context["seen"], "deep": context["deep"], "tags": []}

    engine = start(flow)

    results = [load({"n": n}) for n in range(3)]

    assert results[-1] == {"seen": [0, 1, 2], "deep": {"x": {"count": 3}}, "tags": []}
    assert engine.store.executions.context("shop", "load")[0]["tags"] == [1, 2]


@RUNNERS
@pytest.mark.parametrize("end", ["success", "skipped"])
def test_what_no_payload_holds_is_no_value_however_it_came_there(
    flow: Flow, start: Start, runner: str, end: str
) -> None:
    @flow.task(runner=runner)
    def load(a: dict[str, Any]) -> Any:
        flow.context["fine"] = 1
        if "value" in a:
            flow.context["value"] = "x" * a["value"]
        else:
            flow.context["list"] = []
            flow.context["list"].append({1, 2})
        if end == "skipped":
            raise Skip("nothing new")
        return {}

    engine = start(flow)
    errors = [load(a).error for a in ({"value": 40_000}, {"in place": True})]

    assert [error.message if error else None for error in errors] == [
        "Job 'load': flow.context['value'] takes 40,002 bytes when encoded, and the limit is 32,768. Hand over a key to the data "
        "(a path, a row id) instead of the data, or raise max_payload for this job.",
        "Job 'load': flow.context['list'][0] is a set. Use a list instead.",
    ]
    assert engine.store.executions.context("shop", "load")[0] == {}


@RUNNERS
def test_a_key_that_was_deleted_stays_away(flow: Flow, start: Start, runner: str) -> None:
    load, read = jobs(flow, runner)
    start(flow)
    load({"output": {"cursor": 1}})

    load({"delete": ["cursor"], "output": {"cursor": 2}})

    assert "cursor" not in read()


def test_of_two_executions_at_once_each_keeps_its_own_keys_and_the_last_to_end_wins_one(
    flow: Flow, start: Start
) -> None:
    began, ends = threading.Barrier(2), [threading.Event(), threading.Event()]

    @flow.task(runner="thread")
    def load(a: dict[str, Any]) -> Any:
        flow.context.update({f"own {a['n']}": True, "both": a["n"]})
        began.wait(60)
        ends[a["n"]].wait(60)
        return {}

    flow.max_concurrency = 2
    engine = start(flow)
    futures = [load.submit({"n": n}) for n in (0, 1)]
    for n in (1, 0):
        ends[n].set()
        futures[n].result()

    assert engine.store.executions.context("shop", "load")[0] == {"own 0": True, "own 1": True, "both": 0}


@RUNNERS
def test_a_key_never_written_falls_back_to_the_last_successful_output(flow: Flow, start: Start, runner: str) -> None:
    @flow.task(runner=runner)
    def fetch(a: dict[str, Any]) -> Any:
        if a["newest"] != flow.context.get("cursor", None):
            return {"cursor": a["newest"]}
        return None

    start(flow)

    statuses = [str(fetch({"newest": newest}).status) for newest in (1, 1, 2, 2, 1)]

    assert statuses == ["success", "skipped", "success", "skipped", "success"]


@RUNNERS
def test_what_was_written_goes_before_the_last_output(flow: Flow, start: Start, runner: str) -> None:
    load, _ = jobs(flow, runner)
    start(flow)

    load({"set": {"cursor": "written"}, "output": {"cursor": "returned", "other": 1}})
    seen = load({})["seen"]

    assert (seen["cursor"], seen["other"]) == ("written", 1)


def test_every_job_has_its_own_and_managers_have_one_too(flow: Flow, start: Start) -> None:
    load, _ = jobs(flow, "thread")

    @flow.manager
    def manage() -> Any:
        flow.context["count"] = flow.context.get("count", 0) + 1
        load({"set": {"count": 100}})
        return [{"count": flow.context["count"]}]

    start(flow)

    assert manage() == [{"count": 1}]
    assert manage() == [{"count": 2}]


@RUNNERS
def test_what_the_current_execution_knows(flow: Flow, start: Start, runner: str) -> None:
    @flow.task(runner=runner, cat_partitions=["red"], time_partitions="daily")
    def load(a: dict[str, Any]) -> Any:
        execution = current_execution()
        execution.logger.warning("told")
        window = execution.time_window
        assert window is not None
        return {
            "id": execution.id,
            "job": execution.job,
            "flow": execution.flow,
            "attempt": execution.attempt,
            "run_key": execution.run_key,
            "cat_partition": execution.cat_partition,
            "time_partition": execution.time_partition,
            "hours": (window[1] - window[0]).total_seconds() / 3600,
            "scheduled_at": execution.scheduled_at,
            "inputs": list(execution.inputs),
            "logger": execution.logger.name,
            "repr": repr(execution),
        }

    engine = start(flow)
    given = {"run_key": "k", "cat_partition": "red", "time_partition": "2026-11-22"}
    result = load(given)

    assert result.status == "success", result
    at = result["time_partition"]
    assert at.utcoffset() is not None
    assert (at.year, at.month, at.day, at.hour) == (2026, 11, 22, 0)
    assert {key: value for key, value in result.items() if key not in ("time_partition", "inputs")} == {
        "id": 1,
        "job": "load",
        "flow": "shop",
        "attempt": 1,
        "run_key": "k",
        "cat_partition": "red",
        "hours": 24.0,
        "scheduled_at": None,
        "logger": "shop.load",
        "repr": "<CurrentExecution 1 of shop.load, attempt 1>",
    }
    assert result["inputs"] == [{**given, "time_partition": at}]
    assert "WARNING shop.load: told" in engine.store.logs.read(1).text


@RUNNERS
def test_progress_is_seen_as_it_moves_and_kept_at_the_end(
    flow: Flow, start: Start, runner: str, look: Callable[..., dict[str, Any]]
) -> None:
    @flow.task(runner=runner)
    def load() -> Any:
        for done in (1, 2, 3):
            current_execution().progress(done, 3, f"row {done}")
        return {}

    engine = start(flow)
    seen = []
    engine.events.subscribe(lambda event: seen.append(engine.progress(event.id)) if event.topic == "progress" else None)

    load()

    assert [tuple(progress) for progress in seen if progress is not None] == [(n, 3, f"row {n}") for n in (1, 2, 3)]
    assert look(engine, 1)["progress"] == {"done": 3, "total": 3, "message": "row 3"}
    assert engine.progress(1) is None


@pytest.mark.parametrize(("tells", "kept"), [(False, (3, 3, None)), (True, (1, 9, "mine"))])
def test_a_manager_that_maps_is_as_far_as_its_mapping_unless_it_says_itself(
    flow: Flow, start: Start, look: Callable[..., dict[str, Any]], tells: bool, kept: tuple[Any, ...]
) -> None:
    load = flow.task(name="load", runner="thread")(lambda a: a)

    @flow.manager
    def manage() -> Any:
        if tells:
            current_execution().progress(1, 9, "mine")
        map_parallel(load, ({} for _ in range(2)))
        map_parallel(load, [{}, {}, {}])
        return {}

    engine = start(flow)
    seen = []
    engine.events.subscribe(lambda event: seen.append(engine.progress(1)) if event.topic == "progress" else None)

    manage()

    mapped = [(0, None, None), (1, None, None), (2, None, None), (0, 3, None), (1, 3, None), (2, 3, None), (3, 3, None)]
    assert seen == ([kept] if tells else mapped)
    assert look(engine, 1)["progress"] == dict(zip(("done", "total", "message"), kept, strict=True))
