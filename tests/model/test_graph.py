"""Graphs: closure, cycles, readiness, and a drawing whose boxes stay apart and whose edges go round them."""

from __future__ import annotations

import random
from itertools import combinations, islice, pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microflow.errors import DefinitionError
from microflow.model.crossings import untangled
from microflow.model.graph import Readiness, closure, cycles
from microflow.model.layout import Box, Edge, Layout, Sizes, layout

Graph = dict[str, list[str]]

DIAMOND: Graph = {"report": ["a", "b"], "a": ["source"], "b": ["source"], "source": [], "other": ["source"]}
LONG = 5_000
CHAIN: Graph = {f"n{index}": [f"n{index - 1}"] if index else [] for index in range(LONG)}


def steadily(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


@st.composite
def dags(draw: st.DrawFn, most: int = 25) -> Graph:
    """A DAG whose names are declared in any order; an input may be declared twice."""
    count = draw(st.integers(1, most))
    inputs = {
        f"n{index}": [f"n{draw(st.integers(0, index - 1))}" for _ in range(draw(st.integers(0, 3)))] if index else []
        for index in range(count)
    }
    return {name: inputs[name] for name in draw(st.permutations(sorted(inputs)))}


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    names = [f"n{index}" for index in range(draw(st.integers(1, 8)))]
    return {name: draw(st.lists(st.sampled_from(names), max_size=3)) for name in names}


def needed(targets: list[str], graph: Graph) -> set[str]:
    found: set[str] = set()
    rest = list(targets)
    while rest:
        name = rest.pop()
        if name not in found:
            found.add(name)
            rest += graph[name]
    return found


# Closure


def test_closure_is_what_is_needed_each_after_its_inputs() -> None:
    assert closure(["report"], DIAMOND) == ["source", "a", "b", "report"]
    assert closure(["b", "source", "b"], DIAMOND) == ["source", "b"]
    assert closure([], DIAMOND) == []
    assert closure(["unknown"], DIAMOND) == ["unknown"]


@steadily(150)
@given(graph=dags(), data=st.data())
def test_closure_of_any_dag(graph: Graph, data: st.DataObject) -> None:
    targets = data.draw(st.lists(st.sampled_from(sorted(graph)), max_size=5))
    order = closure(targets, graph)
    assert len(order) == len(set(order))
    assert set(order) == needed(targets, graph)
    position = {name: index for index, name in enumerate(order)}
    assert all(position[other] < position[name] for name in order for other in graph[name])
    assert closure(targets, graph) == order


def test_a_long_chain_is_no_recursion() -> None:
    assert closure([f"n{LONG - 1}"], CHAIN) == [f"n{index}" for index in range(LONG)]
    assert cycles(CHAIN) == []
    ring = CHAIN | {"n0": [f"n{LONG - 1}"]}
    (path,) = cycles(ring)
    assert len(path) == LONG + 1
    with pytest.raises(DefinitionError, match="form a cycle"):
        closure(["n7"], ring)


def test_closure_names_the_cycle_it_meets() -> None:
    with pytest.raises(DefinitionError, match=r"The inputs form a cycle: b -> c -> b\. Drop one"):
        closure(["a"], {"a": ["b"], "b": ["c"], "c": ["b"]})


# Cycles


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (DIAMOND, []),
        ({"a": ["a"]}, [["a", "a"]]),
        ({"a": ["b"], "b": ["a"]}, [["a", "b", "a"]]),
        ({"x": ["a"], "a": ["b"], "b": ["c"], "c": ["a", "y"], "y": []}, [["a", "b", "c", "a"]]),
        ({"a": ["b", "c"], "b": ["c"], "c": ["a"]}, [["a", "c", "a"]]),  # the shorter way round
        ({"b": ["c"], "c": ["b"], "a": ["b", "a"]}, [["b", "c", "b"], ["a", "a"]]),
        ({"a": ["elsewhere"]}, []),
    ],
)
def test_cycles(graph: Graph, expected: list[list[str]]) -> None:
    assert cycles(graph) == expected


@steadily(300)
@given(graph=graphs())
def test_every_knot_is_reported_once_by_a_path_round_it(graph: Graph) -> None:
    found = cycles(graph)
    reach = {name: needed(graph[name], graph) for name in graph}
    knots = {frozenset(other for other in reach[name] if name in reach[other]) for name in graph if name in reach[name]}
    assert len(found) == len(knots)
    for path in found:
        assert path[0] == path[-1]
        assert len(set(path)) == len(path) - 1
        assert all(other in graph[name] for name, other in pairwise(path))
        assert any(set(path) <= knot for knot in knots)
    assert (found == []) == (not any(name in reach[name] for name in graph))


@steadily(100)
@given(graph=dags())
def test_a_dag_has_no_cycle(graph: Graph) -> None:
    assert cycles(graph) == []


# Readiness


def test_a_name_is_ready_the_moment_its_own_inputs_ended() -> None:
    graph: Graph = {"slow": [], "quick": [], "after_quick": ["quick"], "after_both": ["quick", "slow", "quick"]}
    run = Readiness(closure(graph, graph), graph)
    assert run.ready() == ["slow", "quick"]
    assert run.done("quick") == ["after_quick"]  # although slow, of the same level, still runs
    assert run.done("after_quick") == []
    assert run.remaining == 2
    assert run.done("slow") == ["after_both"]
    assert run.done("after_both") == []
    assert run.remaining == 0


def test_inputs_that_are_not_of_the_run_count_as_ended() -> None:
    assert Readiness(["report"], DIAMOND).ready() == ["report"]


@pytest.mark.parametrize("node", ["report", "elsewhere"])
def test_what_can_not_have_ended_is_refused(node: str) -> None:
    run = Readiness(closure(DIAMOND, DIAMOND), DIAMOND)
    with pytest.raises(ValueError, match=f"'{node}' can't have ended"):
        run.done(node)
    run.done("source")
    with pytest.raises(ValueError, match="ended before"):
        run.done("source")


@steadily(150)
@given(graph=dags(), seed=st.integers(0, 2**16))
def test_readiness_of_any_dag_in_any_order_of_ends(graph: Graph, seed: int) -> None:
    chance = random.Random(seed)
    nodes = closure(graph, graph)
    run = Readiness(nodes, graph)
    running, ended = run.ready(), set[str]()
    started = list(running)
    while running:
        node = running.pop(chance.randrange(len(running)))
        ended.add(node)
        following = run.done(node)
        assert following == [name for name in nodes if name not in started and set(graph[name]) <= ended]
        running += following
        started += following
    assert sorted(started) == sorted(graph)
    assert run.remaining == 0


# Layout


def overlapping(boxes: tuple[Box, ...]) -> list[tuple[str, str]]:
    return [
        (one.name, other.name)
        for index, one in enumerate(boxes)
        for other in boxes[index + 1 :]
        if one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    ]


def along(edge: Edge) -> list[tuple[float, float]]:
    """Points along the curve: nine on each of its Bézier pieces."""
    found = []
    for index in range(0, len(edge.points) - 1, 3):
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = edge.points[index : index + 4]
        for step in range(9):
            t = step / 8
            a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
            found.append((a * ax + b * bx + c * cx + d * dx, a * ay + b * by + c * cy + d * dy))
    return found


def assert_is_a_good_drawing(drawn: Layout, graph: Graph) -> None:
    assert [box.name for box in drawn.boxes] == list(graph)
    assert overlapping(drawn.boxes) == []
    boxes = {box.name: box for box in drawn.boxes}
    assert all(box.x >= 0 and box.x + box.width <= drawn.width for box in drawn.boxes)
    assert all(box.y >= 0 and box.y + box.height <= drawn.height for box in drawn.boxes)
    wanted = {(other, name) for name, others in graph.items() for other in others}
    assert len(drawn.edges) == len(wanted)
    assert {(edge.source, edge.target) for edge in drawn.edges} == wanted
    for edge in drawn.edges:
        source, target = boxes[edge.source], boxes[edge.target]
        assert source.layer < target.layer
        assert edge.points[0] == pytest.approx((source.x + source.width, source.y + source.height / 2))
        assert edge.points[-1] == pytest.approx((target.x, target.y + target.height / 2))
        assert len(edge.points) % 3 == 1
        for x, y in along(edge):
            assert 0 <= x <= drawn.width
            assert 0 <= y <= drawn.height
            through = [box.name for box in drawn.boxes if _is_inside(x, y, box)]
            assert through == [], f"{edge.source} -> {edge.target} runs through {through}"


def _is_inside(x: float, y: float, box: Box) -> bool:
    return box.x + 0.01 < x < box.x + box.width - 0.01 and box.y < y < box.y + box.height


@steadily(80)
@given(graph=dags())
def test_any_dag_is_drawn_well(graph: Graph) -> None:
    drawn = layout(graph, graph)
    assert_is_a_good_drawing(drawn, graph)
    assert layout(graph, graph) == drawn


def random_dag(count: int, reach: int, seed: int) -> Graph:
    chance = random.Random(seed)
    return {
        f"n{index}": [f"n{chance.randrange(max(0, index - reach), index)}" for _ in range(chance.randint(0, 2))]
        if index
        else []
        for index in range(count)
    }


@pytest.mark.parametrize(("count", "reach"), [(300, 20), (120, 120)])
def test_many_jobs_are_drawn_well(count: int, reach: int) -> None:
    graph = random_dag(count, reach, seed=7)
    assert_is_a_good_drawing(layout(graph, graph), graph)


def crossings(columns: list[list[int]], edges: list[tuple[int, int]]) -> int:
    """How many pairs of edges between two neighbouring columns cross, counted pair by pair."""
    place = {item: (number, index) for number, column in enumerate(columns) for index, item in enumerate(column)}
    return sum(
        (place[one][1] - place[other][1]) * (place[one_end][1] - place[other_end][1]) < 0
        for (one, one_end), (other, other_end) in combinations(edges, 2)
        if place[one][0] == place[other][0]
    )


@steadily(60)
@given(layers=st.lists(st.integers(1, 6), min_size=2, max_size=4), seed=st.integers(0, 10_000))
def test_no_two_neighbours_of_a_column_would_cross_less_the_other_way_round(layers: list[int], seed: int) -> None:
    chance, items = random.Random(seed), iter(range(100))
    columns = [list(islice(items, count)) for count in layers]
    edges = [pair for one, other in pairwise(columns) for pair in product(one, other) if chance.random() < 0.4]
    left: list[list[int]] = [[] for _ in range(sum(layers))]
    right: list[list[int]] = [[] for _ in range(sum(layers))]
    for one, other in edges:
        right[one].append(other)
        left[other].append(one)
    given_order = [list(column) for column in columns]

    found = untangled(columns, left, right)

    assert [sorted(column) for column in found] == given_order
    fewest = crossings(found, edges)
    assert fewest <= crossings(given_order, edges)
    for column in found:
        for index in range(len(column) - 1):
            column[index], column[index + 1] = column[index + 1], column[index]
            assert crossings(found, edges) >= fewest
            column[index], column[index + 1] = column[index + 1], column[index]


def test_where_edges_climb_steeply_the_gap_is_wider() -> None:
    graph: Graph = {"a": [], "b": ["a"], **{f"end{index}": ["b"] for index in range(40)}}
    drawn = layout(graph, graph)
    assert_is_a_good_drawing(drawn, graph)
    columns = sorted({box.x for box in drawn.boxes})
    level, steep = (right - left - 180 for left, right in pairwise(columns))
    assert level == 72 < steep <= 4 * 72


def test_an_edge_over_several_layers_goes_round_the_boxes_between() -> None:
    graph: Graph = {"a": [], "b": ["a"], "c": ["b"], "d": ["c", "a"]}
    drawn = layout(graph, graph)
    assert_is_a_good_drawing(drawn, graph)
    assert [box.layer for box in drawn.boxes] == [0, 1, 2, 3]


def test_a_fan_crosses_nothing() -> None:
    graph: Graph = {"start": [], **{f"part{index}": ["start"] for index in range(6)}}
    graph |= {f"end{index}": [f"part{5 - index}"] for index in range(6)}
    drawn = layout(graph, graph)
    assert_is_a_good_drawing(drawn, graph)
    ends = {
        edge.target: (edge.points[0][1], edge.points[-1][1]) for edge in drawn.edges if edge.target.startswith("end")
    }
    assert sorted(ends, key=lambda name: ends[name][0]) == sorted(ends, key=lambda name: ends[name][1])


def test_a_chain_is_a_straight_line() -> None:
    graph: Graph = {"a": [], "b": ["a"], "c": ["b"]}
    drawn = layout(graph, graph)
    assert len({box.y for box in drawn.boxes}) == 1
    assert drawn.width == 3 * 180 + 2 * 72 + 2 * 16
    assert drawn.height == 44 + 2 * 16
    assert drawn.edges[0].path == "M196,38 C232,38 232,38 268,38"


def test_a_source_stands_next_to_what_needs_it() -> None:
    graph: Graph = {"a": [], "b": ["a"], "c": ["b"], "late": [], "d": ["c", "late"]}
    assert {box.name: box.layer for box in layout(graph, graph).boxes}["late"] == 2


def test_parts_without_connection_and_names_without_edges_stand_apart() -> None:
    graph: Graph = {"alone": [], "b": ["a"], "a": [], "d": ["c"], "c": [], "lonely": []}
    drawn = layout(graph, graph)
    assert_is_a_good_drawing(drawn, graph)
    top = {box.name: box.y for box in drawn.boxes}
    assert top["a"] == top["b"] < top["c"] == top["d"] < top["alone"] == top["lonely"]


def test_many_names_without_edges_are_a_grid_about_as_wide_as_a_screen() -> None:
    graph: Graph = {f"n{index}": [] for index in range(300)}
    drawn = layout(graph, graph)
    assert_is_a_good_drawing(drawn, graph)
    assert 1 < drawn.width / drawn.height < 2.5


def test_nothing_is_drawn_as_nothing() -> None:
    assert layout([], {}) == Layout((), (), 32, 32)


def test_only_what_is_named_is_drawn_in_the_sizes_given() -> None:
    sizes = Sizes(box_width=10, box_height=6, layer_gap=4, box_gap=2, margin=1)
    drawn = layout(["report", "a"], DIAMOND, sizes)
    assert [(edge.source, edge.target) for edge in drawn.edges] == [("a", "report")]
    assert drawn.boxes == (Box("report", 15, 1, 10, 6, 1), Box("a", 1, 1, 10, 6, 0))
    assert (drawn.width, drawn.height) == (26, 8)


def test_edges_by_the_thousand_part_from_one_another() -> None:
    names = [f"n{index}" for index in range(90)]
    graph: Graph = {name: names[:index] for index, name in enumerate(names)}
    drawn = layout(graph, graph)
    assert sum(len(edge.points) for edge in drawn.edges) < 100_000
    assert len(drawn.edges) == 90 * 89 // 2
    assert overlapping(drawn.boxes) == []


def test_a_cycle_can_not_be_drawn() -> None:
    with pytest.raises(DefinitionError, match="a -> b -> a"):
        layout(["a", "b"], {"a": ["b"], "b": ["a"]})
