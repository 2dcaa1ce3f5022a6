"""What became of the partitions of a job, read as a person would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from microflow import Flow, Job, create_flow
from microflow.engine.engine import Engine


@pytest.fixture
def start(start: Callable[..., Engine], clock: Any) -> Callable[..., Engine]:
    """As everywhere, in January 2027: which partitions exist depends on the time."""
    return lambda *flows, **arguments: start(*flows, **{"clock": clock, **arguments})


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop", max_concurrency=2, timezone="Europe/Berlin")


@pytest.fixture
def lines() -> Callable[..., list[str]]:
    """``lines(engine, job, start, end)``: the statuses of the grid, a text for each category with a letter for each time."""

    def read(engine: Engine, job: Job[Any], start: Any = None, end: Any = None) -> list[str]:
        return engine.partitions.grid(job, start, end).lines

    return read
