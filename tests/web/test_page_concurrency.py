"""The page of limits: slots, who holds them, who waits in which order, since when and why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from microflow import ConcurrencyGroup, Flow, create_flow
from microflow.engine.engine import Engine

oven_limit = ConcurrencyGroup(max_concurrency=2)
customer_limit = ConcurrencyGroup(key="customer")


def words(html: str) -> str:
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", html.partition("<main")[2]).split()))


def limits(html: str) -> dict[str, str]:
    """What the page says of each limit, in words, by its name and what it is a limit of."""
    parts = re.split(r'<li class="limit', html)[1:]
    found = {}
    for part in parts:
        heading = words("<main" + re.search(r"<h3>(.*?)</h3>", part, re.DOTALL)[1])  # type: ignore[index]
        found[heading.strip("> ")] = words(f'<main class="{part.partition("</li>")[0]}')
    return found


def marks(html: str, heading: str) -> tuple[int, int]:
    """(taken, free) slots as they are drawn for a limit."""
    part = html[html.index(f"<h3>{heading}") :].partition('class="count"')[0]
    return part.count('class="slot taken"'), part.count('class="slot"')


def kitchen(open_door: Event) -> Flow:
    flow = create_flow("kitchen", max_concurrency=8)
    stoves = ConcurrencyGroup(2, name="stoves")

    @flow.task(runner="thread", max_concurrency=stoves)
    def cook(order: dict[str, Any]) -> dict[str, Any]:
        assert open_door.wait(60)
        return {}

    @flow.task(runner="thread", max_concurrency=[stoves, ConcurrencyGroup(1, name="ovens")])
    def bake(order: dict[str, Any]) -> dict[str, Any]:
        return {}

    @flow.task(runner="thread", max_concurrency=ConcurrencyGroup(1, name="tables", key="table"))
    def serve(order: dict[str, Any]) -> dict[str, Any]:
        assert open_door.wait(60)
        return {}

    @flow.manager(max_concurrency=300)
    def greet(guest: dict[str, Any]) -> dict[str, Any]:
        return {}

    return flow


@pytest.fixture
def door() -> Event:
    return Event()


@pytest.fixture
def engine(tmp_path: Path, door: Event) -> Iterator[Engine]:
    engine = Engine([kitchen(door)], store=f"sqlite:///{tmp_path}/kitchen.db")
    engine.start()
    yield engine
    door.set()
    engine.stop(grace=30)


def submit(engine: Engine, job: str, count: int, **order: Any) -> list[int]:
    return [engine.submit(engine.job("kitchen", job), [order]).id for _ in range(count)]


def test_every_limit_is_there_though_nothing_runs(client: Any) -> None:
    answer = client.get("/concurrency")
    assert answer.status == 200
    assert "0 tasks running, none waiting for a slot" in words(answer.text)
    found = limits(answer.text)
    assert list(found) == ["Tasks of the flow", "stoves", "ovens", "greet", "tables for each table"]
    assert "cook , bake 0 of 2 taken" in found["stoves"]
    assert "0 of 8 taken" in found["Tasks of the flow"]
    assert marks(answer.text, "stoves") == (0, 2)
    assert "serve 1 at once" in found["tables for each table"]
    each = client.get("/api/concurrency").json["items"][-1]
    assert (each["kind"], each["name"], each["key"], each["limit"], each["holders"]) == (
        "each",
        "tables",
        "table",
        1,
        [],
    )


def test_a_limit_with_very_many_places_is_one_bar(client: Any) -> None:
    html = client.get("/concurrency").text
    assert marks(html, "greet") == (0, 0)
    assert '<progress max="300" value="0"' in html


def test_who_holds_and_who_waits_is_told_in_order(client: Any, engine: Engine) -> None:
    first, second, third, fourth = submit(engine, "cook", 4)
    html = client.get("/concurrency").text
    told = limits(html)["stoves"]
    assert "2 of 2 taken" in told
    assert "2 waiting" in told
    assert re.search(rf"Holds a slot For cook #{first} .* cook #{second} ", told)
    assert re.search(
        rf"Waits, in this order waits for a slot: the limit of 2 of 'stoves' is reached For 1 cook #{third} ", told
    )
    assert re.search(rf" 2 cook #{fourth} ", told)
    assert marks(html, "stoves") == (2, 0)
    assert "2 tasks running, 2 waiting for a slot" in words(html)
    assert html.count('data-elapsed="') >= 6
    for id_ in (first, second, third, fourth):
        assert f'href="/executions/{id_}"' in html
    assert 'data-live="execution"' in html


def test_one_holder_and_nobody_waiting_is_one_line(client: Any, engine: Engine) -> None:
    (only,) = submit(engine, "cook", 1)
    told = limits(client.get("/concurrency").text)["stoves"]
    assert re.search(rf"1 of 2 taken by cook #{only} for ", told)
    assert "Holds a slot" not in told


def test_a_keyed_group_is_there_for_each_value_in_use(client: Any, engine: Engine, door: Event) -> None:
    (seated, waiting) = submit(engine, "serve", 2, table="window")
    (other,) = submit(engine, "serve", 1, table="corner")
    found = limits(client.get("/concurrency").text)
    assert f"serve #{seated}" in found["tables table 'window'"]
    assert f"1 serve #{waiting}" in found["tables table 'window'"]
    assert f"by serve #{other}" in found["tables table 'corner'"]
    keyed = [limit for limit in client.get("/api/concurrency").json["items"] if limit["kind"] == "key"]
    assert sorted((limit["key"], limit["value"]) for limit in keyed) == [("table", "corner"), ("table", "window")]
    # those with somebody waiting come first
    assert list(found).index("tables table 'window'") < list(found).index("tables table 'corner'")


def test_a_run_key_in_use_is_a_limit_of_one(client: Any, engine: Engine) -> None:
    running, waiting = submit(engine, "cook", 2, run_key="soup")
    told = limits(client.get("/concurrency").text)["cook run key 'soup' one at a time"]
    (limit,) = [limit for limit in client.get("/api/concurrency").json["items"] if limit["kind"] == "run_key"]
    assert (limit["name"], limit["key"], limit["value"]) == ("cook", "run_key", "soup")
    assert "1 of 1 taken" in told
    assert f"cook #{running}" in told
    assert re.search(rf"waits for the execution that runs with run key 'soup' For 1 cook #{waiting} ", told)


def test_what_is_no_longer_in_use_is_gone(client: Any, engine: Engine, door: Event) -> None:
    futures = [engine.submit(engine.job("kitchen", "serve"), [{"table": "bar", "run_key": "nuts"}]).future]
    door.set()
    for future in futures:
        future.result(60)
    assert list(limits(client.get("/concurrency").text)) == [
        "Tasks of the flow",
        "stoves",
        "ovens",
        "greet",
        "tables for each table",
    ]


def test_who_waits_says_which_limit_is_full_now(make_client: Any, tmp_path: Path) -> None:
    flow = create_flow("moves", max_concurrency=2)
    api = ConcurrencyGroup(1, name="api")
    doors = {"first": Event(), "second": Event()}

    @flow.task(runner="thread")
    def other(given: dict[str, Any]) -> dict[str, Any]:
        assert doors["first"].wait(60)
        return {}

    @flow.task(runner="thread", max_concurrency=api)
    def call(given: dict[str, Any]) -> dict[str, Any]:
        assert doors["second"].wait(60)
        return {}

    engine = Engine([flow], store=f"sqlite:///{tmp_path}/moves.db")
    engine.start()
    try:
        client = make_client(engine)
        first, holder, waiter = (engine.submit(job, [{}]) for job in (other, call, call))
        before = client.get(f"/api/executions/{waiter.id}").json["waiting"]
        assert "'moves'" in before["message"]
        doors["first"].set()
        first.future.result(60)

        now = client.get(f"/api/executions/{waiter.id}").json["waiting"]
        assert "the limit of 1 of 'api' is reached" in now["message"]
        assert (now["held_by"], now["since"]) == ([holder.id], before["since"])
        assert "the limit of 1 of 'api' is reached" in limits(client.get("/concurrency").text)["api"]
        assert "the limit of 1 of 'api' is reached" in words(client.get("/executions").text)
    finally:
        doors["first"].set()
        doors["second"].set()
        engine.stop(grace=30)


def test_of_very_many_who_wait_the_first_are_listed(client: Any, engine: Engine) -> None:
    ids = submit(engine, "cook", 30)
    told = limits(client.get("/concurrency").text)["stoves"]
    assert "28 waiting" in told
    assert f"20 cook #{ids[21]} " in told
    assert f"#{ids[22]} " not in told
    assert "and 8 more" in told


def test_what_jobs_and_keys_are_called_is_escaped(make_client: Any, tmp_path: Path, door: Event) -> None:
    flow = create_flow("odd")

    @flow.task(runner="thread", max_concurrency=ConcurrencyGroup(1, name="<b>", key="k"), name="<i>job")
    def job(given: dict[str, Any]) -> dict[str, Any]:
        assert door.wait(60)
        return {}

    engine = Engine([flow], store=f"sqlite:///{tmp_path}/odd.db")
    engine.start()
    try:
        engine.submit(job, [{"k": "<script>"}])
        html = make_client(engine).get("/concurrency").text
        assert "<b>" not in html
        assert "<i>" not in html
        assert "<script>" not in html.partition("<main")[2]
        assert "&lt;script&gt;" in html
    finally:
        door.set()
        engine.stop(grace=30)


def test_a_group_without_a_name_shows_under_that_of_its_variable(make_client: Any, tmp_path: Path) -> None:
    flow = create_flow("bakery")
    flow.task(name="bread", runner="thread", max_concurrency=[oven_limit, customer_limit])(lambda order: {})
    flow.task(name="cake", runner="thread", max_concurrency=[oven_limit, ConcurrencyGroup(3)])(lambda order: {})
    engine = Engine([flow], store=f"sqlite:///{tmp_path}/bakery.db")
    engine.start()
    client = make_client(engine)

    found = {(item["kind"], item["name"]) for item in client.get("/api/concurrency").json["items"]}
    assert found == {("flow", "bakery"), ("group", "oven_limit"), ("each", "customer_limit"), ("group", "cake")}
    shown = limits(client.get("/concurrency").text)
    assert "0 of 2 taken" in shown["oven_limit"]
    assert "bread , cake" in shown["oven_limit"]
    assert [limit["name"] for limit in client.get("/api/jobs/bakery/bread").json["limits"]] == [
        "oven_limit",
        "customer_limit",
    ]
    assert 'limit="oven_limit"' in client.get("/metrics").text
    engine.stop(grace=0)
