"""Which of an engine's unfinished executions the next server resumes: the pure rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microflow.engine.recovery.takeover import resumable
from microflow.model.results import Kind
from microflow.store.rows import Opened


def opened(number: int, parent: int | None, attempt: int = 1, started: float | None = 1.0) -> Opened:
    return Opened(number, "shop", f"job {number}", parent, 1, started, attempt)


NEVER: float | None = None

# Each line: what is unfinished, and what of it is resumed. Job 99 is never tried again, job 100 is gone, all others have one retry.
RESUMED: list[tuple[list[tuple[Opened, Kind]], list[list[int]]]] = [
    ([], []),
    # roots
    ([(opened(1, None), Kind.TASK)], [[1]]),
    ([(opened(1, None, attempt=2), Kind.TASK)], []),
    ([(opened(99, None), Kind.TASK)], []),
    ([(opened(99, None, started=NEVER), Kind.TASK)], [[99]]),
    ([(opened(99, None, started=NEVER), Kind.MANAGER)], [[99]]),
    ([(opened(100, None, started=NEVER), Kind.TASK)], []),
    (
        [(opened(1, None, started=NEVER), Kind.TASK), (opened(2, None), Kind.TASK), (opened(3, None), Kind.DAG)],
        [[1], [2], [3]],
    ),
    # calls of managers end with them
    ([(opened(1, None), Kind.MANAGER), (opened(2, 1), Kind.TASK), (opened(3, 1, started=NEVER), Kind.TASK)], [[1]]),
    ([(opened(99, None), Kind.MANAGER), (opened(2, 99), Kind.TASK)], []),
    ([(opened(2, 1), Kind.TASK), (opened(3, None), Kind.DAG)], [[3]]),
    ([(opened(1, None), Kind.MANAGER), (opened(2, 1), Kind.DAG), (opened(3, 2), Kind.TASK)], [[1]]),
    # runs are resumed whatever has become of their members
    *(([(opened(99, None), kind)], [[99]]) for kind in (Kind.DAG, Kind.MAP, Kind.PARTITIONS)),
    *(([(opened(99, None, started=NEVER), kind)], [[99]]) for kind in (Kind.DAG, Kind.MAP, Kind.PARTITIONS)),
    *(([(opened(100, None), kind), (opened(2, 100), Kind.TASK)], []) for kind in (Kind.DAG, Kind.MAP, Kind.PARTITIONS)),
    ([(opened(1, None), Kind.MAP), (opened(2, 1), Kind.TASK)], [[1, 2]]),
    ([(opened(1, None), Kind.MAP), (opened(2, 1, attempt=2), Kind.TASK), (opened(3, 1), Kind.TASK)], [[1, 3]]),
    ([(opened(1, None), Kind.MAP), (opened(99, 1), Kind.TASK)], [[1]]),
    ([(opened(1, None), Kind.MAP), (opened(99, 1, started=NEVER), Kind.TASK)], [[1, 99]]),
    ([(opened(1, None), Kind.DAG), (opened(2, 1), Kind.MANAGER), (opened(3, 2), Kind.TASK)], [[1, 2]]),
    ([(opened(1, None), Kind.DAG), (opened(99, 1), Kind.MANAGER), (opened(3, 99), Kind.TASK)], [[1]]),
    ([(opened(1, None), Kind.DAG), (opened(2, 1), Kind.TASK), (opened(3, 1, attempt=2), Kind.TASK)], [[1, 2]]),
    ([(opened(1, None), Kind.DAG), (opened(2, 1), Kind.TASK), (opened(99, 1, started=NEVER), Kind.TASK)], [[1, 2, 99]]),
    ([(opened(1, None), Kind.DAG), (opened(100, 1, started=NEVER), Kind.TASK)], [[1]]),
    ([(opened(1, None), Kind.PARTITIONS), (opened(2, 1), Kind.DAG), (opened(3, 2), Kind.TASK)], [[1, 2, 3]]),
    ([(opened(1, None), Kind.PARTITIONS), (opened(2, 1), Kind.DAG), (opened(99, 2), Kind.TASK)], [[1, 2]]),
]


@pytest.mark.parametrize(("unfinished", "expected"), RESUMED)
def test_what_may_go_on(unfinished: list[tuple[Opened, Kind]], expected: list[list[int]]) -> None:
    retries = {99: 0, 100: -1}

    found = resumable(unfinished[::-1], lambda opened: retries.get(opened.id, 1))

    assert [left.numbers for left in found] == expected


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Opened, Kind]]:
    """Unfinished executions as an engine may leave them, parents first."""
    found: list[tuple[Opened, Kind]] = []
    for number in range(1, draw(st.integers(1, 12)) + 1):
        callers = [known.id for known, kind in found if kind is not Kind.TASK]
        parent = draw(st.sampled_from([None, *callers]))
        kind = draw(st.sampled_from(Kind))
        found.append(
            (opened(number, parent, draw(st.integers(1, 3)), draw(st.sampled_from([NEVER, 1.0]))), kind),
        )
    return found


@given(histories(), st.lists(st.integers(-1, 2), min_size=13, max_size=13))
def test_what_is_resumed_is_reached_from_a_root_through_runs_alone(
    unfinished: list[tuple[Opened, Kind]], retries: list[int]
) -> None:
    found = resumable(unfinished[::-1], lambda opened: retries[opened.id])

    rows = {known.id: (known, kind) for known, kind in unfinished}
    resumed = [number for left in found for number in left.numbers]
    assert len(resumed) == len(set(resumed))
    assert [left.root.id for left in found] == sorted(left.root.id for left in found)
    for number, (row, kind) in rows.items():
        may = retries[number] >= 0 and (
            kind not in (Kind.TASK, Kind.MANAGER) or row.started_at is None or row.attempt <= retries[number]
        )
        above = row.parent_id
        is_asked_for = above is None or (above in resumed and rows[above][1] not in (Kind.TASK, Kind.MANAGER))
        assert (number in resumed) == (may and is_asked_for)
