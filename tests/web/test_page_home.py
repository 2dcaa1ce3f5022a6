"""The home page and the pages of flows: what runs, what failed, what there is to run."""

from __future__ import annotations

import re
from typing import Any


def words(html: str) -> str:
    """What a person reads, without tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", html.partition("<main")[2]).split())


def test_a_fresh_server_says_that_nothing_runs_and_lists_the_jobs(untouched: Any) -> None:
    answer = untouched.get("/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    text = words(answer.text)
    assert "Nothing runs" in text
    assert "Jobs of shop" in text
    assert "add_one task Add one to an amount." in text
    assert "Failed lately" not in text
    assert "Recent executions" not in text


def test_a_schedule_stands_in_words_beside_its_job(untouched: Any) -> None:
    assert "every day at 08:00" in words(untouched.get("/flows").text)


def test_what_runs_and_what_failed_is_on_the_home_page(engine: Any, make_client: Any, gate: Any) -> None:
    client = make_client(engine)
    engine.submit(engine.job("shop", "fail"), []).future.result(60)
    held = engine.submit(engine.job("shop", "hold"), [{}])
    assert gate.reached.wait(60)
    html = client.get("/").text
    assert "1 running" in words(html)
    assert "1 failed" in words(html)
    running = html[html.index('id="now"') : html.index('id="failed"')]
    assert f'href="/executions/{held.id}"' in running
    assert "waiting 1 / 4" in words(f"<main{running}")
    assert "ValueError: the shop is closed" in html[html.index('id="failed"') : html.index('id="recent"')]
    gate.opened.set()
    held.future.result(60)


def test_a_flow_has_a_page_with_its_jobs_and_executions(engine: Any, make_client: Any) -> None:
    client = make_client(engine)
    engine.submit(engine.job("shop", "add_two"), [{"value": 1}]).future.result(60)
    text = words(client.get("/flows/shop").text)
    assert "6 jobs, at most 2 tasks at once" in text
    assert "add_two #1" in text
    # what add_two called is on its own page, not among what was started
    assert "add_one #2" not in text


def test_a_flow_that_is_not_there_is_a_404_that_says_so(untouched: Any) -> None:
    answer = untouched.get("/flows/shopp")
    assert answer.status == 404
    assert "There is no flow &#39;shopp&#39; here." in answer.text


def test_every_page_names_the_same_styles_and_modules_by_their_hash(untouched: Any) -> None:
    home, flows = untouched.get("/").text, untouched.get("/flows").text
    assets = re.findall(r'(?:href|src)="(/static/[^"]+)"', home)
    assert assets == re.findall(r'(?:href|src)="(/static/[^"]+)"', flows)
    assert len({asset.split("/")[2] for asset in assets}) == 1
    for asset in assets:
        answer = untouched.get(asset)
        assert answer.status == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_no_page_has_inline_styles_or_scripts(untouched: Any) -> None:
    for path in ("/", "/flows", "/flows/shop", "/executions", "/jobs/shop/report", "/nowhere"):
        html = untouched.get(path).text
        assert not re.search(r"\sstyle=|<style|\son\w+=|<script(?![^>]*\ssrc=)|javascript:", html), path
