"""A job with several schedules: its page, the list of jobs, and the list of schedules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from microflow import Schedule, create_flow
from microflow.engine.engine import Engine

from .test_page_schedules import rows, words


def test_a_job_with_several_schedules_shows_each(make_client: Any, tmp_path: Path) -> None:
    flow = create_flow("shop", timezone="UTC")
    times = ["0 8 * * MON-FRI", Schedule("*/40 * * * *", "often"), "0 0 1 * MON", "0 0 * * FRIL"]
    flow.task(runner="thread", name="load", schedule=times)(lambda: {})
    engine = Engine([flow], store=f"sqlite:///{tmp_path}/shop.db")
    engine.start()
    try:
        client = make_client(engine)
        client.form("/schedules/shop/often/pause", {})
        assert list(rows(client.get("/schedules").text)) == ["shop/load", "shop/often", "shop/load-2", "shop/load-3"]
        job, listed = words(client.get("/jobs/shop/load").text), words(client.get("/flows/shop").text)
    finally:
        engine.stop(grace=0)
    for description in (
        "Monday to Friday at 08:00 ( 0 8 * * MON-FRI , UTC) Next",
        "at minutes 0 and 40 of every hour ( */40 * * * * , UTC) Next paused since",
        "on day 1 of every month and also every Monday, at 00:00 ( 0 0 1 * MON , UTC) Next",
        "on the last Friday of every month at 00:00 ( 0 0 * * FRIL , UTC) Next",
    ):
        assert description in job
    assert "Monday to Friday at 08:00 paused at minutes 0 and 40 of every hour on day 1 of every month" in listed
    assert "and 1 more" in listed
