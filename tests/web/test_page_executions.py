"""The list of executions: filters in the address, newest first, page by page."""

from __future__ import annotations

import re
from typing import Any

import pytest


def listed(html: str) -> list[int]:
    """The executions in the list, in its order."""
    return [int(number) for number in re.findall(r'<tr data-key="execution-(\d+)"', html)]


@pytest.fixture
def client(engine: Any, make_client: Any) -> Any:
    """A server on which ``add_two`` (1, calling 2 and 3), ``fail`` (4) and a ``add_one`` (5) were executed."""
    shop = engine.flow("shop").jobs
    engine.submit(shop["add_two"], [{"value": 1}]).future.result(60)
    engine.submit(shop["fail"], []).future.result(60)
    engine.submit(shop["add_one"], [{"value": 7, "run_key": "seven"}]).future.result(60)
    return make_client(engine)


def test_it_shows_what_was_started_newest_first(client: Any) -> None:
    assert listed(client.get("/executions").text) == [5, 4, 1]


def test_it_shows_what_these_called_if_asked(client: Any) -> None:
    assert listed(client.get("/executions?calls=all").text) == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=error", [4]),
        ("status=error&status=skipped", [4]),
        ("status=queued", []),
        ("job=add_one", [5, 3, 2]),
        ("job=add_one&calls=top", [5]),
        ("flow=shop", [5, 4, 1]),
        ("flow=other", []),
        ("trigger=call&calls=all", [3, 2]),
        ("parent=1", [3, 2]),
        ("root=1", [3, 2, 1]),
        ("run_key=seven", [5]),
        ("since=2020-01-01", [5, 4, 1]),
        ("until=2020-01-01T10:00", []),
        ("job=&status=&since=&trigger=", [5, 4, 1]),
    ],
)
def test_it_is_filtered_by_its_address(client: Any, query: str, expected: list[int]) -> None:
    answer = client.get(f"/executions?{query}")
    assert answer.status == 200
    assert listed(answer.text) == expected


def test_the_form_shows_what_the_address_asks_for(client: Any) -> None:
    html = client.get("/executions?status=error&job=fail&calls=all").text
    assert 'value="error" checked' in html
    assert 'name="job" value="fail"' in html
    assert '<option value="all" selected>' in html
    assert 'href="/executions">Clear</a>' in html


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("since=yesterday", "&#39;yesterday&#39; is no date or time; write it like 2026-11-22T14:00."),
        ("parent=x", "&#39;x&#39; is no execution&#39;s number."),
        ("root=99999999999999999999", "is no execution&#39;s number."),
        ("status=done", "There is no status &#39;done&#39;"),
        ("trigger=cron", "There is no trigger &#39;cron&#39;; there are schedule, web, api"),
        ("cursor=nonsense", "This link to older executions is damaged"),
    ],
)
def test_a_filter_that_is_none_is_told_beside_it(client: Any, query: str, told: str) -> None:
    answer = client.get(f"/executions?{query}")
    assert answer.status == 400
    assert told in answer.text
    assert listed(answer.text) == []


def test_no_match_says_so(client: Any) -> None:
    assert "No executions match" in client.get("/executions?job=nothing").text


def test_older_ones_are_a_page_further_with_the_same_filters(engine: Any, make_client: Any) -> None:
    client = make_client(engine)
    add_one = engine.job("shop", "add_one")
    for value in range(53):
        engine.submit(add_one, [{"value": value}]).future.result(60)
    first = client.get("/executions?job=add_one").text
    assert listed(first) == list(range(53, 3, -1))
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    second = client.get(older[1].replace("&amp;", "&")).text
    assert listed(second) == [3, 2, 1]
    assert "These are the oldest" in second
    newest = re.search(r'href="([^"]+)">Newest', second)
    assert newest is not None
    assert listed(client.get(newest[1].replace("&amp;", "&")).text) == listed(first)


def test_a_line_says_why_or_with_what(client: Any) -> None:
    html = client.get("/executions?calls=all").text
    assert "ValueError: the shop is closed" in html
    assert "key seven" in html
    assert "{&#34;value&#34;: 1}" in html
