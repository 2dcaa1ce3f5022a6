"""Opening a store in a SQLite file (or, for tests, in memory), to write to it or to look at it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from ...loading import shown
from ...model.events import EventBus
from ...model.stores import MEMORY
from ..copying import Copying
from ..parts import Store, StoreView
from .database import Database
from .engines import FileEngineHistory, FileEngines
from .logs import LogFiles, log_folder
from .read_only import ReadOnlyDatabase, find_store


def open_to_write(url: str, events: EventBus, copying: Copying, *, must_exist: bool) -> Store:
    """The store of this URL, made or brought up to date if need be; errors as ``microflow.store.open`` says.

    A store in memory has its logs in a temporary folder.
    """
    if must_exist:
        find_store(url)
    closing = ExitStack()
    try:
        database = Database(url, copying=copying)
        path = database.path
        if path is None:
            folder = TemporaryDirectory(prefix="microflow-logs-", ignore_cleanup_errors=True)
            closing.callback(folder.cleanup)
            logs = LogFiles(Path(folder.name))
        else:
            logs = LogFiles(log_folder(path))
        engines = FileEngines(database, path)
        closing.callback(engines.close)  # after the database: the next server must find a store that is closed
        closing.callback(database.close)
        label = MEMORY if path is None else shown(path)
        return Store(label, database, engines, logs, events, closing.close)
    except BaseException:
        closing.close()
        raise


def open_to_look(url: str) -> StoreView:
    """The store of this URL, which another process may be writing to; errors as ``microflow.store.open`` says."""
    database = ReadOnlyDatabase(url)
    path = database.path
    return StoreView(str(path), database, FileEngineHistory(database, path), LogFiles(log_folder(path)), database.close)
