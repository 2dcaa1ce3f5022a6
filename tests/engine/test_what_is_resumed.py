"""Which of an engine's unfinished executions the next server resumes: the pure rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microflow.engine.recovery.resume import may_go_on
from microflow.store.rows import Opened


def opened(number: int, parent: int | None, attempt: int = 1, started: float | None = 1.0) -> Opened:
    return Opened(number, "shop", f"job {number}", parent, 1, started, attempt)


NEVER: float | None = None

# Each line: what is unfinished, and what of it is resumed. Job 99 is never tried again, job 100 is gone, all others have one retry.
RESUMED: list[tuple[list[tuple[Opened, str]], list[list[int]]]] = [
    ([], []),
    # roots
    ([(opened(1, None), "task")], [[1]]),
    ([(opened(1, None, attempt=2), "task")], []),
    ([(opened(99, None), "task")], []),
    ([(opened(99, None, started=NEVER), "task")], [[99]]),
    ([(opened(99, None, started=NEVER), "manager")], [[99]]),
    ([(opened(100, None, started=NEVER), "task")], []),
    ([(opened(1, None, started=NEVER), "task"), (opened(2, None), "task"), (opened(3, None), "dag")], [[1], [2], [3]]),
    # calls of managers end with them
    ([(opened(1, None), "manager"), (opened(2, 1), "task"), (opened(3, 1, started=NEVER), "task")], [[1]]),
    ([(opened(99, None), "manager"), (opened(2, 99), "task")], []),
    ([(opened(2, 1), "task"), (opened(3, None), "dag")], [[3]]),
    ([(opened(1, None), "manager"), (opened(2, 1), "dag"), (opened(3, 2), "task")], [[1]]),
    # runs are resumed whatever has become of their members
    *(([(opened(99, None), kind)], [[99]]) for kind in ("dag", "map", "partitions")),
    *(([(opened(99, None, started=NEVER), kind)], [[99]]) for kind in ("dag", "map", "partitions")),
    *(([(opened(100, None), kind), (opened(2, 100), "task")], []) for kind in ("dag", "map", "partitions")),
    ([(opened(1, None), "map"), (opened(2, 1), "task")], [[1, 2]]),
    ([(opened(1, None), "map"), (opened(2, 1, attempt=2), "task"), (opened(3, 1), "task")], [[1, 3]]),
    ([(opened(1, None), "map"), (opened(99, 1), "task")], [[1]]),
    ([(opened(1, None), "map"), (opened(99, 1, started=NEVER), "task")], [[1, 99]]),
    ([(opened(1, None), "dag"), (opened(2, 1), "manager"), (opened(3, 2), "task")], [[1, 2]]),
    ([(opened(1, None), "dag"), (opened(99, 1), "manager"), (opened(3, 99), "task")], [[1]]),
    ([(opened(1, None), "dag"), (opened(2, 1), "task"), (opened(3, 1, attempt=2), "task")], [[1, 2]]),
    ([(opened(1, None), "dag"), (opened(2, 1), "task"), (opened(99, 1, started=NEVER), "task")], [[1, 2, 99]]),
    ([(opened(1, None), "dag"), (opened(100, 1, started=NEVER), "task")], [[1]]),
    ([(opened(1, None), "partitions"), (opened(2, 1), "dag"), (opened(3, 2), "task")], [[1, 2, 3]]),
    ([(opened(1, None), "partitions"), (opened(2, 1), "dag"), (opened(99, 2), "task")], [[1, 2]]),
]


@pytest.mark.parametrize(("unfinished", "expected"), RESUMED)
def test_what_may_go_on(unfinished: list[tuple[Opened, str]], expected: list[list[int]]) -> None:
    retries = {99: 0, 100: -1}

    found = may_go_on(unfinished[::-1], lambda opened: retries.get(opened.id, 1))

    assert [left.numbers for left in found] == expected


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Opened, str]]:
    """Unfinished executions as an engine may leave them, parents first."""
    found: list[tuple[Opened, str]] = []
    for number in range(1, draw(st.integers(1, 12)) + 1):
        callers = [known.id for known, kind in found if kind != "task"]
        parent = draw(st.sampled_from([None, *callers]))
        kind = draw(st.sampled_from(["task", "manager", "dag", "map", "partitions"]))
        found.append(
            (opened(number, parent, draw(st.integers(1, 3)), draw(st.sampled_from([NEVER, 1.0]))), kind),
        )
    return found


@given(histories(), st.lists(st.integers(-1, 2), min_size=13, max_size=13))
def test_what_is_resumed_is_reached_from_a_root_through_runs_alone(
    unfinished: list[tuple[Opened, str]], retries: list[int]
) -> None:
    found = may_go_on(unfinished[::-1], lambda opened: retries[opened.id])

    rows = {known.id: (known, kind) for known, kind in unfinished}
    resumed = [number for left in found for number in left.numbers]
    assert len(resumed) == len(set(resumed))
    assert [left.root.id for left in found] == sorted(left.root.id for left in found)
    for number, (row, kind) in rows.items():
        may = retries[number] >= 0 and (
            kind not in ("task", "manager") or row.started_at is None or row.attempt <= retries[number]
        )
        above = row.parent_id
        is_asked_for = above is None or (above in resumed and rows[above][1] not in ("task", "manager"))
        assert (number in resumed) == (may and is_asked_for)
