"""DAG runs: each job once, the moment its own inputs ended, with their results, statuses travelling down."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from microflow import ConflictError, Flow, InputCountError, create_flow, run_all, run_dag
from microflow.engine.admission.limits import UNLIMITED
from microflow.engine.engine import Engine

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop", max_concurrency=3)


def diamond(flow: Flow, runner: Any) -> None:
    flow.task(name="top", runner=runner)(lambda: {})
    flow.task(name="left", runner=runner, inputs=["top"])(lambda a: a)
    flow.task(name="right", runner=runner, inputs=["top"])(lambda a: a)
    flow.task(name="bottom", runner=runner, inputs=["left", "right"])(lambda a, b: a)
    flow.task(name="apart", runner=runner)(lambda: {})


def test_a_job_starts_the_moment_its_own_inputs_ended(flow: Flow, start: Start, runner: Any) -> None:
    diamond(flow, runner)
    flow.task(name="below left", runner=runner, inputs=["left"])(lambda a: a)
    engine = start(flow)
    submitted = engine.submit(flow.manager(name="manage")(lambda: run_all()))

    runner.next().succeed({"from": "top"})
    sides = {attempt.job.name: attempt for attempt in (runner.next(), runner.next())}
    assert set(sides) == {"left", "right"}
    assert sides["left"].inputs == [{"from": "top"}]
    sides["left"].succeed({"from": "left"})
    below = runner.next()
    assert below.job.name == "below left", "it does not wait for a level"
    below.succeed({})
    sides["right"].succeed({"from": "right"})
    bottom = runner.next()
    assert bottom.inputs == [{"from": "left"}, {"from": "right"}]
    bottom.succeed({"from": "bottom"})

    assert submitted.future.result().status == "success"
    assert runner.started == 5, "each once, and the one that stands apart not at all"


class Oracle:
    """What must have begun, and how what did not run ended, by the rules of the description and nothing else."""

    def __init__(self, inputs: dict[str, list[str]], strategies: dict[str, str]) -> None:
        self.inputs = inputs
        self.strategies = strategies
        self.ended: dict[str, str] = {}
        self.begun: set[str] = set()

    def begin(self) -> set[str]:
        """What begins now; what can be decided without running has ended, and so on down."""
        began: set[str] = set()
        while ready := [
            name
            for name, needed in self.inputs.items()
            if name not in self.ended and name not in self.begun and all(other in self.ended for other in needed)
        ]:
            for name in ready:
                if verdict := self._verdict(name):
                    self.ended[name] = verdict
                else:
                    self.begun.add(name)
                    began.add(name)
        return began

    def _verdict(self, name: str) -> str:
        seen = [self.ended[other] for other in self.inputs[name]]
        runs = {
            "any_success_no_error": "success" in seen and "error" not in seen,
            "any_success": "success" in seen,
            "all_success": set(seen) == {"success"},
            "always": True,
        }
        if not seen or runs[self.strategies[name]]:
            return ""
        return "error" if "error" in seen else "skipped"


@pytest.mark.parametrize("seed", range(10))
def test_any_dag_begins_what_can_begin_and_nothing_else(start: Start, runner: Any, seed: int) -> None:
    chance = random.Random(seed)
    flow = create_flow("random", max_concurrency=100)
    names = [f"job {number}" for number in range(40)]
    inputs = {
        name: [
            names[chance.randrange(max(0, number - 8), number)]
            for _ in range(chance.randint(0, 3) if number > 2 else 0)
        ]
        for number, name in enumerate(names)
    }
    strategies = {
        name: chance.choice(["any_success_no_error"] * 3 + ["any_success", "all_success", "always"]) for name in names
    }
    for name in chance.sample(names, len(names)):  # in whatever order they are defined
        flow.task(name=name, inputs=inputs[name], run_strategy=strategies[name], runner=runner)(lambda *results: None)
    engine = start(flow)
    oracle = Oracle(inputs, strategies)
    submitted = engine.submit(flow.manager(name="manage")(lambda: run_dag(*(flow.jobs[name] for name in names))))

    running: list[Any] = []
    outputs: dict[str, Any] = {}
    while True:
        expected = oracle.begin()
        running += [runner.next() for _ in expected]
        assert {attempt.job.name for attempt in running} == oracle.begun - set(outputs)
        if not running:
            break
        attempt = running.pop(chance.randrange(len(running)))
        name = attempt.job.name
        assert attempt.inputs == [outputs.get(other) for other in inputs[name]]
        end = chance.choice(["success", "success", "success", "skipped", "error"])
        outputs[name] = {"from": name} if end == "success" else None
        oracle.ended[name] = end
        attempt.fail() if end == "error" else attempt.succeed(outputs[name])

    submitted.future.result()
    assert runner.none_began()
    assert runner.started == len(oracle.begun)
    rows = engine.store.database.read_text("SELECT job, status FROM executions WHERE parent_id = ?", (submitted.id,))
    assert sorted(rows) == sorted(oracle.ended.items())


def test_however_wide_a_dag_is_the_number_of_its_threads_is_bounded(flow: Flow, start: Start) -> None:
    begun, gate, lock, running, most = threading.Semaphore(0), threading.Event(), threading.Lock(), set[int](), [0]

    def wait(*_: Any) -> dict[str, Any]:
        with lock:
            running.add(threading.get_ident())
            most[0] = max(most[0], len(running))
        begun.release()
        assert gate.wait(60)
        with lock:
            running.discard(threading.get_ident())
        return {}

    flow.manager(name="top")(lambda: {})
    jobs = [flow.manager(name=f"job {number}", inputs=["top"])(wait) for number in range(300)]
    start(flow)
    results = flow.manager(name="manage")(lambda: run_dag(*jobs)).submit()
    for _ in range(UNLIMITED):
        assert begun.acquire(timeout=60)
    gate.set()

    assert results.result().status == "success"
    assert most == [UNLIMITED]


def test_a_dag_run_gives_the_results_of_its_targets(flow: Flow, start: Start, runner: Any) -> None:
    diamond(flow, runner)
    start(flow)
    runner.answer = lambda attempt: attempt.succeed({"from": attempt.job.name})

    assert run_dag(flow.jobs["left"]) == {"from": "left"}
    assert runner.started == 2
    assert [result["from"] for result in run_dag(flow.jobs["right"], flow.jobs["left"])] == ["right", "left"]
    assert runner.started == 5
    assert [result.job for result in flow.run_all()] == ["top", "left", "right", "bottom"]


def test_what_fails_or_is_skipped_travels_down_the_dag(flow: Flow, start: Start, runner: Any) -> None:
    diamond(flow, runner)
    start(flow)
    ends = {"top": "success", "left": "skip", "right": "fail"}

    def answer(attempt: Any) -> None:
        end = ends.get(attempt.job.name, "success")
        attempt.fail() if end == "fail" else attempt.succeed({} if end == "success" else None)

    runner.answer = answer
    assert run_dag(flow.jobs["bottom"]).error.type == "UpstreamFailed"
    ends["right"] = "success"
    assert run_dag(flow.jobs["bottom"]).status == "success"
    ends["right"] = "skip"
    assert run_dag(flow.jobs["bottom"]).reason == "the input of job 'left' was skipped"


def test_a_job_that_can_not_take_what_its_inputs_give_fails_and_the_others_go_on(
    flow: Flow, start: Start, runner: Any, look: Look
) -> None:
    diamond(flow, runner)
    flow.task(name="beside", runner=runner, inputs=["left"])(lambda a: a)
    flow.task(name="below", runner=runner, inputs=["bottom"])(lambda a: a)
    engine = start(flow)
    much = {"text": "x" * 20_000}
    runner.answer = lambda attempt: attempt.succeed(much if attempt.job.name in ("left", "right") else {"n": 1})

    bottom, below, beside = run_dag(*(flow.jobs[name] for name in ("bottom", "below", "beside")))

    assert (bottom.status, bottom.error.type) == ("error", "PayloadTooLarge")
    assert "'bottom'" in bottom.error.message
    assert below.error.type == "UpstreamFailed"
    assert beside == {"n": 1}
    assert look(engine, bottom.execution_id)["status"] == "error"


def test_a_function_without_parameters_is_still_decided_by_its_inputs(flow: Flow, start: Start, runner: Any) -> None:
    flow.task(name="fetch", runner=runner)(lambda: {})
    flow.task(name="update", runner=runner, inputs=["fetch"])(lambda: {})
    start(flow)
    runner.answer = lambda attempt: attempt.succeed(None)

    assert run_dag(flow.jobs["update"]).status == "skipped"
    assert runner.started == 1


def test_a_dag_run_from_outside_is_one_execution(flow: Flow, start: Start, runner: Any, look: Look) -> None:
    diamond(flow, runner)
    engine = start(flow)
    runner.answer = lambda attempt: attempt.succeed({"from": attempt.job.name})

    submitted = engine.submit(flow.jobs["bottom"], with_inputs=True, trigger="api")

    assert submitted.future.result() == {"from": "bottom"}
    row = look(engine, submitted.id)
    assert (row["kind"], row["trigger"], row["status"]) == ("dag", "api", "success")
    rows = engine.store.database.read_text(
        "SELECT job FROM executions WHERE parent_id = ? ORDER BY position", (submitted.id,)
    )
    assert [job for (job,) in rows] == ["top", "left", "right", "bottom"]
    assert engine.retry(submitted.id).future.result() == {"from": "bottom"}


def test_what_was_given_a_result_without_data_is_retried_with_its_run(flow: Flow, start: Start, runner: Any) -> None:
    flow.task(name="fetch", runner=runner)(lambda: {})
    flow.task(name="load", runner=runner, inputs=["fetch"])(lambda fetched: {})
    flow.task(name="report", runner=runner, inputs=["load"], run_strategy="always")(lambda loaded: {})
    engine = start(flow)
    runner.answer = lambda attempt: attempt.fail()
    run = engine.submit(flow.jobs["report"], with_inputs=True)
    assert run.future.result().status == "error"
    rows = engine.store.database.read_text(
        "SELECT id FROM executions WHERE job = ? AND parent_id = ?", ("load", run.id)
    )
    rows += engine.store.database.read_text(
        "SELECT id FROM executions WHERE job = ? AND parent_id = ?", ("report", run.id)
    )

    for (execution_id,) in rows:
        with pytest.raises(ConflictError, match="was given the result of one that ended without data"):
            engine.retry(execution_id)

    runner.answer = lambda attempt: attempt.succeed({"from": attempt.job.name})
    assert engine.retry(run.id).future.result() == {"from": "report"}


def test_a_job_that_a_run_would_give_too_little_is_refused_before_anything_runs(
    flow: Flow, start: Start, runner: Any
) -> None:
    load = flow.task(name="load", runner=runner)(lambda a: a)
    flow.task(name="report", runner=runner, inputs=[load])(lambda a: a)
    engine = start(flow)

    for job in flow.jobs.values():
        with pytest.raises(InputCountError, match=r"load\(a\) takes 1 input, and declares none, so a run with inputs"):
            engine.submit(job, with_inputs=True)
    with pytest.raises(InputCountError, match="declares none"):
        run_dag(flow.jobs["report"])

    assert runner.started == 0
    assert engine.store.database.read_text("SELECT count(*) FROM executions") == [(0,)]


def test_a_direct_call_never_runs_declared_inputs(flow: Flow, start: Start, runner: Any) -> None:
    diamond(flow, runner)
    start(flow)
    runner.answer = lambda attempt: attempt.succeed(attempt.inputs[0])

    assert flow.jobs["left"]({"n": 1}) == {"n": 1}
    assert runner.started == 1
