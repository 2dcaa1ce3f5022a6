"""Runners that users write: whatever they raise or return, the execution ends and says why, alone and among many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from microflow import ExecutionStatus, Flow, create_flow, map_parallel
from microflow.engine.engine import Engine
from microflow.runners.base import Outcome

Start = Callable[..., Engine]
SUCCESS = ExecutionStatus.SUCCESS


@dataclass  # and so without a hash
class Odd:
    """Does what a test says."""

    act: Callable[[], Any]
    closed: int = 0

    def run(self, job: Any, request: Any, observer: Any) -> Any:
        return self.act()

    def close(self) -> None:
        self.closed += 1
        raise RuntimeError("it does not close")


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop", max_concurrency=2)


def throw(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        (throw(ValueError("no")), "ValueError", "no"),
        (throw(SystemExit("bye")), "WorkerDied", "The runner Odd raised SystemExit: bye."),
        (throw(GeneratorExit()), "WorkerDied", "The runner Odd raised GeneratorExit."),
        (lambda: None, "TypeError", "The runner Odd returned NoneType; run returns an Outcome."),
        (lambda: {"n": 1}, "TypeError", "The runner Odd returned dict; run returns an Outcome."),
        (
            lambda: Outcome("done"),
            "TypeError",
            "The runner Odd returned an Outcome that is none: Invalid enum value 'done'",
        ),  # type: ignore[arg-type]
        (
            lambda: Outcome(SUCCESS, "{}"),
            "TypeError",
            "The runner Odd returned an Outcome that is none: Expected `bytes",
        ),  # type: ignore[arg-type]
        (lambda: Outcome(SUCCESS, b"{"), "TypeError", "The runner Odd returned an Outcome that is none: "),
        (lambda: Outcome(SUCCESS, b"3"), "PayloadError", "output"),
        (lambda: Outcome(SUCCESS, b'{"a":"%s"}' % (b"x" * 40_000)), "PayloadTooLarge", "output"),
        (
            lambda: Outcome(ExecutionStatus.RUNNING),
            "TypeError",
            "The runner Odd returned an Outcome that has not ended",
        ),
        (lambda: Outcome(ExecutionStatus.ERROR), "RunnerError", "the runner Odd does not say why"),
    ],
)
def test_what_is_no_outcome_is_an_error_alone_and_among_many(
    flow: Flow, start: Start, act: Callable[[], Any], kind: str, message: str
) -> None:
    odd = flow.task(name="odd", runner=Odd(act))(lambda a: a)
    many = flow.manager(name="many")(lambda: map_parallel(odd, [{}, {}, {}]))
    engine = start(flow)

    error = odd({}).error
    assert error is not None
    assert error.type == kind
    assert message in error.message
    assert many().status == "error"

    rows = engine.store.database.read_text("SELECT status FROM executions WHERE job = 'odd'")
    assert rows == [("error",)] * 4
    assert all(state.holders == [] for state in engine.concurrency())


def test_a_runner_that_does_not_close_does_not_keep_the_engine_from_its_end(
    flow: Flow, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    runner = Odd(lambda: Outcome(SUCCESS, b'{"n":1}'))
    odd = flow.task(name="odd", runner=runner)(lambda a: a)
    engine = start(flow, kind="server")
    assert odd({}) == {"n": 1}

    assert engine.stop()

    assert runner.closed == 1
    assert "The runner Odd could not be closed." in caplog.text
    start(flow, kind="server")
