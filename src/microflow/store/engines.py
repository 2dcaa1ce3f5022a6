"""The engines of a store: which there are, and what those that have ended have left."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from .database import Database
from .liveness import is_alive
from .lock import server_of
from .readers import Readable

NOBODY = 0
"""The engine that owns what a server left queued when it stopped, until the next one takes it over."""


class Engines:
    """Records engines, this process's own among them: ``engine_id``, 0 before it is registered; ``has_ended`` afterwards."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.engine_id = 0
        self.has_ended = False

    def register(self, *, pid: int, process_started: float, kind: str, now: float) -> int:
        """Record a new engine, the owner of what is opened from now on."""
        self.engine_id = self._database.insert(
            "open_engine", {"pid": pid, "process_started": process_started, "kind": kind, "started_at": now}
        )
        return self.engine_id

    def unregister(self, *, now: float, reason: str) -> None:
        """Record that the engine ended, and why."""
        self.has_ended = True
        self._database.execute("close_engine", {"id": self.engine_id, "ended_at": now, "reason": reason})

    def engines(self) -> list[tuple[int, int, float, str]]:
        """(id, pid, when its process started, kind) of every engine that has not said that it ended."""
        return [
            (row[0], row[1], row[2], row[3]) for row in self._database.read("open_engines") if row[0] != self.engine_id
        ]

    def count_left(self, flows: Container[str]) -> int:
        """How many executions of these flows that nobody called wait for the next server: the engines that had them have ended."""
        return sum(count for flow, count in self._database.execute("count_left") if flow in flows)


class ServerState(NamedTuple):
    """Whether a server runs on a store: the number of its process as text (None: none runs), and what is known of the last one.

    ``started_at`` and ``ended_at`` are those of the newest server, in seconds since the epoch; ``started_at`` is None if no server
    has ever run, ``ended_at`` if the last one did not say that it ended.
    """

    process: str | None
    started_at: float | None
    ended_at: float | None


def server_state(store: Readable) -> ServerState:
    """Look for the server of a store. Raises ``StoreError`` if the store can't be read."""
    rows = store.read("last_server")
    if not rows:
        return ServerState(None, None, None)
    pid, process_started, started_at, ended_at = rows[0]
    if ended_at is None and is_alive(pid, process_started):
        return ServerState(str(pid), started_at, None)
    # one in another container has a number that means nothing here, and holds the lock
    return ServerState(None if store.path is None else server_of(store.path), started_at, ended_at)


def killed_servers(store: Readable) -> set[int]:
    """The engines of servers that ended without saying so. Raises ``StoreError`` if the store can't be read."""
    return {
        number
        for number, pid, started, kind, _ in store.read("open_engines")
        if kind == "server" and not is_alive(pid, started)
    }
