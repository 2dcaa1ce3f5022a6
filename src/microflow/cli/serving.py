"""A server's life: sockets, engine, application and event loop, put together and taken apart in order."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..engine.engine import Engine
from ..web.app import create_app
from ..web.http.security import LOCAL_HOSTS
from .listening import names_of
from .stopping import Stopping

logger = logging.getLogger("microflow")

_TICK = 1.0
"""Seconds between updates of the Date header; and, on Windows, until Ctrl-C is noticed."""

_LAST_REQUESTS = 5
"""Seconds that requests still have when everything else has ended."""

_LAST_REQUESTS_IN_A_HURRY = 1
"""The same, when somebody can't wait."""

_BACKLOG = 128
"""How many connections may wait to be accepted."""

_SCARCE_AGAIN = 60.0
"""Seconds between two complaints that no connection can be accepted."""

CHANGED = "a source file changed"
"""The reason of an end that is a restart."""


class End(NamedTuple):
    """How a server ended: why, whether all that ran had ended by itself, and whether somebody could not wait for that.

    ``left``: how many executions wait for the next server.
    """

    reason: str
    ended: bool
    left: int
    hurried: bool


class Settings(NamedTuple):
    """What ``serve`` was told, beside the flows."""

    host: str
    token: str | None
    no_auth: bool
    grace: float
    changed: Callable[[], bool] | None = None
    """Whether the server should restart; asked every second, in a thread."""


def serve(
    engine: Engine,
    sockets: Sequence[socket.socket],
    settings: Settings,
    ready: Callable[[], None],
    say: Callable[[str], None],
) -> End:
    """Serve a started engine until a signal ends it, and stop the engine. ``ready`` is called when requests are answered."""
    try:
        hosts = (*LOCAL_HOSTS, *names_of(settings.host))
        app = create_app(engine, token=settings.token, no_auth=settings.no_auth, hosts=hosts)
        server = _Server(app, engine, settings, ready, say)
        _log_to_standard_error()
        server.run(list(sockets))
    except BaseException:
        engine.stop(grace=0, reason="the server failed")
        raise
    stopping = server.stopping
    assert stopping is not None, "the loop of the server has run"
    if stopping.failure is not None:
        raise stopping.failure
    return End(stopping.reason, stopping.ended, engine.left, stopping.hurried)


class Connection(H11Protocol):
    """One connection, which sends at once. Else the second of two writes, such as an answer's body, waits 40 ms or more.

    asyncio sees to that itself, but not for the sockets that it accepts on Windows.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)


class _Server(uvicorn.Server):
    """uvicorn's server, with an end of its own, and without its ten looks a second."""

    def __init__(
        self, app: Starlette, engine: Engine, settings: Settings, ready: Callable[[], None], say: Callable[[str], None]
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=Connection,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_LAST_REQUESTS,
                backlog=_BACKLOG,
            )
        )
        self._site = app.state.site
        self._engine = engine
        self._settings = settings
        self._ready = ready
        self._say = say
        self.stopping: Stopping | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals begin the end, which is more than uvicorn's own."""
        self.stopping = Stopping(self._engine, self._settings.grace, self._say, self._leave_requests)
        with self.stopping.on_signals():
            yield

    def _leave_requests(self) -> None:
        """Somebody can't wait. uvicorn's own way of leaving at once would end the application with a traceback."""
        self.config.timeout_graceful_shutdown = _LAST_REQUESTS_IN_A_HURRY

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does it; then everybody may know."""
        asyncio.get_running_loop().set_exception_handler(_Complaints().report)
        await super().startup(sockets)
        gc.freeze()  # what is there by now stays; looking through it again and again would hold up every thread, and so ticks
        self._ready()

    async def main_loop(self) -> None:
        """Keep the Date header right until the engine has stopped."""
        stopping = self.stopping
        assert stopping is not None
        while not stopping.done.is_set():
            await self.on_tick(0)
            if not stopping.reason and await self._should_restart():
                stopping.begin(CHANGED)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.done.wait(), _TICK)
        self._site.close()

    async def _should_restart(self) -> bool:
        changed = self._settings.changed
        return changed is not None and await asyncio.to_thread(changed)


class _Complaints:
    """What the event loop has to say. Too many open files it says for each connection that waits, each with a traceback."""

    def __init__(self) -> None:
        self._quiet_until = 0.0

    def report(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Report it; where no connection can be accepted, in one line, and not again for a while."""
        error = context.get("exception")
        if isinstance(error, OSError) and "socket" in context:
            if loop.time() >= self._quiet_until:
                self._quiet_until = loop.time() + _SCARCE_AGAIN
                logger.error("No connection can be accepted now: %s. It is tried again every second.", error)
        elif not (isinstance(error, ValueError) and "_start_serving" in context["message"]):
            # else the sockets were closed before such a second was over
            loop.default_exception_handler(context)


def _log_to_standard_error() -> None:
    """What the server itself has to say, in one format; jobs' records go to their logs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for name in ("microflow", "uvicorn"):
        named = logging.getLogger(name)
        named.setLevel(logging.WARNING)
        named.addHandler(handler)
        named.propagate = False
