"""Server-sent events: every change, told to every open stream without holding up the thread that made it.

Events are published in the threads of jobs. A stream keeps what it has not sent yet, at most one event for each thing
that changed; when too much has changed it says ``resync`` instead, and its reader fetches anew what it shows. What has
gathered is sent ten times a second at most, so that a storm of changes costs a reader little.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from ...model.events import Event, EventBus

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

CAPACITY = 256
"""How many different things may change between two sendings before a stream says ``resync``."""
INTERVAL = 0.1
"""Seconds between two sendings, at least."""
HEARTBEAT = 15.0
"""Seconds after which a stream with nothing to say sends a comment, so that nobody in between takes it for dead."""

_GREETING = b"retry: 2000\n: every change is told here\n\n"
_NOTHING_NEW = b": nothing new\n\n"
_RESYNC = b"event: resync\ndata: {}\n\n"

_encoder = msgspec.json.Encoder()


class Stream:
    """One reader's stream: what has changed since the last sending. Made in the event loop that serves it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._pending: dict[tuple[Any, ...], Event] = {}
        self._overflowed = False
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether nothing more is sent."""
        return self._ended.is_set()

    def add(self, event: Event) -> None:
        """Take in an event, from any thread; it replaces an earlier one about the same thing."""
        key = (event.topic, event.id) if event.id else (event.topic, event.flow, event.job, event.name)
        with self._lock:
            if self._overflowed:
                return
            idle = not self._pending
            self._pending.pop(key, None)  # so that the newest comes last
            self._pending[key] = event
            if len(self._pending) > CAPACITY:
                self._pending.clear()
                self._overflowed = True
        if idle:
            self._in_loop(self._changed.set)

    def end(self) -> None:
        """Send nothing more, from any thread."""
        self._in_loop(self._ended.set)
        self._in_loop(self._changed.set)

    def _in_loop(self, function: Callable[[], Any]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            return  # the loop has ended while jobs went on: the reader is gone, and there is nobody to tell

    async def changed(self, seconds: float) -> bool:
        """Wait until something has changed or the stream is ended; False if the seconds passed first."""
        return await _is_set_within(self._changed, seconds)

    async def gather(self, seconds: float) -> None:
        """Let changes gather for some seconds, unless the stream is ended."""
        await _is_set_within(self._ended, seconds)

    def take(self) -> bytes:
        """What is to be sent, as the protocol has it; empty if nothing has changed."""
        with self._lock:
            self._changed.clear()
            events, overflowed = list(self._pending.values()), self._overflowed
            self._pending.clear()
            self._overflowed = False
        if overflowed:
            return _RESYNC
        return b"".join(b"event: %s\ndata: %s\n\n" % (event.topic.encode(), _encoder.encode(event)) for event in events)


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


class Streams:
    """All open streams. The bus is listened to only while there are any, since an event costs the job that makes it.

    ``interval`` and ``heartbeat`` are in seconds.
    """

    def __init__(self, events: EventBus, interval: float = INTERVAL, heartbeat: float = HEARTBEAT) -> None:
        self.interval = interval
        self.heartbeat = heartbeat
        self._events = events
        self._lock = threading.Lock()
        self._open: tuple[Stream, ...] = ()
        self._unsubscribe: Callable[[], None] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._open)

    def open(self) -> Stream:
        """A new stream of every event from now on; one that is ended already if the server is about to stop."""
        stream = Stream()
        with self._lock:
            if self._closed:
                stream.end()
                return stream
            self._open = (*self._open, stream)
            if self._unsubscribe is None:
                self._unsubscribe = self._events.subscribe(self._publish)
        return stream

    def leave(self, stream: Stream) -> None:
        """Forget a stream whose reader is gone."""
        with self._lock:
            self._open = tuple(known for known in self._open if known is not stream)
            if not self._open and self._unsubscribe is not None:
                self._unsubscribe()
                self._unsubscribe = None

    def close(self) -> None:
        """End every stream, and those that are opened later; usable from every thread, more than once."""
        with self._lock:
            self._closed = True
            for stream in self._open:
                stream.end()

    def _publish(self, event: Event) -> None:
        for stream in self._open:
            stream.add(event)


class StreamResponse(Response):
    """Answers with a stream of events, until the reader goes or the server stops."""

    def __init__(self, streams: Streams) -> None:
        super().__init__(None, 200, {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}, "text/event-stream")
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [header for header in self.raw_headers if header[0] != b"content-length"]
        start: Message = {"type": "http.response.start", "status": self.status_code, "headers": headers}
        if scope["method"] == "HEAD":
            await send(start)
        else:
            # before the headers: a reader who has them looks at how things are, and must be told of what changes from then on
            stream = self._streams.open()
            watch = asyncio.ensure_future(_end_with_reader(stream, receive))
            try:
                await send(start)
                await self._tell(stream, send)
            finally:
                self._streams.leave(stream)
                watch.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _tell(self, stream: Stream, send: Send) -> None:
        text = _GREETING
        while not stream.ended:
            if text:
                await send({"type": "http.response.body", "body": text, "more_body": True})
                await stream.gather(self._streams.interval)
            text = stream.take() if await stream.changed(self._streams.heartbeat) else _NOTHING_NEW


async def _end_with_reader(stream: Stream, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.end()
