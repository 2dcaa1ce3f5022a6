"""The token: what is let in, the sign-in page, and what wrong tokens cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from microflow.web.http.auth import FORGET_AFTER, LONGEST_DELAY, LONGEST_QUEUE, SESSION, Auth, Tries, local_path
from microflow.web.http.problems import Problem

TOKEN = "correct horse battery staple"


class SlowClock:
    """Time that passes only where somebody sleeps, or where the test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def guarded(engine: Any, make_client: Callable[..., Any]) -> Any:
    return make_client(engine, token=TOKEN)


@pytest.mark.parametrize(
    "path", ["/api/flows", "/api/executions/1", "/api/nothing", "/api/events", "/metrics", "/api/openapi.json"]
)
def test_the_api_asks_for_the_token(guarded: Any, path: str) -> None:
    answer = guarded.get(path)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "Authorization: Bearer TOKEN" in answer.detail


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN} ",
        f"Bearer {TOKEN}x",
        "Bearer caf\u00e9",
    ],
)
def test_other_tokens_are_refused(guarded: Any, header: str) -> None:
    expected = 200 if header == f"Bearer {TOKEN} " else 401  # white space around a header's value means nothing
    assert guarded.get("/api/flows", authorization=header).status == expected


def test_nothing_is_done_without_the_token(guarded: Any) -> None:
    assert guarded.post("/api/jobs/shop/fail/executions", {}).status == 401
    assert guarded.form("/executions/1/cancel", {}).status == 401
    bearer = {"authorization": f"bearer {TOKEN}"}
    assert guarded.get("/api/executions", **bearer).json["items"] == []
    assert guarded.post("/api/jobs/shop/fail/executions", {}, **bearer).status == 201


def test_health_and_static_files_are_open(guarded: Any) -> None:
    assert guarded.get("/api/health").status == 200
    assert guarded.get("/static/x/y.js").status == 404


def test_people_are_sent_to_sign_in_and_back(guarded: Any) -> None:
    sent = guarded.get("/executions?status=error&flow=a%20b")
    assert sent.status == 303
    page = guarded.get(sent.headers["location"])
    assert page.status == 200
    assert 'value="/executions?status=error&amp;flow=a%20b"' in page.text
    signed_in = guarded.form("/sign-in", {"token": TOKEN, "next": "/executions?status=error"})
    assert (signed_in.status, signed_in.headers["location"]) == (303, "/executions?status=error")
    cookie = signed_in.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert TOKEN not in cookie
    pair = cookie.partition(";")[0]
    assert guarded.get("/api/flows", cookie=pair).status == 200
    assert guarded.get("/", cookie=f"other=1; {pair}").status == 200


def test_a_wrong_token_shows_the_page_again(guarded: Any) -> None:
    answer = guarded.form("/sign-in", {"token": "guess", "next": "/flows"})
    assert answer.status == 401
    assert "That is not the token." in answer.text
    assert 'value="/flows"' in answer.text
    assert "set-cookie" not in answer.headers
    assert guarded.form("/sign-in", {}).status == 401
    assert guarded.request("POST", "/sign-in", {"content-type": "application/x-www-form-urlencoded"}).status == 403


def test_signing_out_drops_the_cookie(guarded: Any) -> None:
    answer = guarded.form("/sign-out", {})
    assert answer.status == 303
    assert "Max-Age=0" in answer.headers["set-cookie"]


def test_without_a_token_there_is_nothing_to_sign_in_to(untouched: Any) -> None:
    assert untouched.get("/sign-in").status == 404


@pytest.mark.parametrize(
    ("path", "goes"),
    [
        ("/flows?x=1#y", "/flows?x=1#y"),
        ("", "/"),
        ("flows", "/"),
        ("//evil.com", "/"),
        ("/\\evil.com", "/"),
        ("/a\\b", "/"),
        ("https://evil.com", "/"),
        ("/\tx", "/"),
        ("/x\r\nset-cookie: a=b", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_signing_in_leads_nowhere_else(path: str, goes: str) -> None:
    assert local_path(path) == goes


def test_a_session_runs_out_and_belongs_to_its_token() -> None:
    now = [1_000.0]
    auth = Auth(TOKEN, now=lambda: now[0])
    session = auth.new_session()
    ends, _, proof = session.partition(".")
    assert auth.knows_session(session)
    assert not Auth("another").knows_session(session)
    for wrong in (
        "",
        ".",
        ends,
        f"{ends}.",
        f".{proof}",
        f"{int(ends) + 1}.{proof}",
        f"{ends}.{proof[:-1]}",
        f"\u0661.{proof}",
        "9" * 99,
    ):
        assert not auth.knows_session(wrong)
    now[0] += SESSION
    assert not auth.knows_session(session)


def test_the_cookies_of_two_servers_on_one_host_do_not_meet() -> None:
    assert Auth("one").cookie != Auth("two").cookie
    assert Auth("one").cookie == Auth("one").cookie


def test_wrong_tokens_cost_more_and_more_waiting() -> None:
    clock = SlowClock()
    auth = Auth(TOKEN, Tries(clock.monotonic, clock.sleep))

    async def guess(times: int) -> None:
        for _ in range(times):
            assert not await auth.accepts("guess", "10.0.0.1")

    asyncio.run(guess(10))
    assert clock.slept == [0.5, 1, 2, 4, 8, 8]
    assert max(clock.slept) == LONGEST_DELAY


def test_the_right_token_and_other_clients_start_anew() -> None:
    clock = SlowClock()
    auth = Auth(TOKEN, Tries(clock.monotonic, clock.sleep))

    async def story() -> None:
        for _ in range(5):
            await auth.accepts("guess", "10.0.0.1")
        clock.slept.clear()
        assert await auth.accepts(TOKEN, "10.0.0.2")
        assert clock.slept == []
        assert await auth.accepts(TOKEN, "10.0.0.1")
        assert clock.slept == [1]
        assert await auth.accepts(TOKEN, "10.0.0.1")
        assert not await auth.accepts("guess", "10.0.0.1")
        assert clock.slept == [1]

    asyncio.run(story())


def test_tries_at_the_same_time_wait_for_each_other_and_then_are_refused() -> None:
    clock = SlowClock()
    tries = Tries(clock.monotonic, clock.sleep)
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)  # time stands still: all come at the same moment

    tries._sleep = note
    for _ in range(9):
        tries.failed("10.0.0.1")

    async def many() -> None:
        for _ in range(20):
            await tries.wait("10.0.0.1")

    with pytest.raises(Problem) as refused:
        asyncio.run(many())
    assert refused.value.status == 429
    assert int(refused.value.headers["Retry-After"]) > LONGEST_QUEUE
    assert waits == [8, 16, 24]


def test_wrong_tokens_are_forgotten_after_a_while() -> None:
    clock = SlowClock()
    tries = Tries(clock.monotonic, clock.sleep)
    for _ in range(9):
        tries.failed("10.0.0.1")
    clock.now += FORGET_AFTER + LONGEST_DELAY + 1
    asyncio.run(tries.wait("10.0.0.1"))
    assert clock.slept == []


def test_a_thousand_clients_are_known_and_the_oldest_forgotten() -> None:
    clock = SlowClock()
    tries = Tries(clock.monotonic, clock.sleep)
    for number in range(1_500):
        tries.failed(str(number))
    assert len(tries._clients) == 1_000
    assert "1499" in tries._clients
