"""What is looked at: a store on this machine, or a server's REST API, behind one set of questions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Protocol

import msgspec

from .. import store
from ..errors import StoreMissing
from ..model.results import ExecutionStatus, Kind
from ..model.stores import MEMORY
from ..store import StoreView
from ..store.filters import Filters
from ..store.rows import waiting_for_server
from ..store.views import ExecutionView, Page, Tree, WaitingView
from ..views.live import LogText

LOG_PART = 256 * 1024
"""Bytes of a log that are read at a time."""


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


class StoreSource:
    """A store on this machine, which other processes may be using.

    What a server had queued when it was killed waits for a server from then on, although no engine has recorded that yet.
    """

    def __init__(self, store: StoreView) -> None:
        self._store = store
        self.tree = store.reading.tree

    def execution(self, id: int) -> ExecutionView:  # noqa: A002
        """One execution, with its failed attempts."""
        return self._as_it_is([self._store.reading.execution(id)])[0]

    def executions(self, filters: Filters, limit: int, cursor: str | None = None) -> Page:
        """At most ``limit`` executions, newest first."""
        page = self._store.reading.executions(filters, limit, cursor)
        return Page(self._as_it_is(page.items), page.next)

    def _as_it_is(self, views: list[ExecutionView]) -> list[ExecutionView]:
        queued = [view.id for view in views if view.status is ExecutionStatus.QUEUED]
        orphans = self._store.engines.orphans(queued) if queued else ()
        return [_waits_for_server(view) if view.id in orphans else view for view in views]

    def log(self, id: int, after: int) -> LogText:  # noqa: A002
        """The part of an execution's log that starts at this offset."""
        # in this order: what an execution that has ended printed is all there when it is read afterwards
        ended = self._store.reading.execution(id).status.final
        part = self._store.logs.read(id, after, LOG_PART)
        return LogText(part.text, part.next, part.left_out, ended)


def _waits_for_server(view: ExecutionView) -> ExecutionView:
    since = view.queued_at if view.waiting is None else view.waiting.since
    waiting = waiting_for_server(Kind(view.kind), view.started_at is not None, since.timestamp())
    return msgspec.structs.replace(view, waiting=WaitingView(waiting.reason, waiting.message, since))


@contextmanager
def open_store(url: str | None) -> Iterator[StoreSource]:
    """The store of this URL, or the one of the environment or the working directory, to look at. Raises ``StoreError``.

    A store that does not exist is an error (``StoreMissing``), and is not made: looking at nothing is mostly a wrong name.
    """
    with closing(store.open(url or store.default_url(), "look")) as found:
        yield StoreSource(found)


@contextmanager
def open_or_empty(url: str) -> Iterator[StoreView]:
    """The store of this URL, to look at; an empty one in memory if there is none yet. Raises ``StoreError``."""
    found: StoreView
    try:
        found = store.open(url, "look")
    except StoreMissing:
        found = store.open(MEMORY)
    with closing(found):
        yield found
