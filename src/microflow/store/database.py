"""The SQLite file: opening, pragmas, one writer, readers apart, migrations, an orderly close.

WAL with ``synchronous=NORMAL``: a process that dies loses nothing that was committed. There is one write connection, used by the
calling thread under a lock, since a hand-over to a writer thread costs more than the commit. Readers have read-only connections of
their own, as many as read at the same time. ``:memory:`` is the one-connection mode, for tests.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from ..errors import StoreError, StoreUnavailable
from ..model.stores import MEMORY, file_of, url_mistake
from .checkpoints import Checkpoints
from .migrations import KEEP_COPY, Copying, check_not_newer, migrate, version_of
from .presence import Presence
from .readers import BUSY_TIMEOUT, CLOSED, Readers, Row, Values, connect

logger = logging.getLogger("microflow")

TRY_AGAIN = 0.005
"""Seconds between two tries of what SQLite does not wait for itself."""

CHECKPOINT_PAGES = 32_000
"""Pages of 1 KiB that the write-ahead log may hold before a commit moves them to the file, which the disk must be waited for.

A bound: long before, it is done in the background (see ``checkpoints``).
"""

_ROLLED_BACK = "The store has undone a transaction after one of its statements failed."


def default_url() -> str:
    """The store of a flow that names none: ``MICROFLOW_STORE``, else a file under ``.microflow/`` in the working directory."""
    return os.environ.get("MICROFLOW_STORE") or "sqlite:///.microflow/store.db"


def path_from_url(url: str) -> Path | None:
    """The file that a store's URL names; None for ``:memory:``. ``~`` and ``~user`` at its beginning are home directories.

    Raises ``StoreUnavailable`` for a URL that can't be one.
    """
    if mistake := url_mistake(url):
        raise StoreUnavailable(f"The store {url!r} can't be opened: {mistake}")
    if (text := file_of(url)) is None:
        return None
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise StoreUnavailable(
            f"The store {url!r} can't be opened: there is no home directory {Path(path).parts[0]}. Write the whole path, or "
            f"sqlite:///./{text} where a folder or file here has that name."
        )
    try:
        return Path(path).absolute()
    except OSError as error:  # the working directory was removed, or may not be entered
        raise StoreUnavailable(
            f"The store {url!r} can't be opened: the working directory can't be found ({error.strerror})."
        ) from None


def is_there(path: Path) -> bool:
    """Whether a store's file exists. Raises ``StoreUnavailable`` where the system does not tell."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StoreUnavailable(f"The store {path} can't be opened: {error.strerror}.") from error
    return True


class Database:
    """An open store. ``path`` is its file (None for ``:memory:``).

    ``copying`` is about the copy of the store that is kept before a migration that rewrites it.
    """

    def __init__(self, url: str, *, copying: Copying = KEEP_COPY) -> None:
        self.url = url
        self.path = path_from_url(url)
        self._lock = threading.RLock()
        self._checkpoint_lock = threading.Lock()
        self._checkpointer: sqlite3.Connection | None = None
        self._checkpoints = Checkpoints(self.checkpoint) if self.path is not None else None
        self._readers = None if self.path is None else Readers(url, self.path, is_held=True)
        self._after_commit: list[Callable[[], None]] = []
        self._statements = _statements()
        self._is_joined = False
        self._closed = False
        self._presence: Presence | None = None
        try:
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = sqlite3.connect(
                self.path or MEMORY,
                timeout=BUSY_TIMEOUT,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
            try:
                # before anything is changed: the file may be another program's, or of a newer version
                check_not_newer(url, version_of(self._writer, url))
                # A commit writes whole pages, and an execution touches a few bytes in each of several: small pages cost
                # half as much. That takes effect in a new file only.
                self._writer.execute("PRAGMA page_size = 1024")
                self._use_write_ahead_log()
                self._writer.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
                self._writer.execute("PRAGMA synchronous = NORMAL")
                migrate(self._writer, url, self.path, copying)
            except BaseException:
                self._writer.close()
                raise
            if self.path is not None:
                self._presence = Presence(self.path)
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailable(
                f"The store {url!r} can't be opened: {why_not(self.path, error)}. Check that its folder exists, can be "
                "written and is no network drive, or name another with --store or MICROFLOW_STORE."
            ) from error

    def _use_write_ahead_log(self) -> None:
        """The one step for which SQLite does not wait as long as it was told to: of two that make an empty file a store at
        the same time, one learns at once that it is locked."""
        give_up = time.monotonic() + BUSY_TIMEOUT
        while True:
            try:
                # all of its rows: what a full disk refuses is said only after the last of them
                self._writer.execute("PRAGMA journal_mode = WAL").fetchall()
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up:
                    raise
            time.sleep(TRY_AGAIN)

    @property
    def open_readers(self) -> int:
        """How many connections readers have."""
        return 0 if self._readers is None else self._readers.open

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything executed inside is committed together at the end, or rolled back if something raises.

        A transaction inside another one is part of it.
        """
        with self._lock:
            if not self._closed and self._writer.in_transaction:
                yield
                return
            self._after_commit.clear()
            self.execute_text("BEGIN IMMEDIATE", ())
            self._is_joined = True
            try:
                yield
                self.execute_text("COMMIT", ())
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
            finally:
                self._is_joined = False
            callbacks = tuple(self._after_commit)
        for callback in callbacks:
            _follow(callback)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call this when what was written by this thread can be read by all: now, or when the transaction is committed.

        If that fails it is never called. What the callback raises is logged.
        """
        with self._lock:
            if not self._closed and self._writer.in_transaction:
                self._after_commit.append(callback)
                return
        _follow(callback)

    def execute(self, name: str, values: Values = ()) -> sqlite3.Cursor:
        """Carry out the statement of this name on the write connection; on its own it is its own transaction.

        Raises ``StoreError`` with the system's own words if it fails.
        """
        return self.execute_text(self._statements[name], values)

    def execute_text(self, text: str, values: Values) -> sqlite3.Cursor:
        """The one place where something is written; tests make it fail."""
        with self._lock:
            if self._closed:
                raise StoreError(CLOSED)
            if self._is_joined:
                if not self._writer.in_transaction:
                    raise StoreError(_ROLLED_BACK)
            elif self._presence is not None:
                self._presence.check()
            try:
                cursor = self._writer.execute(text, values)
            except sqlite3.Error as error:
                raise StoreError(f"The store {self.url!r} failed: {error}.") from error
            if self._checkpoints is not None and not self._writer.in_transaction:
                self._checkpoints.wrote(self._writer.total_changes)
            return cursor

    def insert(self, name: str, values: Values) -> int:
        """Carry out an INSERT; the id of its row."""
        with self._lock:  # the id is the connection's, so nobody may insert in between
            identity = self.execute_text(self._statements[name], values).lastrowid
        assert identity is not None
        return identity

    def read(self, name: str, values: Values = ()) -> list[Row]:
        """All rows of the query of this name, from the calling thread's own read-only connection."""
        return self.read_text(statement(name), values)

    def read_text(self, text: str, values: Values = ()) -> list[Row]:
        """All rows of a query that was put together from named parts."""
        if self._readers is None:
            with self._lock:
                return self.execute_text(text, values).fetchall()
        return self._readers.read_text(text, values)

    def checkpoint(self) -> None:
        """Move what the write-ahead log holds to the file while others write, so that no commit of theirs has to do it.

        For whoever writes much and can wait. Raises ``StoreError``.
        """
        if self.path is None:
            return
        with self._checkpoint_lock:
            if self._closed:
                raise StoreError(CLOSED)
            try:
                if self._checkpointer is None:
                    self._checkpointer = connect(self.path, "rw")
                self._checkpointer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            except sqlite3.Error as error:
                raise StoreError(f"The store {self.url!r} failed: {error}.") from error

    def close(self) -> None:
        """Close every connection; what comes later raises ``StoreError``. Calling it twice is fine."""
        if self._checkpoints is not None:
            self._checkpoints.close()
        with self._lock, self._checkpoint_lock:
            if self._closed:
                return
            self._closed = True
            if self._checkpointer is not None:
                self._checkpointer.close()
            if self._readers is not None:
                self._readers.close()
            self._writer.close()


def _follow(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:  # what it follows is in the store, and others may follow it too
        logger.exception("Something that follows a commit failed.")


def statement(name: str) -> str:
    """The statement that stands under this name in one of the ``.sql`` files beside this module."""
    return _statements()[name]


@lru_cache
def _statements() -> dict[str, str]:
    found: dict[str, str] = {}
    for file in files(__package__).iterdir():
        if not file.name.endswith(".sql"):
            continue
        for block in file.read_text("utf-8").split("-- name: ")[1:]:
            name, _, body = block.partition("\n")
            assert name.strip() not in found, f"two statements are named {name.strip()!r}"
            found[name.strip()] = (
                "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip().rstrip(";")
            )
    return found


def why_not(path: Path | None, error: OSError | sqlite3.Error, mode: str = "r+b") -> str:
    """Why a store can't be opened: SQLite has the same words for many reasons, and the system says which one it is."""
    if path is not None and isinstance(error, sqlite3.Error):
        try:
            path.open(mode).close()
        except FileNotFoundError:
            pass
        except OSError as refused:
            return f"{path}: {refused.strerror}"
        if "+" in mode and not os.access(path.parent, os.W_OK):
            return f"the folder {path.parent} can't be written to ({error})"
    return str(error)
