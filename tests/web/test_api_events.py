"""GET /api/events: what a stream tells, what it spares its reader, and when it ends."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from microflow.model.events import Event, EventBus
from microflow.web.http.stream import CAPACITY, StreamResponse, Streams

SCOPE = {"type": "http", "method": "GET", "path": "/api/events", "headers": []}


class Reader:
    """Reads one stream in its own event loop: what was sent, waited for without sleeping."""

    def __init__(self, streams: Streams, method: str = "GET") -> None:
        self.text = ""
        self.started: dict[str, Any] = {}
        self.gone = asyncio.Event()
        self._arrived = asyncio.Event()
        self.task = asyncio.ensure_future(
            StreamResponse(streams)({**SCOPE, "method": method}, self._receive, self._send)
        )

    async def _receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.started = message
        else:
            self.text += message["body"].decode()
        self._arrived.set()

    async def until(self, found: Callable[[str], bool]) -> str:
        """What was sent, once it is enough."""
        async with asyncio.timeout(60):
            while not found(self.text):
                self._arrived.clear()
                await self._arrived.wait()
        return self.text

    async def opened(self) -> None:
        await self.until(bool)


def events_in(text: str) -> list[tuple[str, Any]]:
    """(name, data) of every event in a stream."""
    blocks = [block.split("\n") for block in text.split("\n\n") if block.startswith("event: ")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def play(story: Callable[[EventBus, Streams], Awaitable[None]], **arguments: Any) -> None:
    bus = EventBus()

    async def within_a_minute() -> None:
        async with asyncio.timeout(60):
            await story(bus, Streams(bus, **{"interval": 0, **arguments}))

    asyncio.run(within_a_minute())


def change(id_: int, status: str = "running") -> Event:
    return Event("execution", "shop", "load", id_, status=status)


def test_a_stream_tells_every_change_from_any_thread() -> None:
    async def story(bus: EventBus, streams: Streams) -> None:
        reader = Reader(streams)
        await reader.opened()
        headers = dict(reader.started["headers"])
        assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
        assert b"content-length" not in headers
        for number in range(1, 4):
            thread = threading.Thread(target=bus.publish, args=[change(number)])
            thread.start()
            thread.join()
        told = events_in(await reader.until(lambda text: text.count("event:") == 3))
        assert [data["id"] for _, data in told] == [1, 2, 3]
        assert told[0] == (
            "execution",
            {"topic": "execution", "flow": "shop", "job": "load", "id": 1, "status": "running"},
        )
        streams.close()
        await reader.task

    play(story)


def test_nothing_is_missed_between_the_headers_and_the_first_event() -> None:
    async def story(bus: EventBus, streams: Streams) -> None:
        sent: list[bytes] = []

        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()
            raise AssertionError("this reader stays")

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                # a reader that has the headers looks at how things are; this changes right after it has looked
                bus.publish(change(7))
            sent.append(message.get("body", b""))
            if b"event:" in sent[-1]:
                streams.close()

        await StreamResponse(streams)(SCOPE, receive, send)
        assert [data["id"] for _, data in events_in(b"".join(sent).decode())] == [7]

    play(story)


def test_a_storm_is_told_in_its_newest_state() -> None:
    async def story(bus: EventBus, streams: Streams) -> None:
        stream = streams.open()
        for status in ("queued", "running", "success"):
            bus.publish(change(1, status))
            bus.publish(Event("progress", "shop", "load", 1))
        bus.publish(Event("schedule", "shop", name="nightly"))
        bus.publish(Event("schedule", "shop", name="hourly"))
        told = events_in(stream.take().decode())
        assert [(name, data.get("status"), data.get("name")) for name, data in told] == [
            ("execution", "success", None),
            ("progress", None, None),
            ("schedule", None, "nightly"),
            ("schedule", None, "hourly"),
        ]
        assert stream.take() == b""

    play(story)


def test_too_many_changes_are_told_as_one_resync() -> None:
    async def story(bus: EventBus, streams: Streams) -> None:
        stream = streams.open()
        for number in range(CAPACITY + 50):
            bus.publish(change(number + 1))
        assert events_in(stream.take().decode()) == [("resync", {})]
        bus.publish(change(7))
        assert [name for name, _ in events_in(stream.take().decode())] == ["execution"]

    play(story)


def test_a_stream_that_is_asked_to_gather_sends_once() -> None:
    async def story(bus: EventBus, streams: Streams) -> None:
        reader = Reader(streams)
        await reader.opened()
        # the interval has no end here, so what comes after the greeting is kept until the stream ends
        bus.publish(change(1))
        streams.close()
        await reader.task
        assert events_in(reader.text) == []

    play(story, interval=3_600)


def test_a_stream_with_nothing_to_say_shows_that_it_lives() -> None:
    async def story(_: EventBus, streams: Streams) -> None:
        reader = Reader(streams)
        await reader.until(lambda text: text.count(": nothing new") == 2)
        streams.close()
        await reader.task

    play(story, heartbeat=0)


def test_a_stream_ends_with_its_reader_and_the_bus_is_left_alone_then() -> None:
    async def story(bus: EventBus, streams: Streams) -> None:
        assert not bus.listened
        first, second = Reader(streams), Reader(streams)
        await first.opened()
        await second.opened()
        assert (len(streams), bus.listened) == (2, True)
        first.gone.set()
        await first.task
        assert (len(streams), bus.listened) == (1, True)
        second.gone.set()
        await second.task
        assert (len(streams), bus.listened) == (0, False)

    play(story)


def test_streams_end_when_the_server_stops_and_none_is_opened_after() -> None:
    async def story(_: EventBus, streams: Streams) -> None:
        reader = Reader(streams)
        await reader.opened()
        closing = threading.Thread(target=streams.close)
        closing.start()
        await reader.task
        closing.join()
        late = Reader(streams)
        await late.task
        assert late.started["status"] == 200
        streams.close()

    play(story)


def test_an_event_after_the_loop_has_ended_hurts_nobody() -> None:
    bus = EventBus()
    streams = Streams(bus)

    async def leave_it_open() -> None:
        streams.open()

    asyncio.run(leave_it_open())
    bus.publish(change(1))
    streams.close()


def test_head_gets_the_headers_only() -> None:
    async def story(_: EventBus, streams: Streams) -> None:
        reader = Reader(streams, "HEAD")
        await reader.task
        assert (reader.started["status"], reader.text) == (200, "")

    play(story)


def test_the_endpoint_tells_what_an_engine_does(client: Any, engine: Any) -> None:
    seen: list[str] = []
    site = client.app.state.site

    async def listen() -> None:
        reader = Reader(site.streams)
        await reader.opened()
        engine.submit(engine.job("shop", "add_one"), [{"value": 1}])
        await reader.until(lambda text: '"status":"success"' in text)
        seen.append(reader.text)
        reader.gone.set()
        await reader.task

    asyncio.run(listen())
    assert ("execution", "shop") in {(name, data["flow"]) for name, data in events_in(seen[0])}
    site.close()
    answer = client.get("/api/events")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
