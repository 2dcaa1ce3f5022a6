"""The engines of a store in a file: an engine is alive while its process is, and a lock on a file says which one is the server.

An engine is recorded by the number and the start of its process. Only processes of this machine can be seen, and only engines
of this machine use the store: a process in another container shows itself by the server's lock alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..database import Database, Readable
from ..rows import DeadEngine, RunningElsewhere, ServerState
from .liveness import is_alive, own_process
from .lock import ServerLock, server_of


class FileEngineHistory:
    """Looks at the engines of a store (see ``store.engines.EngineHistory``). ``path``: its file, None for a store in memory."""

    def __init__(self, database: Readable, path: Path | None) -> None:
        self._readable = database
        self._path = path

    def server(self) -> ServerState:
        """Whether a server runs on the store, and what is known of the last one."""
        rows = self._readable.read("last_server")
        if not rows:
            return ServerState(None, None, None)
        pid, process_started, started_at, ended_at = rows[0]
        if ended_at is None and is_alive(pid, process_started):
            return ServerState(str(pid), started_at, None)
        # a server in another container has a number that means nothing here, and holds the lock
        return ServerState(None if self._path is None else server_of(self._path), started_at, ended_at)

    def orphans(self, execution_ids: Iterable[int]) -> set[int]:
        """Those of the executions whose engine is a server that died without recording its end."""
        killed = {
            id_
            for id_, pid, started, kind, _ in self._readable.read("open_engines")
            if kind == "server" and not is_alive(pid, started)
        }
        if not killed:
            return set()
        owners = {id_: self._readable.read("engine_of_execution", {"id": id_}) for id_ in execution_ids}
        return {id_ for id_, rows in owners.items() if any(engine in killed for (engine,) in rows)}


class FileEngines(FileEngineHistory):
    """Records engines and tells which are alive (see ``store.engines.Engines``)."""

    def __init__(self, database: Database, path: Path | None) -> None:
        super().__init__(database, path)
        self._database = database
        self._lock = None if path is None else ServerLock(path)
        self.own = 0
        self.has_ended = False

    def become_server(self) -> None:
        """Take the server's lock; a store in memory belongs to its process, and needs none."""
        if self._lock is not None:
            self._lock.take()

    def register(self, kind: str, now: float) -> int:
        """Record a new engine of this process. Returns its id."""
        pid, started = own_process()
        values = {"pid": pid, "process_started": started, "kind": kind, "started_at": now}
        self.own = self._database.insert("open_engine", values)
        return self.own

    def unregister(self, *, now: float, reason: str) -> None:
        """Record that this process's engine ended, and why."""
        self.has_ended = True
        self._database.execute("close_engine", {"id": self.own, "ended_at": now, "reason": reason})

    def dead(self) -> list[DeadEngine]:
        """The engines whose process is gone, though their end is not recorded: never because of their age."""
        return [
            DeadEngine(id_, kind, _process(pid))
            for id_, pid, started, kind, _ in self._database.read("open_engines")
            if id_ != self.own and not is_alive(pid, started)
        ]

    def is_open(self, engine_id: int) -> bool:
        """Whether this is the engine of another process that has not recorded its end."""
        return engine_id != self.own and any(row[0] == engine_id for row in self._database.read("open_engines"))

    def having(self, executions: Sequence[tuple[int, int]]) -> list[RunningElsewhere]:
        """Of (execution id, engine id), those executions whose engine belongs to another process that is alive."""
        wanted = {engine for _, engine in executions}
        living = {
            id_: _process(pid)
            for id_, pid, started, *_ in self._database.read("open_engines")
            if id_ in wanted and is_alive(pid, started)
        }
        return [RunningElsewhere(number, living[engine]) for number, engine in executions if engine in living]

    def close(self) -> None:
        """Let go of the server's lock; nothing happens if it is not held."""
        if self._lock is not None:
            self._lock.release()


def _process(pid: int) -> str:
    return f"process {pid}"
