"""The state of an execution: of those that want to change it at the same time, one does."""

from __future__ import annotations

import pytest

from microflow.engine.execution.state import Lifecycle, State
from microflow.runners.base import Stop


def asked_to(reason: str | None) -> Stop:
    stop = Stop()
    if reason is not None:
        stop.set(reason)
    return stop


@pytest.mark.parametrize("reason", ["cancelled", "interrupted", "timeout"])
def test_what_was_asked_to_stop_does_not_park(reason: str) -> None:
    lifecycle = Lifecycle()

    assert not lifecycle.park(asked_to(reason))
    assert lifecycle.state is State.ACTIVE


def test_what_is_parked_is_unparked_once() -> None:
    lifecycle = Lifecycle()

    assert not lifecycle.unpark()
    assert lifecycle.park(asked_to(None))
    assert lifecycle.state is State.PARKED
    assert lifecycle.unpark()
    assert not lifecycle.unpark()
    assert lifecycle.state is State.ACTIVE


@pytest.mark.parametrize(
    ("reason", "parks"), [(None, True), ("timeout", True), ("cancelled", False), ("interrupted", False)]
)
def test_only_a_timeout_is_followed_by_another_attempt(reason: str | None, parks: bool) -> None:
    lifecycle, renewed = Lifecycle(), []

    assert lifecycle.park_for_retry(asked_to(reason), lambda: renewed.append(True)) is parks
    assert lifecycle.state is (State.PARKED if parks else State.ACTIVE)
    assert renewed == [True] * parks


def test_what_can_not_be_prepared_for_its_next_attempt_stays_active() -> None:
    lifecycle = Lifecycle()

    with pytest.raises(ZeroDivisionError):
        lifecycle.park_for_retry(asked_to(None), lambda: 1 // 0)  # type: ignore[arg-type]
    assert lifecycle.state is State.ACTIVE
    assert lifecycle.park(asked_to(None)), "the lock is held no more"


def test_only_what_is_parked_and_may_be_left_is_left() -> None:
    lifecycle = Lifecycle()

    assert not lifecycle.leave(lambda: True)
    lifecycle.park(asked_to(None))
    assert not lifecycle.leave(lambda: False)
    assert lifecycle.leave(lambda: True)
    assert lifecycle.state is State.ENDED
    assert not lifecycle.unpark(), "whoever grants it its slots finds that it is too late"


def test_it_ends_in_every_state() -> None:
    active, parked = Lifecycle(), Lifecycle()
    parked.park(asked_to(None))

    for lifecycle in (active, parked):
        lifecycle.end()
        assert lifecycle.state is State.ENDED
        assert not lifecycle.unpark()
