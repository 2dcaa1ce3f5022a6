"""Which hosts are answered, which requests may change something, and what every answer carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from microflow import ServerError
from microflow.web.app import create_app

EXECUTE = "/api/jobs/shop/fail/executions"
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "evil.com:3000",
        "localhost.evil.com",
        "127.0.0.1.evil.com",
        "[::2]:3000",
        "localhost@evil.com",
        "[::1",
        "[::1]evil.com",
        "localhost:evil.com",
        ":3000",
    ],
)
def test_another_host_is_misdirected(untouched: Any, host: str) -> None:
    for path in ("/api/health", "/", "/static/x"):
        assert untouched.get(path, host=host).status == 421
    assert "does not answer to the host" in untouched.get("/api/health", host=host).detail


def test_another_host_is_told_so_in_plain_text_and_learns_nothing_else(untouched: Any) -> None:
    answer = untouched.get("/", host="evil.com")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "does not answer to the host 'evil.com'" in answer.text
    assert "shop" not in answer.text


@pytest.mark.parametrize("path", ["/executions/1/cancel", "/sign-in", "/static/none"])
def test_a_refusal_names_no_flow_to_a_sender_without_the_token(engine: Any, make_client: Any, path: str) -> None:
    client = make_client(engine, token="secret")
    answer = client.request("POST", path, {"content-type": "text/html", "origin": "http://evil.com"})
    assert answer.status in (401, 403, 404, 405)
    assert "<h1>" in answer.text
    assert "shop" not in answer.text


def test_a_request_needs_one_host(untouched: Any) -> None:
    assert untouched.get("/api/health", host="").status == 400
    assert untouched.request("GET", "/api/health", {"host": None}).status == 400


@pytest.mark.parametrize("host", ["localhost", "LocalHost:3000", "localhost.", "127.0.0.1:3000", "[::1]:3000", "[::1]"])
def test_this_machines_own_names_are_answered(untouched: Any, host: str) -> None:
    assert untouched.get("/api/health", host=host).status == 200


def test_the_hosts_are_those_the_server_was_given(engine: Any, make_client: Callable[..., Any]) -> None:
    client = make_client(engine, hosts=["flow.example.com"], no_auth=True)
    assert client.get("/api/health", host="flow.example.com:443").status == 200
    assert client.get("/api/health", host="localhost").status == 421
    assert make_client(engine, hosts=["*"], token="t").get("/api/health", host="flow.example.com").status == 200


def test_a_server_for_everybody_is_reached_by_no_name_that_another_site_can_have(
    engine: Any, make_client: Callable[..., Any]
) -> None:
    client = make_client(engine, hosts=["localhost", "*"], no_auth=True)
    for host in ("localhost", "192.168.1.4:3000", "[fe80::1]:3000", "nas", "nas.local", "flows.internal:3000"):
        assert client.get("/api/health", host=host).status == 200
    for host in ("evil.com", "192.168.1.4.evil.com", "nas.local.evil.com", "[evil.com]"):
        assert client.get("/api/health", host=host).status == 421


def test_a_server_for_others_needs_a_token_or_a_word(engine: Any) -> None:
    with pytest.raises(ServerError, match="--token"):
        create_app(engine, hosts=["localhost", "flow.example.com"])
    with pytest.raises(ServerError, match="token is empty"):
        create_app(engine, token=" ")
    for token in ("sésame", "open\n", " open"):
        with pytest.raises(ServerError, match="token holds what no header can"):
            create_app(engine, token=token)


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_the_api_takes_only_json(untouched: Any, kind: str | None) -> None:
    answer = untouched.request("POST", EXECUTE, {"content-type": kind, "origin": "http://localhost:3000"}, b"{}")
    assert answer.status == 415
    assert "Content-Type: application/json" in answer.detail
    assert untouched.get("/api/executions").json["items"] == []


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.com"},
        {"origin": "http://localhost:8000"},
        {"origin": "null"},
        {"origin": "http://evil.com", "sec-fetch-site": "same-origin"},
        {"origin": "http://evil.com", "sec-fetch-site": "none"},
        {"origin": "http://localhost:3000", "sec-fetch-site": "cross-site"},
        {"origin": "http://localhost:3000", "sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "Same-Origin"},
        {"origin": "https://localhost"},
        {"origin": "http://localhost:3000@evil.com"},
        {"origin": ""},
        {"referer": "http://evil.com/http://localhost:3000"},
        {"origin": "http://[::1"},
        {"referer": "http://[localhost:3000/"},
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_another_site_changes_nothing(untouched: Any, headers: dict[str, str], kind: str) -> None:
    answer = untouched.request("POST", EXECUTE, {"content-type": kind, **headers}, b"{}")
    assert answer.status == 403
    assert "another site" in answer.detail
    assert untouched.request("DELETE", EXECUTE, headers).status == 403
    assert untouched.get("/api/executions", **headers).json["items"] == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://localhost:3000"},
        {"origin": "https://LOCALHOST:3000"},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": "http://localhost:3000", "sec-fetch-site": "none"},
        {"referer": "http://localhost:3000/jobs"},
        # behind a proxy that passes another Host on than the browser's
        {"origin": "http://localhost:8443", "sec-fetch-site": "same-origin"},
        {"origin": "https://flows.example.com:8443", "sec-fetch-site": "same-origin"},
        {"origin": "null", "sec-fetch-site": "same-origin"},
    ],
)
def test_json_from_here_or_from_a_program_is_taken(client: Any, headers: dict[str, str]) -> None:
    assert client.request("POST", EXECUTE, {"content-type": "application/json; charset=utf-8", **headers}).status == 201


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("flows.example.com:443", "https://flows.example.com"),
        ("flows.example.com", "https://flows.example.com:443"),
        ("flows.example.com:80", "http://flows.example.com"),
    ],
)
def test_the_port_of_a_scheme_may_be_left_out(
    engine: Any, make_client: Callable[..., Any], host: str, origin: str
) -> None:
    client = make_client(engine, hosts=["*"], no_auth=True, token="t", headers={"authorization": "Bearer t"})

    assert client.post("/api/executions/1/cancel", host=host, origin=origin).status == 404  # there is no such execution
    for other in ("https://flows.example.com:8443", "http://flows.example.com:8080", "https://example.com"):
        assert client.post("/api/executions/1/cancel", host=host, origin=other).status == 403


def test_a_refused_origin_is_told_with_the_host_it_was_compared_with_and_what_to_do(untouched: Any) -> None:
    headers = {"host": "localhost", "origin": "https://localhost:8443", **JSON}

    told = untouched.request("POST", EXECUTE, headers, b"{}").detail

    assert "Origin says https://localhost:8443, Host says localhost." in told
    assert "proxy_set_header Host $http_host" in told
    headers = {"host": "localhost", "referer": "https://localhost:8443/jobs?x=secret", **JSON}
    told = untouched.request("POST", EXECUTE, headers, b"{}").detail
    assert "Referer says https://localhost:8443, Host says localhost." in told


def test_a_name_that_is_not_answered_is_told_with_what_to_do(untouched: Any) -> None:
    told = untouched.get("/api/health", host="flows.example.com").detail

    assert "'flows.example.com', only to localhost, 127.0.0.1, [::1]." in told
    assert "--host 0.0.0.0 and a token" in told
    assert "proxy_set_header Host localhost" in told


def test_a_form_must_say_that_it_comes_from_here(untouched: Any) -> None:
    answer = untouched.form("/executions/1/cancel", {}, origin=None)
    assert answer.status == 403
    assert "does not say which site" in answer.text
    assert untouched.form("/executions/1/cancel", {}).status == 404  # let through: there is no such execution
    assert untouched.form("/executions/1/cancel", {}, origin=None, referer="http://localhost:3000/").status == 404


def test_a_form_is_of_the_type_that_pages_send(untouched: Any) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x", "origin": "http://localhost:3000"}
    assert untouched.request("POST", "/jobs/shop/fail", headers, b"--x--").status == 415


@pytest.mark.parametrize("path", ["/api/health", "/api/nothing", "/", "/nothing", "/static/x/y.js"])
def test_every_answer_carries_the_headers(untouched: Any, path: str) -> None:
    headers = untouched.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


def test_refusals_carry_them_too(untouched: Any) -> None:
    assert "content-security-policy" in untouched.get("/", host="evil.com").headers
    assert "content-security-policy" in untouched.request("POST", EXECUTE).headers


def test_static_files_are_kept_for_ever(untouched: Any) -> None:
    page = untouched.get("/").text
    path = page.partition('<script src="')[2].partition('"')[0]
    answer = untouched.get(path)
    assert answer.status == 200
    assert "immutable" in answer.headers["cache-control"]
    assert "content-security-policy" in answer.headers


def test_nobody_else_is_told_that_it_may_read(untouched: Any) -> None:
    answer = untouched.request(
        "OPTIONS", EXECUTE, {"origin": "http://evil.com", "access-control-request-method": "POST"}
    )
    assert answer.status == 405
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("path", ["/jobs/shop/fail", "/jobs/shop/echo"])
@pytest.mark.parametrize("body", [b"input=%ff", b"input=\xff", b"a&" * 5_000])
def test_a_form_that_can_not_be_read_is_refused(untouched: Any, path: str, body: bytes) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded", "origin": "http://localhost:3000"}
    answer = untouched.request("POST", path, headers, body)
    assert answer.status == 400
    assert "can&#39;t be read" in answer.text
