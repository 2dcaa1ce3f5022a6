"""A job's page: what it is, and the form that runs it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from microflow import ConcurrencyGroup, ExecutionStatus, Flow, create_flow
from microflow.engine.engine import Engine
from microflow.web.pages.partition_view import OFFERED_TIMES


def words(html: str) -> str:
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", html.partition("<main")[2]).split()))


def editors(html: str) -> list[str]:
    """What stands in the editors of the inputs."""
    return [unescape(text) for text in re.findall(r"<textarea[^>]*>(.*?)</textarea>", html, re.DOTALL)]


def library() -> Flow:
    flow = create_flow("library")

    @flow.task(runner="thread")
    def stock() -> dict[str, Any]:
        return {"books": 3}

    @flow.task(
        runner="thread",
        inputs=[stock],
        schedule="30 6 * * *",
        max_concurrency=ConcurrencyGroup(2, name="press", key="title"),
        retries=2,
        retry_delay=[1, 5],
        timeout=90,
    )
    def print_books(stock: dict[str, Any]) -> dict[str, Any]:
        """Print what is missing.

        At night, when the press is free.
        """
        return stock

    @flow.task(runner="thread", time_partitions="daily", cat_partitions=["novels", "poems"])
    def count_day(part: dict[str, Any]) -> dict[str, Any]:
        return {"day": part["time_partition"].isoformat(), "of": part["cat_partition"]}

    @flow.task(runner="thread")
    def join(first: dict[str, Any], *more: dict[str, Any]) -> dict[str, Any]:
        return {"count": 1 + len(more)}

    @flow.task(runner="thread")
    def lend(book: dict[str, Any], reader: Any = None) -> dict[str, Any]:
        return {"reader": reader}

    @flow.task(runner="thread", max_payload=64)
    def small(note: dict[str, Any]) -> dict[str, Any]:
        return note

    return flow


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine([library()], store=f"sqlite:///{tmp_path}/books.db")
    engine.start()
    yield engine
    engine.stop(grace=30)


@pytest.fixture
def client(books: Engine, make_client: Any) -> Any:
    return make_client(books)


def run(client: Any, books: Engine, job: str, fields: Any) -> Any:
    """Send the form of a job, and wait for the end of the execution that it leads to."""
    ended = Event()

    def listen(change: Any) -> None:
        if change.topic == "execution" and change.parent_id is None and ExecutionStatus(change.status).final:
            ended.set()

    unsubscribe = books.events.subscribe(listen)
    answer = client.form(f"/jobs/library/{job}", fields)
    assert answer.status == 303, words(answer.text)
    assert ended.wait(60)
    unsubscribe()
    assert client.get(answer.headers["location"]).status == 200
    return client.get(f"/api{answer.headers['location']}").json


def test_it_tells_what_the_code_says_of_the_job(client: Any) -> None:
    html = client.get("/jobs/library/print_books").text
    text = words(html)
    assert "print_books task" in text
    assert "<p>Print what is missing.</p><p>At night, when the press is free.</p>" in html
    assert "every day at 06:30" in text
    assert "2 at once in press for each title" in text
    assert "Retries 2, after 1.00 s, 5.00 s" in text
    assert "Timeout 1 min 30 s for each attempt" in text
    assert 'href="/jobs/library/stock">stock</a>' in html


def test_an_unknown_job_is_a_404_that_says_what_there_is(client: Any) -> None:
    answer = client.get("/jobs/library/print_book")
    assert answer.status == 404
    assert "print_book" in answer.text


def test_the_form_runs_the_job_and_leads_to_the_execution(client: Any, books: Engine) -> None:
    assert editors(client.get("/jobs/library/lend").text) == ["{}", ""]
    execution = run(client, books, "lend", [("input", '{"title": "Emma"}'), ("input", '{"name": "Ada"}')])
    assert execution["trigger"] == "web"
    assert execution["inputs"] == [{"title": "Emma"}, {"name": "Ada"}]
    assert execution["output"] == {"reader": {"name": "Ada"}}


def test_an_input_left_empty_is_not_given(client: Any, books: Engine) -> None:
    execution = run(client, books, "lend", [("input", "{}"), ("input", " ")])
    assert execution["inputs"] == [{}]
    assert execution["output"] == {"reader": None}


def test_a_required_input_left_empty_is_a_mistake(client: Any) -> None:
    answer = client.form("/jobs/library/lend", [("input", ""), ("input", "{}")])
    assert answer.status == 422
    assert "Fill this in: {} is an empty input." in words(answer.text)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ('{\n  "title": "Emma",,\n}', "Line 2, column 19: expecting property name"),
        ("{", "Line 1, column 2: expecting property name"),
        ('{"a": 1, "a": 2}', "The key 'a' is given twice in one object."),
        ('{"a": NaN}', "NaN is no JSON"),
        ("[" * 12_000, "This is nested too deeply. At most 200 levels are allowed."),
        ('{"x":' * 600 + "1" + "}" * 600, "This is nested too deeply. At most 200 levels are allowed."),
        ('{"x":' * 250 + "1" + "}" * 250, "is nested more than 200 levels deep"),
        ('{"at": {"$datetime": "NaT"}}', "is not a date and time in ISO 8601"),
        ('{"n": %s}' % ("9" * 4_301), "Exceeds the limit (4300 digits)"),
        ("3", "inputs[0]"),
        ('"text"', "inputs[0]"),
        ("[1, 2]", "inputs[0][0]"),
    ],
)
def test_a_mistake_stands_beside_its_field_and_nothing_typed_is_lost(client: Any, typed: str, told: str) -> None:
    answer = client.form("/jobs/library/lend", [("input", typed), ("input", '{"name": "Ada"}'), ("force", "yes")])
    assert answer.status == 422
    assert editors(answer.text) == [typed, '{"name": "Ada"}']
    assert 'name="force" value="yes" checked' in answer.text
    first, second = answer.text.split('id="input-1-mistake"')[1].split('id="input-2-mistake"')
    assert told in words(f"<main{first}")
    assert 'class="mistake"' not in second
    assert client.get("/executions").text.count("data-key") == 0


def test_an_input_that_is_too_large_is_told(client: Any) -> None:
    answer = client.form("/jobs/library/small", [("input", '{"text": "%s"}' % ("x" * 100))])
    assert answer.status == 422
    assert "the inputs take 113 bytes when encoded, and the limit is 64" in words(
        f"<main{answer.text.partition('form-mistake')[2]}"
    )
    assert editors(answer.text) == ['{"text": "%s"}' % ("x" * 100)]


def test_dates_are_typed_as_tagged_json(client: Any, books: Engine) -> None:
    execution = run(client, books, "lend", [("input", '{"until": {"$date": "2026-11-22"}}')])
    assert execution["inputs"] == [{"until": {"$date": "2026-11-22"}}]
    page = client.get(f"/executions/{execution['id']}").text
    assert '<span class="d">2026-11-22</span>' in page


def test_any_number_of_inputs_can_be_added(client: Any, books: Engine) -> None:
    answer = client.form("/jobs/library/join", [("input", '{"a": 1}'), ("act", "add")])
    assert answer.status == 200
    assert editors(answer.text) == ['{"a": 1}', "{}"]
    execution = run(client, books, "join", [("input", '{"a": 1}'), ("input", "{}"), ("input", "{}"), ("act", "run")])
    assert execution["output"] == {"count": 3}


def test_its_inputs_are_executed_first_unless_they_are_typed(client: Any, books: Engine) -> None:
    assert 'value="yes" checked><span>Execute its inputs first' in client.get("/jobs/library/print_books").text
    first = run(client, books, "print_books", [("with_inputs", "yes"), ("input", "{}")])
    assert first["kind"] == "dag"
    assert "stock" in client.get(f"/executions/{first['id']}").text
    typed = run(client, books, "print_books", [("with_inputs", "no"), ("input", '{"books": 9}')])
    assert typed["output"] == {"books": 9}


def test_a_partition_is_asked_for_and_given(client: Any, books: Engine) -> None:
    html = client.get("/jobs/library/count_day").text
    assert 'placeholder="2026-11-22"' in html or 'name="time_partition"' in html
    assert '<option value="poems">poems</option>' in html
    fields = [("input", "{}"), ("time_partition", "2026-11-21"), ("cat_partition", "poems")]
    execution = run(client, books, "count_day", fields)
    assert (execution["time_partition"], execution["cat_partition"]) == ("2026-11-21", "poems")
    assert execution["output"]["of"] == "poems"


def test_the_partitions_since_the_first_one_executed_are_offered(client: Any, books: Engine) -> None:
    lately = [(datetime.now(UTC) - timedelta(days=days)).date().isoformat() for days in (90, 5)]
    run(client, books, "count_day", [("input", "{}"), ("time_partition", lately[1]), ("cat_partition", "poems")])
    offered = re.findall(r'<option value="([\d-]+)">', client.get("/jobs/library/count_day").text)
    assert offered[-1] == lately[1]
    assert offered == sorted(offered, reverse=True)
    run(client, books, "count_day", [("input", "{}"), ("time_partition", lately[0]), ("cat_partition", "poems")])
    assert len(re.findall(r'<option value="([\d-]+)">', client.get("/jobs/library/count_day").text)) == OFFERED_TIMES


@pytest.mark.parametrize(
    ("field", "value"), [("time_partition", "2026-13"), ("time_partition", "soon"), ("cat_partition", "songs")]
)
def test_a_partition_that_does_not_exist_is_told_beside_its_field(client: Any, field: str, value: str) -> None:
    answer = client.form("/jobs/library/count_day", [("input", "{}"), (field, value)])
    assert answer.status == 422
    assert f'id="{field.replace("_", "-")}-mistake"' in answer.text
    assert value in words(answer.text.partition(f'id="{field.replace("_", "-")}-mistake"')[2].join(["<main", ""]))


def test_the_form_can_begin_with_what_an_execution_was_given(client: Any, books: Engine) -> None:
    fields = [("input", '{"note": "x"}'), ("time_partition", "2026-11-21"), ("cat_partition", "poems")]
    execution = run(client, books, "count_day", fields)
    html = client.get(f"/jobs/library/count_day?from={execution['id']}").text
    assert editors(html) == ['{"note": "x"}']
    assert 'name="time_partition" value="2026-11-21"' in html
    assert '<option value="poems" selected>' in html


def test_a_body_that_is_no_form_is_refused(client: Any) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded", "origin": "http://localhost:3000"}
    answer = client.request("POST", "/jobs/library/lend", headers, b"input=%ff\xff")
    assert answer.status == 400
    assert "The form can&#39;t be read" in answer.text


def test_a_form_of_another_site_is_refused(client: Any) -> None:
    answer = client.form("/jobs/library/stock", {}, origin="http://evil.example")
    assert answer.status == 403
    assert client.get("/executions").text.count("data-key") == 0


def test_what_was_typed_is_escaped(client: Any) -> None:
    answer = client.form("/jobs/library/lend", [("input", "</textarea><script>alert(1)</script>")])
    assert "<script>alert" not in answer.text
    assert editors(answer.text)[0] == "</textarea><script>alert(1)</script>"
