"""Every line that a task prints, logs or has its child processes print is in its log, in order, as it happens."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from microflow import Flow, create_flow, map_parallel
from microflow.engine.engine import Engine
from microflow.store import LOG_CAP

Serve = Callable[..., Engine]
Log = Callable[..., str]


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop", max_concurrency=2)


def test_every_way_to_print_is_in_the_log_in_order(flow: Flow, serve: Serve, log_of: Log) -> None:
    @flow.task
    def talk() -> dict[str, Any]:
        import logging
        import subprocess
        import warnings

        from microflow import current_execution

        print("printed")
        print("to stderr", file=sys.stderr)
        subprocess.run([sys.executable, "-c", "print('from a child process')"], check=True)
        os.write(1, b"by descriptor\n")
        logging.getLogger("toolkit").info("logged")
        logging.getLogger("toolkit").debug("not shown")
        current_execution().logger.warning("by its own logger")
        os.system("echo from a shell")
        warnings.simplefilter("always")
        warnings.warn("take care", stacklevel=1)
        print("äöü € 𝄞 \ud800")
        print("without an end", end="")
        return {}

    engine = serve(flow)
    talk()

    lines = log_of(engine).splitlines()
    said = [line.split(" ", 2)[-1] if "toolkit" in line or "shop.talk" in line else line for line in lines]
    assert said[:7] == [
        "printed",
        "to stderr",
        "from a child process",
        "by descriptor",
        "INFO toolkit: logged",
        "WARNING shop.talk: by its own logger",
        "from a shell",
    ]
    assert "UserWarning: take care" in lines[7]
    assert lines[-2:] == ["äöü € 𝄞 \\ud800", "without an end"]


def test_much_output_comes_whole_and_in_order(flow: Flow, serve: Serve, log_of: Log) -> None:
    count = 60_000

    @flow.task
    def talk() -> dict[str, Any]:
        for number in range(count):
            stream = sys.stderr if number % 7 == 0 else sys.stdout
            print(f"line {number:06} " + "x" * 40, file=stream)
        return {}

    engine = serve(flow)
    assert talk().status == "success"

    assert log_of(engine) == "".join(f"line {number:06} " + "x" * 40 + "\n" for number in range(count))


def test_of_a_gigabyte_head_and_tail_are_kept_and_the_engine_holds_none_of_it(
    flow: Flow, start: Serve, log_of: Log
) -> None:
    @flow.task
    def talk() -> dict[str, Any]:
        megabyte = b"".join(b"%015d\n" % number for number in range(65_536))
        for _ in range(1024):
            sys.stdout.buffer.write(megabyte)
        print("the end")
        return {}

    engine = start(flow)
    before = psutil.Process().memory_info().rss
    assert talk().status == "success"

    assert psutil.Process().memory_info().rss - before < 100 * 2**20
    log = log_of(engine)
    assert log.startswith("000000000000000\n000000000000001\n")
    assert log.endswith("000000000065535\nthe end\n")
    assert LOG_CAP // 2 < len(log) <= LOG_CAP
    assert engine.store.logs.end(1) == 2**30 + len("the end\n")


def test_a_child_process_that_prints_much_is_heard_too(flow: Flow, serve: Serve, log_of: Log) -> None:
    @flow.task
    def talk() -> dict[str, Any]:
        import subprocess

        for part in range(3):
            print("before", part)
            subprocess.run([sys.executable, "-c", "print('y' * 300_000)"], check=True)
            print("after", part)
        return {}

    engine = serve(flow)
    talk()

    expected = "".join(f"before {part}\n{'y' * 300_000}\nafter {part}\n" for part in range(3))
    assert log_of(engine) == expected


def test_bytes_that_are_no_text_and_something_like_the_end_mark(flow: Flow, serve: Serve, log_of: Log) -> None:
    @flow.task
    def talk() -> dict[str, Any]:
        os.write(1, b"\xff\xfe\n")
        os.write(1, b"\x00microflow 0123456789abcdef\x00\n")
        os.write(1, b"the end \x00microflow")
        return {}

    engine = serve(flow)
    talk()
    talk()

    for execution_id in (1, 2):
        assert log_of(engine, execution_id) == "��\n\x00microflow 0123456789abcdef\x00\nthe end \x00microflow"


def test_what_is_printed_can_be_read_while_the_task_runs(flow: Flow, serve: Serve, log_of: Log, tmp_path: Any) -> None:
    path = str(tmp_path / "go on")

    @flow.task
    def talk() -> dict[str, Any]:
        import time

        print("first")
        while not os.path.exists(path):
            time.sleep(0.01)
        return {}

    engine = serve(flow)
    printed = threading.Event()
    engine.events.subscribe(lambda event: printed.set() if event.topic == "log" else None)
    submitted = engine.submit(talk)

    assert printed.wait(60)
    assert log_of(engine, submitted.id).startswith("first")
    with open(path, "w"):
        pass
    assert submitted.future.result().status == "success"


def test_neighbours_and_followers_do_not_get_each_others_lines(flow: Flow, serve: Serve, log_of: Log) -> None:
    @flow.task
    def talk(a: dict[str, Any]) -> dict[str, Any]:
        for number in range(200):
            print(a["n"], number)
        print("end of", a["n"], end="")
        return a

    engine = serve(flow)
    map_parallel(talk, [{"n": n} for n in range(10)])

    for execution_id in range(1, 11):
        (row,) = engine.store.database.read_text("SELECT inputs FROM executions WHERE id = ?", (execution_id,))
        n = row[0].split(":")[1].rstrip("}]")
        assert log_of(engine, execution_id) == "".join(f"{n} {number}\n" for number in range(200)) + f"end of {n}"


def test_a_task_that_prints_nothing_has_no_log(flow: Flow, serve: Serve, log_of: Log) -> None:
    quiet = flow.task(name="quiet")(lambda: {})
    engine = serve(flow)
    quiet()

    assert log_of(engine) == ""
    assert not engine.store.logs.folder.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="fork is Unix's")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_copy_of_the_task_that_prints_is_heard_and_does_not_answer_for_it(
    flow: Flow, serve: Serve, log_of: Log
) -> None:
    @flow.task
    def talk() -> dict[str, Any]:
        pid = os.fork()
        if pid == 0:
            print("the copy speaks")
            return {"from": "the copy"}
        os.waitpid(pid, 0)
        print("the task speaks")
        return {"from": "the task"}

    engine = serve(flow)

    assert talk() == {"from": "the task"}
    assert log_of(engine) == "the copy speaks\nthe task speaks\n"
