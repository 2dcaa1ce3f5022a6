"""What is looked at: a store on this machine, or a server's REST API, behind one set of questions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import msgspec

from ..errors import StoreUnavailable
from ..store.database import Database, default_url, is_there, path_from_url
from ..store.logs import Logs, log_folder
from ..store.reading import Filters, Reading
from ..store.views import ExecutionView, Page, Tree

LOG_PART = 256 * 1024
"""Bytes of a log that are read at a time."""


class LogText(msgspec.Struct, frozen=True):
    """A part of a log; ``next`` is the offset after it, ``left_out`` how many bytes before it are no longer kept.

    ``ended``: the execution had ended when this was read, so that an empty ``text`` is the end of the log.
    """

    text: str
    next: int
    left_out: int
    ended: bool


class Source(Protocol):
    """Looks at executions. Every method raises ``UnknownNameError`` for an execution that there is not."""

    def execution(self, id: int) -> ExecutionView:  # noqa: A002 - the field is called id everywhere else
        """One execution, with its failed attempts."""
        ...

    def executions(self, filters: Filters, limit: int, cursor: str | None = None) -> Page:
        """At most ``limit`` executions, newest first. Raises ``ValueError`` for a cursor that no page gave."""
        ...

    def tree(self, id: int) -> Tree:  # noqa: A002
        """An execution and everything below it."""
        ...

    def log(self, id: int, after: int) -> LogText:  # noqa: A002
        """The part of an execution's log that begins at this offset."""
        ...


class Store:
    """A store on this machine, whoever else uses it."""

    def __init__(self, database: Database) -> None:
        folder = log_folder(database.path)
        assert folder is not None, "only a file can be looked at from outside"
        self._reading = Reading(database)
        self._logs = Logs(folder)
        self.execution = self._reading.execution
        self.executions = self._reading.executions
        self.tree = self._reading.tree

    def log(self, id: int, after: int) -> LogText:  # noqa: A002
        """The part of an execution's log that begins at this offset."""
        # in this order: what an execution that has ended printed is all there when it is read afterwards
        ended = self._reading.execution(id).status.final
        part = self._logs.read(id, after, LOG_PART)
        return LogText(part.text, part.next, part.left_out, ended)


@contextmanager
def open_store(url: str | None) -> Iterator[Store]:
    """The store of this URL, to look at; see ``open_database``."""
    with open_database(url) as database:
        yield Store(database)


@contextmanager
def open_database(url: str | None) -> Iterator[Database]:
    """The store of this URL, or the one of the environment or the working directory. Raises ``StoreError``.

    One that does not exist is an error, and is not made: looking at nothing is mostly a wrong name.
    """
    url = url or default_url()
    path = path_from_url(url)
    if path is None:
        raise StoreUnavailable(
            f"The store {url} is in the memory of another process, and can't be looked at from here."
        )
    if not is_there(path):
        raise StoreUnavailable(
            f"There is no store {url}: nothing has been executed with it yet. Name another one with --store or "
            "MICROFLOW_STORE, or go to the folder where Microflow was started."
        )
    database = Database(url)
    try:
        yield database
    finally:
        database.close()
