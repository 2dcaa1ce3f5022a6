"""What is looked at: a store on this machine, or a server's REST API, behind one set of questions."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Protocol

import msgspec

from ..errors import StoreMissing
from ..model.results import ExecutionStatus, Kind
from ..model.stores import MEMORY
from ..store.database import Database, default_url
from ..store.engines import killed_servers
from ..store.logs import Logs, log_folder
from ..store.read_only import ReadOnlyStore
from ..store.readers import Readable
from ..store.reading import Filters, Reading
from ..store.views import ExecutionView, Page, Tree, WaitingView
from ..store.waiting import waiting_for_server

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
    """A store on this machine, whoever else uses it.

    What a server had queued when it was killed waits for a server from then on, although nobody has recorded that yet.
    """

    def __init__(self, store: ReadOnlyStore) -> None:
        folder = log_folder(store.path)
        assert folder is not None, "only a file can be looked at from outside"
        self._reading = Reading(store)
        self._logs = Logs(folder)
        self._store = store
        self.tree = self._reading.tree

    def execution(self, id: int) -> ExecutionView:  # noqa: A002
        """One execution, with its failed attempts."""
        return self._as_it_is([self._reading.execution(id)])[0]

    def executions(self, filters: Filters, limit: int, cursor: str | None = None) -> Page:
        """At most ``limit`` executions, newest first."""
        page = self._reading.executions(filters, limit, cursor)
        return Page(self._as_it_is(page.items), page.next)

    def _as_it_is(self, views: list[ExecutionView]) -> list[ExecutionView]:
        if not any(view.status is ExecutionStatus.QUEUED for view in views):
            return views
        killed = killed_servers(self._store)
        return [self._left_by(killed, view) if killed else view for view in views]

    def _left_by(self, killed: Container[int], view: ExecutionView) -> ExecutionView:
        if view.status is not ExecutionStatus.QUEUED:
            return view
        if not any(engine in killed for (engine,) in self._store.read("engine_of_execution", {"id": view.id})):
            return view
        since = view.queued_at if view.waiting is None else view.waiting.since
        waiting = waiting_for_server(Kind(view.kind), view.started_at is not None, since.timestamp())
        return msgspec.structs.replace(view, waiting=WaitingView(waiting.reason, waiting.message, since))

    def log(self, id: int, after: int) -> LogText:  # noqa: A002
        """The part of an execution's log that begins at this offset."""
        # in this order: what an execution that has ended printed is all there when it is read afterwards
        ended = self._reading.execution(id).status.final
        part = self._logs.read(id, after, LOG_PART)
        return LogText(part.text, part.next, part.left_out, ended)


@contextmanager
def open_store(url: str | None) -> Iterator[Store]:
    """The store of this URL, or the one of the environment or the working directory, to look at. Raises ``StoreError``.

    One that does not exist is an error (``StoreMissing``), and is not made: looking at nothing is mostly a wrong name.
    """
    store = ReadOnlyStore(url or default_url())
    try:
        yield Store(store)
    finally:
        store.close()


@contextmanager
def open_or_empty(url: str) -> Iterator[Readable]:
    """The store of this URL, to look at; an empty one in memory where there is none yet. Raises ``StoreError``."""
    store: ReadOnlyStore | Database
    try:
        store = ReadOnlyStore(url)
    except StoreMissing:
        store = Database(MEMORY)
    try:
        yield store
    finally:
        store.close()
