"""The store's file: what can't be opened says why, migrations are all or nothing, one writer, readers apart, an orderly close."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from microflow import StoreError, StoreTooNew, StoreUnavailable
from microflow.store.database import shared_statements
from microflow.store.sqlite import migrations as migrations_module
from microflow.store.sqlite.database import Database, all_statements, path_from_url, statement
from microflow.store.sqlite.migrations import migrations

ENGINE = {"pid": 1, "process_started": 0.0, "kind": "local", "started_at": 0.0}


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT max(version) FROM schema_version").fetchone()[0])


def set_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO schema_version (version) VALUES (?)", (version,))


# Stores that can't be opened


@pytest.mark.parametrize("url", ["postgresql://localhost/microflow", "store.db", "sqlite:store.db", ""])
def test_a_url_of_another_kind_is_refused_with_those_that_are_known(url: str) -> None:
    with pytest.raises(StoreUnavailable) as raised:
        Database(url)

    assert str(raised.value) == (
        f"The store {url!r} can't be opened: this version knows sqlite:///path (relative), sqlite:////path (absolute) and :memory:."
    )


@pytest.mark.parametrize("url", ["sqlite:///", "sqlite:////", "sqlite:///folder/", "sqlite:///a\0b"])
def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(
        StoreUnavailable, match=r"can't be opened: it names no file; give one, such as sqlite:///store\.db\."
    ):
        Database(url)


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    with closing(Database("sqlite:///~/stores/x.db")) as database:
        assert database.path == tmp_path / "home" / "stores" / "x.db"
        assert database.path.exists()
    assert not (tmp_path / "~").exists()
    assert path_from_url("sqlite:///./~/x.db") == tmp_path / "~" / "x.db"
    assert path_from_url("sqlite:///folder/~/x.db") == tmp_path / "folder" / "~" / "x.db"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows takes any name for that of a user")
def test_a_tilde_and_a_name_is_the_home_directory_of_that_user() -> None:
    import pwd

    user = pwd.getpwuid(os.getuid())

    assert path_from_url(f"sqlite:///~{user.pw_name}/x.db") == Path(user.pw_dir) / "x.db"
    with pytest.raises(StoreUnavailable, match="there is no home directory ~nobody-of-this-name"):
        path_from_url("sqlite:///~nobody-of-this-name/x.db")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there, every file name is valid Unicode")
def test_a_file_name_that_is_not_utf_8_is_like_any_other(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path}/caf\udce9 %.db")) as database:
        assert database.read_text("SELECT count(*) FROM executions", ()) == [(0,)]
        database.checkpoint()


def test_a_folder_that_cannot_be_made_is_named_with_the_systems_own_words(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, no folder")

    with pytest.raises(
        StoreUnavailable, match=r"can't be opened: .*taken.*name another with --store or MICROFLOW_STORE"
    ):
        Database(f"sqlite:///{tmp_path}/taken/store.db")


def test_a_file_that_is_no_store_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear Sir or Madam, " * 100)

    with pytest.raises(StoreUnavailable, match="file is not a database"):
        Database(f"sqlite:///{path}")

    assert path.read_text() == "Dear Sir or Madam, " * 100


def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(store: str, tmp_path: Path) -> None:
    Database(store).close()
    set_version(tmp_path / "store.db", 99)

    with pytest.raises(StoreTooNew) as raised:
        Database(store)

    assert str(raised.value) == (
        f"The store {store!r} has schema version 99, and this Microflow knows versions up to {len(migrations())}. Upgrade "
        "Microflow, or name another store with --store or MICROFLOW_STORE."
    )
    assert isinstance(raised.value, StoreError)
    assert version_of(tmp_path / "store.db") == 99
    assert not (tmp_path / "store.db-wal").exists(), "the connection was left open"


# Migrations


def test_an_empty_store_is_brought_to_the_newest_version_once(store: str, tmp_path: Path) -> None:
    Database(store).close()
    Database(store).close()

    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        versions = connection.execute("SELECT version FROM schema_version ORDER BY version").fetchall()
    assert [version for (version,) in versions] == list(range(1, len(migrations()) + 1))


def test_a_migration_that_fails_leaves_the_version_before_it(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations()
    with closing(Database(store)) as database:
        database.insert("open_engine", ENGINE)
    monkeypatch.setattr(migrations_module, "migrations", lambda: (*known, "CREATE TABLE extra (a);\nNONSENSE;\n"))

    with pytest.raises(StoreUnavailable, match=r'near "NONSENSE": syntax error'):
        Database(store)

    assert version_of(tmp_path / "store.db") == len(known)
    monkeypatch.setattr(migrations_module, "migrations", lambda: (*known, "CREATE TABLE extra (a);\n"))
    with closing(Database(store)) as database:
        assert database.read_text("SELECT count(*) FROM extra") == [(0,)]
        assert database.read_text("SELECT pid FROM engines") == [(1,)]
    assert version_of(tmp_path / "store.db") == len(known) + 1


def test_many_may_open_an_empty_store_at_the_same_time(store: str, tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def open_it(_: int) -> None:
        together.wait()
        Database(store).close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(open_it, range(8)))

    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        assert connection.execute("SELECT count(*) FROM schema_version").fetchone() == (len(migrations()),)


def test_a_store_that_another_is_just_making_is_waited_for(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever changes the mode of a file in which somebody writes is told at once that it is locked.
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    tries = 0

    def pause(seconds: float) -> None:
        nonlocal tries
        tries += 1
        if tries == 3:
            other.execute("COMMIT")

    monkeypatch.setattr("microflow.store.sqlite.database.time.sleep", pause)
    with closing(other), closing(Database(store)) as database:
        assert tries == 3
        assert database.read_text("PRAGMA journal_mode") == [("wal",)]


def test_every_named_statement_fits_the_schema() -> None:
    class AnyValue(dict[str, None]):
        def __missing__(self, name: str) -> None:
            return None

    # reading.sql has parts of statements, which its own tests put together
    parts = {name for name in shared_statements() if name.startswith("if_")} | {"newest_first"}
    names = all_statements().keys() - parts
    with closing(Database(":memory:")) as database:
        for name in names:
            text = statement(name)
            by_position = [None] * text.count("?")
            database.execute_text(f"EXPLAIN {text}", by_position or AnyValue())
    assert len(names) > 20


def test_a_store_of_the_version_before_can_keep_inputs(store: str) -> None:
    old = Database(store)
    old.execute_text("DROP TABLE mappings", ())
    old.execute_text("DROP TABLE mapping_inputs", ())
    old.execute_text("DELETE FROM schema_version WHERE version >= 5", ())
    old.close()

    database = Database(store)

    assert database.read_text("SELECT max(version) FROM schema_version") == [(len(migrations()),)]
    counts = [database.read_text(f"SELECT count(*) FROM {name}")[0][0] for name in ("mappings", "mapping_inputs")]
    assert counts == [0, 0]
    database.close()


# Reading and writing


def test_what_is_done_in_a_transaction_is_there_together_or_not_at_all(store: str) -> None:
    with closing(Database(store)) as database:
        with suppress(ZeroDivisionError), database.transaction():
            database.insert("open_engine", ENGINE)
            raise ZeroDivisionError
        assert database.read("open_engines") == []

        with database.transaction():
            database.insert("open_engine", ENGINE)
            assert database.read("open_engines") == [], "a reader saw what was not committed"
        assert len(database.read("open_engines")) == 1


def test_a_transaction_inside_another_is_part_of_it(store: str) -> None:
    with closing(Database(store)) as database:
        with suppress(ZeroDivisionError), database.transaction():
            with database.transaction():
                database.insert("open_engine", ENGINE)
            raise ZeroDivisionError

        assert database.read("open_engines") == []


def test_a_statement_that_fails_tells_the_systems_own_words(store: str) -> None:
    with closing(Database(store)) as database:
        with pytest.raises(StoreError, match=r"The store '.*' failed: NOT NULL constraint failed: engines\.pid\."):
            database.insert("open_engine", {**ENGINE, "pid": None})
        with pytest.raises(StoreError, match=r"The store '.*' can't be read: no such table: nowhere\."):
            database.read_text("SELECT * FROM nowhere")
        assert database.read("open_engines") == []


def test_a_reader_can_change_nothing(store: str) -> None:
    with closing(Database(store)) as database, pytest.raises(StoreError, match="readonly"):
        database.read_text("DELETE FROM engines RETURNING id")


def test_threads_that_insert_get_the_numbers_of_their_own_rows(store: str) -> None:
    with closing(Database(store)) as database:
        with ThreadPoolExecutor(4) as threads:
            rows = list(
                threads.map(lambda pid: (database.insert("open_engine", {**ENGINE, "pid": pid}), pid), range(200))
            )

        assert sorted(rows) == [(row[0], row[1]) for row in database.read("open_engines")]


def test_readers_do_not_pile_up_with_threads_that_come_and_go(store: str) -> None:
    with closing(Database(store)) as database:
        for _ in range(20):
            thread = threading.Thread(target=database.read, args=("open_engines",))
            thread.start()
            thread.join()

        assert database.open_readers == 1


@pytest.mark.parametrize(
    "name",
    [
        "with space.db",
        "per%20cent.db",
        pytest.param("what?.db", marks=pytest.mark.skipif(sys.platform == "win32", reason="no name there has a ?")),
        "hash#.db",
        "ümläut.db",
        "a&mode=rw.db",
    ],
)
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    with closing(Database(f"sqlite:///{tmp_path}/{name}")) as database:
        database.insert("open_engine", ENGINE)
        assert len(database.read("open_engines")) == 1

    assert (tmp_path / name).exists()


def test_the_memory_store_is_read_and_written_by_one_connection() -> None:
    with closing(Database(":memory:")) as database:
        assert database.path is None
        identity = database.insert("open_engine", ENGINE)
        with ThreadPoolExecutor(1) as threads:
            rows = threads.submit(database.read, "open_engines").result()

        assert [row[0] for row in rows] == [identity]


# Its name


def test_where_a_url_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert path_from_url("sqlite:///below/store.db") == tmp_path / "below" / "store.db"
    assert path_from_url(f"sqlite:///{tmp_path}/store.db") == tmp_path / "store.db"
    assert path_from_url(":memory:") is None


# Its end


def test_a_closed_store_says_so_and_may_be_closed_again(store: str, tmp_path: Path) -> None:
    database = Database(store)
    database.read("open_engines")
    database.close()
    database.close()

    with pytest.raises(StoreError, match=r"The store is closed: the engine that used it has stopped\."):
        database.execute("open_engine", ENGINE)
    with pytest.raises(StoreError, match=r"The store is closed: the engine that used it has stopped\."):
        database.read("open_engines")
    with pytest.raises(StoreError, match="is closed"), database.transaction():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["store.db"]


def test_a_closed_memory_store_says_so() -> None:
    database = Database(":memory:")
    database.close()

    with pytest.raises(StoreError, match="is closed"):
        database.read("open_engines")


def test_every_statement_has_one_name() -> None:
    assert statement("open_engine").startswith("INSERT INTO engines")
    with pytest.raises(KeyError):
        statement("no such statement")


def test_a_checkpoint_moves_everything_to_the_file_while_others_write_and_read(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/store.db")
    database.execute_text("CREATE TABLE things (n)", ())
    database.checkpoint()
    with database.transaction():
        database.execute_text("INSERT INTO things VALUES (1)", ())
        database.checkpoint()  # and waits for nobody
    assert database.read_text("SELECT n FROM things") == [(1,)]

    database.checkpoint()

    copy = shutil.copy(tmp_path / "store.db", tmp_path / "copy.db")  # without the log
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT n FROM things").fetchall() == [(1,)]
    database.close()
    with pytest.raises(StoreError, match="closed"):
        database.checkpoint()
