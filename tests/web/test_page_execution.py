"""The page of one execution, its log as text, its buttons."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest


def words(html: str) -> str:
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", html.partition("<main")[2]).split()))


def test_it_shows_what_it_was_given_gave_and_called(engine: Any, make_client: Any) -> None:
    client = make_client(engine)
    engine.submit(engine.job("shop", "add_two"), [{"value": 1}]).future.result(60)
    html = client.get("/executions/1").text
    text = words(html)
    assert "add_two #1 success" in text
    assert 'Inputs amount { "value" : 1 }' in text
    assert 'Output As JSON { "value" : 3 }' in text
    assert "Calls 2 success" in text
    assert re.findall(r'data-key="call-(\d+)"', html) == ["1", "2", "3"]
    assert "It printed nothing." in text
    assert "add_two #1 success · Microflow" in html.partition("</title>")[0]


def test_a_called_one_leads_back_to_its_callers(engine: Any, make_client: Any) -> None:
    client = make_client(engine)
    engine.submit(engine.job("shop", "add_two"), [{"value": 1}]).future.result(60)
    html = client.get("/executions/2").text
    trail = html[html.index('<ol class="trail">') : html.index("</ol>")]
    assert "add_two #1" in trail
    assert 'href="/executions/1"' in trail
    assert 'href="/jobs/shop/add_one"' in trail
    assert "adding one to 1" in html


def test_a_run_over_inputs_has_no_parts_that_stay_empty(engine: Any, make_client: Any) -> None:
    client = make_client(engine)
    engine.submit(engine.job("shop", "report"), with_inputs=True).future.result(60)
    of_code = engine.submit(engine.job("shop", "fail"), [])
    of_code.future.result(60)
    hidden = re.compile(r'id="(values|log)"[^>]* hidden')
    assert hidden.findall(client.get("/executions/1").text) == ["values", "log"]
    assert hidden.findall(client.get(f"/executions/{of_code.id}").text) == []


def test_what_was_skipped_leads_to_the_success_before_it(engine: Any, make_client: Any) -> None:
    client = make_client(engine)
    for _ in range(2):
        engine.submit(engine.job("shop", "add_one"), [{"value": 1, "run_key": "<b>execution 7"}]).future.result(60)
    html = client.get("/executions/2").text
    assert 'succeeded before, in execution <a href="/executions/1">1</a>' in html
    assert "<b>" not in html


def test_each_call_says_what_it_was_given_or_why_it_failed(engine: Any, make_client: Any) -> None:
    client = make_client(engine)
    engine.submit(engine.job("shop", "add_two"), [{"value": 1}]).future.result(60)
    table = client.get("/executions/1").text.partition('aria-label="Calls"')[2]
    assert re.findall(r'<code class="note">(.*?)</code>', unescape(table)) == ['{"value": 1}', '{"value": 2}']
    engine.submit(engine.job("shop", "add_two"), [{"value": "a word"}]).future.result(60)
    table = client.get("/executions/4").text.partition('aria-label="Calls"')[2]
    assert re.findall(r'<span class="note error" title="TypeError: .*?">(TypeError: .*?)</span>', table)


def test_a_failure_shows_its_error_and_traceback(engine: Any, make_client: Any) -> None:
    client = make_client(engine)
    engine.submit(engine.job("shop", "fail"), []).future.result(60)
    html = client.get("/executions/1").text
    text = words(html)
    assert "ValueError : the shop is closed" in text
    assert "Traceback (most recent call last)" in text
    assert "Output As JSON None" in text


def test_one_that_runs_shows_its_progress_and_can_be_cancelled(engine: Any, make_client: Any, gate: Any) -> None:
    client = make_client(engine)
    held = engine.submit(engine.job("shop", "hold"), [{}])
    assert gate.reached.wait(60)
    html = client.get(f"/executions/{held.id}").text
    assert '<progress max="4' in html
    assert "waiting 1 / 4" in words(html)
    assert "at the gate" in html
    assert f'action="/executions/{held.id}/cancel"' in html
    assert "Run again" not in html
    answer = client.form(f"/executions/{held.id}/cancel", {})
    assert (answer.status, answer.headers["location"]) == (303, f"/executions/{held.id}")
    ending = client.get(f"/executions/{held.id}").text
    assert "It was asked to stop, and has not ended yet." in words(ending)
    assert f'action="/executions/{held.id}/cancel"' not in ending
    gate.opened.set()
    held.future.result(60)
    assert "It was asked to stop" not in client.get(f"/executions/{held.id}").text
    assert f"hold #{held.id} cancelled" in words(client.get(f"/executions/{held.id}").text)


def test_one_that_waits_says_for_whom(engine: Any, make_client: Any, gate: Any) -> None:
    client = make_client(engine)
    hold = engine.job("shop", "hold")
    first = engine.submit(hold, [{}])
    assert gate.reached.wait(60)
    second = engine.submit(hold, [{}])
    html = client.get(f"/executions/{second.id}").text
    assert f'Held by <a href="/executions/{first.id}">#{first.id}</a>.' in html
    assert f"hold #{second.id} queued" in words(html)
    gate.opened.set()
    second.future.result(60)


def test_cancelling_what_has_ended_says_so_on_its_page(engine: Any, make_client: Any) -> None:
    client = make_client(engine)
    engine.submit(engine.job("shop", "add_one"), [{"value": 1}]).future.result(60)
    answer = client.form("/executions/1/cancel", {})
    assert answer.status == 409
    assert 'role="alert"' in answer.text
    assert "add_one #1 success" in words(answer.text)
    assert '<meta name="live-source" content="/executions/1">' in answer.text


def test_it_runs_again_as_a_new_execution(engine: Any, make_client: Any) -> None:
    client = make_client(engine)
    engine.submit(engine.job("shop", "add_one"), [{"value": 1}]).future.result(60)
    answer = client.form("/executions/1/retry", {})
    assert answer.status == 303
    again = client.get(f"/api{answer.headers['location']}").json
    assert again["id"] != 1
    assert again["inputs"] == [{"value": 1}]


def test_the_log_is_there_as_text(engine: Any, make_client: Any) -> None:
    client = make_client(engine)
    engine.submit(engine.job("shop", "add_one"), [{"value": 1}]).future.result(60)
    answer = client.get("/executions/1/log")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.text == "adding one to 1\n"


def test_a_page_that_is_live_does_not_fetch_its_log_again(engine: Any, make_client: Any) -> None:
    client = make_client(engine)
    engine.submit(engine.job("shop", "add_one"), [{"value": 1}]).future.result(60)
    assert "adding one to 1" in client.get("/executions/1").text
    assert "adding one to 1" not in client.get("/executions/1", **{"microflow-live": "1"}).text


def test_what_was_printed_and_returned_is_escaped(engine: Any, make_client: Any) -> None:
    client = make_client(engine)
    attack = "<script>alert(1)</script>"
    engine.submit(engine.job("shop", "add_one"), [{"value": attack}]).future.result(60)
    html = client.get("/executions/1").text
    assert attack not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert client.get("/executions/1/log").text == f"adding one to {attack}\n"


def test_an_execution_that_is_not_there_is_a_404(untouched: Any) -> None:
    for path in ("/executions/999", "/executions/999/log", "/executions/x", "/executions/0"):
        answer = untouched.get(path)
        assert answer.status == 404
        assert "There is no execution" in answer.text
    for path in ("/executions/999/cancel", "/executions/999/retry"):
        assert untouched.form(path, {}).status == 404


def test_one_of_a_job_that_is_gone_can_still_be_looked_at(engine: Any, make_client: Any) -> None:
    client = make_client(engine)
    engine.submit(engine.job("shop", "add_one"), [{"value": 1}]).future.result(60)
    del engine.flow("shop").jobs["add_one"]
    html = client.get("/executions/1").text
    assert "add_one #1 success" in words(html)
    assert "input 1" in words(html)
    assert "Run again" not in html


NEVER = '{"newest":{"$datetime":"NaT"}}'
"""What earlier versions stored of ``pandas.NaT``."""


@pytest.mark.parametrize("text", [NEVER, '{"newest":', "nonsense", "", "[" * 5_000 + "]" * 5_000])
@pytest.mark.parametrize("column", ["output", "inputs"])
def test_what_can_not_be_read_is_told_of_that_execution_and_harms_no_list(
    engine: Any, make_client: Any, column: str, text: str
) -> None:
    client = make_client(engine)
    for value in (1, 2):
        engine.submit(engine.job("shop", "add_one"), [{"value": value}]).future.result(60)
    engine.store.database.execute_text(f"UPDATE executions SET {column} = ? WHERE id = 1", (text,))

    page = client.get("/executions/1")
    assert page.status == 200
    assert "can't be read" in words(page.text)
    answer = client.get("/api/executions/1")
    assert answer.status == 200
    readable = text == NEVER
    assert answer.json[column] == (json.loads(NEVER) if readable else [] if column == "inputs" else None)
    if not readable:
        assert answer.json["error"]["message"].startswith(f"The {column} that the store holds can't be read: ")
    for path in (
        *("/executions?calls=all", "/", "/jobs/shop/add_one", "/jobs/shop/add_one?from=1", "/executions/2"),
        *("/api/executions", "/api/executions/1/tree", "/api/executions/2", "/metrics"),
    ):
        assert client.get(path).status == 200, path
    assert [item["id"] for item in client.get("/api/executions").json["items"]] == [2, 1]
    # how deep a parser goes depends on the version of Python, so that of what is too deep either is said
    assert client.post("/api/executions/1/retry").status in ((201,) if column == "output" else (409, 422))


@pytest.mark.parametrize("column", ["error", "progress", "waiting"])
def test_damage_of_other_parts_of_a_row_harms_no_list(engine: Any, make_client: Any, column: str) -> None:
    client = make_client(engine)
    engine.submit(engine.job("shop", "add_one"), [{"value": 1}]).future.result(60)
    engine.store.database.execute_text(f"UPDATE executions SET {column} = '{{'", ())

    for path in ("/executions?calls=all", "/executions/1", "/api/executions", "/api/executions/1/tree"):
        assert client.get(path).status == 200, path
