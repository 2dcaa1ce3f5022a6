"""A client in the same process, and a small real server to ask: a real store, a real engine, tasks in threads."""

from __future__ import annotations

import asyncio
import json as json_text
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlencode, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers

from microflow import Flow, create_flow, current_execution
from microflow.engine.engine import Engine
from microflow.web.app import create_app


class Answer(NamedTuple):
    """What a request got."""

    status: int
    headers: Headers
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json_text.loads(self.body)

    @property
    def detail(self) -> str:
        """What a problem says to people; it is one, and its parts agree with the answer."""
        assert self.headers["content-type"] == "application/problem+json"
        problem = self.json
        assert set(problem) == {"type", "title", "status", "detail"}
        assert problem["status"] == self.status
        return str(problem["detail"])


class Client:
    """Asks an application without a network between, one request after the other."""

    def __init__(self, app: Starlette, **headers: str) -> None:
        self.app = app
        self.headers = {"host": "localhost:3000", **headers}
        self._runner = asyncio.Runner()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers)

    def post(self, path: str, json: Any = None, **headers: str) -> Answer:
        """A POST as the API wants it; ``json`` None is an empty body."""
        body = b"" if json is None else json_text.dumps(json).encode()
        return self.request("POST", path, {"content-type": "application/json", **headers}, body)

    def form(self, path: str, fields: Mapping[str, str], **headers: str) -> Answer:
        """A form sent from a page of the same site."""
        sent = {
            "content-type": "application/x-www-form-urlencoded",
            "origin": f"http://{self.headers['host']}",
            **headers,
        }
        return self.request("POST", path, sent, urlencode(fields).encode())

    def request(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        """Any request; a header's ``_`` stands for ``-``, and None as its value leaves it out."""
        sent = {**self.headers, "content-length": str(len(body)), **(headers or {})}
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in sent.items() if value is not None]
        return self._runner.run(self._ask(method, path, raw, body))

    def get_at_once(self, *paths: str) -> list[Answer]:
        """The answers to requests that are all under way at the same time."""
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in self.headers.items()]

        async def ask_all() -> list[Answer]:
            return await asyncio.gather(*(self._ask("GET", path, raw, b"") for path in paths))

        return self._runner.run(ask_all())

    async def _ask(self, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes) -> Answer:
        address = urlsplit(path)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(address.path),
            "raw_path": address.path.encode(),
            "query_string": address.query.encode(),
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 3000),
        }
        incoming = [{"type": "http.request", "body": body, "more_body": False}]
        outgoing: list[Any] = []

        async def receive() -> Any:
            return incoming.pop() if incoming else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            outgoing.append(message)

        await self.app(scope, receive, send)
        started = outgoing[0]
        content = b"".join(message.get("body", b"") for message in outgoing[1:])
        return Answer(started["status"], Headers(raw=started["headers"]), content)

    def close(self) -> None:
        self._runner.close()


class Gate:
    """What a job waits at: ``reached`` is set by the job, ``opened`` by the test."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def wait(self) -> None:
        self.reached.set()
        assert self.opened.wait(60)


def example_flow(gate: Gate) -> Flow:
    """A flow with a job of every kind that the tests ask for; its tasks run in threads."""
    flow = create_flow("shop", max_concurrency=2)

    @flow.task(runner="thread")
    def add_one(amount: dict[str, Any]) -> dict[str, Any]:
        """Add one to an amount."""
        print("adding one to", amount["value"])
        return {"value": amount["value"] + 1}

    @flow.task(runner="thread", max_concurrency=1)
    def hold(_: dict[str, Any]) -> dict[str, Any]:
        """Wait at the gate."""
        print("at the gate")
        current_execution().progress(1, 4, "waiting")
        gate.wait()
        return {}

    @flow.task(runner="thread")
    def fail() -> None:
        raise ValueError("the shop is closed")

    @flow.task(runner="thread")
    def echo(value: dict[str, Any]) -> dict[str, Any]:
        return {"type": type(value["moment"]).__name__, **value}

    @flow.manager(inputs=[fail], schedule="0 8 * * *")
    def report(sales: dict[str, Any]) -> dict[str, Any]:
        return {"sales": sales}

    @flow.manager
    def add_two(amount: dict[str, Any]) -> Any:
        return add_one(add_one(amount))

    return flow


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client for tests that only look or are refused: one server for all of them, on which nothing is ever executed."""
    engine = Engine([example_flow(Gate())], store=f"sqlite:///{tmp_path_factory.mktemp('untouched')}/store.db")
    engine.start()
    client = Client(create_app(engine))
    yield client
    assert client.get("/api/executions").json["items"] == []
    client.app.state.site.release()
    client.close()
    engine.stop(grace=0)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def engine(tmp_path: Path, gate: Gate) -> Iterator[Engine]:
    engine = Engine([example_flow(gate)], store=f"sqlite:///{tmp_path}/store.db")
    engine.start()
    yield engine
    gate.opened.set()
    engine.stop(grace=30)


@pytest.fixture
def make_client() -> Iterator[Callable[..., Client]]:
    """Makes clients of applications; the keywords of ``create_app``, and headers that every request has."""
    made: list[Client] = []

    def make(engine: Engine, headers: Mapping[str, str] | None = None, **arguments: Any) -> Client:
        client = Client(create_app(engine, **arguments), **(headers or {}))
        made.append(client)
        return client

    yield make
    for client in made:
        client.app.state.site.release()
        client.close()


@pytest.fixture
def client(engine: Engine, make_client: Callable[..., Client]) -> Client:
    return make_client(engine)
