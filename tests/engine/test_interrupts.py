"""Ctrl-C at a moment that is hard to hit: between a ``with`` statement and what it enters or leaves."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from microflow import create_flow, run_dag
from microflow.engine.engine import Engine

PATIENCE = 60.0


@pytest.mark.parametrize("edge", ["__enter__", "__exit__"])
@pytest.mark.parametrize("turn", [1, 2, 3])  # of the transaction, of what is told after it, of both together
def test_what_is_interrupted_at_the_edge_of_a_transaction_keeps_nobody_waiting(
    start: Callable[..., Engine], runner: Any, monkeypatch: pytest.MonkeyPatch, turn: int, edge: str
) -> None:
    flow = create_flow("shop", max_concurrency=3)
    other = flow.task(name="other", runner=runner)(lambda: {})
    first = flow.task(name="first", runner=runner)(lambda: {})
    then = [flow.task(name=name, runner=runner, inputs=[first])(lambda a: a) for name in ("second", "third")]
    engine = start(flow)
    raised: list[BaseException] = []

    def call() -> None:
        try:
            run_dag(other, *then)
        except BaseException as error:  # and the traceback with it
            raised.append(error)

    caller = threading.Thread(target=call, daemon=True)
    caller.start()
    attempts = {attempt.job.name: attempt for attempt in (runner.next(), runner.next())}
    left = turn
    passed = getattr(contextlib._GeneratorContextManager, edge)

    def interrupt() -> None:
        nonlocal left
        if threading.current_thread() is caller:
            left -= 1
            if left == 0:
                raise KeyboardInterrupt

    def enter(self: Any) -> Any:
        value = passed(self)
        interrupt()
        return value

    def leave(self: Any, *given: Any) -> Any:
        interrupt()
        return passed(self, *given)

    interrupted: Any = enter if edge == "__enter__" else leave
    interrupted.__code__ = interrupted.__code__.replace(co_filename=contextlib.contextmanager.__code__.co_filename)
    monkeypatch.setattr(contextlib._GeneratorContextManager, edge, interrupted)
    attempts["first"].succeed({})
    caller.join(PATIENCE)

    assert [type(error) for error in raised] == [KeyboardInterrupt]
    assert all(state.holders == [] for state in engine.concurrency())
