"""A DAG as a picture: where each job is drawn and what is said of it, as values that a template writes as SVG.

Names come from the definitions, statuses from executions. A place depends on the graph alone, so that a live picture
changes its marks and words and nothing moves. A live page is drawn again and again, so what never changes (places, the
widths of names) is kept: memos of pure functions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple
from unicodedata import east_asian_width

import msgspec

from ...model.graph import closure
from ...model.layout import Edge, Layout, Sizes, lanes_of, layout
from ...model.results import ExecutionStatus

MOST_DRAWN, MOST_LINES, MOST_LANES = 1_000, 10_000, 40_000
"""With more jobs than these, more inputs, or more layers for inputs to pass, there is a table: nobody could read the picture."""

NARROWEST, WIDEST, HEIGHT = 132.0, 216.0, 46.0
"""A box: as wide as the longest name needs, within these bounds, and so high; in pixels at 100 %."""

_AROUND_LABEL = 52.0
"""Pixels of a box that its name can't use: the mark on its left, and the room on its right."""

_FONT = 13.0

_NARROW, _WIDE = frozenset("iIjl.,:;|!'`()[]{}tfr1- "), frozenset("mwMWQOGD@%&")


class Shown(NamedTuple):
    """What a picture says of a job: its execution (0: none), that one's status ("" if none), and a word or two."""

    execution: int
    status: str
    note: str


class Node(msgspec.Struct, frozen=True):
    """A job in a picture. ``number`` is what edges name it by, ``label`` its name as far as the box has room.

    ``inputs`` and ``followers`` are the names of its neighbours in the picture; ``is_here``: the page is about this job.
    """

    number: int
    job: str
    kind: str
    label: str
    x: float
    y: float
    shown: Shown
    inputs: tuple[str, ...]
    followers: tuple[str, ...]
    is_here: bool

    @property
    def is_cut(self) -> bool:
        """Whether the box has no room for the whole name."""
        return self.label != self.job

    @property
    def text(self) -> str:
        """The node in words, for those who do not see it."""
        execution = f", execution {self.shown.execution}" if self.shown.execution else ""
        return f"{self.job}, {self.kind}, {self.shown.note}{execution}"


class Line(NamedTuple):
    """An edge: the numbers of its two nodes and its way as an SVG path."""

    source: int
    target: int
    path: str


class Picture(msgspec.Struct, frozen=True):
    """A drawn DAG. ``nodes`` are in reading order: part by part, by columns from the left, downwards.

    ``alone`` are the jobs that nothing connects, which are listed and not drawn. ``is_drawn`` is false for a DAG that is
    too large for a picture; its nodes are there for the table.
    """

    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]
    alone: tuple[Node, ...]
    width: float
    height: float
    box_width: float
    is_drawn: bool

    @property
    def counts(self) -> list[tuple[str, str, int]]:
        """(status, word, how many) of the drawn jobs, in the order of the statuses; without one the word is the note."""
        counted = Counter((node.shown.status, node.shown.status or node.shown.note) for node in self.nodes)
        order = ["", *map(str, ExecutionStatus)]
        return [(*key, counted[key]) for key in sorted(counted, key=lambda key: order.index(key[0]))]


def picture(
    inputs_of: Mapping[str, Sequence[str]],
    kinds: Mapping[str, str],
    shown: Mapping[str, Shown],
    *,
    here: str = "",
    kept: Iterable[str] = (),
) -> Picture:
    """The picture of a graph of jobs. ``kept`` are drawn even if nothing connects them. Errors as for ``layout``."""
    names = set(inputs_of)
    inputs = {name: tuple(other for other in given if other in names) for name, given in inputs_of.items()}
    followers: dict[str, list[str]] = {name: [] for name in inputs}
    for name, given in inputs.items():
        for other in dict.fromkeys(given):
            followers[other].append(name)
    keep = set(kept)
    joined = [name for name in inputs if inputs[name] or followers[name] or name in keep]
    is_small = len(joined) <= MOST_DRAWN and sum(map(len, inputs.values())) <= MOST_LINES
    box_width = min(max(max(map(_text_width, joined), default=0.0) + _AROUND_LABEL, NARROWEST), WIDEST)
    graph = tuple((name, inputs[name]) for name in joined)
    found = _drawn(graph, round(box_width)) if is_small else None
    drawn, order = found or (_NOTHING, tuple(closure(joined, inputs)))
    places = {box.name: (box.x, box.y) for box in drawn.boxes}
    numbers = {name: number for number, name in enumerate(order)}

    def node(name: str) -> Node:
        x, y = places.get(name, (0.0, 0.0))
        return Node(
            numbers.get(name, 0),
            name,
            kinds.get(name, "job"),
            shortened(name, box_width - _AROUND_LABEL),
            round(x, 1),
            round(y, 1),
            shown[name],
            inputs[name],
            tuple(followers[name]),
            name == here,
        )

    return Picture(
        tuple(node(name) for name in order),
        tuple(Line(numbers[edge.source], numbers[edge.target], edge.path) for edge in drawn.edges),
        tuple(node(name) for name in inputs if name not in numbers),
        round(drawn.width),
        round(drawn.height),
        round(box_width),
        found is not None,
    )


def around(job: str, inputs_of: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The part of a graph that a job belongs to: all it needs, itself, and those that declare it as their input."""
    following = [name for name, given in inputs_of.items() if job in given]
    return {name: list(inputs_of.get(name, ())) for name in [*closure([job], inputs_of), *following]}


@lru_cache(maxsize=4096)
def shortened(text: str, width: float) -> str:
    """A text as far as so many pixels have room for it, cut in the middle: names differ at both ends."""
    if _text_width(text) <= width:
        return text
    room = width - _text_width("…")
    kept = 0
    while kept < len(text):  # from both ends inwards, so that no more is looked at than is kept
        letter = text[kept // 2] if kept % 2 == 0 else text[-1 - kept // 2]
        room -= _letter_width(letter) * _FONT
        if room < 0:
            break
        kept += 1
    kept = max(kept, 2)
    return f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"


@lru_cache(maxsize=4096)
def _text_width(text: str) -> float:
    """Pixels that a text takes, by and large: the server does not know the reader's font, so rather too many."""
    return sum(map(_letter_width, text)) * _FONT


def _letter_width(letter: str) -> float:
    if letter in _NARROW:
        return 0.36
    if letter in _WIDE:
        return 0.84
    if east_asian_width(letter) in "WF":
        return 1.0
    return 0.68 if letter.isupper() else 0.58


_NOTHING = Layout((), (), 0, 0)


@lru_cache(maxsize=64)
def _drawn(graph: tuple[tuple[str, tuple[str, ...]], ...], box_width: float) -> tuple[Layout, tuple[str, ...]] | None:
    """The layout of a graph, and its names in reading order; None if its inputs pass too many layers to be drawn."""
    if lanes_of([name for name, _ in graph], dict(graph)) > MOST_LANES:
        return None
    sizes = Sizes(box_width=box_width, box_height=HEIGHT, layer_gap=56, box_gap=18, lane_gap=10, margin=12)
    drawn = layout([name for name, _ in graph], dict(graph), sizes)
    part_of = _parts([name for name, _ in graph], drawn.edges)
    boxes = sorted(drawn.boxes, key=lambda box: (part_of[box.name], box.x, box.y))
    return drawn, tuple(box.name for box in boxes)


def _parts(names: Sequence[str], edges: Iterable[Edge]) -> dict[str, int]:
    """For each name the number of the connected part it belongs to, in the order of their first names."""
    neighbours: dict[str, list[str]] = {name: [] for name in names}
    for edge in edges:
        neighbours[edge.source].append(edge.target)
        neighbours[edge.target].append(edge.source)
    part_of: dict[str, int] = {}
    for number, name in enumerate(names):
        reached = [] if name in part_of else [name]
        for one in reached:  # grows while it is read: a queue
            if one not in part_of:
                part_of[one] = number
                reached += neighbours[one]
    return part_of
