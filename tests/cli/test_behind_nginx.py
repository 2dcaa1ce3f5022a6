"""A server behind a real nginx: what a browser may change there, and what a refusal says."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

TOKEN = "correct horse battery staple"

Nginx = Callable[..., int]

HOSTS = {
    "as it came": "proxy_set_header Host $http_host;",
    "without the port": "proxy_set_header Host $host;",
    "of the server": "",
}
"""What nginx makes of the Host of a request; the last is what it does by itself."""


def port_of(server: Any) -> int:
    port = urlsplit(server.url).port
    assert port is not None
    return port


def ask(port: int, method: str, path: str, headers: dict[str, str], body: str = "") -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body.encode(), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def sign_in(port: int, **headers: str) -> tuple[int, str]:
    """What a browser's sign-in form gets."""
    sent = {"Host": f"localhost:{port}", "Content-Type": "application/x-www-form-urlencoded"}
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(port, "POST", "/sign-in", sent | more, urlencode({"token": TOKEN, "next": "/"}))


@pytest.mark.parametrize("host", HOSTS)
def test_a_browser_that_says_where_a_form_comes_from_can_sign_in_whatever_the_proxy_makes_of_the_host(
    serve: Callable[..., Any], nginx: Nginx, host: str
) -> None:
    port = nginx(port_of(serve("--token", TOKEN)), HOSTS[host])

    assert sign_in(port, Origin=f"http://localhost:{port}", Sec_Fetch_Site="same-origin")[0] == 303
    for site in ("cross-site", "same-site"):
        status, told = sign_in(port, Origin=f"http://localhost:{port}", Sec_Fetch_Site=site)
        assert status == 403
        assert f"Sec-Fetch-Site says {site}" in told


@pytest.mark.parametrize("host", HOSTS)
def test_a_browser_that_does_not_say_it_needs_the_host_as_it_came(
    serve: Callable[..., Any], nginx: Nginx, host: str
) -> None:
    server = serve("--token", TOKEN)
    port = nginx(port_of(server), HOSTS[host])

    status, told = sign_in(port, Origin=f"http://localhost:{port}")

    if host == "as it came":
        assert status == 303
        return
    passed_on = "localhost" if host == "without the port" else f"127.0.0.1:{port_of(server)}"
    assert status == 403
    assert f"Origin says http://localhost:{port}, Host says {passed_on}." in told
    assert "pass $http_host" in told


@pytest.mark.parametrize("host", HOSTS)
def test_a_page_of_another_site_changes_nothing_through_a_proxy(
    serve: Callable[..., Any], nginx: Nginx, host: str
) -> None:
    port = nginx(port_of(serve("--token", TOKEN)), HOSTS[host])

    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Referer": "http://evil.example/"},
        {"Origin": "http://evil.example", "Sec_Fetch_Site": "cross-site"},
        {"Origin": f"http://localhost:{port + 1}", "Sec_Fetch_Site": "same-site"},
        # a name that was made to lead to this machine: the browser takes it for the same site, but tells so only over HTTPS
        {"Origin": f"http://evil.example:{port}", "Host": f"evil.example:{port}"},
    ):
        assert sign_in(port, **headers)[0] == (421 if "Host" in headers and HOSTS[host] else 403)


def test_a_foreign_host_is_told_what_to_do(serve: Callable[..., Any], nginx: Nginx) -> None:
    target = port_of(serve("--token", TOKEN))
    headers = {"Host": "flows.example.com", "Authorization": f"Bearer {TOKEN}"}

    status, told = ask(nginx(target, HOSTS["as it came"]), "GET", "/api/flows", headers)

    assert status == 421
    assert "does not answer to the host 'flows.example.com'" in json.loads(told)["detail"]
    assert "proxy_set_header Host localhost" in json.loads(told)["detail"]
    assert ask(nginx(target, "proxy_set_header Host localhost;"), "GET", "/api/flows", headers)[0] == 200
