"""A real browser in front of a real nginx in front of a server: signing in and running a job, whatever becomes of the Host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

TOKEN = "correct horse battery staple"


@pytest.mark.parametrize(
    "line",
    [
        "proxy_set_header Host $http_host;",
        "proxy_set_header Host $host;",
        "proxy_set_header Host $host:$server_port;",
        "",
    ],
    ids=["as it came", "without the port", "with the port of nginx", "of the server"],
)
def test_a_person_signs_in_and_runs_a_job_through_a_proxy(
    browser: Browser, serve: Any, nginx: Callable[..., int], tmp_path: Path, line: str
) -> None:
    with serve(tmp_path, token=TOKEN) as server:
        port = nginx(server.port, line)
        context = browser.new_context(base_url=f"http://localhost:{port}")
        try:
            page = context.new_page()
            page.goto("/jobs/my_flow/compute")
            page.get_by_label("Token").fill(TOKEN)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url("**/jobs/my_flow/compute")
            page.get_by_role("textbox").first.fill('{"my_value": 1}')
            page.get_by_role("button", name="Run", exact=True).click()
            page.wait_for_url("**/executions/1")
            expect(page.get_by_text("success").first).to_be_visible()
        finally:
            context.close()
