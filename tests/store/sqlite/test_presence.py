"""A store whose file is taken away under a process that uses it: nothing is written to where nobody finds it again."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from microflow import StoreError
from microflow.store.sqlite.database import Database
from microflow.store.sqlite.presence import LOOK_AGAIN, Presence

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps files that are open where they are")

GONE = r"The store's file .*store\.db was removed or replaced\. Put it back, or start again"


def test_a_file_is_looked_at_now_and_then(tmp_path: Path, clock: Any) -> None:
    path = tmp_path / "store.db"
    path.touch()
    presence = Presence(path, clock.monotonic)
    moved = path.rename(tmp_path / "elsewhere")

    presence.check()
    clock.advance(LOOK_AGAIN)
    for _ in range(2):
        with pytest.raises(StoreError, match=GONE):
            presence.check()
    moved.rename(path)

    presence.check()


@pytest.mark.parametrize("replaced", [False, True])
def test_nothing_is_written_to_a_file_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    monkeypatch.setattr("microflow.store.sqlite.presence.LOOK_AGAIN", 0.0)
    database = Database(f"sqlite:///{tmp_path}/store.db")
    path, away = tmp_path / "store.db", tmp_path / "away.db"
    path.rename(away)
    if replaced:
        shutil.copy(away, path)

    with pytest.raises(StoreError, match=GONE), database.transaction():
        pass
    with pytest.raises(StoreError, match=GONE):
        database.execute_text("DELETE FROM engines", ())

    away.replace(path)
    database.execute_text("DELETE FROM engines", ())
    database.close()
