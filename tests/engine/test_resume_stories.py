"""Servers that end again and again, at any write: their runs come to the end whole, and what has ended does not run again."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from microflow import Flow, create_flow
from microflow.engine.engine import Engine
from microflow.errors import StoreError
from microflow.runtime import PartitionSelection
from microflow.store.sqlite.database import Database

LIVES = 40
"""More lives than a story takes."""


class Fate:
    """What becomes of a server at a certain write: it dies there, or is told to stop. Writes are those of all of its threads."""

    def __init__(self, dies: bool) -> None:
        self.dies = dies
        self.came = threading.Event()
        self._left: float = float("inf")
        self._lock = threading.Lock()

    def comes_after(self, writes: float) -> None:
        with self._lock:
            self._left = writes
        self.came.clear()

    def write(self) -> None:
        """One more write. Raises ``StoreError`` from the moment of the death on."""
        with self._lock:
            self._left -= 1
            has_come = self._left < 0
        if has_come:
            self.came.set()
            if self.dies:
                raise StoreError("the process died")


@pytest.fixture(params=["dies", "stops"])
def fate(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fate]:
    fate, carry_out = Fate(request.param == "dies"), Database.execute_text

    def execute(self: Database, text: str, values: Any = ()) -> Any:
        fate.write()
        return carry_out(self, text, values)

    monkeypatch.setattr(Database, "execute_text", execute)
    yield fate
    fate.comes_after(float("inf"))


def flow_of(runner: Any) -> Flow:
    """A DAG with a manager in it, a job with partitions and one to map; each has attempts left for all lives, but "once"."""
    flow = create_flow("shop", max_concurrency=2)

    def job(name: str, *inputs: str, **given: Any) -> None:
        flow.task(name=name, inputs=list(inputs), runner=runner, retries=LIVES, **given)(lambda *given: {})

    job("first")
    job("called")
    called = flow.jobs["called"]
    flow.manager(name="middle", inputs=["first"], retries=LIVES)(lambda a: called(a))
    job("beside", "first")
    job("last", "middle", "beside")
    job("mapped")
    flow.task(name="once", runner=runner, max_concurrency=1)(lambda a: {})
    flow.task(name="part", cat_partitions=list("abcd"), runner=runner, retries=LIVES)(lambda a: {})
    flow.task(name="fed", inputs=["part"], cat_partitions=list("ab"), runner=runner, retries=LIVES)(lambda a: {})
    return flow


def begin(engine: Engine) -> None:
    jobs = engine.flows["shop"].jobs
    engine.submit(jobs["last"], with_inputs=True)
    engine.submit_partitions(jobs["part"], PartitionSelection(order="desc"))
    engine.submit_partitions(jobs["part"], PartitionSelection(), batch_size=3)
    engine.submit_partitions(jobs["fed"], PartitionSelection(), with_inputs=True)
    engine.submit_map(jobs["mapped"], [{"n": number} for number in range(5)])
    for number in range(3):
        engine.submit(jobs["once"], [{"n": number}])
    engine.submit_map(jobs["once"], [{"n": number} for number in range(4)])


def bring_out_your_dead(store: str) -> None:
    """A server that could not even start is dead too."""
    database = Database(store)
    with database.transaction():
        database.execute_text("UPDATE engines SET process_started = 0 WHERE ended_at IS NULL", ())
    database.close()


@pytest.mark.parametrize("seed", range(4))
def test_runs_come_to_their_end_whole(
    start: Callable[..., Engine],
    kill: Callable[[Engine], None],
    runner: Any,
    store: str,
    fate: Fate,
    seed: int,
) -> None:
    chance = random.Random(seed)
    ran: Counter[tuple[int, int]] = Counter()

    def answer(attempt: Any) -> None:
        ran[attempt.request.execution_id, attempt.request.attempt] += 1
        attempt.succeed({"n": 1})

    runner.answer = answer
    engine = start(flow_of(runner), kind="server")
    fate.comes_after(chance.randrange(5, 60))
    try:
        begin(engine)
    except StoreError:
        assert fate.came.is_set()
    for _ in range(LIVES):
        live = engine._resources.live
        while not (is_over := live.wait_until_empty(0.01)) and not fate.came.is_set():
            pass
        if is_over and not fate.came.is_set():
            break
        if fate.dies:
            kill(engine)  # before fate lets anything be written again
        else:
            engine.stop(grace=0)
        fate.comes_after(chance.randrange(20, 80))
        try:
            engine = start(flow_of(runner), kind="server")
        except StoreError:
            fate.comes_after(float("inf"))
            bring_out_your_dead(store)
            engine = start(flow_of(runner), kind="server")
    else:
        pytest.fail("it never came to an end")

    fate.comes_after(float("inf"))
    found = engine.store.database.read_text("SELECT id, parent_id, job, kind, status, position, output FROM executions")
    interrupted = {job for _, _, job, _, status, _, _ in found if status != "success"}
    assert interrupted <= {"called", "once"}  # what a manager had called is called anew
    once = "SELECT count(*) FROM executions WHERE job = 'once' AND kind = 'task' AND status <> 'success'"
    assert engine.store.database.read_text(f"{once} AND started_at IS NULL") == [(0,)]  # only what ran has ended so
    assert set(ran.values()) == {1}
    runs = {number: (job, kind) for number, _, job, kind, *_ in found if kind in ("dag", "map", "partitions")}
    below = {number: Counter(row[5] for row in found if row[1] == number) for number in runs}
    whole = {
        ("last", "dag"): {4},
        ("part", "partitions"): {4, 2},
        ("fed", "partitions"): {2},
        ("fed", "dag"): {2},
        ("mapped", "map"): {5},
        ("once", "map"): {4},
    }
    for number, positions in below.items():
        assert len(positions) in whole[runs[number]]
        assert positions == Counter(range(len(positions)))
    assert engine.partitions.grid(engine.job("shop", "fed")).lines in (["s", "s"], [".", "."])
