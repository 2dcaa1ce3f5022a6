"""Background loops: turns follow each other when they are due or woken, whatever one of them raises, until the loop is stopped."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from microflow import StoreError
from microflow.loop import Loop

PATIENCE = 60.0


class Turns:
    """Turns that return, or raise, one thing after the other; ``next()`` waits for the next turn."""

    def __init__(self, *answers: Any) -> None:
        self._answers = iter(answers)
        self._taken: queue.SimpleQueue[threading.Thread] = queue.SimpleQueue()

    def __call__(self) -> float | None:
        self._taken.put(threading.current_thread())
        answer = next(self._answers)
        if isinstance(answer, BaseException):
            raise answer
        return answer  # type: ignore[no-any-return]

    def next(self) -> threading.Thread:
        """The thread of the next turn."""
        return self._taken.get(timeout=PATIENCE)

    def none_followed(self) -> bool:
        """Whether ``next()`` has returned every turn so far."""
        return self._taken.empty()


@pytest.fixture
def make(clock: Any) -> Iterator[Callable[..., Loop]]:
    """Makes loops; all are stopped at the end."""
    made: list[Loop] = []

    def make_loop(turn: Callable[[], float | None], again: float | None = 7.0) -> Loop:
        loop = Loop("a-loop", turn, failure="The turn failed", again=again, clock=clock)
        made.append(loop)
        return loop

    yield make_loop
    for loop in made:
        loop.stop()


def test_a_turn_follows_when_the_turn_before_it_said_so(make: Callable[..., Loop], clock: Any) -> None:
    turns = Turns(10.0, 20.0, 30.0)
    make(turns).start()
    thread = turns.next()
    for seconds in (10.0, 20.0):
        clock.until_asleep(seconds)
        clock.advance(seconds - 1)
        assert turns.none_followed()
        clock.advance(1)
        assert turns.next() is thread

    assert (thread.name, thread.daemon) == ("a-loop", True)


def test_the_first_turn_may_come_later(make: Callable[..., Loop], clock: Any) -> None:
    turns = Turns(10.0)
    make(turns).start(after=5.0)

    clock.until_asleep(5.0)
    assert turns.none_followed()
    clock.advance(5.0)
    turns.next()


def test_a_started_loop_is_not_started_again(make: Callable[..., Loop], clock: Any) -> None:
    turns = Turns(10.0)
    loop = make(turns)
    loop.start()
    turns.next()
    loop.start()

    clock.until_asleep(10.0)
    assert turns.none_followed()


def test_a_loop_that_is_woken_does_not_wait(make: Callable[..., Loop], clock: Any) -> None:
    turns = Turns(10.0, 10.0)
    loop = make(turns)
    loop.start()
    turns.next()
    clock.until_asleep(10.0)

    loop.wake()

    turns.next()


@pytest.mark.parametrize("wait", [1e6, None])
def test_a_wake_during_a_turn_is_followed_by_another_turn(make: Callable[..., Loop], wait: float | None) -> None:
    turns = Turns(wait, None)

    def turn() -> float | None:
        if not woken:
            woken.append(True)
            loop.wake()
        return turns()

    woken: list[bool] = []
    loop = make(turn)
    loop.start()

    assert turns.next() is turns.next()


def test_the_thread_ends_when_nothing_is_left_and_a_wake_starts_another(make: Callable[..., Loop]) -> None:
    turns = Turns(None, None)
    loop = make(turns)
    threads = []
    for _ in range(2):
        loop.wake()
        threads.append(turns.next())
        threads[-1].join(PATIENCE)
        assert not threads[-1].is_alive()
        assert not loop.is_running

    assert threads[0] is not threads[1]


@pytest.mark.parametrize("error", [RuntimeError("odd"), StoreError("odd"), OSError("odd"), SystemExit("odd")], ids=repr)
def test_an_error_is_logged_and_ends_no_loop(
    make: Callable[..., Loop], clock: Any, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    turns = Turns(error, 10.0)
    make(turns).start()
    turns.next()
    clock.until_asleep(7.0)

    assert caplog.messages == ["The turn failed: odd"]
    assert ("Traceback" in caplog.text) == (not isinstance(error, (StoreError, OSError)))
    clock.advance(7.0)
    turns.next()


def test_after_an_error_a_loop_may_rest_until_it_is_woken(make: Callable[..., Loop]) -> None:
    turns = Turns(RuntimeError("odd"), None)
    loop = make(turns, again=None)
    loop.start()
    turns.next().join(PATIENCE)
    assert not loop.is_running

    loop.wake()

    turns.next()


def test_stop_waits_for_the_turn_under_way_and_none_follows(make: Callable[..., Loop]) -> None:
    began, go = threading.Event(), threading.Event()
    order: list[str] = []

    def turn() -> float | None:
        began.set()
        assert go.wait(PATIENCE)
        order.append("turn")
        return 0.0

    loop = make(turn)
    loop.start()
    assert began.wait(PATIENCE)
    loop.stop(wait=False)
    go.set()
    loop.stop()
    order.append("stopped")

    assert order == ["turn", "stopped"]


def test_a_loop_that_waits_stops_at_once(make: Callable[..., Loop], clock: Any) -> None:
    turns = Turns(1e6)
    loop = make(turns)
    loop.start()
    thread = turns.next()
    clock.until_asleep(1e6)

    loop.stop()

    assert not thread.is_alive()
    assert turns.none_followed()


def test_a_stopped_loop_is_neither_started_nor_woken(make: Callable[..., Loop]) -> None:
    loop = make(Turns())
    loop.stop()
    loop.start()
    loop.wake()

    assert not loop.is_running


def test_a_thread_that_can_not_be_started_is_tried_again_by_the_next_wake(
    make: Callable[..., Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Turns(None)
    loop = make(turns)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            loop.wake()
    assert not loop.is_running

    loop.wake()

    turns.next()
