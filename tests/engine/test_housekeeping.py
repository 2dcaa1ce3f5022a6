"""Old history goes while a server serves: step by step, round after round, whatever happens to one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from microflow import StoreError
from microflow.engine.background.housekeeping import Housekeeping, HousekeepingConfig
from microflow.engine.engine import Engine

CONFIG = HousekeepingConfig(keep=100.0, rest=3600.0, pause=0.5)


class Rounds:
    """A retention whose steps a test decides."""

    def __init__(self, *rounds: list[Any]) -> None:
        self.asked: list[float] = []
        self._rounds = list(rounds)

    def steps(self, before: float) -> Iterator[int]:
        self.asked.append(before)
        for step in self._rounds.pop(0):
            if isinstance(step, Exception):
                raise step
            yield step


@pytest.fixture
def keep_house(clock: Any) -> Iterator[Callable[[Any], None]]:
    """Starts the housekeeping of a retention; it is stopped at the end."""
    started: list[Housekeeping] = []

    def start(retention: Any) -> None:
        housekeeping = Housekeeping(CONFIG, retention, clock)
        housekeeping.start()
        started.append(housekeeping)

    yield start
    for housekeeping in started:
        housekeeping.stop()


def let_pass(clock: Any, *waits: float) -> None:
    """It waits so long, again and again."""
    for seconds in waits:
        clock.until_asleep(seconds)
        clock.advance(seconds)


def test_a_round_is_steps_with_pauses_and_then_a_rest(clock: Any, keep_house: Callable[[Any], None]) -> None:
    retention = Rounds([200, 3], [0])
    begin = clock.now()
    keep_house(retention)

    let_pass(clock, 60.0, 0.5, 0.5, 3600.0, 0.5)
    clock.until_asleep(3600.0)

    assert retention.asked == [begin + 60 - 100, begin + 3661 - 100]


def test_a_round_that_fails_is_followed_by_another(
    clock: Any, keep_house: Callable[[Any], None], caplog: pytest.LogCaptureFixture
) -> None:
    retention = Rounds([200, StoreError("the disk is full")], [0])
    keep_house(retention)

    let_pass(clock, 60.0, 0.5, 3600.0, 0.5)
    clock.until_asleep(3600.0)

    assert len(retention.asked) == 2
    assert "the disk is full" in caplog.text


def test_a_server_forgets_by_itself(start: Callable[..., Engine], clock: Any, flow: Any, until: Any) -> None:
    engine = start(flow, kind="server", clock=clock, keep=50.0)
    engine.submit(flow.jobs["load"], [{}]).future.result()
    clock.advance(55)
    engine.submit(flow.jobs["load"], [{}]).future.result()
    clock.until_asleep(5)
    clock.advance(5)
    clock.until_asleep(HousekeepingConfig().pause)

    assert engine.store.database.read_text("SELECT id FROM executions") == [(2,)]
