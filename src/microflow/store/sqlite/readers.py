"""Read-only connections to a store's file, as many as read at the same time."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from urllib.parse import quote

from ...errors import StoreError
from ..database import Row, Values

BUSY_TIMEOUT = 30.0
"""Seconds that a statement waits for another process that writes."""

CLOSED = "The store is closed: the engine that used it has stopped."


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection to a store's file: ``mode`` is "ro", "rw", or "ro&immutable=1". It makes no new file."""
    return sqlite3.connect(
        f"file:{quote(os.fsencode(path.as_posix()), safe='/:')}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
    )


class Readers:
    """The pool of connections that readers take and give back; ``open`` counts them.

    ``is_held``: this process has a connection that writes. Where none has, a plain read-only connection would leave files beside
    the store (``-wal`` and ``-shm``), and would fail in a folder that can't be written; see ``mode``.
    """

    def __init__(self, url: str, path: Path, *, is_held: bool) -> None:
        self._url = url
        self._path = path
        self._is_held = is_held
        self._log = path.with_name(path.name + "-wal")
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self.open = 0

    def read_text(self, text: str, values: Values = ()) -> list[Row]:
        """All rows of a query, from a connection that no other thread uses meanwhile. Raises ``StoreError``."""
        reader, is_kept = self._take()
        try:
            return reader.execute(text, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"The store {self._url!r} can't be read: {error}.") from error
        finally:
            self._give_back(reader, is_kept)

    def _take(self) -> tuple[sqlite3.Connection, bool]:
        """A connection, the last one used first, and whether it may be used again."""
        mode = self.mode()
        with self._lock:
            if self._closed:
                raise StoreError(CLOSED)
            if self._idle and mode == "ro":
                return self._idle.pop(), True
            self.open += 1
        try:
            return connect(self._path, mode), mode == "ro"
        except sqlite3.Error as error:
            with self._lock:
                self.open -= 1
            raise StoreError(f"The store {self._url!r} can't be read: {error}.") from error

    def mode(self) -> str:
        """How to open the file without leaving anything beside it.

        A process that writes to the store has a write-ahead log, which a reader has to read too. Where there is none, the file is
        all there is. A connection that takes the file for immutable sees no later change, so it is used once.
        """
        if self._is_held:
            return "ro"
        try:
            is_in_use = self._log.stat().st_size > 0
        except OSError:
            is_in_use = False
        return "ro" if is_in_use else "ro&immutable=1"

    def _give_back(self, reader: sqlite3.Connection, is_kept: bool) -> None:
        with self._lock:
            if is_kept and not self._closed:
                self._idle.append(reader)
                return
            self.open -= 1
        reader.close()

    def close(self) -> None:
        """Close every connection; one that is in use is closed when it is given back. Calling it twice is fine."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            self.open -= len(idle)
        for reader in idle:
            reader.close()
