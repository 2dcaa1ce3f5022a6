"""Looking changes nothing; what writes migrates, but not while an older engine is at work, and keeps a copy before it rewrites."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from microflow import StoreError, StoreLocked, StoreMissing, StoreTooNew, StoreTooOld, StoreUnavailable
from microflow.store import open as open_store
from microflow.store.copying import Copying
from microflow.store.filters import Filters
from microflow.store.rows import ServerState
from microflow.store.sqlite import migrations as migrations_module
from microflow.store.sqlite.database import Database
from microflow.store.sqlite.engines import FileEngines
from microflow.store.sqlite.lock import ServerLock, server_of
from microflow.store.sqlite.migrations import COPY_FIRST, migrations
from microflow.store.sqlite.read_only import ReadOnlyDatabase

NEWEST = len(migrations())
REWRITES = f"{COPY_FIRST}: it drops a column.\nCREATE TABLE extra (a);\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


def make(path: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of an older version, with one execution, one schedule and one tick."""
    with monkeypatch.context() as patch:
        patch.setattr(migrations_module, "migrations", lambda: migrations()[:version])
        Database(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO executions (flow, job, kind, status, trigger, inputs, output, run_key, cat_partition, queued_at,"
            " engine_id) VALUES ('shop', 'load', 'task', 'success', 'api', '[]', '{\"rows\":3}', 'k', 'red', 1, 1)"
        )
        connection.execute(
            "INSERT INTO schedules (flow, name, cron, timezone, served_since, seen_until)"
            " VALUES ('shop', 'daily', '@daily', 'UTC', 1, 60)"
        )
        connection.execute(
            "INSERT INTO ticks (flow, schedule, at, outcome, execution_id, count, first_at, recorded_at)"
            " VALUES ('shop', 'daily', 60, 'run', 1, 1, 60, 61)"
        )


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file of a folder, with its bytes and its time."""
    return {
        file.name: (file.read_bytes() if file.is_file() else b"", file.stat().st_mtime_ns)
        for file in sorted(folder.iterdir())
    }


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT max(version) FROM schema_version").fetchone()[0])


def look(url: str) -> list[int]:
    """Ask a store all that commands ask; the ids of its executions."""
    with closing(open_store(url, "look")) as store:
        reading, history = store.reading, store.schedules
        reading.tree(1)
        store.partitions.lines("shop", "load", [None], ["red"])
        assert [tick.outcome for tick in history.ticks("shop", "daily")] == ["run"]
        assert history.running() == {}
        assert store.engines.server().process is None
        assert store.logs.read(1).text == ""
        found = reading.executions(Filters(run_key="k"), 10).items
        assert found == reading.executions(Filters(cat_partition="red"), 10).items
        return [execution.id for execution in reading.executions(Filters(), 10).items]


# Looking


@pytest.mark.parametrize("version", [NEWEST, NEWEST - 1])
def test_the_last_two_versions_are_read_as_they_are_and_nothing_is_changed(
    path: Path, url: str, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(path, version, monkeypatch)
    before = contents(path.parent)

    assert look(url) == [1]

    assert contents(path.parent) == before


def test_an_older_version_is_left_as_it_is_with_the_command_that_brings_it_up_to_date(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(path, NEWEST - 2, monkeypatch)
    before = contents(path.parent)

    with pytest.raises(
        StoreTooOld, match=rf"has schema version {NEWEST - 2}, .* versions {NEWEST - 1} and {NEWEST}"
    ) as raised:
        ReadOnlyDatabase(url)

    assert "`microflow serve` or `microflow run` on this store brings it up to date" in str(raised.value)
    assert contents(path.parent) == before


def test_a_newer_version_is_refused_as_by_what_writes(path: Path, url: str) -> None:
    Database(url).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO schema_version (version) VALUES (99)")
    before = contents(path.parent)

    for opening in (Database, ReadOnlyDatabase):
        with pytest.raises(StoreTooNew, match="has schema version 99"):
            opening(url)
        assert contents(path.parent) == before


def test_what_is_not_there_is_not_made(path: Path, url: str) -> None:
    with pytest.raises(StoreMissing, match="There is no store"):
        ReadOnlyDatabase(url)
    with pytest.raises(StoreMissing):
        ReadOnlyDatabase(f"sqlite:///{path.parent}/no/folder/store.db")
    path.touch()
    with pytest.raises(StoreMissing, match="is an empty file"):
        ReadOnlyDatabase(url)

    assert [file.name for file in path.parent.iterdir()] == ["store.db"]


@pytest.mark.parametrize("opening", [Database, ReadOnlyDatabase])
def test_a_database_of_another_program_is_left_as_it_is(
    path: Path, url: str, opening: Callable[[str], Database | ReadOnlyDatabase]
) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE places (name)")
    before = contents(path.parent)

    with pytest.raises(StoreUnavailable, match=r"is a database of another program \(it has a table 'places'\)"):
        opening(url)

    assert contents(path.parent) == before


@pytest.mark.parametrize("junk", [b"Dear Sir or Madam, " * 100, b"SQLite format 3\0" + b"\xff" * 2000])
def test_what_is_no_database_can_not_be_looked_at(path: Path, url: str, junk: bytes) -> None:
    path.write_bytes(junk)

    with pytest.raises(StoreUnavailable, match="can't be looked at"):
        ReadOnlyDatabase(url)
    assert path.read_bytes() == junk


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs to become another user")
def test_a_folder_that_can_not_be_written_can_be_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import os; from contextlib import closing\n"
        "from microflow.store import open\n"
        "def look():\n"
        "    with closing(open('sqlite:///store.db', 'look')) as store:\n"
        "        return [execution.id for execution in store.reading.executions(limit=10).items]\n"
        "look()  # imports what another user may not read\n"
        "os.setgid(65534); os.setuid(65534); print(look())\n"
    )
    with TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        Path(folder).chmod(0o755)
        make(Path(folder) / "store.db", NEWEST, monkeypatch)
        before = contents(Path(folder))
        shown = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)

        assert (shown.stdout.strip(), shown.stderr) == ("[1]", "")
        assert contents(Path(folder)) == before


def test_what_another_process_has_just_written_is_seen_beside_it(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(path, NEWEST, monkeypatch)
    with closing(ReadOnlyDatabase(url)) as store:
        counted = "SELECT count(*) FROM engines"
        assert store.read_text(counted) == [(0,)]
        engine = {"pid": 1, "process_started": 0.0, "kind": "local", "started_at": 0.0}
        with closing(Database(url)) as database:
            database.insert("open_engine", engine)
            assert store.read_text(counted) == [(1,)]
            database.insert("open_engine", engine)
            assert store.read_text(counted) == [(2,)]
        with closing(Database(url)) as database:
            database.insert("open_engine", engine)
        assert store.read_text(counted) == [(3,)]
    with pytest.raises(StoreError, match="closed"):
        store.read_text(counted)


# The server of a store


def test_the_server_of_a_store_is_found_by_its_process_or_its_lock(path: Path, url: str) -> None:
    own = psutil.Process()
    with closing(Database(url)) as database:
        assert FileEngines(database, path).server() == ServerState(None, None, None)
        row = {"pid": own.pid, "process_started": own.create_time(), "kind": "server", "started_at": 5.0}
        number = database.insert("open_engine", row)
        assert FileEngines(database, path).server() == ServerState(str(own.pid), 5.0, None)
        database.execute("close_engine", {"id": number, "ended_at": 7.0, "reason": "stopped"})
        assert FileEngines(database, path).server() == ServerState(None, 5.0, 7.0)
        database.insert("open_engine", {**row, "pid": 2**22 + 1, "started_at": 9.0})
        assert FileEngines(database, path).server() == ServerState(None, 9.0, None), "it was killed"
        lock = ServerLock(path)
        lock.take()
        try:
            assert FileEngines(database, path).server().process == str(own.pid), "a process elsewhere holds the lock"
        finally:
            lock.release()
        assert server_of(path) is None


# Migrating


class Other:
    """A process that says it is an engine at work on the store, until it is told to end."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(
                "INSERT INTO engines (pid, process_started, kind, started_at) VALUES (?, ?, 'local', ?)",
                (self.process.pid, psutil.Process(self.process.pid).create_time(), time.time()),
            )

    def end(self) -> None:
        with suppress(OSError):
            self.process.communicate(b"\n")


@pytest.fixture
def older(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make(path, NEWEST - 1, monkeypatch)
    return path


def test_a_store_is_not_migrated_while_another_engine_is_at_work_on_it(older: Path, url: str) -> None:
    other = Other(older)
    try:
        for _ in range(2):
            with pytest.raises(
                StoreLocked, match=rf"must be brought to version {NEWEST}, .*: local \(process {other.process.pid}\)"
            ):
                Database(url)
            assert version_of(older) == NEWEST - 1
    finally:
        other.end()

    Database(url).close()

    assert version_of(older) == NEWEST


def test_a_server_whose_process_can_not_be_seen_is_known_by_its_lock(older: Path, url: str) -> None:
    lock = ServerLock(older)
    lock.take()
    try:
        with pytest.raises(StoreLocked, match="at work on it: server"):
            Database(url)
    finally:
        lock.release()
    Database(url).close()


def test_an_engine_at_work_is_no_obstacle_where_nothing_is_to_be_migrated(path: Path, url: str) -> None:
    Database(url).close()
    other = Other(path)
    try:
        Database(url).close()
    finally:
        other.end()


def test_a_migration_that_rewrites_keeps_one_copy_beside_the_store(
    older: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    old = older.with_name("store.db.before-2")
    old.write_bytes(b"of an earlier migration")
    monkeypatch.setattr(migrations_module, "migrations", lambda: (*migrations(), REWRITES))

    Database(url, copying=Copying(progress=lambda done, total: seen.append((done, total)))).close()

    copies = sorted(file.name for file in older.parent.glob("store.db.before-*"))
    assert copies == [f"store.db.before-{NEWEST}"]
    assert version_of(older.with_name(copies[0])) == NEWEST - 1
    with closing(sqlite3.connect(older.with_name(copies[0]))) as copy:
        assert copy.execute("SELECT job FROM executions").fetchall() == [("load",)]
    assert version_of(older) == NEWEST + 1
    assert seen[-1][0] == seen[-1][1] > 0


def test_a_migration_that_only_adds_keeps_no_copy(older: Path, url: str) -> None:
    Database(url).close()

    assert list(older.parent.glob("store.db.before-*")) == []


def test_a_copy_can_be_declined(older: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations_module, "migrations", lambda: (*migrations(), REWRITES))

    Database(url, copying=Copying(keep=False)).close()

    assert version_of(older) == NEWEST + 1
    assert list(older.parent.glob("store.db.before-*")) == []


def test_where_there_is_no_room_for_the_copy_nothing_is_migrated(
    older: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations_module, "migrations", lambda: (*migrations(), REWRITES))
    monkeypatch.setattr(
        migrations_module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": older.stat().st_size - 1})
    )

    with pytest.raises(StoreUnavailable, match=r"there is no room to keep a copy of it first: .*, or give --no-copy"):
        Database(url)

    assert version_of(older) == NEWEST - 1
    assert list(older.parent.glob("store.db.before-*")) == []


def test_a_copy_that_fails_leaves_nothing_and_migrates_nothing(
    older: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations_module, "migrations", lambda: (*migrations(), REWRITES))

    def fail(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Database(url, copying=Copying(progress=fail))

    assert version_of(older) == NEWEST - 1
    assert list(older.parent.glob("store.db.before-*")) == []
