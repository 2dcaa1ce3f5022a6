"""The SQLite file: opening, pragmas, one writer, separate readers, migrations, an orderly close.

The file has a write-ahead log with ``synchronous=NORMAL``: a process that dies loses nothing that was committed. The calling thread
uses the one write connection under a lock, since a hand-over to a writer thread costs more than the commit. A transaction locks out
all other writers from its start (``BEGIN IMMEDIATE``), so what a check in it finds still holds when it commits. Readers have
read-only connections of their own, as many as read at the same time. ``:memory:`` is the one-connection mode, for tests.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from ...errors import StoreError, StoreUnavailable
from ...model.stores import MEMORY, file_of, url_mistake
from ..copying import KEEP_COPY, Copying
from ..database import Row, Values, shared_statements, statements
from .checkpoints import Checkpoints
from .migrations import check_not_newer, migrate, version_of
from .presence import Presence
from .readers import BUSY_TIMEOUT, CLOSED, Readers, connect

logger = logging.getLogger("microflow")

TRY_AGAIN = 0.005
"""Seconds between two tries of what SQLite does not wait for itself."""

CHECKPOINT_PAGES = 32_000
"""Pages of 1 KiB that the write-ahead log may hold before a commit moves them to the file, which the disk must be waited for.

A bound: long before, it is done in the background (see ``checkpoints``).
"""

_ROLLED_BACK = "The store has undone a transaction after one of its statements failed."


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
    """Whether a store's file exists. Raises ``StoreUnavailable`` if the system refuses to answer."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StoreUnavailable(f"The store {path} can't be opened: {error.strerror}.") from error
    return True


class Database:
    """An open file, as ``store.database.Database`` describes it. ``path``: the file, None for ``:memory:``.

    ``copying`` is about the copy of the store that is kept before a migration that rewrites it. Raises ``StoreUnavailable``,
    ``StoreTooNew``, ``StoreLocked``.
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
        self._statements = all_statements()
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
        """Switch the write-ahead log on. For this step alone SQLite does not wait for the lock: of two processes that make an
        empty file a store at the same time, one fails at once, and tries again here."""
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

    def execute(self, name: str, values: Values = ()) -> int:
        """Execute the statement of this name on the write connection; the number of rows that it changed."""
        return self.execute_text(self._statements[name], values).rowcount

    def fetch(self, name: str, values: Values = ()) -> list[Row]:
        """All rows of the query of this name on the write connection, which sees what the open transaction has written."""
        with self._lock:
            return self.execute_text(self._statements[name], values).fetchall()

    def execute_text(self, text: str, values: Values) -> sqlite3.Cursor:
        """Execute this on the write connection: the one place where something is written, which tests make fail.

        Raises ``StoreError`` with the system's own words if it fails.
        """
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
        """Execute the INSERT of this name; the id of its row."""
        with self._lock:  # the id is the connection's, so no other thread may insert in between
            identity = self.execute_text(self._statements[name], values).lastrowid
        assert identity is not None
        return identity

    def read(self, name: str, values: Values = ()) -> list[Row]:
        """All rows of the query of this name, from a read-only connection."""
        return self.read_text(self._statements[name], values)

    def read_newest(self, name: str, conditions: Sequence[str], values: Values) -> list[Row]:
        """The rows of the query of this name for which all of the named conditions hold, the highest ids first."""
        return self.read_text(newest_of(name, conditions), values)

    def read_text(self, text: str, values: Values = ()) -> list[Row]:
        """All rows of a query in this text, from a read-only connection. Raises ``StoreError``."""
        if self._readers is None:
            with self._lock:
                return self.execute_text(text, values).fetchall()
        return self._readers.read_text(text, values)

    def checkpoint(self) -> None:
        """Move what the write-ahead log holds to the file while others write, so that no commit of theirs has to do it.

        For threads that write much and can wait. Raises ``StoreError``.
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


@lru_cache
def all_statements() -> dict[str, str]:
    """Every statement by its name: those that all databases share, and SQLite's own."""
    shared, own = shared_statements(), statements(__package__)
    assert not shared.keys() & own.keys(), "a statement is shared or SQLite's own"
    return shared | own


def statement(name: str) -> str:
    """The statement of this name."""
    return all_statements()[name]


def newest_of(name: str, conditions: Sequence[str]) -> str:
    """The query of this name with all of the named conditions, the highest ids first."""
    texts = " AND ".join(statement(condition) for condition in conditions)
    return f"{statement(name)}{f' WHERE {texts}' if texts else ''} {statement('newest_first')}"


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
