"""Small tasks, of which a worker is handed several at once: each is an execution of its own, whatever the others do."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from microflow import Flow, StoreError, create_flow, current_execution, map_parallel
from microflow.engine.engine import Engine
from microflow.engine.runs.chunk_size import MOST
from microflow.runners.local.channels import MarkedOutput
from microflow.runners.local.pool import ProcessPool
from microflow.store import Executions
from microflow.store.database import Values
from microflow.store.sqlite.database import Database

UNIX = pytest.mark.skipif(
    sys.platform == "win32", reason="only Unix can fork, and has descriptors that can be closed so"
)

Start = Callable[..., Engine]
Ended = Callable[..., None]

WARM = [{"n": number} for number in range(4 * MOST)]
"""So many small tasks that workers are handed as many at once as they may be."""


@pytest.fixture
def shop() -> Flow:
    return create_flow("shop", max_concurrency=2)


def rows(engine: Engine, columns: str) -> list[Any]:
    return engine.store.database.read_text(f"SELECT {columns} FROM executions ORDER BY id")


def test_each_is_recorded_by_itself(shop: Flow, serve: Start) -> None:
    @shop.task
    def small(a: dict[str, Any]) -> dict[str, Any]:
        return {"n": a["n"], "id": current_execution().id, "worker": os.getpid()}

    engine = serve(shop)
    results = map_parallel(small, WARM)

    assert [result["n"] for result in results] == list(range(len(WARM)))
    assert [result["id"] for result in results] == [result.execution_id for result in results]
    assert 1 <= len({result["worker"] for result in results}) <= 2
    for status, waiting, queued, began, ended, cpu, memory in rows(
        engine, "status, waiting, queued_at, started_at, ended_at, cpu_seconds, peak_memory"
    ):
        assert (status, waiting) == ("success", None)
        assert queued <= ended
        assert began <= ended
        assert cpu >= 0
        assert memory > 0


def test_no_more_of_them_run_at_once_than_may(serve: Start) -> None:
    flow = create_flow("shop", max_concurrency=4)

    @flow.task(max_concurrency=1)
    def alone(a: dict[str, Any]) -> dict[str, Any]:
        return {"began": time.monotonic(), "ended": time.monotonic()}

    serve(flow)
    spans = sorted((result["began"], result["ended"]) for result in map_parallel(alone, WARM))

    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))


def test_one_that_takes_long_holds_up_none_of_those_behind_it(shop: Flow, serve: Start, tmp_path: Path) -> None:
    """The first of a chunk waits for what only the last of all tasks does."""
    sign = tmp_path / "sign"

    @shop.task
    def work(a: dict[str, Any]) -> dict[str, Any]:
        if a["n"] == len(WARM):
            while not sign.exists():
                time.sleep(0.001)
        elif a["n"] == len(WARM) + MOST - 1:
            sign.touch()
        return a

    serve(shop)
    results = map_parallel(work, [*WARM, *({"n": len(WARM) + number} for number in range(MOST))])

    assert all(results)


def misbehave(a: dict[str, Any], how: str) -> dict[str, Any]:
    if a["n"] % 7 == 5:
        if how == "exit":
            sys.exit(1)
        elif how == "die":
            os._exit(1)
        elif how == "leave a thread":
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        elif how == "fork" and os.fork() == 0:
            time.sleep(60)
        elif how == "raise":
            raise ValueError(a["n"])
        elif how == "close everything":
            os.closerange(0, 256)
    return {"pid": os.getpid(), **a}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(
    "how",
    [
        "exit",
        "die",
        "raise",
        "leave a thread",
        pytest.param("fork", marks=UNIX),
        pytest.param("close everything", marks=UNIX),
    ],
)
def test_whatever_one_does_the_others_run_once_each(shop: Flow, start: Start, how: str, tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    @shop.task
    def work(a: dict[str, Any]) -> dict[str, Any]:
        with ran.open("a") as file:
            file.write(f"{a['n']}\n")
        return misbehave(a, how)

    start(shop)
    results = map_parallel(work, WARM)

    fails = how in ("exit", "die", "raise", "close everything")
    expected = ["error" if fails and n % 7 == 5 else "success" for n in range(len(WARM))]
    assert [str(result.status) for result in results] == expected
    assert sorted(map(int, ran.read_text().split())) == list(range(len(WARM)))


def test_each_has_its_own_output_progress_and_context(shop: Flow, serve: Start) -> None:
    @shop.task
    def talk(a: dict[str, Any]) -> dict[str, Any]:
        os.write(1, b"\0")  # as the line between two outputs begins
        print("number", a["n"])
        current_execution().progress(a["n"], 100)
        shop.context[f"n{a['n']}"] = a["n"]
        return {"seen": len(shop.context)}

    engine = serve(shop)
    results = map_parallel(talk, WARM, max_concurrency=1)

    assert [result["seen"] for result in results] == [number + 1 + (number > 0) for number in range(len(WARM))]
    for number, result in enumerate(results):
        assert engine.store.logs.read(result.execution_id or 0).text == f"\0number {number}\n"
    progress = [row[0] for row in rows(engine, "progress")]
    assert progress == [f'{{"done":{number}.0,"total":100.0,"message":null}}' for number in range(len(WARM))]


def test_those_that_fail_are_tried_again(shop: Flow, serve: Start) -> None:
    @shop.task(retries=1, retry_delay=0)
    def shaky(a: dict[str, Any]) -> dict[str, Any]:
        if a["n"] % 5 == 0 and current_execution().attempt == 1:
            raise ValueError
        return {"attempt": current_execution().attempt}

    engine = serve(shop)
    results = map_parallel(shaky, WARM)

    assert [result["attempt"] for result in results] == [2 if n % 5 == 0 else 1 for n in range(len(WARM))]
    assert len(engine.store.database.read_text("SELECT 1 FROM attempts")) == sum(n % 5 == 0 for n in range(len(WARM)))


def test_a_cancelled_mapping_begins_nothing_more(shop: Flow, serve: Start, tmp_path: Path, ended: Ended) -> None:
    began = tmp_path / "began"

    @shop.task
    def work(a: dict[str, Any]) -> dict[str, Any]:
        if a["n"] >= len(WARM):
            with began.open("a") as file:
                file.write(f"{os.getpid()}\n")
            time.sleep(3600)
        return a

    engine = serve(shop)
    submitted = engine.submit_map(work, [*WARM, *({"n": len(WARM) + number} for number in range(100))])
    while not began.exists() or len(began.read_text().split()) < 2:
        time.sleep(0.001)
    engine.cancel(submitted.id)
    assert str(submitted.future.result(timeout=60).status) == "cancelled"

    ended(*map(int, began.read_text().split()))
    assert len(began.read_text().split()) == 2
    assert {status for (status,) in rows(engine, "status")} == {"success", "cancelled"}
    assert not [holder for state in engine.concurrency() for holder in (*state.holders, *state.waiters)]


def test_one_that_is_cancelled_takes_none_of_its_line_with_it(shop: Flow, start: Start) -> None:
    @shop.task
    def small(a: dict[str, Any]) -> dict[str, Any]:
        return a

    engine = start(shop)
    submitted = engine.submit_map(small, [{"n": number} for number in range(3000)])
    asked = set()
    while not submitted.future.done():
        for live in engine._resources.live.all():
            if live.kind == "task" and live.id % 7 == 0 and live.id not in asked and live.cancel():
                asked.add(live.id)

    ends = dict(rows(engine, "id, status"))
    assert asked
    assert {id_ for id_, status in ends.items() if status == "cancelled"} <= asked  # one may have ended just then
    assert {status for id_, status in ends.items() if id_ not in asked and id_ != submitted.id} == {"success"}


def test_a_generator_is_asked_for_no_more_than_can_run(shop: Flow, start: Start) -> None:
    @shop.task
    def small(a: dict[str, Any]) -> dict[str, Any]:
        return a

    engine = start(shop)
    ahead = []

    def inputs() -> Iterator[dict[str, Any]]:
        for number in range(200):
            (ended,) = engine.store.database.read_text("SELECT count(*) FROM executions WHERE status = 'success'")[0]
            ahead.append(number - ended)
            yield {"n": number}

    assert all(map_parallel(small, inputs()))
    assert max(ahead) <= 4  # those that run, and those whose end is about to be recorded


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_commit_that_fails_is_told_and_leaves_nothing_behind(
    shop: Flow, start: Start, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    @shop.task
    def small(a: dict[str, Any]) -> dict[str, Any]:
        return a

    engine = start(shop)
    assert all(map_parallel(small, WARM))
    commits = 0
    carry_out = Database.execute_text

    def execute_text(self: Database, text: str, values: Values) -> Any:
        nonlocal commits
        commits += text == "COMMIT"
        if text == "COMMIT" and commits == number:
            raise StoreError("The store failed: database or disk is full.")
        return carry_out(self, text, values)

    monkeypatch.setattr(Database, "execute_text", execute_text)
    results = map_parallel(small, WARM)
    monkeypatch.undo()

    assert {str(result.status) for result in results} == {"success", "error"}
    assert {result.error.message for result in results if result.error} == {
        "The store failed: database or disk is full."
    }
    engine._resources.record_refused_ends()
    assert {status for (status,) in rows(engine, "status")} <= {"success", "error"}
    assert not [holder for state in engine.concurrency() for holder in (*state.holders, *state.waiters)]
    assert all(map_parallel(small, WARM))


@pytest.mark.parametrize("later", [{}, {"run_key": True}])
def test_no_more_run_at_once_than_a_mapping_may_whatever_keeps_them_out_of_line(
    start: Start, later: dict[str, Any]
) -> None:
    flow = create_flow("shop", max_concurrency=6)

    @flow.task(timeout=None if later else 60)
    def work(a: dict[str, Any]) -> dict[str, Any]:
        began = time.monotonic()
        if a["n"] >= len(WARM):
            time.sleep(0.01)
        return {"began": began, "ended": time.monotonic()}

    start(flow)
    last = [{"n": len(WARM) + n} | ({"run_key": str(n)} if later else {}) for n in range(20)]
    results = map_parallel(work, [*WARM, *last], max_concurrency=1)

    spans = sorted((result["began"], result["ended"]) for result in results)
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))


def test_a_generator_may_wait_for_what_its_first_input_does(shop: Flow, start: Start, tmp_path: Path) -> None:
    @shop.task
    def small(a: dict[str, Any]) -> dict[str, Any]:
        (tmp_path / str(a["n"])).touch()
        return a

    start(shop)
    waited = []

    def inputs() -> Iterator[dict[str, Any]]:
        for number in range(20):
            yield {"n": number}
            deadline = time.monotonic() + 60
            while not (tmp_path / str(number)).exists() and time.monotonic() < deadline:
                time.sleep(0.001)
            waited.append((tmp_path / str(number)).exists())

    assert all(map_parallel(small, inputs()))
    assert all(waited)


def test_one_whose_context_can_not_be_read_fails_alone(
    shop: Flow, serve: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    @shop.task
    def work(a: dict[str, Any]) -> dict[str, Any]:
        return {"seen": shop.context.get("x", 0)} if a["n"] == len(WARM) - 10 else a

    engine = serve(shop)
    assert all(map_parallel(work, WARM[:100]))

    def context(self: Executions, flow: str, job: str) -> Any:
        raise StoreError("The store can't be read: disk I/O error.")

    monkeypatch.setattr(Executions, "context", context)
    results = map_parallel(work, WARM)

    assert [n for n, result in enumerate(results) if not result] == [len(WARM) - 10]
    (failed,) = (result.error for result in results if result.error is not None)
    assert (failed.type, failed.message) == ("StoreError", "The store can't be read: disk I/O error.")
    assert not [holder for state in engine.concurrency() for holder in (*state.holders, *state.waiters)]


@pytest.mark.parametrize("number", [1, 2, 3, 7])
@pytest.mark.parametrize("where", ["COMMIT", "after COMMIT", "INSERT INTO executions", "start"])
def test_an_interrupt_anywhere_ends_all(
    shop: Flow, start: Start, where: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Ctrl-C in a script, which comes to the thread that looks after a mapping."""

    @shop.task
    def small(a: dict[str, Any]) -> dict[str, Any]:
        return a

    engine = start(shop)
    times = 0
    write, begin = Database.execute_text, ProcessPool.start

    def interrupt(found: bool) -> None:
        nonlocal times
        times += found
        if found and times == number:
            raise KeyboardInterrupt

    def execute_text(self: Database, text: str, values: Values) -> Any:
        interrupt(text.lstrip().startswith(where))
        written = write(self, text, values)
        interrupt(where == f"after {text}")
        return written

    def start_attempt(self: ProcessPool, *arguments: Any) -> Any:
        interrupt(where == "start")
        return begin(self, *arguments)

    monkeypatch.setattr(Database, "execute_text", execute_text)
    monkeypatch.setattr(ProcessPool, "start", start_attempt)
    with pytest.raises(KeyboardInterrupt):
        map_parallel(small, WARM)
    monkeypatch.undo()

    engine._resources.record_refused_ends()
    assert not engine._resources.live.all()
    assert {status for (status,) in rows(engine, "status")} <= {"success", "cancelled", "error"}
    assert not [holder for state in engine.concurrency() for holder in (*state.holders, *state.waiters)]
    assert all(map_parallel(small, WARM))


def test_the_line_between_two_outputs_is_found_however_it_comes() -> None:
    printed, outputs = MarkedOutput(), [b""]

    def keep(data: bytes) -> None:
        outputs[-1] += data

    first = b"\0mic\0" + printed.mark[:-3] + b"one"
    for byte in first + printed.mark + b"two\0":
        printed.take(bytes([byte]), keep)
        if printed.is_passed:
            printed.next()
            outputs.append(b"")
    printed.take(b"", keep, last=True)

    assert outputs == [first, b"two\0"]
