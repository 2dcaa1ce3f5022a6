"""Timers: things are done when they are due, in order, whatever one of them does, and the thread does not stay."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from microflow.engine.background.timers import Timers
from microflow.loop import Loop


@pytest.fixture
def done() -> list[str]:
    return []


class Bell:
    """Tells when something was done."""

    def __init__(self, done: list[str]) -> None:
        self._done = done
        self._changed = threading.Condition()

    def ring(self, name: str) -> None:
        with self._changed:
            self._done.append(name)
            self._changed.notify_all()

    def until(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._done) >= count, 60)


def test_what_is_due_is_done_in_the_order_of_its_time(clock: Any, done: list[str]) -> None:
    timers, bell = Timers(clock), Bell(done)
    for seconds, name in ((30, "last"), (10, "first"), (20, "second"), (20, "third")):
        timers.later(seconds, lambda name=name: bell.ring(name))
    clock.until_asleep(10)

    clock.advance(9)
    assert done == []
    clock.advance(1)
    bell.until(1)
    clock.until_asleep(10)
    clock.advance(25)
    bell.until(4)

    assert done == ["first", "second", "third", "last"]


def test_something_new_may_be_due_first(clock: Any, done: list[str]) -> None:
    timers, bell = Timers(clock), Bell(done)
    timers.later(100, lambda: bell.ring("late"))
    clock.until_asleep(100)
    timers.later(1, lambda: bell.ring("soon"))
    clock.until_asleep(1)

    clock.advance(1)
    bell.until(1)

    assert done == ["soon"]
    timers.stop()


def test_what_was_cancelled_is_not_done(clock: Any, done: list[str]) -> None:
    timers, bell = Timers(clock), Bell(done)
    cancelled = timers.later(10, lambda: bell.ring("cancelled"))
    timers.later(10, lambda: bell.ring("kept"))
    clock.until_asleep(10)

    cancelled.cancel()
    cancelled.cancel()
    clock.advance(10)
    bell.until(1)

    assert done == ["kept"]


class Kept(logging.Handler):
    """Keeps what is logged, at the logger itself: the root's handlers may be another test's engine's to change."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def test_one_that_fails_does_not_stop_the_others(clock: Any, done: list[str]) -> None:
    timers, bell, kept = Timers(clock), Bell(done), Kept()
    timers.later(1, lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    timers.later(2, lambda: bell.ring("second"))
    clock.until_asleep(1)

    logging.getLogger("microflow").addHandler(kept)
    try:
        clock.advance(2)
        bell.until(1)
    finally:
        logging.getLogger("microflow").removeHandler(kept)

    assert "Something that was due failed; the others go on." in kept.lines[0]
    assert "ZeroDivisionError" in kept.lines[0]


def test_one_that_asks_for_another_gets_it(clock: Any, done: list[str]) -> None:
    timers, bell = Timers(clock), Bell(done)

    def again() -> None:
        bell.ring("again")
        if len(done) < 3:
            timers.later(5, again)

    timers.later(5, again)
    for _ in range(3):
        clock.until_asleep(5)
        clock.advance(5)

    bell.until(3)
    assert done == ["again"] * 3


def test_the_thread_lives_only_while_there_is_something_to_wait_for(clock: Any, done: list[str]) -> None:
    timers, bell = Timers(clock), Bell(done)
    others = threading.enumerate()
    for _ in range(2):
        timers.later(5, lambda: bell.ring("done"))
        clock.until_asleep(5)
        (thread,) = [new for new in threading.enumerate() if new.name == "microflow-timers" and new not in others]
        clock.advance(5)
        thread.join(60)
        assert not thread.is_alive()

    assert done == ["done", "done"]


def test_nothing_is_done_after_the_end(clock: Any, done: list[str]) -> None:
    timers, bell = Timers(clock), Bell(done)
    others = threading.enumerate()
    timers.later(5, lambda: bell.ring("too late"))
    clock.until_asleep(5)
    (thread,) = [new for new in threading.enumerate() if new.name == "microflow-timers" and new not in others]

    timers.stop()
    clock.advance(10)
    thread.join(60)
    timers.later(0, lambda: bell.ring("too late"))

    assert done == []


def test_what_was_cancelled_does_not_pile_up(clock: Any, done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Loop, "wake", lambda loop: None)  # the test itself takes the thread's part
    timers = Timers(clock)
    timers.later(7200, lambda: done.append("kept"))
    for _ in range(10_000):
        timers.later(3600, lambda: done.append("never")).cancel()

    assert len(timers._due) < 1_000
    assert timers.run_once(clock.monotonic()) == 7200
    assert timers.run_once(clock.monotonic() + 7200) is None
    assert done == ["kept"]
