"""The versions of the store's schema, and how a store is brought up to date.

Only what writes migrates. A migration waits for no one: while an engine of an older version is at work on the store, it is refused,
since that engine could not start again afterwards. A script whose first line is ``-- copy first`` rewrites or drops what is stored;
before it runs, one copy of the store is kept beside it.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from ...errors import StoreLocked, StoreTooNew, StoreTooOld, StoreUnavailable
from ..copying import Copying
from .liveness import is_alive
from .lock import server_of

COPY_FIRST = "-- copy first"
"""The first line of a migration that rewrites or drops what is stored."""

READABLE = 2
"""How many of the newest versions can be looked at as they are."""

_PAGES = 4096
"""Pages of a copy that are written between two reports of the progress."""


@lru_cache
def migrations() -> tuple[str, ...]:
    """The scripts that bring an empty store up to date, in order."""
    folder = files(__package__).joinpath("schema")
    return tuple(entry.read_text("utf-8") for entry in sorted(folder.iterdir(), key=lambda entry: entry.name))


def version_of(connection: sqlite3.Connection, url: str) -> int:
    """The version of the schema of an open store; 0 for an empty file. Raises ``StoreUnavailable`` for another database."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if "schema_version" in tables:
        return int(connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()[0])
    if tables:
        raise StoreUnavailable(
            f"The file of {url!r} is a database of another program (it has a table {min(tables)!r}), not a store of Microflow. "
            "Name another one with --store or MICROFLOW_STORE."
        )
    return 0


def check_not_newer(url: str, version: int) -> None:
    """Raise ``StoreTooNew`` for a version that this Microflow does not know."""
    if version > (newest := len(migrations())):
        raise StoreTooNew(
            f"The store {url!r} has schema version {version}, and this Microflow knows versions up to {newest}. "
            "Upgrade Microflow, or name another store with --store or MICROFLOW_STORE."
        )


def check_readable(url: str, version: int) -> None:
    """Raise ``StoreTooNew`` or ``StoreTooOld`` for a version that can't be looked at as it is."""
    check_not_newer(url, version)
    newest = len(migrations())
    if version <= newest - READABLE:
        raise StoreTooOld(
            f"The store {url!r} has schema version {version}, and this Microflow can look at versions {newest - READABLE + 1} and "
            f"{newest}. Looking changes nothing. `microflow serve` or `microflow run` on this store brings it up to date; stop "
            "every other engine that uses it first."
        )


def migrate(connection: sqlite3.Connection, url: str, path: Path | None, copying: Copying) -> None:
    """Bring an open store up to date, each migration in a transaction of its own.

    Raises ``StoreTooNew``; ``StoreLocked`` while an engine of an older version is at work on it; ``StoreUnavailable`` where there
    is no room for the copy that has to be kept.
    """
    version = version_of(connection, url)
    check_not_newer(url, version)
    steps = migrations()
    if version == len(steps):
        return
    if path is not None and version > 0:
        _refuse_if_in_use(connection, url, path, version)
        if copying.keep and any(script.startswith(COPY_FIRST) for script in steps[version:]):
            _keep_copy(connection, url, path, version, copying)
    for number, script in enumerate(steps[version:], start=version + 1):
        _carry_out(connection, url, path, number, script)


def _carry_out(connection: sqlite3.Connection, url: str, path: Path | None, number: int, script: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # another process may have done it while this one waited for the lock
        found = version_of(connection, url)
        if found < number:
            if path is not None and found > 0:
                _refuse_if_in_use(connection, url, path, found)
            else:
                connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
            for statement in _split(script):
                connection.execute(statement)
            connection.execute("INSERT INTO schema_version (version) VALUES (?)", (number,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _refuse_if_in_use(connection: sqlite3.Connection, url: str, path: Path, version: int) -> None:
    """Raise ``StoreLocked`` if an engine has the store open: it could not start again once the schema is newer than it knows."""
    living = [
        f"{kind} (process {pid})"
        for pid, started, kind in connection.execute(
            "SELECT pid, process_started, kind FROM engines WHERE ended_at IS NULL"
        )
        if is_alive(pid, started)
    ]
    if not living and (holder := server_of(path)) is not None:  # in another container, its number is not among ours
        living = [f"server (process {holder})"]
    if living:
        raise StoreLocked(
            f"The store {url!r} has schema version {version} and must be brought to version {len(migrations())}, but an engine of "
            f"another Microflow is at work on it: {', '.join(living)}. Stop it first."
        )


def _keep_copy(connection: sqlite3.Connection, url: str, path: Path, version: int, copying: Copying) -> None:
    """Write a copy of the store beside it, ``store.db.before-5``, in the place of an earlier one."""
    target = path.with_name(f"{path.name}.before-{version + 1}")
    size, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < size:
        raise StoreUnavailable(
            f"The store {url!r} has to be rewritten, and there is no room to keep a copy of it first: {path.parent} has "
            f"{free / 2**20:,.0f} MiB free, and the copy takes {size / 2**20:,.0f} MiB. Make room, or give --no-copy."
        )
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(part)) as copy:
            connection.backup(copy, pages=_PAGES, progress=lambda _, left, total: copying.progress(total - left, total))
        earlier = [known for known in path.parent.glob(f"{path.name}.before-*") if known not in (part, target)]
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    for known in earlier:
        known.unlink()


def _split(script: str) -> list[str]:
    """The statements of a script. ``executescript`` would commit, and a migration is one transaction."""
    found, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            found.append(current)
            current = ""
    return found
