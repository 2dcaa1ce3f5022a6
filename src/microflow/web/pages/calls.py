"""Everything that an execution called, as the rows of one table: a tree on the left, the same rows on a time axis on the right.

A mapping may have thousands of children. Of each parent so many are shown; those that still run or failed come first into the
choice, but all stand in the order of the calls. A row says how many were left out, draws when they ran and leads to them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from ...model.results import ExecutionStatus
from ...store.views import Tree, TreeNode
from . import charts

PER_PARENT = 20
IN_ALL = 400

CROWD_HEIGHT = 18
"""Pixels of the picture of the calls that were left out."""

_CROWD_SLICES = 160

_INTEREST = {
    ExecutionStatus.RUNNING: 0,
    ExecutionStatus.ERROR: 1,
    ExecutionStatus.CANCELLED: 1,
    ExecutionStatus.QUEUED: 2,
    ExecutionStatus.SUCCESS: 3,
    ExecutionStatus.SKIPPED: 3,
}
"""Which calls are shown before others, where not all can be."""


class Span(NamedTuple):
    """Where a call lies on the time axis, in percent: it waited from ``queued`` and ran from ``x`` over ``width``.

    ``width`` is None for one that still waits at ``x``.
    """

    queued: float
    x: float
    width: float | None


class CallRow(NamedTuple):
    """One call; ``span`` is None if it never ran."""

    node: TreeNode
    depth: int
    span: Span | None


class RestRow(NamedTuple):
    """``left_out`` calls of ``parent_id`` are not shown here."""

    parent_id: int
    depth: int
    left_out: int


class Calls(msgspec.Struct, frozen=True):
    """The rows, the marks of the time axis, and how many calls have each status (``truncated``: at least so many).

    ``crowds`` are the pictures of the calls that were left out, by their parent's id; of a truncated tree there are none.
    """

    rows: Sequence[CallRow | RestRow]
    ticks: list[charts.Tick]
    statuses: dict[ExecutionStatus, int]
    truncated: bool
    crowds: dict[int, list[charts.Bar]]

    @property
    def shown(self) -> list[int]:
        """The ids of the calls that have a row."""
        return [row.node.id for row in self.rows if isinstance(row, CallRow)]

    @property
    def count(self) -> int:
        """How many calls there are."""
        return sum(self.statuses.values())


def calls_of(tree: Tree, now: datetime) -> Calls:
    """The table of an execution's calls, itself on top."""
    root = tree.execution
    start = root.started_at or root.queued_at
    nodes = list(_all(root))
    end = max([root.ended_at or now, *(node.ended_at or now for node in nodes if node.started_at is not None)])
    seconds = max((end - start).total_seconds(), 0.001)

    def span(node: TreeNode) -> Span | None:
        def place(moment: datetime) -> float:
            return min(max((moment - start).total_seconds() / seconds * 100, 0.0), 100.0)

        if node.started_at is None:
            if node.status is not ExecutionStatus.QUEUED:
                return None  # it ended without having run
            return Span(round(place(node.queued_at), 3), round(place(now), 3), None)
        x = place(node.started_at)
        return Span(round(place(node.queued_at), 3), round(x, 3), round(max(place(node.ended_at or now) - x, 0.0), 3))

    rows: list[CallRow | RestRow] = []
    crowds: dict[int, list[charts.Bar]] = {}

    def add(node: TreeNode, depth: int) -> None:
        rows.append(CallRow(node, depth, span(node)))
        shown = _choice(node.children, min(PER_PARENT, max(IN_ALL - len(rows), 0)))
        for child in shown:
            if len(rows) < IN_ALL:
                add(child, depth + 1)
        listed = {row.node.id for row in rows if isinstance(row, CallRow) and row.node.parent_id == node.id}
        if rest := [child for child in node.children if child.id not in listed]:
            rows.append(RestRow(node.id, depth + 1, len(rest)))
            if not tree.truncated:  # a picture of the first ones alone would say that the others did nothing
                crowds[node.id] = charts.crowd(list(_ran(rest, span)), _CROWD_SLICES, CROWD_HEIGHT)

    add(root, 0)
    counted = Counter(node.status for node in nodes)
    statuses = {status: counted[status] for status in ExecutionStatus if counted[status]}
    return Calls(rows, charts.ticks(seconds), statuses, tree.truncated, crowds)


def _ran(nodes: Sequence[TreeNode], span: Callable[[TreeNode], Span | None]) -> Iterator[tuple[float, float, str]]:
    """From where to where those lie that have run, and their status."""
    for node in nodes:
        place = span(node)
        if place is not None and place.width is not None:
            yield place.x, place.x + place.width, str(node.status)


def _all(node: TreeNode) -> Iterator[TreeNode]:
    """Everything below a node."""
    waiting = list(node.children)
    while waiting:
        found = waiting.pop()
        yield found
        waiting += found.children


def _choice(children: Sequence[TreeNode], most: int) -> Sequence[TreeNode]:
    """At most so many of the children, in their order, the noteworthy ones preferred; not all of them running, if others failed."""
    if len(children) <= most:
        return children
    by_interest = sorted(range(len(children)), key=lambda index: (_INTEREST[children[index].status], index))
    running = sum(child.status is ExecutionStatus.RUNNING for child in children)
    kept = min(running, (most + 1) // 2)
    first = [*by_interest[:kept], *by_interest[running:], *by_interest[kept:running]]
    return [children[index] for index in sorted(first[:most])]
