"""Columns of items in an order with which few of the edges between them cross.

Items are numbers; the work is bounded, whatever the graph, and the result depends on the order given alone.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SWEEPS = 24
_PATIENCE = 90_000
"""Items and edges times sweeps: a drawing of thousands is made in fewer sweeps, one of very many edges in none."""
_EXCHANGES = 20
_COMPARISONS = 400_000
"""Pairs of edges that are compared at most, in all exchanges."""


def untangled(columns: list[list[int]], left: list[list[int]], right: list[list[int]]) -> list[list[int]]:
    """The columns, each in an order with which few edges cross.

    ``left`` and ``right`` are the neighbours of every item in the columns before and after its own. Each column is sorted by
    the middle of its neighbours, to and fro (barycenters); of the best order, items that stand next to each other are then
    exchanged while that undoes crossings.
    """
    sweeps = min(_SWEEPS, _PATIENCE // (len(left) + sum(map(len, left))))
    if sweeps == 0:
        return columns
    position = [0.0] * len(left)
    for column in columns:
        _number(column, position)
    best, fewest = [list(column) for column in columns], _crossings(columns, right, position)
    for sweep in range(sweeps):
        if fewest == 0:
            break
        neighbours, step = (left, 1) if sweep % 2 == 0 else (right, -1)
        for column in columns[::step]:
            middle = {
                item: sum(position[other] for other in neighbours[item]) / len(neighbours[item])
                if neighbours[item]
                else position[item]
                for item in column
            }
            column.sort(key=middle.__getitem__)
            _number(column, position)
        crossings = _crossings(columns, right, position)
        if crossings < fewest:
            best, fewest = [list(column) for column in columns], crossings
    if fewest:
        _exchange(best, left, right, position)
    return best


def _exchange(
    columns: Sequence[list[int]], left: list[list[int]], right: list[list[int]], position: list[float]
) -> None:
    pairs = [pair for column in columns for pair in pairwise(column)]
    compared = sum(len(side[above]) * len(side[below]) for side in (left, right) for above, below in pairs)
    for column in columns:
        _number(column, position)
    for _ in range(min(_EXCHANGES, _COMPARISONS // max(compared, 1))):
        exchanged = False
        for column in columns:
            for index in range(len(column) - 1):
                above, below = column[index : index + 2]
                undone = 0
                for neighbours in (left, right):
                    ends = [position[other] for other in neighbours[below]]
                    for upper in (position[other] for other in neighbours[above]):
                        undone += sum((upper > end) - (upper < end) for end in ends)
                if undone > 0:
                    column[index : index + 2] = below, above
                    position[above], position[below] = position[below], position[above]
                    exchanged = True
        if not exchanged:
            break


def _number(column: Sequence[int], position: list[float]) -> None:
    """Positions from 0 to 1, so that columns of different lengths can be compared."""
    for index, item in enumerate(column):
        position[item] = (index + 0.5) / len(column)


def _crossings(columns: Sequence[Sequence[int]], right: list[list[int]], position: list[float]) -> int:
    total = 0
    for column in columns:
        seen: list[float] = []
        for item in column:
            ends = sorted(position[other] for other in right[item])
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total
