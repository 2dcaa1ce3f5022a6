"""Drawing a DAG: layered coordinates for boxes and curves, from left (what runs first) to right.

The method of Sugiyama, Tagawa and Toda (1981): layers by longest path, a lane through every layer that an edge passes,
order within the layers by barycenters, and then by exchanging neighbours, so that few edges cross, then coordinates
that keep neighbours level. Edges of one box that pass a layer share their lane. In the columns of boxes an edge only
goes straight along its lane, and it bends only in the gaps between columns: so no edge ever runs through a box. A gap
is as wide as its edges are steep. Parts of the graph that nothing connects stand below one another; names without any
edge are packed in a grid at the end. The result depends on the order of the names alone.
"""

from __future__ import annotations

from itertools import pairwise
from math import ceil, sqrt
from typing import TYPE_CHECKING

import msgspec

from .crossings import untangled
from .graph import closure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_WIDEST_GAP = 4
"""At most so many times as wide as it must be is a gap, for edges that climb steeply."""
_LEVELLINGS = 4
_MOST_POINTS = 20_000
"""With more points than these an edge begins where it parts from the longest edge of its source."""
_SCREEN = 1.6
"""Width of a screen to its height."""


_Point = tuple[float, float]


class Box(msgspec.Struct, frozen=True):
    """Where a name is drawn: ``x`` and ``y`` are its upper left corner; ``layer`` counts from 0 on the left."""

    name: str
    x: float
    y: float
    width: float
    height: float
    layer: int


class Edge(msgspec.Struct, frozen=True):
    """A curve from the input ``source`` to ``target``, which declares it.

    ``points`` are (x, y) pairs of joined cubic Bézier curves: a start, then two control points and an end for each.
    """

    source: str
    target: str
    points: tuple[_Point, ...]

    @property
    def path(self) -> str:
        """The curve as the ``d`` attribute of an SVG path."""
        written = [f"{round(x, 1):.10g},{round(y, 1):.10g}" for x, y in self.points]
        curves = (" ".join(written[index : index + 3]) for index in range(1, len(written), 3))
        return f"M{written[0]}" + "".join(f" C{curve}" for curve in curves)


class Layout(msgspec.Struct, frozen=True):
    """A drawn graph: boxes in the order of the names, edges, and the size of the whole, margins included."""

    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    width: float
    height: float


class Sizes(msgspec.Struct, frozen=True):
    """Lengths of a drawing, all in the same unit (pixels of an SVG at scale 1)."""

    box_width: float = 180
    box_height: float = 44
    layer_gap: float = 72
    """From the right of one column of boxes to the left of the next, where edges bend; the least of it."""
    box_gap: float = 20
    """Between two boxes of a column, and between a box and a lane."""
    lane_gap: float = 12
    """Between two lanes."""
    margin: float = 16


def layout(nodes: Iterable[str], inputs_of: Mapping[str, Sequence[str]], sizes: Sizes | None = None) -> Layout:
    """Draw the names with those of their inputs that are among them, as ``inputs_of`` has them.

    Raises ``DefinitionError`` for a graph with a cycle.
    """
    lengths = Sizes() if sizes is None else sizes
    names = dict.fromkeys(nodes)
    inputs = {name: [other for other in dict.fromkeys(inputs_of.get(name, ())) if other in names] for name in names}
    boxes: dict[str, Box] = {}
    edges: list[Edge] = []
    top = low = right = lengths.margin
    alone, parts = _parts(inputs)
    for part in parts:
        drawing = _Drawing(part, inputs, lengths)
        low = drawing.move_to(top)
        placed = drawing.boxes()
        boxes |= placed
        edges += drawing.edges()
        right = max(right, *(box.x + box.width for box in placed.values()))
        top = low + 2 * lengths.box_gap
    for box in _grid(alone, lengths, top, right):
        boxes[box.name] = box
        low, right = max(low, box.y + box.height), max(right, box.x + box.width)
    return Layout(tuple(boxes[name] for name in names), tuple(edges), right + lengths.margin, low + lengths.margin)


def lanes_of(nodes: Iterable[str], inputs_of: Mapping[str, Sequence[str]]) -> int:
    """How many lanes a drawing needs: one for each layer between a name and its farthest follower.

    With the names and the edges they are the size of the drawing, and can be far more than those: n names in a chain that are all
    inputs of its last one need n²/2. Counting them takes as long as reading the graph. Errors as for ``layout``.
    """
    names = dict.fromkeys(nodes)
    order = closure(names, {name: [other for other in inputs_of.get(name, ()) if other in names] for name in names})
    number = {name: index for index, name in enumerate(order)}
    inputs = [[number[other] for other in inputs_of.get(name, ()) if other in names] for name in order]
    layer = _layers(inputs)
    return sum(_reach(inputs, layer)) - sum(layer)


def _parts(inputs: Mapping[str, Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """The names without any edge, and the others by what is connected, all in the order given."""
    neighbours: dict[str, list[str]] = {name: list(others) for name, others in inputs.items()}
    for name, others in inputs.items():
        for other in others:
            neighbours[other].append(name)
    alone, parts = [], []
    part_of: dict[str, list[str]] = {}
    for name in inputs:
        if not neighbours[name]:
            alone.append(name)
            continue
        if name not in part_of:
            part: list[str] = []
            parts.append(part)
            part_of[name] = part
            reached = [name]
            for one in reached:  # grows while it is read: a queue
                for other in neighbours[one]:
                    if other not in part_of:
                        part_of[other] = part
                        reached.append(other)
        part_of[name].append(name)
    return alone, parts


def _grid(names: Sequence[str], sizes: Sizes, top: float, right: float) -> Iterator[Box]:
    """Names without edges in rows, as wide as what stands above them or about as wide as a screen."""
    step_x, step_y = sizes.box_width + sizes.box_gap, sizes.box_height + sizes.box_gap
    columns = max(1, ceil(sqrt(len(names) * step_y / step_x * _SCREEN)), int((right - sizes.margin) // step_x))
    for index, name in enumerate(names):
        x, y = sizes.margin + index % columns * step_x, top + index // columns * step_y
        yield Box(name, x, y, sizes.box_width, sizes.box_height, 0)


class _Drawing:
    """One connected part. Items are numbers: first the names in topological order, then the lanes."""

    def __init__(self, part: Sequence[str], inputs: Mapping[str, Sequence[str]], sizes: Sizes) -> None:
        self._sizes = sizes
        self._names = closure(part, inputs)
        self._number = {name: number for number, name in enumerate(self._names)}
        self._inputs = [[self._number[other] for other in inputs[name]] for name in self._names]
        self._layer = _layers(self._inputs)
        self._lanes: list[list[int]] = []
        self._left: list[list[int]] = [[] for _ in self._names]
        self._right: list[list[int]] = [[] for _ in self._names]
        self._lay_lanes()
        columns: list[list[int]] = [[] for _ in range(max(self._layer) + 1)]
        for item, layer in enumerate(self._layer):
            columns[layer].append(item)
        self._columns = untangled(columns, self._left, self._right)
        self._y = self._levelled()
        self._column_x = self._spread()

    def _lay_lanes(self) -> None:
        """Give each name a lane through every layer between it and its farthest follower, and join what is adjacent."""
        reach = _reach(self._inputs, self._layer)
        for number in range(len(self._names)):
            lane = [number]
            for layer in range(self._layer[number] + 1, reach[number] + 1):
                item = len(self._layer)
                self._layer.append(layer)
                self._left.append([lane[-1]])
                self._right.append([])
                self._right[lane[-1]].append(item)
                lane.append(item)
            self._lanes.append(lane)
        for number, others in enumerate(self._inputs):
            for other in others:
                last = self._lanes[other][self._layer[number] - self._layer[other] - 1]
                self._right[last].append(number)
                self._left[number].append(last)

    def _is_box(self, item: int) -> bool:
        return item < len(self._names)

    def _levelled(self) -> list[float]:
        """The y of the middle of every item: as level with its neighbours as the room in its column allows."""
        sizes, y = self._sizes, [0.0] * len(self._layer)
        rooms = []
        for column in self._columns:
            room, below = [0.0], column[0]
            for above, below in pairwise(column):
                boxes = self._is_box(above) + self._is_box(below)
                room.append(room[-1] + (sizes.box_gap if boxes else sizes.lane_gap) + boxes * sizes.box_height / 2)
            rooms.append(room)
            for item, least in zip(column, room, strict=True):
                y[item] = least - room[-1] / 2
        for _ in range(_LEVELLINGS):
            for neighbours, step in ((self._left, 1), (self._right, -1)):
                for column, room in list(zip(self._columns, rooms, strict=True))[::step]:
                    self._level(column, room, neighbours, y)
        return y

    def _level(self, column: list[int], room: list[float], neighbours: list[list[int]], y: list[float]) -> None:
        wished, weights = [], []
        for item, least in zip(column, room, strict=True):
            others = neighbours[item]
            wished.append((sum(y[other] for other in others) / len(others) if others else y[item]) - least)
            # what has no neighbour on this side makes way; a lane that goes on straight is worth more than a box
            weights.append(0.1 if not others else 1.0 if self._is_box(item) else 4.0)
        for item, least, found in zip(column, room, _isotonic(wished, weights), strict=True):
            y[item] = found + least

    def move_to(self, top: float) -> float:
        """Put the uppermost edge at ``top``; returns the lowest."""
        half = [self._sizes.box_height / 2 if self._is_box(item) else 0.0 for item in range(len(self._y))]
        shift = top - min(y - height for y, height in zip(self._y, half, strict=True))
        self._y = [round(y + shift, 1) for y in self._y]
        return max(y + height for y, height in zip(self._y, half, strict=True))

    def _spread(self) -> list[float]:
        """The x of every column: where edges climb over many boxes the gap is wider, so that they can be told apart."""
        sizes, x = self._sizes, [self._sizes.margin]
        for column in self._columns[:-1]:
            climbs = [abs(self._y[other] - self._y[item]) for item in column for other in self._right[item]]
            over = sum(climbs) / len(climbs) / sizes.box_height  # how many boxes an edge climbs over
            gap = sizes.layer_gap * min(1 + max(over - 2, 0) / 8, _WIDEST_GAP)
            x.append(x[-1] + sizes.box_width + round(gap))
        return x

    def _x(self, item: int) -> float:
        return self._column_x[self._layer[item]]

    def boxes(self) -> dict[str, Box]:
        """The boxes by name."""
        width, height = self._sizes.box_width, self._sizes.box_height
        return {
            name: Box(name, self._x(item), self._y[item] - height / 2, width, height, self._layer[item])
            for item, name in enumerate(self._names)
        }

    def edges(self) -> Iterator[Edge]:
        """The edges, by target and then in the order in which it declares its inputs."""
        trunks = [self._trunk(lanes) for lanes in self._lanes]
        passed = [
            (source, target, self._layer[target] - self._layer[source] - 1)
            for target, others in enumerate(self._inputs)
            for source in others
        ]
        is_long = sum(trunks[source][1][lane] for source, _, lane in passed) > _MOST_POINTS
        for source, target, lane in passed:
            points, counts = trunks[source]
            shared = points[: counts[lane]]
            if is_long and lane < len(counts) - 1:
                shared = shared[-1:]
            curve = (*shared, *self._bend(shared[-1], self._lanes[source][lane], target))
            yield Edge(self._names[source], self._names[target], curve)

    def _trunk(self, lanes: Sequence[int]) -> tuple[list[_Point], list[int]]:
        """The way along all lanes of a name, and how many of its points lead into each of them."""
        points = [(self._x(lanes[0]) + self._sizes.box_width, self._y[lanes[0]])]
        counts = [1]
        for lane, following in pairwise(lanes):
            if self._y[following] != points[-1][1]:  # level lanes are one straight line
                points += self._bend(points[-1], lane, following)
            counts.append(len(points))
        return points, counts

    def _bend(self, pen: _Point, item: int, following: int) -> Iterator[_Point]:
        """From the pen straight to the end of a lane (or box), and in the gap to the next one."""
        (x, y), next_y = pen, self._y[following]
        start, end = self._x(item) + self._sizes.box_width, self._x(following)
        if start > x:
            yield (2 * x + start) / 3, y
            yield (x + 2 * start) / 3, y
            yield start, y
        yield (start + end) / 2, y
        yield (start + end) / 2, next_y
        yield end, next_y


def _layers(inputs: Sequence[Sequence[int]]) -> list[int]:
    """A layer for every item, by longest path; items come after their inputs.

    One with more followers than inputs then moves as far right as they allow: that shortens more than it lengthens.
    """
    layer: list[int] = []
    nearest: list[int | None] = [None] * len(inputs)
    followers = [0] * len(inputs)
    for others in inputs:
        layer.append(1 + max((layer[other] for other in others), default=-1))
        for other in others:
            followers[other] += 1
    for item in range(len(inputs) - 1, -1, -1):
        near = nearest[item]
        if near is not None and followers[item] > len(inputs[item]):
            layer[item] = near - 1
        for other in inputs[item]:
            known = nearest[other]
            nearest[other] = layer[item] if known is None else min(known, layer[item])
    return layer


def _reach(inputs: Sequence[Sequence[int]], layer: Sequence[int]) -> list[int]:
    """For each item the last layer before its farthest follower; its own layer if it has none."""
    reach = list(layer)
    for item, others in enumerate(inputs):
        for other in others:
            reach[other] = max(reach[other], layer[item] - 1)
    return reach


def _isotonic(wished: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The values nearest to the wished ones that never fall (least squares; pool adjacent violators)."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(wished, weights, strict=True):
        count = 1
        while pools and pools[-1][0] > value:
            other, other_weight, other_count = pools.pop()
            value = (value * weight + other * other_weight) / (weight + other_weight)
            weight += other_weight
            count += other_count
        pools.append((value, weight, count))
    return [value for value, _, count in pools for _ in range(count)]
