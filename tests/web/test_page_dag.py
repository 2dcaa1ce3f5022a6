"""DAGs as pictures: of a flow, around a job, of a run; what each node says, where it leads, and the same as a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from microflow import Flow, Schedule, create_flow
from microflow.engine.engine import Engine
from microflow.web.pages.dag_view import MOST_DRAWN, Shown, around, picture, shortened


class Node(NamedTuple):
    """A node of a picture as the page has it."""

    look: list[str]
    href: str
    label: str
    text: str
    title: str


def nodes(html: str) -> dict[str, Node]:
    """The nodes of the page's picture, by job, in the order of the page."""
    found = {}
    for attributes, inside in re.findall(r'<a class="(node[^>]*)>(.*?)</a>', html, re.DOTALL):
        given = dict(re.findall(r'([\w-]+)="([^"]*)"', f'class="{attributes}'))
        words = [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", inside)]
        title = re.search(r"<title>([^<]*)</title>", inside)
        job = unescape(given["aria-label"]).split(",")[0]
        found[job] = Node(given["class"].split()[1:], given["href"], words[0], words[1], title[1] if title else "")
    return found


def edges(html: str) -> set[tuple[str, str]]:
    """(input, job) of every line of the picture."""
    numbered = {
        number: unescape(label).split(",")[0]
        for number, label in re.findall(r'data-node="(\d+)"[^>]*aria-label="([^"]*)"', html)
    }
    lines = re.findall(r'class="edge" data-from="(\d+)" data-to="(\d+)" d="M[\d.,]+ C', html)
    return {(numbered[source], numbered[target]) for source, target in lines}


def words(html: str) -> str:
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", html.partition("<main")[2]).split()))


NIGHTLY = "0 2 * * *"


def bakery(gate: Any) -> Flow:
    """Flour and yeast become dough, dough becomes bread; the till and the window have nothing to do with it."""
    flow = create_flow("bakery")

    @flow.task(runner="thread")
    def buy_flour() -> dict[str, Any]:
        return {"kilograms": 5}

    @flow.task(runner="thread")
    def buy_yeast() -> None:
        return None

    @flow.task(runner="thread", inputs=[buy_flour, buy_yeast])
    def knead(flour: Any, yeast: Any) -> dict[str, Any]:
        gate.wait()
        return {"loaves": 12}

    @flow.manager(inputs=[knead])
    def bake_what_is_wanted_in_the_morning(dough: Any) -> dict[str, Any]:
        raise RuntimeError("the oven is cold")

    @flow.task(runner="thread", inputs=[knead, bake_what_is_wanted_in_the_morning])
    def sell(dough: Any, bread: Any) -> dict[str, Any]:
        return {}

    @flow.task(runner="thread", inputs=[sell])
    def close_shop() -> dict[str, Any]:
        return {}

    @flow.task(runner="thread")
    def count_till() -> dict[str, Any]:
        return {}

    opening = Schedule(NIGHTLY, name="opening")
    flow.task(runner="thread", schedule=opening, name="wash_window")(lambda: {})
    flow.task(runner="thread", schedule=opening, name="light_sign")(lambda: {})
    return flow


@pytest.fixture
def engine(tmp_path: Path, gate: Any) -> Iterator[Engine]:
    engine = Engine([bakery(gate)], store=f"sqlite:///{tmp_path}/bakery.db")
    engine.start()
    yield engine
    gate.opened.set()
    engine.stop(grace=30)


def test_a_flow_that_is_not_there_has_no_dag(client: Any) -> None:
    answer = client.get("/flows/backery/dag")
    assert answer.status == 404
    assert "There is no flow &#39;backery&#39; here." in answer.text


def test_the_dag_of_a_flow_has_a_node_for_each_job_and_a_line_for_each_input(client: Any) -> None:
    answer = client.get("/flows/bakery/dag")
    assert answer.status == 200
    found = nodes(answer.text)
    baking = "bake_what_is_wanted_in_the_morning"
    assert list(found) == ["buy_flour", "buy_yeast", "knead", baking, "sell", "close_shop"]
    assert found["knead"] == Node(["task", "none"], "/jobs/bakery/knead", "knead", "task · never run", "")
    assert found[baking].look == ["manager", "none"]
    assert edges(answer.text) == {
        ("buy_flour", "knead"),
        ("buy_yeast", "knead"),
        ("knead", baking),
        ("knead", "sell"),
        (baking, "sell"),
        ("sell", "close_shop"),
    }
    assert "6 jobs and 6 declared inputs" in words(answer.text)


def test_a_long_name_is_cut_in_the_middle_and_whole_in_its_title(client: Any) -> None:
    node = nodes(client.get("/flows/bakery/dag").text)["bake_what_is_wanted_in_the_morning"]
    assert node.label.startswith("bake_what")
    assert "…" in node.label
    assert node.label.endswith("morning")
    assert node.title == "bake_what_is_wanted_in_the_morning"


def test_jobs_that_nothing_connects_are_listed_apart(client: Any) -> None:
    html = client.get("/flows/bakery/dag").text
    apart = html[html.index('id="alone"') : html.index('id="inputs"')]
    assert re.findall(r'data-key="alone-(\w+)"', apart) == ["count_till", "wash_window", "light_sign"]
    assert "count_till" not in nodes(html)


def test_the_dag_is_there_as_a_table_too(client: Any) -> None:
    html = client.get("/flows/bakery/dag").text
    table = words("<main" + html[html.index('aria-label="Jobs and their inputs"') :].replace("<wbr>", ""))
    assert "knead task never run buy_flour , buy_yeast bake_what_is_wanted_in_the_morning , sell" in table
    assert "close_shop task never run sell none" in table


def test_a_node_has_the_status_of_its_jobs_newest_execution(client: Any, engine: Engine, gate: Any) -> None:
    engine.submit(engine.job("bakery", "buy_flour")).future.result(60)
    engine.submit(engine.job("bakery", "buy_yeast")).future.result(60)
    held = engine.submit(engine.job("bakery", "knead"), [{}, {}])
    assert gate.reached.wait(60)
    html = client.get("/flows/bakery/dag").text
    found = nodes(html)
    assert [found[name].text for name in ("buy_flour", "buy_yeast", "knead", "sell")] == [
        "task · success",
        "task · skipped",
        "task · running",
        "task · never run",
    ]
    assert found["knead"].look == ["task", "running"]
    assert f'href="/executions/{held.id}"' in html  # in the table
    assert "3 never run 1 running 1 success 1 skipped" in words(html)
    assert 'data-live="flow:bakery"' in html


def test_a_run_of_a_dag_is_no_execution_of_its_target(client: Any, engine: Engine, gate: Any) -> None:
    engine.submit(engine.job("bakery", "knead"), with_inputs=True)
    assert gate.reached.wait(60)
    gate.opened.set()
    html = client.get("/jobs/bakery/bake_what_is_wanted_in_the_morning").text
    assert nodes(html)["bake_what_is_wanted_in_the_morning"].text == "manager · never run"


def test_a_picture_needs_no_style_of_its_own(client: Any) -> None:
    html = client.get("/flows/bakery/dag").text
    assert "style=" not in html
    assert "<style" not in html


def test_a_flow_with_a_small_dag_shows_it_on_its_own_page(client: Any) -> None:
    html = client.get("/flows/bakery").text
    assert len(nodes(html)) == 6
    assert 'href="/flows/bakery/dag"' in html


def test_a_flow_with_a_large_dag_leads_to_it(make_client: Any, tmp_path: Path) -> None:
    flow = create_flow("long")
    jobs: list[Any] = []
    for number in range(50):
        add = flow.task(runner="thread", name=f"step_{number}", inputs=jobs[-1:])
        jobs.append(add(lambda: {}))
    with_engine = Engine([flow], store=f"sqlite:///{tmp_path}/long.db")
    with_engine.start()
    try:
        client = make_client(with_engine)
        html = client.get("/flows/long").text
        assert nodes(html) == {}
        assert 'href="/flows/long/dag"' in html
        assert len(nodes(client.get("/flows/long/dag").text)) == 50
    finally:
        with_engine.stop(grace=0)


def test_a_flow_without_declared_inputs_says_that_it_has_no_dag(make_client: Any, tmp_path: Path) -> None:
    flow = create_flow("loose")
    flow.task(runner="thread", name="one")(lambda: {})
    engine = Engine([flow], store=f"sqlite:///{tmp_path}/loose.db")
    engine.start()
    try:
        client = make_client(engine)
        assert "There is no DAG" in client.get("/flows/loose/dag").text
        assert "/flows/loose/dag" not in client.get("/flows/loose").text
    finally:
        engine.stop(grace=0)


def test_a_job_shows_all_it_needs_and_what_follows_it_directly(client: Any) -> None:
    found = nodes(client.get("/jobs/bakery/knead").text)
    assert sorted(found) == ["bake_what_is_wanted_in_the_morning", "buy_flour", "buy_yeast", "knead", "sell"]
    assert found["knead"].look == ["task", "none", "here"]
    assert [name for name, node in found.items() if "here" in node.look] == ["knead"]


def test_a_job_that_stands_alone_shows_no_picture(client: Any) -> None:
    html = client.get("/jobs/bakery/count_till").text
    assert nodes(html) == {}
    assert "Inputs and followers" not in html


def test_a_run_shows_what_became_of_each_job_and_leads_to_its_executions(
    client: Any, engine: Engine, gate: Any
) -> None:
    run = engine.submit(engine.job("bakery", "sell"), with_inputs=True)
    assert gate.reached.wait(60)
    html = client.get(f"/executions/{run.id}").text
    found = nodes(html)
    assert found["buy_yeast"].text.startswith("task · skipped, ")
    assert found["knead"].look == ["task", "running"]
    assert found["sell"] == Node(["task", "none"], "/jobs/bakery/sell", "sell", "task · not yet", "")
    assert "close_shop" not in found
    assert f'id="dag-scene" data-live="tree:{run.id}"' in html

    gate.opened.set()
    run.future.result(60)
    found = nodes(client.get(f"/executions/{run.id}").text)
    assert found["knead"].text.startswith("task · success, ")
    assert found["bake_what_is_wanted_in_the_morning"].look == ["manager", "error"]
    assert found["sell"].look == ["task", "error"]
    executions = {item["job"]: item["id"] for item in client.get(f"/api/executions?parent={run.id}").json["items"]}
    assert {name: node.href for name, node in found.items()} == {
        name: f"/executions/{id_}" for name, id_ in executions.items()
    }


def test_what_a_cancelled_run_never_came_to_is_not_run(client: Any, engine: Engine, gate: Any) -> None:
    run = engine.submit(engine.job("bakery", "close_shop"), with_inputs=True)
    assert gate.reached.wait(60)
    engine.cancel(run.id)
    gate.opened.set()
    run.future.result(60)
    assert nodes(client.get(f"/executions/{run.id}").text)["close_shop"].text == "task · not run"


def test_a_run_of_a_schedule_shows_all_its_jobs_connected_or_not(client: Any, engine: Engine) -> None:
    run = engine.run_schedule("bakery", "opening")
    run.future.result(60)
    html = client.get(f"/executions/{run.id}").text
    assert {name: node.look for name, node in nodes(html).items()} == {
        "wash_window": ["task", "success"],
        "light_sign": ["task", "success"],
    }


def test_an_execution_that_is_no_run_of_a_dag_shows_no_picture(client: Any, engine: Engine) -> None:
    once = engine.submit(engine.job("bakery", "count_till"))
    once.future.result(60)
    assert nodes(client.get(f"/executions/{once.id}").text) == {}


# The picture itself


def drawn(inputs_of: dict[str, list[str]], **arguments: Any) -> Any:
    return picture(inputs_of, {}, {name: Shown(0, "", "never run") for name in inputs_of}, **arguments)


def test_nodes_are_read_part_by_part_and_from_left_to_right() -> None:
    graph = {"b2": ["b1"], "a2": ["a1"], "b1": [], "a1": [], "a3": ["a2"]}
    assert [node.job for node in drawn(graph).nodes] == ["b1", "b2", "a1", "a2", "a3"]


def test_an_input_declared_twice_is_one_line() -> None:
    found = drawn({"a": [], "b": ["a", "a"]})
    assert len(found.lines) == 1
    assert found.nodes[0].followers == ("b",)


def test_a_box_is_as_wide_as_its_names_need_within_bounds() -> None:
    assert drawn({"a": [], "b": ["a"]}).box_width == 132
    assert drawn({"a": [], "name " * 40: ["a"]}).box_width == 216
    middling = drawn({"a": [], "a_name_of_some_length": ["a"]})
    assert 132 < middling.box_width < 216
    assert not any(node.is_cut for node in middling.nodes)


def test_more_jobs_than_anybody_could_see_are_a_table() -> None:
    graph = {"start": [], **{f"end_{number}": ["start"] for number in range(MOST_DRAWN)}}
    found = drawn(graph)
    assert not found.is_drawn
    assert len(found.nodes) == MOST_DRAWN + 1
    assert found.lines == ()


def test_more_lines_than_anybody_could_follow_are_a_table() -> None:
    sources = [f"source_{number}" for number in range(101)]
    graph = {**{name: [] for name in sources}, **{f"end_{number}": sources for number in range(101)}}
    assert not drawn(graph).is_drawn
    del graph["end_0"], graph["end_1"], graph["end_2"]
    assert len(drawn(graph).lines) == 101 * 98


def test_around_a_job_is_what_it_needs_and_what_follows_at_once() -> None:
    graph = {"a": [], "b": ["a"], "c": ["b"], "d": ["c"], "e": ["b", "d"], "other": []}
    assert around("c", graph) == {"a": [], "b": ["a"], "c": ["b"], "d": ["c"]}
    assert list(around("b", graph)) == ["a", "b", "c", "e"]


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [("short", 100, "short"), ("a" * 40, 60, "aaa…aaa"), ("負荷試験の準備をする", 60, "負荷…する")],
)
def test_a_name_is_shortened_to_the_room_there_is(text: str, width: float, shown: str) -> None:
    assert shortened(text, width) == shown
