"""Graphs of jobs by name: what a run needs and in which order, what can start, and what goes round in a circle.

A graph is a mapping of a name to the names of its inputs, as ``Flow.input_names()`` gives it. Everything is iterative
(a chain of 5,000 is no deeper than one of two) and depends on the order given alone, never on hashes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


def closure(targets: Iterable[str], inputs_of: Mapping[str, Sequence[str]]) -> list[str]:
    """The targets and everything they need, directly or not, each once and after its own inputs.

    A name that the graph does not have has no inputs. Raises ``DefinitionError`` with the path if the way to a target
    leads round a cycle.
    """
    order: list[str] = []
    finished: set[str] = set()
    path: list[str] = []
    on_path: set[str] = set()
    rest: list[Iterator[str]] = []

    def enter(name: str) -> None:
        path.append(name)
        on_path.add(name)
        rest.append(iter(inputs_of.get(name, ())))

    for target in targets:
        if target not in finished:
            enter(target)
        while path:
            following = next((name for name in rest[-1] if name not in finished), None)
            if following is None:
                rest.pop()
                name = path.pop()
                on_path.remove(name)
                finished.add(name)
                order.append(name)
            elif following in on_path:
                circle = [*path[path.index(following) :], following]
                raise DefinitionError(f"The inputs form a cycle: {' -> '.join(circle)}. Drop one of these inputs.")
            else:
                enter(following)
    return order


def cycles(inputs_of: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """A shortest path round each knot of names that need one another, such as ``["a", "b", "a"]``; none in a DAG.

    Each name of a path declares the next one as an input. A knot (a strongly connected component) may hold many
    cycles: one is named, through the first of its names in the order of the graph; when it is undone the next shows.
    """
    position = {name: index for index, name in enumerate(inputs_of)}
    firsts = [(min(knot, key=position.__getitem__), knot) for knot in _knots(inputs_of)]
    return [_way_round(first, knot, inputs_of) for first, knot in sorted(firsts, key=lambda pair: position[pair[0]])]


def _knots(inputs_of: Mapping[str, Sequence[str]]) -> list[set[str]]:
    """The strongly connected components that hold a cycle, by Tarjan's algorithm without recursion."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    settled: set[str] = set()
    stack: list[str] = []
    work: list[tuple[str, Iterator[str]]] = []
    knots: list[set[str]] = []

    def enter(name: str) -> None:
        number[name] = lowest[name] = len(number)
        stack.append(name)
        work.append((name, iter(inputs_of[name])))

    def leave(name: str) -> None:
        work.pop()
        if work:
            above = work[-1][0]
            lowest[above] = min(lowest[above], lowest[name])
        if lowest[name] == number[name]:
            knot = {stack.pop()}
            while name not in knot:
                knot.add(stack.pop())
            settled.update(knot)
            if len(knot) > 1 or name in inputs_of[name]:
                knots.append(knot)

    for root in inputs_of:
        if root not in number:
            enter(root)
        while work:
            name, rest = work[-1]
            for other in rest:
                if other not in number and other in inputs_of:
                    enter(other)
                    break
                if other in number and other not in settled:
                    lowest[name] = min(lowest[name], number[other])
            else:
                leave(name)
    return knots


def _way_round(start: str, knot: set[str], inputs_of: Mapping[str, Sequence[str]]) -> list[str]:
    """The shortest path from a name of a knot back to it, by looking breadth first."""
    came_from: dict[str, str] = {}
    reached = [start]
    for name in reached:  # grows while it is read: a queue
        for other in inputs_of[name]:
            if other == start:
                path = [start]
                while name != start:
                    path.append(name)
                    name = came_from[name]
                return [start, *reversed(path)]
            if other in knot and other not in came_from:
                came_from[other] = name
                reached.append(other)
    raise AssertionError(f"{start!r} lies on no cycle of its knot")


class Readiness:
    """Which of a run's names can start: each the moment that its own inputs have ended, whatever else still runs.

    ``nodes`` are the names of the run, as ``closure`` gives them. Inputs that are not among them count as ended.
    """

    __slots__ = ("_followers", "_ready", "_waiting", "remaining")

    def __init__(self, nodes: Iterable[str], inputs_of: Mapping[str, Sequence[str]]) -> None:
        self._followers: dict[str, list[str]] = {name: [] for name in nodes}
        self._waiting: dict[str, int] = {}
        for name in self._followers:
            needed = {other for other in inputs_of.get(name, ()) if other in self._followers}
            self._waiting[name] = len(needed)
            for other in needed:
                self._followers[other].append(name)
        self._ready = [name for name, count in self._waiting.items() if count == 0]
        self.remaining = len(self._followers)
        """How many have not ended."""

    def ready(self) -> list[str]:
        """What can start at once, in the order of the nodes."""
        return list(self._ready)

    def done(self, node: str) -> list[str]:
        """Note that a node has ended; what can start now because of it, in the order of the nodes.

        Raises ``ValueError`` for a node that is not of this run, that could not have started, or that ended before.
        """
        if self._waiting.get(node) != 0:
            raise ValueError(f"{node!r} can't have ended: it is not of this run, waits for inputs, or ended before.")
        self._waiting[node] = -1
        self.remaining -= 1
        started = []
        for name in self._followers[node]:
            self._waiting[name] -= 1
            if self._waiting[name] == 0:
                started.append(name)
        return started
