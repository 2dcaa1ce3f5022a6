"""How many calls a worker is handed at once: more and more while they are small, one by one when they are not."""

from __future__ import annotations

import pytest

from microflow.engine.runs.chunk_size import MOST, QUICK, SPAN, ChunkSize


def ran(pace: ChunkSize, count: int, seconds: float) -> list[int]:
    """The sizes before each of so many that take so long."""
    sizes = []
    for _ in range(count):
        sizes.append(pace.size)
        pace.ran(seconds)
    return sizes


def test_small_tasks_are_handed_over_in_twice_as_many_each_time_that_so_many_were_small() -> None:
    sizes = ran(ChunkSize(), 1000, 0.0)

    assert sizes[:31] == [1, *[2] * 2, *[4] * 4, *[8] * 8, *[16] * 16]
    assert sizes[-1] == max(sizes) == MOST


@pytest.mark.parametrize("seconds", [QUICK, QUICK / 2, QUICK / 10])
def test_no_more_are_handed_over_than_take_a_moment(seconds: float) -> None:
    assert max(ran(ChunkSize(), 1000, seconds)) * seconds <= SPAN


def test_one_that_is_not_small_makes_it_one_at_a_time() -> None:
    pace = ChunkSize()
    ran(pace, 1000, 0.0)

    pace.ran(QUICK * 2)

    assert ran(pace, 3, 0.0) == [1, 2, 2]


def test_where_one_must_wait_for_the_other_it_is_one_at_a_time() -> None:
    pace = ChunkSize()
    ran(pace, 1000, 0.0)

    pace.stay_slow()

    assert {*ran(pace, 100, 0.0)} == {1}
