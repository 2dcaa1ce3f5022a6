"""What is too much for one page or answer is cut, and a way leads to the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from microflow import Flow, create_flow
from microflow.engine.engine import Engine
from microflow.views.live import MOST_HOLDERS, with_live_state


def nothing(*_: Any) -> dict[str, Any]:
    return {}


def served(flow: Flow, folder: Path) -> Engine:
    engine = Engine([flow], store=f"sqlite:///{folder}/store.db")
    engine.start()
    return engine


@pytest.fixture
def connected(tmp_path: Path) -> Iterator[Engine]:
    """A flow of 150 jobs, each of which declares all before it, and 1,010 without any input."""
    flow = create_flow("connected")
    jobs: list[Any] = []
    for number in range(150):
        jobs.append(flow.task(name=f"job_{number}", runner="thread", inputs=list(jobs))(nothing))
    for number in range(1_010):
        flow.task(name=f"alone_{number}", runner="thread")(nothing)
    engine = served(flow, tmp_path)
    yield engine
    engine.stop(grace=0)


def test_the_table_of_a_dag_names_some_of_very_many_inputs(make_client: Any, connected: Engine) -> None:
    page = make_client(connected).get("/flows/connected/dag")
    assert page.status == 200
    assert "Too large for a picture" in page.text
    # 11,175 inputs, each of them twice, would be links of 3 MB
    assert len(page.body) < 2_500_000
    assert '<span class="quiet">and 99 more</span>' in page.text  # of the 149 inputs of the last job
    assert '<a href="/flows/connected">and 10 more, on the page of the flow</a>' in page.text
    assert page.text.count('data-key="alone-alone_') == 1_000


def test_the_page_of_a_job_with_very_many_inputs_names_some(make_client: Any, connected: Engine) -> None:
    page = make_client(connected).get("/jobs/connected/job_149")
    assert page.status == 200
    assert '<a href="/flows/connected/dag#inputs-head">' in page.text
    assert len(page.body) < 2_500_000


def test_what_waits_names_some_of_very_many_holders(
    client: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = [engine.submit(engine.job("shop", "hold"), [{}]).id for _ in range(2)]
    monkeypatch.setattr(engine, "held_by", lambda _: list(range(1, 5_000)))
    waiting = with_live_state(engine, client.app.state.site.store.reading.execution(running[1])).waiting
    assert waiting is not None
    assert waiting.held_by == tuple(range(1, MOST_HOLDERS + 1))
    assert len(client.get(f"/executions/{running[1]}").body) < 50_000


def test_the_form_of_a_button_is_not_read_without_an_end(client: Any, engine: Engine) -> None:
    asked = client.form("/schedules/shop/report/pause", {"page": "1" * 5_000})
    assert asked.status == 413
    assert client.form("/schedules/shop/report/pause", {"page": "1"}).headers["location"] == "/schedules"
    assert client.form("/schedules/shop/report/resume", {"page": ""}).headers["location"] == "/schedules/shop/report"
