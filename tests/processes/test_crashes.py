"""A task that dies: its execution ends with what happened and its last words, the next task finds a clean worker."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest

from microflow import Flow, create_flow, map_parallel
from microflow.engine.engine import Engine

Serve = Callable[..., Engine]
Log = Callable[..., str]

UNIX = pytest.mark.skipif(sys.platform == "win32", reason="signals are Unix's")


@pytest.fixture
def flow() -> Flow:
    flow = create_flow("shop", max_concurrency=2)

    @flow.task
    def fine() -> dict[str, bool]:
        return {"fine": True}

    return flow


def died(flow: Flow, fn: Callable[[], Any]) -> Any:
    """How a task with this function ended; another one after it is fine."""
    result = flow.task(name="crash")(fn)()
    assert result.status == "error"
    assert flow.jobs["fine"]() == {"fine": True}
    return result.error


def test_os_exit(flow: Flow, serve: Serve, log_of: Log) -> None:
    def crash() -> None:
        print("last words")
        os._exit(7)

    engine = serve(flow)
    error = died(flow, crash)

    assert error.type == "WorkerDied"
    assert error.message == "The worker process ended while it ran the task: exit code 7."
    assert error.traceback == "last words\n"
    assert log_of(engine) == "last words\n"


@pytest.mark.parametrize(
    ("code", "words"),
    [(3, "exit code 3"), (None, "exit code 0"), (0, "exit code 0"), ("no file", "exit code 1, saying 'no file'")],
)
def test_sys_exit(flow: Flow, serve: Serve, log_of: Log, code: Any, words: str) -> None:
    def crash() -> None:
        print("last words", end="")
        sys.exit(code)

    engine = serve(flow)
    error = died(flow, crash)

    assert error.type == "WorkerDied"
    assert error.message == f"The task called sys.exit ({words}); let it return or raise instead."
    assert log_of(engine) == "last words"


@UNIX
def test_a_segmentation_fault_leaves_a_traceback_in_the_log(flow: Flow, serve: Serve, log_of: Log) -> None:
    def crash() -> None:
        import ctypes

        print("before")
        ctypes.string_at(0)

    engine = serve(flow)
    error = died(flow, crash)

    assert error.type == "WorkerDied"
    assert error.message == "The worker process ended while it ran the task: signal SIGSEGV (a segmentation fault)."
    log = log_of(engine)
    assert log.startswith("before\nFatal Python error: Segmentation fault")
    assert "in crash" in log
    assert "in crash" in error.traceback


@UNIX
def test_a_task_that_is_killed(flow: Flow, serve: Serve) -> None:
    def crash() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    serve(flow)
    error = died(flow, crash)

    assert error.message == (
        "The worker process ended while it ran the task: signal SIGKILL (killed, perhaps by the system because memory ran out)."
    )


@UNIX
def test_an_abort(flow: Flow, serve: Serve, log_of: Log) -> None:
    engine = serve(flow)
    error = died(flow, lambda: os.abort())

    assert "signal SIGABRT" in error.message
    assert "Fatal Python error: Aborted" in log_of(engine)


@UNIX
def test_memory_that_runs_out(flow: Flow, serve: Serve) -> None:
    def crash() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
        held = []
        while True:
            held.append(bytearray(2**26))

    serve(flow)
    error = died(flow, crash)

    assert error.type in ("MemoryError", "WorkerDied")


def test_endless_recursion(flow: Flow, serve: Serve) -> None:
    def crash() -> None:
        def again(n: int) -> int:
            return again(n + 1)

        again(0)

    serve(flow)
    error = died(flow, crash)

    assert error.type == "RecursionError"
    assert "maximum recursion depth exceeded" in error.message
    assert len(error.traceback) < 100_000


@UNIX
def test_endless_recursion_without_a_limit(flow: Flow, serve: Serve) -> None:
    def crash() -> None:
        sys.setrecursionlimit(10**9)

        class Deep:
            def __repr__(self) -> str:
                return repr(self)

        repr(Deep())

    serve(flow)
    error = died(flow, crash)

    assert error.type in ("WorkerDied", "RecursionError", "MemoryError")


def test_an_exception_that_cannot_be_pickled(flow: Flow, serve: Serve) -> None:
    def crash() -> None:
        class Stubborn(Exception):
            def __init__(self, one: Any, two: Any) -> None:
                super().__init__("it has a lock")
                self.lock = two

            def __reduce__(self) -> Any:
                raise TypeError("never")

        import threading

        raise Stubborn(1, threading.Lock())

    serve(flow)
    error = died(flow, crash)

    assert (error.type, error.message) == ("Stubborn", "it has a lock")


def test_an_exception_that_cannot_be_read(flow: Flow, serve: Serve) -> None:
    def crash() -> None:
        class Silent(Exception):
            def __str__(self) -> str:
                raise ValueError("no words")

            __repr__ = __str__

        raise Silent

    serve(flow)
    error = died(flow, crash)

    assert (error.type, error.message) == ("Silent", "(its message can't be read: __str__ raised ValueError)")


def test_an_exception_with_a_long_message_and_odd_characters(flow: Flow, serve: Serve) -> None:
    def crash() -> None:
        raise ValueError("\ud800" + "x" * 10_000_000)

    serve(flow)
    error = died(flow, crash)

    assert error.type == "ValueError"
    assert error.message.startswith("\\ud800xxx")
    assert "characters left out" in error.message
    assert len(error.message) < 100_000


def test_groups_notes_and_causes_are_in_the_traceback(flow: Flow, serve: Serve) -> None:
    def crash() -> None:
        try:
            raise KeyError("first")
        except KeyError as error:
            group = ExceptionGroup("several", [ValueError("one"), OSError("two")])
            group.add_note("look here")
            raise group from error

    serve(flow)
    error = died(flow, crash)

    assert error.type == "ExceptionGroup"
    for part in ("KeyError: 'first'", "ValueError: one", "OSError: two", "look here", "direct cause"):
        assert part in error.traceback


@pytest.mark.parametrize("kind", ["KeyboardInterrupt", "GeneratorExit", "BaseException"])
def test_what_is_no_exception_is_an_error_too(flow: Flow, serve: Serve, kind: str) -> None:
    def crash() -> None:
        import builtins

        raise getattr(builtins, kind)("here")

    serve(flow)

    assert died(flow, crash).type == kind


@UNIX
def test_closed_descriptors(flow: Flow, serve: Serve) -> None:
    serve(flow)

    error = died(flow, lambda: os.closerange(0, 256))

    assert error.type == "WorkerDied"


def test_nonsense_in_the_pipes_of_the_worker(flow: Flow, serve: Serve) -> None:
    def crash() -> None:
        for descriptor in range(3, 20):
            try:
                os.write(descriptor, b"\x00\x00\x00\x04junk")
            except OSError:
                continue

    serve(flow)

    assert died(flow, crash).type == "WorkerDied"


def test_neighbours_notice_nothing(flow: Flow, serve: Serve) -> None:
    @flow.task
    def work(a: dict[str, Any]) -> dict[str, Any]:
        if a["n"] % 4 == 3:
            os._exit(1)
        return a

    serve(flow)
    results = map_parallel(work, [{"n": n} for n in range(16)])

    assert [str(result.status) for result in results] == ["success", "success", "success", "error"] * 4
    assert all(result.error.type == "WorkerDied" for result in results if not result)
