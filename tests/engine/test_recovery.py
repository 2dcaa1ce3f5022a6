"""Engines that died: what they left is resumed or ended when the next one starts, by their process and never by age."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from microflow import Flow, StoreLocked, create_flow
from microflow.engine.engine import Engine
from microflow.store import open as open_store
from microflow.store.rows import Opened, Opening, Waiting

QUEUED = Waiting("limit", "waits", 2.0)

Start = Callable[..., Engine]
Look = Callable[[Engine, int], dict[str, Any]]
Attempts = Callable[[Engine, int], list[tuple[int, str, str]]]


class Dead:
    """What an engine wrote that is gone now."""

    def __init__(self, store: str, pid: int = 2**22, started: float = 0.0, kind: str = "server") -> None:
        self._store = open_store(store)
        row = {"pid": pid, "process_started": started, "kind": kind, "started_at": 1.0}
        self._store.engines.own = self._store.database.insert("open_engine", row)

    def open(self, job: str, parent: Opened | None = None, **given: Any) -> Opened:
        new = {"flow": "shop", "job": job, "kind": "task", "trigger": "api", "inputs": b'[{"n":1}]', **given}
        if parent is not None:
            new |= {"parent_id": parent.id, "root_id": parent.root_id}
        return self._store.executions.open(Opening(**new), 2.0)

    def close(self) -> None:
        self._store.close()


@pytest.fixture
def flow(runner: Any) -> Flow:
    flow = create_flow("shop")
    flow.task(name="load", runner=runner)(lambda a: a)
    flow.task(name="again", runner=runner, retries=1)(lambda a: a)
    flow.manager(name="manage")(lambda a: a)
    return flow


@pytest.mark.parametrize("kind", ["server", "local"])
def test_what_a_dead_engine_left_is_interrupted(flow: Flow, start: Start, store: str, look: Look, kind: str) -> None:
    dead = Dead(store)
    manager = dead.open("manage", kind="manager")
    child, waiting = dead.open("again", manager), dead.open("again", manager, waiting=QUEUED)
    unknown, never = dead.open("a job that is no more"), dead.open("a job that is no more", waiting=QUEUED)
    dead.close()

    engine = start(flow, kind=kind)

    for opened, message in (
        (manager, f"The server engine (process {2**22}) that ran this ended before the execution did."),
        (child, f"The server engine (process {2**22}) that ran this ended before the execution did."),
        (waiting, f"This never started: the server engine (process {2**22}) that had accepted it ended first."),
        (unknown, f"The server engine (process {2**22}) that ran this ended before the execution did."),
        (
            never,
            f"This never started: the server engine (process {2**22}) that had accepted it ended first. It can't be resumed: "
            "'a job that is no more' is no job of flow 'shop' any more.",
        ),
    ):
        row = look(engine, opened.id)
        assert row["status"] == "error"
        assert row["error"] == {"type": "Interrupted", "message": message, "traceback": ""}
        assert row["ended_at"] is not None


def test_what_a_dead_server_had_accepted_begins_in_its_order(
    start: Start, store: str, runner: Any, look: Look, until: Any
) -> None:
    flow = create_flow("shop", max_concurrency=1)
    flow.task(name="load", runner=runner)(lambda a: a)
    flow.task(name="again", runner=runner, retries=1)(lambda a: a)
    dead = Dead(store)
    jobs = ["load", "again", "again", "load", "load"]
    left = [
        dead.open(job, inputs=b'[{"n":%d}]' % n, waiting=None if n == 2 else QUEUED, trigger=trigger)
        for n, (job, trigger) in enumerate(zip(jobs, ["api", "web", "api", "retry", "cli"], strict=True))
    ]
    dead.close()

    engine = start(flow, kind="server")
    new = engine.submit(flow.jobs["load"], [{"n": 5}])

    for number in range(6):
        attempt = runner.next()
        assert (attempt.inputs, attempt.request.attempt) == ([{"n": number}], 2 if number == 2 else 1)
        attempt.succeed({})
    new.future.result()
    assert {look(engine, opened.id)["status"] for opened in left} == {"success"}


def test_a_script_and_a_server_of_other_flows_leave_what_a_dead_server_had_to_the_next_one(
    flow: Flow, start: Start, store: str, runner: Any, look: Look, until: Any
) -> None:
    dead = Dead(store)
    queued, again = dead.open("load", waiting=QUEUED), dead.open("again")
    run = dead.open("load", kind="dag")
    member = dead.open("load", run, waiting=QUEUED)
    dead.close()

    for others in (start(flow), start(create_flow("warehouse"), kind="server")):
        others.recovery.run_once(3.0) if others.kind == "server" else None
        for opened in (queued, again, run, member):
            row = look(others, opened.id)
            assert (row["status"], "waits for a server to" in row["waiting"]["message"]) == ("queued", True)
        others.stop()

    assert runner.none_began()
    start(flow, kind="server")
    found = {(attempt.request.execution_id, attempt.request.attempt) for attempt in (runner.next(), runner.next())}
    assert found == {(queued.id, 1), (again.id, 2)}


@pytest.mark.parametrize("kind", ["server", "local"])
def test_what_a_script_or_command_had_queued_ends_with_it(
    flow: Flow, start: Start, store: str, runner: Any, look: Look, kind: str
) -> None:
    dead = Dead(store, kind="local")
    queued, called = dead.open("again", trigger="cli", waiting=QUEUED), dead.open("again", trigger="python")
    run = dead.open("again", kind="map", trigger="cli")
    member = dead.open("again", run, trigger="map")
    again = dead.open("again", trigger="cli")
    dead.close()

    engine = start(flow, kind=kind)

    attempt = runner.next()
    assert (attempt.request.execution_id, attempt.request.attempt) == (again.id, 2)
    attempt.succeed({})
    assert look(engine, queued.id)["error"]["message"] == (
        f"This never started: the local engine (process {2**22}) that had accepted it ended first."
    )
    for opened in (queued, called, run, member):
        assert look(engine, opened.id)["error"]["type"] == "Interrupted"
    assert runner.none_began()


def test_what_has_an_attempt_left_is_tried_again(
    flow: Flow, start: Start, store: str, runner: Any, look: Look, attempts: Attempts, until: Any
) -> None:
    dead = Dead(store)
    again = dead.open("again", scheduled_at=5.0)
    dead.close()

    engine = start(flow, kind="server")
    attempt = runner.next()

    assert attempt.request.execution_id == again.id
    assert attempt.request.attempt == 2
    assert attempt.request.scheduled_at == 5.0
    assert attempt.inputs == [{"n": 1}]
    assert look(engine, again.id)["status"] == "running"
    assert attempts(engine, again.id) == [(1, "error", "Interrupted")]
    attempt.succeed({"n": 2})
    until(engine, lambda: look(engine, again.id)["status"] == "success")
    assert look(engine, again.id)["attempt"] == 2


def test_what_the_interrupted_attempt_printed_stays_in_the_log(
    flow: Flow, start: Start, store: str, runner: Any, look: Look, until: Any
) -> None:
    first = start(flow)
    log = first.store.logs.open(1)
    log.append(b"first attempt\n")
    log.close()
    first.stop()
    dead = Dead(store)
    assert dead.open("again").id == 1
    dead.close()

    engine = start(flow, kind="server")
    attempt = runner.next()
    attempt.observer.output(b"second attempt\n")
    attempt.succeed({})
    until(engine, lambda: look(engine, 1)["status"] == "success")

    assert engine.store.logs.read(1).text == "first attempt\nsecond attempt\n"


def test_a_server_clears_up_after_a_script_that_dies_beside_it(
    flow: Flow, start: Start, store: str, runner: Any, look: Look, until: Any
) -> None:
    engine = start(flow)
    dead = Dead(store, kind="local")
    left, again = dead.open("load"), dead.open("again")

    engine.recovery.run_once(3.0)
    runner.next().succeed({"n": 2})

    until(engine, lambda: look(engine, again.id)["status"] == "success")
    assert look(engine, left.id)["error"]["type"] == "Interrupted"
    assert engine.store.database.read_text("SELECT count(*) FROM engines WHERE ended_at IS NULL") == [(1,)]
    dead.close()


def test_of_two_engines_that_find_the_same_dead_one_only_one_goes_on_with_what_it_left(
    flow: Flow, start: Start, store: str, runner: Any, look: Look, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, other = start(flow), start(flow)
    dead = Dead(store)
    again = dead.open("again")
    dead.close()
    find = engine.store.engines.dead

    def too_late() -> Any:
        found = find()
        other.recovery.run_once(3.0)
        return found

    monkeypatch.setattr(engine.store.engines, "dead", too_late)
    engine.recovery.run_once(3.0)
    runner.next().succeed({"n": 2})

    until(other, lambda: look(engine, again.id)["status"] != "running")
    assert look(engine, again.id)["status"] == "success"
    assert runner.started == 1


def test_an_engine_that_stops_while_it_looks_takes_over_nothing(
    flow: Flow, start: Start, store: str, runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = start(flow)
    dead = Dead(store)
    again = dead.open("again")
    dead.close()
    looks, has_signed_off = threading.Event(), threading.Event()
    find, close = engine.store.engines.dead, engine.store.close

    def slowly() -> Any:
        found = find()
        looks.set()
        assert has_signed_off.wait(60)
        return found

    def close_after_the_look() -> None:
        has_signed_off.set()
        look.join()
        close()

    monkeypatch.setattr(engine.store.engines, "dead", slowly)
    monkeypatch.setattr(engine.store, "close", close_after_the_look)
    look = threading.Thread(target=engine.recovery.run_once, args=(3.0,))
    look.start()
    assert looks.wait(60)
    engine.stop()

    start(flow, kind="server")
    attempt = runner.next()
    assert (attempt.request.execution_id, attempt.request.attempt) == (again.id, 2)
    attempt.succeed({})


def test_what_can_not_be_tried_again_ends_and_the_engine_starts(
    flow: Flow, start: Start, store: str, look: Look
) -> None:
    dead = Dead(store)
    changed = dead.open("again", inputs=b'[{"n":1},{"an input": "that the function took before"}]')
    lacking = dead.open("again", inputs=b"[null]")
    dead.close()

    engine = start(flow, kind="server")

    for opened, kind in ((changed, "InputCountError"), (lacking, "PayloadError")):
        assert look(engine, opened.id)["status"] == "error"
        assert look(engine, opened.id)["error"]["type"] == kind


def test_an_engine_that_lives_is_left_alone(flow: Flow, start: Start, store: str, look: Look) -> None:
    me = psutil.Process()
    alive = Dead(store, me.pid, me.create_time())
    load = alive.open("load")

    engine = start(flow)

    assert look(engine, load.id)["status"] == "running"
    alive.close()


def test_another_process_of_the_same_number_is_not_the_engine(flow: Flow, start: Start, store: str, look: Look) -> None:
    me = psutil.Process()
    dead = Dead(store, me.pid, me.create_time() - 1000)
    load = dead.open("load")
    dead.close()

    engine = start(flow)

    assert look(engine, load.id)["error"]["type"] == "Interrupted"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no zombies on Windows")
def test_an_engine_that_died_and_was_never_waited_for_is_dead(flow: Flow, start: Start, store: str, look: Look) -> None:
    zombie = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = psutil.Process(zombie.pid).create_time()
    assert zombie.stdin is not None
    zombie.stdin.close()
    while psutil.Process(zombie.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    dead = Dead(store, zombie.pid, started)
    load = dead.open("load")
    dead.close()

    engine = start(flow)

    assert look(engine, load.id)["error"]["type"] == "Interrupted"
    zombie.wait()


def test_one_server_at_a_time_and_any_number_of_local_engines(flow: Flow, start: Start) -> None:
    start(flow, kind="server")
    other = create_flow("other")

    with pytest.raises(StoreLocked, match=r"Another server \(process \d+\) runs on this store, .*store\.db\. Stop it"):
        start(other, kind="server")

    assert other.runtime is None
    start(other)


def test_a_server_that_stopped_lets_the_next_one_start(flow: Flow, start: Start) -> None:
    start(flow, kind="server").stop()

    assert start(flow, kind="server").store.engines.dead() == []
