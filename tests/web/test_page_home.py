"""The home page and the pages of flows: what runs, what failed, what there is to run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from microflow import create_flow
from microflow.engine.engine import Engine
from microflow.web.pages.home import FIRST_JOBS, JOBS_PAGE


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


def test_a_job_that_runs_says_so_in_the_list_of_jobs(engine: Any, make_client: Any, gate: Any) -> None:
    client = make_client(engine)
    held = engine.submit(engine.job("shop", "hold"), [{}])
    assert gate.reached.wait(60)
    waits = engine.submit(engine.job("shop", "hold"), [{}])
    row = client.get("/flows/shop").text.partition('data-key="job-shop-hold"')[2].partition("</tr>")[0]
    assert f'href="/executions/{waits.id}"' in row
    assert "queued" in row
    gate.opened.set()
    held.future.result(60), waits.future.result(60)
    row = client.get("/flows/shop").text.partition('data-key="job-shop-hold"')[2].partition("</tr>")[0]
    assert "success" in row


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


@pytest.fixture
def crowded(tmp_path: Path, make_client: Any) -> Iterator[Any]:
    """A client of a server with one flow of very many jobs."""
    flow = create_flow("crowd")
    for number in range(JOBS_PAGE + 7):
        flow.task(name=f"job_{number:02}", runner="thread")(lambda: {})
    engine = Engine([flow], store=f"sqlite:///{tmp_path}/store.db")
    engine.start()
    yield make_client(engine)
    engine.stop(grace=0)


def listed(html: str) -> list[str]:
    return re.findall(r'<tr data-key="job-crowd-(\w+)"', html)


def test_of_very_many_jobs_the_first_are_listed_and_the_way_to_all(crowded: Any) -> None:
    for path in ("/", "/flows"):
        html = crowded.get(path).text
        assert listed(html) == [f"job_{number:02}" for number in range(FIRST_JOBS)]
        assert f'<a href="/flows/crowd">All {JOBS_PAGE + 7} jobs</a>' in html


def test_very_many_jobs_of_a_flow_are_on_several_pages(crowded: Any) -> None:
    first = crowded.get("/flows/crowd").text
    assert listed(first) == [f"job_{number:02}" for number in range(JOBS_PAGE)]
    (more,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = crowded.get(more).text
    assert listed(second) == [f"job_{number:02}" for number in range(JOBS_PAGE, JOBS_PAGE + 7)]
    assert 'href="/flows/crowd">First</a>' in second
    assert "These are the last" in second
    assert crowded.get("/flows/crowd?cursor=x").status == 422


def test_a_job_is_found_by_a_part_of_its_name(crowded: Any) -> None:
    html = crowded.get("/flows/crowd?find=B_1").text
    assert listed(html) == [f"job_1{number}" for number in range(10)]
    assert 'name="find" value="B_1"' in html
    assert "No job has “nothing” in its name" in crowded.get("/flows/crowd?find=nothing").text
