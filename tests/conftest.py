"""What tests of several rooms need: a store of their own, engines that are always stopped, a clock that stands still."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from microflow import Flow
from microflow.engine.engine import Engine

PATIENCE = 60.0
"""Seconds after which a test that waits for a signal gives up; nothing is ever asserted about how long it took."""


class FakeClock:
    """A ``microflow.model.clock.Clock`` that moves only when a test says so."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._changed = threading.Condition()
        self._sleepers: dict[threading.Event, float] = {}

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        deadline = float("inf") if seconds is None else self._now + seconds
        with self._changed:
            self._sleepers[event] = deadline
            self._changed.notify_all()
        # an Event wakes whoever waits at its condition, and so does ``advance``
        with event._cond:  # type: ignore[attr-defined]
            event._cond.wait_for(lambda: event.is_set() or self._now >= deadline)  # type: ignore[attr-defined]
        with self._changed:
            self._sleepers.pop(event, None)
        return event.is_set()

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass, and wake whoever waited for one of them."""
        with self._changed:
            self._now += seconds
            sleepers = list(self._sleepers)
        for event in sleepers:
            with event._cond:  # type: ignore[attr-defined]
                event._cond.notify_all()  # type: ignore[attr-defined]

    def until_asleep(self, seconds: float) -> None:
        """Return once something waits for the moment that is so many seconds from now."""
        with self._changed:
            asleep = self._changed.wait_for(lambda: self._now + seconds in self._sleepers.values(), PATIENCE)
        assert asleep, f"nothing waits for {seconds} s from now; there are waits for {self._sleepers.values()}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The URL of a store that does not exist yet."""
    return f"sqlite:///{tmp_path.as_posix()}/store.db"


@pytest.fixture
def start(store: str) -> Iterator[Callable[..., Engine]]:
    """Starts engines: ``start(flow, …)`` with the keywords of ``Engine``; all are stopped at the end, whatever happens."""
    started: list[Engine] = []

    def start_engine(*flows: Flow, **arguments: Any) -> Engine:
        engine = Engine(flows, **{"store": store, **arguments})
        engine.start()
        started.append(engine)
        return engine

    yield start_engine
    for engine in reversed(started):
        engine.stop(grace=0)
