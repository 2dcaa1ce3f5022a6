"""What a request that can't be answered gets, whatever it was and whoever asks."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from microflow import MicroflowError, StoreError


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/api/nothing", 404, "There is nothing at /api/nothing. GET /api/openapi.json lists what there is."),
        ("GET", "/api", 404, "There is nothing at /api."),
        ("DELETE", "/api/flows", 405, "/api/flows does not take DELETE; it takes GET, HEAD."),
        ("GET", "/api/executions/1/cancel", 405, "it takes POST."),
        ("BREW", "/api/health", 405, "does not take BREW"),
        ("PUT", "/metrics", 405, "/metrics does not take PUT"),
    ],
)
def test_an_address_that_is_not_there(untouched: Any, method: str, path: str, status: int, said: str) -> None:
    answer = untouched.request(method, path)
    assert answer.status == status
    assert said in answer.detail
    assert answer.json["type"].startswith("urn:microflow:problem:")
    if status == 405:
        assert answer.headers["allow"] in said or answer.headers["allow"] in answer.detail


def test_people_get_a_page(untouched: Any) -> None:
    answer = untouched.get("/nothing/<script>")
    assert answer.status == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "There is nothing at /nothing/&lt;script&gt;." in answer.text


def test_a_body_that_says_it_is_too_large_is_not_read(untouched: Any) -> None:
    headers = {"content-type": "application/json", "content-length": "99999999999"}
    answer = untouched.request("POST", "/api/jobs/shop/fail/executions", headers)
    assert answer.status == 413
    assert "larger than the 16,777,216 bytes" in answer.detail


@pytest.mark.parametrize("length", ["-1", "x", "9" * 5_000])
def test_a_length_that_is_none_is_refused(untouched: Any, length: str) -> None:
    headers = {"content-type": "application/json", "content-length": length}
    assert untouched.request("POST", "/api/jobs/shop/fail/executions", headers).status == 413


def test_a_store_that_fails_is_a_503(client: Any, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise StoreError("The store can't be read: disk I/O error.")

    monkeypatch.setattr(engine.store.database, "read_text", broken)
    for path in ("/api/health", "/api/executions", "/metrics"):
        answer = client.get(path)
        assert answer.status == 503
        assert "disk I/O error" in answer.detail


@pytest.mark.parametrize("error", [RuntimeError("secret"), MicroflowError("secret"), RecursionError("secret")])
def test_what_nobody_expected_is_a_500_that_tells_nothing_and_a_log_that_tells_all(
    client: Any, engine: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def broken(*_: Any) -> None:
        raise error

    monkeypatch.setattr(engine, "job", broken)
    with caplog.at_level(logging.ERROR, "microflow.web"):
        answer = client.get("/api/jobs/shop/add_one")
    assert answer.status == 500
    assert "the log of the server" in answer.detail
    assert "secret" not in answer.text
    (record,) = caplog.records
    assert record.getMessage() == "GET /api/jobs/shop/add_one failed"
    assert record.exc_info is not None
    assert record.exc_info[1] is error
