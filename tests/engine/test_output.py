"""What jobs in threads print and log is in their own logs, as it happens; the rest of the process is left alone."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microflow import Flow, create_flow, current_execution, map_parallel
from microflow.engine.engine import Engine

Start = Callable[..., Engine]


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop", max_concurrency=4)


def text_of(engine: Engine, execution_id: int) -> str:
    return engine.store.logs.read(execution_id).text


def test_everything_that_a_manager_says_is_in_its_log(
    flow: Flow, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a process that configures no logging

    @flow.manager
    def manage() -> Any:
        print("printed")
        print("two", "words", sep="-", end="!\n", file=sys.stderr)
        sys.stdout.writelines(["a\n", "b\n"])
        sys.stdout.flush()
        logging.getLogger("toolkit").info("logged")
        current_execution().logger.error("failed %s", "here")
        return {}

    engine = start(flow)
    manage()

    lines = text_of(engine, 1).splitlines()
    assert lines[:4] == ["printed", "two-words!", "a", "b"]
    assert lines[4].endswith("INFO toolkit: logged")
    assert lines[5].endswith("ERROR shop.manage: failed here")


def test_what_is_printed_can_be_read_while_the_job_runs(flow: Flow, start: Start) -> None:
    go_on = threading.Event()

    @flow.manager
    def manage() -> Any:
        print("first")
        go_on.wait(60)
        return {}

    engine = start(flow)
    printed = threading.Event()
    engine.events.subscribe(lambda event: printed.set() if event.topic == "log" else None)
    submitted = engine.submit(manage)

    assert printed.wait(60)
    assert text_of(engine, submitted.id).startswith("first")
    go_on.set()
    submitted.future.result()


def test_jobs_that_run_at_the_same_time_do_not_hear_each_other(flow: Flow, start: Start) -> None:
    together = threading.Barrier(4)

    @flow.task(runner="thread")
    def talk(a: dict[str, Any]) -> Any:
        for number in range(50):
            print(f"{a['n']}:{number}")
            if number == 0:
                together.wait(60)
        return a

    manage = flow.manager(name="manage")(
        lambda: [print("before"), *map_parallel(talk, [{"n": n} for n in range(4)])][1:]
    )
    engine = start(flow)
    manage()

    assert text_of(engine, 1) == "before\n"
    for execution_id in range(2, 6):
        lines = text_of(engine, execution_id).splitlines()
        assert len({line.split(":")[0] for line in lines}) == 1
        assert [line.split(":")[1] for line in lines] == [str(number) for number in range(50)]


def test_what_others_print_meanwhile_goes_where_it_went(
    flow: Flow, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    running, go_on = threading.Event(), threading.Event()

    @flow.manager
    def manage() -> Any:
        running.set()
        go_on.wait(60)
        return {}

    engine = start(flow)
    submitted = engine.submit(manage)
    running.wait(60)
    print("from outside")
    go_on.set()
    submitted.future.result()
    engine.stop()

    assert capsys.readouterr().out == "from outside\n"
    assert type(sys.stdout).__name__ != "_Stream"


def test_engines_that_run_at_the_same_time_do_not_hear_each_other(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sys.stdout
    engines, going, running = [], [], []
    for number in range(3):
        flow = create_flow(f"shop{number}")
        go_on, began = threading.Event(), threading.Event()

        @flow.manager
        def manage(number: int = number, go_on: threading.Event = go_on, began: threading.Event = began) -> Any:
            print("before", number)
            began.set()
            go_on.wait(60)
            print("after", number)
            return {}

        engine = start(flow, store=f"sqlite:///{tmp_path}/{number}.db")
        running.append(engine.submit(manage))
        assert began.wait(60)
        engines.append(engine)
        going.append(go_on)
    for number in (1, 0, 2):  # neither in the order in which they began nor in its reverse
        going[number].set()
        running[number].future.result()
        engines[number].stop()

    assert [submitted.id for submitted in running] == [1, 1, 1]
    for number in range(3):
        assert text_of(engines[number], 1) == f"before {number}\nafter {number}\n"
    assert sys.stdout is before
    assert capsys.readouterr().out == ""


def test_a_record_is_in_the_log_once_however_many_engines_run_jobs(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    together = threading.Barrier(2)
    running = []
    for number in range(2):
        flow = create_flow(f"shop{number}")

        @flow.manager
        def manage(number: int = number) -> Any:
            together.wait(60)
            logging.getLogger("toolkit").warning("of %s", number)
            together.wait(60)
            return {}

        engine = start(flow, store=f"sqlite:///{tmp_path}/{number}.db")
        running.append((engine, engine.submit(manage)))

    for number, (engine, submitted) in enumerate(running):
        assert submitted.future.result().status == "success"
        (line,) = text_of(engine, submitted.id).splitlines()
        assert line.endswith(f"WARNING toolkit: of {number}")
    assert capsys.readouterr() == ("", "")


def test_logging_outside_jobs_is_as_it_was(flow: Flow, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    before = root.level
    levels = []
    manage = flow.manager(name="manage")(lambda: (levels.append(root.level), {})[1])
    engine = start(flow)

    manage()
    engine.stop()

    assert levels == [logging.INFO]
    assert (root.handlers, root.level) == ([], before)


def test_a_configured_logging_keeps_its_level_and_its_handlers(
    flow: Flow, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, stream = logging.getLogger(), io.StringIO()
    mine = logging.StreamHandler(stream)
    monkeypatch.setattr(root, "handlers", [mine])
    monkeypatch.setattr(root, "level", logging.ERROR)
    logger = logging.getLogger("toolkit")
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    manage = flow.manager(name="manage")(lambda: (logger.info("quiet"), logger.error("loud"), {})[2])
    engine = start(flow)

    manage()
    engine.stop()

    assert stream.getvalue() == "loud\n"
    assert "quiet" not in text_of(engine, 1)
    assert "ERROR toolkit: loud" in text_of(engine, 1)
    assert root.handlers == [mine]


def test_a_stream_that_somebody_put_in_the_place_of_ours_stays(
    flow: Flow, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = io.StringIO()
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # so that it is put back after this test

    @flow.manager
    def manage() -> Any:
        sys.stdout = mine
        return {}

    start(flow)
    manage()
    print("afterwards")

    assert sys.stdout is mine
    assert mine.getvalue() == "afterwards\n"


def test_a_line_is_handed_on_as_a_whole_unless_it_is_flushed(flow: Flow, start: Start) -> None:
    @flow.manager
    def speak() -> dict[str, Any]:
        print("first", 1)
        print("second", end=" ", flush=True)
        print(2, "and")
        print("the end", end="")
        return {}

    said: list[bytes] = []
    start(flow, echo=said.append)
    speak()

    assert said == [b"first 1\n", b"second ", b"2 and\n", b"the end"]


def test_odd_characters_and_long_lines_arrive(flow: Flow, start: Start) -> None:
    @flow.manager
    def manage() -> Any:
        print("lone surrogate: \ud800")
        print("x" * 100_000)
        return {}

    engine = start(flow)
    assert manage().status == "success"

    text = text_of(engine, 1)
    assert text.startswith("lone surrogate: \\ud800\n")
    assert "x" * 100_000 in text


def test_a_job_that_asks_the_stream_for_more_gets_it(flow: Flow, start: Start) -> None:
    @flow.manager
    def manage() -> Any:
        return {
            "encoding": str(sys.stdout.encoding).lower(),
            "tty": sys.stdout.isatty(),
            "writable": sys.stdout.writable(),
        }

    start(flow)

    assert manage().status == "success"


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_sys_exit_in_a_job_ends_its_execution_alone(flow: Flow, start: Start, runner: str) -> None:
    leave = flow.task(name="leave", runner=runner)(lambda: sys.exit(3))
    start(flow)

    error = leave().error

    assert error is not None
    assert error.type == "WorkerDied"
    assert "sys.exit" in error.message
    assert "3" in error.message
