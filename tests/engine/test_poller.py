"""What a thread waits on that looks after many attempts: the descriptors of those that it watches, and no others."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

import pytest

from microflow.engine.runs.poller import Poller

PIPES = pytest.mark.skipif(sys.platform == "win32", reason="pipes can't be polled on Windows")


class Watched:
    """An attempt with one pipe."""

    def __init__(self, descriptor: int) -> None:
        self.descriptors = (descriptor,)

    def on_ready(self, callback: Callable[[], None]) -> None:
        raise AssertionError("it has a descriptor")


class Calling:
    """An attempt without a pipe, which calls when it has something to report."""

    descriptors = ()

    def on_ready(self, callback: Callable[[], None]) -> None:
        self.report = callback


@PIPES
def test_what_is_watched_and_has_something_to_say_is_returned() -> None:
    waiter = Poller()
    pipes = [os.pipe() for _ in range(2)]
    attempts = [Watched(reading) for reading, _ in pipes]
    seen = []
    waiter.call(lambda: seen.append("called"))
    for attempt in attempts:
        waiter.watch(attempt)
    os.write(pipes[1][1], b"!")

    assert waiter.wait() == [attempts[1]]
    assert seen == ["called"]
    waiter.close()
    for descriptor in (*pipes[0], *pipes[1]):
        os.close(descriptor)


@PIPES
def test_what_is_watched_no_more_is_not_polled() -> None:
    """Its number may be that of another file by now, such as the pipe by which a new process tells that it runs: a poll that began
    before it was closed would keep that open, and who waits for its end would wait for ever.
    """
    waiter = Poller()
    reading, writing = os.pipe()
    attempt = Watched(reading)
    waiter.watch(attempt)
    waiter.forget(attempt)
    again = Watched(reading)
    waiter.watch(again)  # the next attempt in that worker
    waiter.wake()
    assert waiter.wait() == []
    assert reading in waiter._watched

    waiter.forget(again)
    waiter.wake()
    assert waiter.wait() == []

    assert waiter._watched == {}
    with pytest.raises(KeyError):
        waiter._poll.unregister(reading)
    waiter.close()
    os.close(reading)
    os.close(writing)


def test_an_attempt_without_a_pipe_calls_from_any_thread() -> None:
    poller = Poller()
    attempts = [Calling() for _ in range(3)]
    for attempt in attempts:
        poller.watch(attempt)
    attempts[0].report()
    attempts[0].report()
    thread = threading.Thread(target=attempts[1].report)
    thread.start()
    thread.join()

    assert poller.wait() == attempts[:2]
    poller.wake()
    assert poller.wait() == []  # each call counts once
    poller.close()


def test_an_attempt_that_is_forgotten_may_call_in_vain() -> None:
    poller = Poller()
    attempt = Calling()
    poller.watch(attempt)
    attempt.report()
    poller.forget(attempt)
    attempt.report()

    assert poller.wait() == []
    poller.close()
    attempt.report()  # the poller is gone
