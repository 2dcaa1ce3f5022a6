"""The write-ahead log is moved to the file in the background: whoever writes neither waits for it nor fails with it."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from microflow import StoreError
from microflow.store.sqlite.checkpoints import EVERY, Checkpoints
from microflow.store.sqlite.database import Database

PATIENCE = 60.0


def test_what_was_written_is_moved_to_the_file_without_being_asked_for(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = threading.Event()
    move = Database.checkpoint

    def checkpoint(database: Database) -> None:
        move(database)
        moved.set()

    monkeypatch.setattr(Database, "checkpoint", checkpoint)
    database = Database(store)
    database.execute_text("CREATE TABLE things (n)", ())
    with database.transaction():
        for number in range(2 * EVERY):
            database.execute_text("INSERT INTO things VALUES (?)", (number,))

    assert moved.wait(PATIENCE)
    copy = shutil.copy(tmp_path / "store.db", tmp_path / "copy.db")  # without the log
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM things").fetchone() == (2 * EVERY,)
    database.close()
    assert not (tmp_path / "store.db-wal").exists()


def test_one_that_fails_is_logged_and_tried_again_after_as_many_changes(caplog: pytest.LogCaptureFixture) -> None:
    times = 0
    tried = threading.Semaphore(0)

    def checkpoint() -> None:
        nonlocal times
        times += 1
        tried.release()
        if times == 1:
            raise StoreError("The store failed: disk I/O error.")

    checkpoints = Checkpoints(checkpoint)
    with caplog.at_level(logging.WARNING, "microflow"):
        checkpoints.wrote(EVERY - 1)
        checkpoints.wrote(EVERY)
        assert tried.acquire(timeout=PATIENCE)
        checkpoints.wrote(2 * EVERY - 1)
        checkpoints.wrote(2 * EVERY)
        assert tried.acquire(timeout=PATIENCE)
        checkpoints.close()

    assert times == 2
    assert [record.message for record in caplog.records] == [
        "The store's log could not be moved to its file: The store failed: disk I/O error."
    ]


def test_who_closes_waits_for_the_one_under_way_and_none_follows() -> None:
    began, closing_now = threading.Event(), threading.Event()
    order = []

    def checkpoint() -> None:
        began.set()
        assert closing_now.wait(PATIENCE)
        order.append("moved")

    checkpoints = Checkpoints(checkpoint)
    checkpoints.wrote(EVERY)
    assert began.wait(PATIENCE)
    checkpoints.wrote(2 * EVERY)
    closing_now.set()
    checkpoints.close()
    order.append("closed")
    checkpoints.wrote(3 * EVERY)
    checkpoints.close()

    assert order in (["moved", "closed"], ["moved", "moved", "closed"])


def test_where_no_thread_can_be_started_writing_goes_on(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a script whose last line is done (gh-113964)."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    database = Database(store)
    database.execute_text("CREATE TABLE things (n)", ())
    monkeypatch.setattr(threading.Thread, "start", start)
    with database.transaction():
        for number in range(EVERY + 1):
            database.execute_text("INSERT INTO things VALUES (?)", (number,))

    assert database.read_text("SELECT count(*) FROM things") == [(EVERY + 1,)]
    database.close()
