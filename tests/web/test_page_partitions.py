"""The page of a job's partitions, and what other pages show of them: without scripts, as the server writes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from microflow import ExecutionStatus, Flow, TimePartitions, create_flow
from microflow.engine.engine import Engine
from microflow.runtime import PartitionSelection


def words(html: str) -> str:
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", html.partition("<main")[2]).split()))


def part(html: str, id_: str) -> str:
    """One section of a page."""
    begin = f'id="{id_}"'
    return f"<main>{html.partition(begin)[2].partition('</section>')[0]}"


def weather_flow(gate: Any) -> Flow:
    flow = create_flow("weather", timezone="UTC")
    spring = TimePartitions("daily", "2024-03-01", "2024-04-30")

    @flow.task(runner="thread", time_partitions=spring, cat_partitions=["rain & snow", "wind"])
    def load(given: Any) -> Any:
        if given["cat_partition"] == "wind" and given["time_partition"].day == 30:
            raise ConnectionError("no answer")
        return {}

    @flow.task(runner="thread", time_partitions=spring, inputs=[load], max_concurrency=1)
    def report(loaded: Any) -> Any:
        return {}

    @flow.task(runner="thread", cat_partitions=["north", "south"])
    def survey(given: Any) -> Any:
        gate.wait()
        return {}

    @flow.task(runner="thread", time_partitions="hourly", partition_filter=lambda time, _: 1 / 0 > 0)
    def broken(given: Any) -> Any:
        return {}

    @flow.task(runner="thread")
    def plain() -> Any:
        return {}

    @flow.task(
        runner="thread",
        time_partitions=TimePartitions("daily", "1990-01-01", "2024-01-01"),
        cat_partitions=["a", "b", "c"],
    )
    def long(given: Any) -> Any:
        return {}

    return flow


@pytest.fixture
def engine(tmp_path: Path, gate: Any) -> Iterator[Engine]:
    engine = Engine([weather_flow(gate)], store=f"sqlite:///{tmp_path}/weather.db")
    engine.start()
    yield engine
    gate.opened.set()
    engine.stop(grace=30)


@pytest.fixture
def client(engine: Engine, make_client: Callable[..., Any]) -> Any:
    return make_client(engine)


def run(engine: Engine, job: str, **selection: Any) -> int:
    submitted = engine.submit_partitions(engine.job("weather", job), PartitionSelection(**selection))
    submitted.future.result(60)
    return submitted.id


def test_the_newest_are_in_a_table(client: Any, engine: Engine) -> None:
    run(engine, "load", start="2024-04-28", end="2024-04-30")
    html = client.get("/jobs/weather/load/partitions").text
    text = words(part(html, "newest"))
    assert "Time rain & snow wind 2024-04-30 success error 2024-04-29 success success 2024-04-28" in text
    assert "2024-04-27 missing missing" in text
    assert html.count('data-key="partition-') == 30
    assert (
        "/executions?flow=weather&amp;job=load&amp;time_partition=2024-04-30&amp;cat_partition=rain+%26+snow"
    ) in html
    assert "daily × 2 categories, in UTC" in words(html)


def test_a_range_is_shown(client: Any) -> None:
    html = client.get("/jobs/weather/load/partitions?from=2024-03-30&to=2024-04-02").text
    assert re.findall(r'data-key="partition-([\d-]+)"', html) == [
        "2024-04-02",
        "2024-04-01",
        "2024-03-31",
        "2024-03-30",
    ]
    assert 'name="from" value="2024-03-30"' in html


@pytest.mark.parametrize("query", ["from=2024-13-01", "to=soon", "from=1999-01-01", "from=2024-04-02&to=2024-04-01"])
def test_a_range_that_there_is_not_is_told(client: Any, query: str) -> None:
    answer = client.get(f"/jobs/weather/load/partitions?{query}")
    assert answer.status == 422
    assert re.search(r'<p class="notice error" role="alert" data-mistake>.*Job &#39;load&#39;|start is', answer.text)


def test_categories_alone_are_rows(client: Any) -> None:
    text = words(part(client.get("/jobs/weather/survey/partitions").text, "newest"))
    assert "Partition Status north missing south missing" in text


def test_a_filter_that_fails_is_told_and_does_not_take_the_page_away(client: Any) -> None:
    answer = client.get("/jobs/weather/broken/partitions")
    assert answer.status == 422
    assert "partition_filter failed" in answer.text
    assert "partition_filter failed" in client.get("/jobs/weather/broken").text


@pytest.mark.parametrize(
    "path", ["/jobs/weather/plain/partitions", "/jobs/weather/none/partitions", "/jobs/no/no/partitions"]
)
def test_without_partitions_there_is_no_page(client: Any, path: str) -> None:
    assert client.get(path).status == 404


def test_the_form_says_first_how_many_and_how_long(client: Any, engine: Engine) -> None:
    fields = [("start", "2024-04-01"), ("end", "2024-04-30"), ("only", "missing"), ("act", "plan")]
    html = client.form("/jobs/weather/load/partitions", fields).text
    assert "60 partitions in 60 executions" in words(html)
    assert "how long it takes is not known yet" in words(html)
    run(engine, "load", start="2024-04-01", end="2024-04-10")
    text = words(client.form("/jobs/weather/load/partitions", [*fields, ("batch_size", "10")]).text)
    assert re.search(r"40 partitions in 4 executions, \d+ at a time: about [\d<]", text)
    assert client.get("/executions").text.count("data-key") == 1


def test_the_form_runs_what_it_says(client: Any, engine: Engine) -> None:
    fields = [("end", "2024-03-03"), ("cat", "wind"), ("only", "all"), ("order", "desc"), ("max_concurrency", "1")]
    ended = Event()

    def listen(change: Any) -> None:
        if change.topic == "execution" and change.parent_id is None and ExecutionStatus(change.status).final:
            ended.set()

    engine.events.subscribe(listen)
    answer = client.form("/jobs/weather/load/partitions", fields)
    assert answer.status == 303
    assert ended.wait(60)
    identity = int(answer.headers["location"].removeprefix("/executions/"))
    tree = client.get(f"/api/executions/{identity}/tree").json["execution"]
    assert tree["kind"] == "partitions"
    assert [(call["time_partition"], call["cat_partition"]) for call in tree["children"]] == [
        ("2024-03-03", "wind"),
        ("2024-03-02", "wind"),
        ("2024-03-01", "wind"),
    ]
    html = client.get("/jobs/weather/load/partitions").text
    assert f'href="/executions/{identity}"' in part(html, "runs")
    assert "success" in words(part(html, "runs"))


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        ([("start", "2024-02-30")], "start", "2024-02-30"),
        ([("end", "2029-01-01")], "end", "2029-01-01"),
        ([("cat", "hail")], "cat", "hail"),
        ([("batch_size", "0")], "batch_size", "no whole number"),
        ([("max_concurrency", "many")], "max_concurrency", "no whole number"),
        ([("only", "some")], None, "only is"),
        ([("batch_size", "2"), ("with_inputs", "yes")], None, "with_inputs"),
    ],
)
def test_a_mistake_stands_beside_its_field(client: Any, fields: Any, field: str | None, told: str) -> None:
    answer = client.form("/jobs/weather/load/partitions", fields)
    assert answer.status == 422
    where = f'id="{field}-mistake"' if field else 'class="notice error"><'
    assert told in unescape(answer.text.partition(where)[2].partition("</div>")[0])
    assert client.get("/executions").text.count("data-key") == 0


def test_a_body_that_is_no_form_and_one_of_another_site_are_refused(client: Any) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded", "origin": "http://localhost:3000"}
    assert client.request("POST", "/jobs/weather/load/partitions", headers, b"start=\xff").status == 400
    assert client.request("POST", "/jobs/weather/load/partitions", headers, b"act=plam").status == 400
    assert client.form("/jobs/weather/load/partitions", {}, origin="http://evil.example").status == 403


def test_inputs_are_offered_where_the_job_declares_some(client: Any) -> None:
    assert 'name="with_inputs"' in client.get("/jobs/weather/report/partitions").text
    assert 'name="with_inputs"' not in client.get("/jobs/weather/load/partitions").text


def test_a_run_is_paused_resumed_and_cancelled_from_its_page(client: Any, engine: Engine, gate: Any) -> None:
    submitted = engine.submit_partitions(engine.job("weather", "survey"), PartitionSelection(), max_concurrency=1)
    assert gate.reached.wait(60)
    here = f"/executions/{submitted.id}"
    assert f'action="{here}/pause"' in client.get(here).text
    assert (client.form(f"{here}/pause", {}).status, client.form(f"{here}/pause", {}).status) == (303, 409)
    html = client.get(here).text
    assert "it is paused" in words(html)
    assert f'action="{here}/resume"' in html
    assert "paused" in words(part(client.get("/jobs/weather/survey/partitions").text, "runs"))
    assert client.form(f"{here}/resume", {}).status == 303
    assert client.form(f"{here}/resume", {}).status == 409
    gate.opened.set()
    submitted.future.result(60)
    assert "/pause" not in client.get(here).text
    assert client.form(f"{here}/pause", {}).status == 409
    assert client.form("/executions/999/pause", {}).status == 404


def test_the_page_of_the_job_tells_of_its_partitions(client: Any, engine: Engine) -> None:
    run(engine, "load", start="2024-03-30", end="2024-03-31")
    html = client.get("/jobs/weather/load").text
    section = part(html, "partitions")
    assert "3 success 118 missing 1 error" in words(section)
    assert 'aria-label="3 success, 118 missing, 1 error"' in section
    assert 'href="/jobs/weather/load/partitions?select=failed"' in section
    assert 'id="partitions"' not in client.get("/jobs/weather/plain").text


def test_a_page_that_is_kept_up_to_date_counts_and_lists_only_what_is_quick(client: Any) -> None:
    assert "partition_filter" not in client.get("/jobs/weather/long").text
    assert "37,257 missing" in client.get("/jobs/weather/long").text
    assert "37,257" not in client.get("/jobs/weather/long", microflow_live="1").text
    assert "122 missing" in client.get("/jobs/weather/load", microflow_live="1").text
    live = client.get("/jobs/weather/load/partitions", microflow_live="1").text
    assert 'data-key="partition-' not in live
    assert 'id="runs"' in live


def test_names_are_escaped_in_addresses(engine: Engine, make_client: Callable[..., Any], tmp_path: Path) -> None:
    flow = create_flow("a & b")

    @flow.task(runner="thread", name="c d?", cat_partitions=['<"x">'])
    def named(given: Any) -> Any:
        return {}

    other = Engine([flow], store=f"sqlite:///{tmp_path}/other.db")
    other.start()
    try:
        html = make_client(other).get("/jobs/a%20%26%20b/c%20d%3F/partitions").text
    finally:
        other.stop(grace=0)
    assert 'data-partitions="/api/jobs/a%20%26%20b/c%20d%3F/partitions"' in html
    assert '<"x">' not in html
