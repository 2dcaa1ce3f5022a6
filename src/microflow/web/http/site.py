"""What every handler works with: the engine, the reading side, a few threads for what blocks, the streams of events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .metrics import Metrics
from .newer_files import LOOK, NewerFiles
from .stream import Streams

if TYPE_CHECKING:
    from ...engine.changes import Changes
    from ...engine.engine import Engine

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 4
"""Threads for what the API reads and does, and as many for pages. They are few and stay, since each has its own connection to the
store."""


class Site:
    """The parts that the handlers of the API and of the pages share.

    ``engine`` acts, ``store`` is what is looked at, ``streams`` are the open event streams, ``metrics`` the figures for
    Prometheus, ``newer`` the files that are newer than the code that is served. What blocks, or takes more than a moment, runs in
    ``run`` or ``draw``, never in the event loop.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.store = engine.store
        self.streams = Streams(engine.events)
        self.metrics = Metrics(engine, self.streams)
        self.newer = NewerFiles(engine)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="microflow-web")
        self._pages = ThreadPoolExecutor(THREADS, thread_name_prefix="microflow-page")
        self._waiting: set[Callable[[], None]] = set()
        self._closed = False

    def now(self) -> datetime:
        """This moment, in UTC."""
        return datetime.now(UTC)

    async def run(self, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
        """What a function that blocks returns, from one of the site's threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*arguments, **named))

    async def draw(self, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
        """The same for pages, from threads of their own: however long pages take, the API answers meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._pages, lambda: function(*arguments, **named))

    async def reload(self) -> Changes:
        """Let the engine load the flows' code again, in a thread of its own: an import may take long, or never end."""
        loaded: Future[Changes] = Future()

        def reload() -> None:
            try:
                loaded.set_result(self.engine.reload())
            except BaseException as error:  # noqa: BLE001 - whoever waits for the future gets it
                loaded.set_exception(error)

        threading.Thread(target=reload, name="microflow-reload", daemon=True).start()
        return await asyncio.wrap_future(loaded)

    async def watch_files(self) -> None:
        """While anybody has a page open, tell of files that become newer than the code that is served. Never returns."""
        while True:
            await asyncio.sleep(LOOK)
            if len(self.streams):
                await self.run(self.newer.look)

    async def until_done(self, future: Future[Any], seconds: float) -> None:
        """Wait until a future is done, the seconds have passed, or the server stops. Its result is left alone."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def wake(_: Any = None) -> None:
            try:
                loop.call_soon_threadsafe(done.set)
            except RuntimeError:
                return  # the loop has ended, and whoever waited in it

        self._waiting.add(wake)
        future.add_done_callback(wake)
        if self._closed:  # asked after it was added, so that a close in between is not missed
            done.set()
        try:
            async with asyncio.timeout(seconds):
                await done.wait()
        except TimeoutError:
            return
        finally:
            self._waiting.discard(wake)

    def close(self) -> None:
        """End the streams of events and the waiting for executions, so that the server can stop at once.

        Usable from every thread, more than once.
        """
        self._closed = True
        self.streams.close()
        for wake in tuple(self._waiting):
            wake()

    def release(self) -> None:
        """``close``, and let go of the threads: after the last request."""
        self.close()
        self._threads.shutdown(wait=False)
        self._pages.shutdown(wait=False)
