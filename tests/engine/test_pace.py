"""How many calls a worker is handed at once: more and more while they are small, one by one when they are not."""

from __future__ import annotations

from microflow.engine.pace import MOST, QUICK, Pace


def test_small_tasks_are_handed_over_in_twice_as_many_each_time_that_so_many_were_small() -> None:
    pace = Pace()
    sizes = []
    for _ in range(40):
        sizes.append(pace.size)
        pace.ran(QUICK / 2)

    assert sizes[:15] == [1, *[2] * 2, *[4] * 4, *[8] * 8]
    assert set(sizes[15:]) == {MOST}


def test_one_that_is_not_small_makes_it_one_at_a_time() -> None:
    pace = Pace()
    for _ in range(100):
        pace.ran(0.0)

    pace.ran(QUICK * 2)

    assert pace.size == 1
    pace.ran(0.0)
    assert pace.size == 2


def test_where_the_next_call_may_have_to_be_waited_for_it_is_one_at_a_time() -> None:
    pace = Pace(1)
    for _ in range(100):
        pace.ran(0.0)

    assert pace.size == 1
