"""A file that is only looked at: nothing of it is changed, not even its schema, and nothing is left beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from ...errors import StoreMissing, StoreUnavailable
from ..database import Row, Values
from .database import is_there, newest_of, path_from_url, statement, why_not
from .migrations import check_readable, version_of
from .readers import Readers, connect


def find_store(url: str) -> Path:
    """The file of a store that exists. Raises ``StoreMissing`` where there is none, ``StoreUnavailable`` for one in memory."""
    path = path_from_url(url)
    if path is None:
        raise StoreUnavailable(
            f"The store {url} is in the memory of another process, and can't be looked at from here."
        )
    if not is_there(path):
        raise StoreMissing(
            f"There is no store {url}: nothing has been executed with it yet. Name another one with --store or "
            "MICROFLOW_STORE, or go to the folder where Microflow was started."
        )
    return path


class ReadOnlyDatabase:
    """The file of this URL, which another process may be writing to, as ``store.database.Readable`` describes it.

    Raises ``StoreMissing`` where there is none; ``StoreTooNew`` and ``StoreTooOld`` for a schema that this version can't look at;
    ``StoreUnavailable`` where it can't be read. ``path`` is its file.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.path: Path = find_store(url)
        self._readers = Readers(url, self.path, is_held=False)
        try:
            with closing(connect(self.path, self._readers.mode())) as connection:
                version = version_of(connection, url)
        except sqlite3.Error as error:
            raise StoreUnavailable(
                f"The store {url!r} can't be looked at: {why_not(self.path, error, 'rb')}."
            ) from error
        if version == 0:
            raise StoreMissing(f"The store {url} is an empty file: nothing has been executed with it yet.")
        check_readable(url, version)

    def read(self, name: str, values: Values = ()) -> list[Row]:
        """All rows of the query of this name. Raises ``StoreError``."""
        return self._readers.read_text(statement(name), values)

    def read_newest(self, name: str, conditions: Sequence[str], values: Values) -> list[Row]:
        """The rows of the query of this name for which all of the named conditions hold, the highest ids first."""
        return self._readers.read_text(newest_of(name, conditions), values)

    def read_text(self, text: str, values: Values = ()) -> list[Row]:
        """All rows of a query in this text. Raises ``StoreError``."""
        return self._readers.read_text(text, values)

    def close(self) -> None:
        """Close every connection. Calling it twice is fine."""
        self._readers.close()
