"""Mappings of small tasks that share their slots: each has its turn, a chunk of tasks at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from microflow import create_flow, map_parallel
from microflow.engine.engine import Engine
from microflow.engine.runs import fanout
from microflow.engine.runs.chunk_size import MOST, ChunkSize
from microflow.runners.local.pool import ProcessPool

Start = Callable[..., Engine]


def test_two_mappings_at_once_hand_each_other_the_places_line_by_line(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = create_flow("shop", max_concurrency=1)

    @flow.task
    def small(a: dict[str, Any]) -> dict[str, Any]:
        return a

    engine = start(flow)
    begin, lines = ProcessPool.start, []

    def start_attempt(self: ProcessPool, job: Any, line: Any) -> Any:
        lines.append((len(line), any(state.waiters for state in engine.concurrency())))
        return begin(self, job, line)

    monkeypatch.setattr(ProcessPool, "start", start_attempt)
    mappings = [engine.submit_map(small, [{"n": number} for number in range(2000)]) for _ in range(2)]
    results = [submitted.future.result(timeout=120) for submitted in mappings]

    assert [result.output for result in results] == [{"success": 2000}] * 2
    assert max(length for length, others_wait in lines if others_wait) > 1
    assert not [holder for state in engine.concurrency() for holder in (*state.holders, *state.waiters)]


def test_calls_that_must_wait_are_opened_in_the_order_of_the_inputs(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = create_flow("shop", max_concurrency=2)
    over = threading.Event()
    flow.task(name="block", runner="thread")(lambda: {} if over.wait(60) else None)
    flow.task(name="small")(lambda a: a)

    class Swift(ChunkSize):
        """Several at once from the beginning."""

        def __init__(self) -> None:
            super().__init__()
            self.size = 4

        def slow_down(self) -> None:
            pass

    monkeypatch.setattr(fanout, "ChunkSize", Swift)
    engine = start(flow)
    blocking = [engine.submit(flow.jobs["block"]) for _ in range(2)]
    queued: list[int] = []

    def count(event: Any) -> None:
        if event.job == "small" and event.status == "queued":
            queued.append(event.id)
            if len(queued) == 2:  # as many as may wait, of two chunks
                over.set()

    unsubscribe = engine.events.subscribe(count)
    mapping = engine.submit_map(flow.jobs["small"], [{"n": number} for number in range(12)])
    assert mapping.future.result(timeout=120).output == {"success": 12}
    unsubscribe()

    for submitted in blocking:
        assert submitted.future.result().status == "success"
    positions = engine.store.database.read_text(
        "SELECT position FROM executions WHERE job = 'small' AND parent_id IS NOT NULL ORDER BY id"
    )
    assert positions == [(number,) for number in range(12)]


def test_whoever_waits_for_a_slot_gets_it_when_a_chunk_is_over(start: Start) -> None:
    flow = create_flow("shop", max_concurrency=1)
    began, ended = threading.Event(), threading.Event()

    @flow.task
    def small(a: dict[str, Any]) -> dict[str, Any]:
        return a

    class UntilEnded:
        """Inputs without an end, for whoever starves."""

        def __len__(self) -> int:
            return 100_000

        def __iter__(self) -> Iterator[Any]:
            for number in range(len(self)):
                if number == 4 * MOST:
                    began.set()
                if ended.is_set():
                    return
                yield {"n": number}

    @flow.manager
    def many() -> dict[str, Any]:
        return {"count": len(map_parallel(small, UntilEnded()))}

    submitted = start(flow).submit(many)
    assert began.wait(60)
    assert small({"n": -1}) == {"n": -1}
    ended.set()

    assert submitted.future.result(timeout=120).output["count"] < 100_000
