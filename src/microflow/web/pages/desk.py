"""What every page works with: the site (looking and acting) and the templates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ...errors import UnknownNameError
from ...model.results import ExecutionStatus, Kind
from ...store.views import ExecutionView, Page
from ...views.live import with_live_state
from ..http.problems import Problem

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ...engine.engine import Engine
    from ...store import Store
    from ...store.filters import Filters
    from ..http.site import Site
    from .rendering import Templates

FAILED = (ExecutionStatus.ERROR, ExecutionStatus.CANCELLED)
UNFINISHED = (ExecutionStatus.RUNNING, ExecutionStatus.QUEUED)


class ListedExecution(ExecutionView, frozen=True, kw_only=True):
    """An execution in a list. ``schedule``: whose run it is, if it is that of several jobs ("" otherwise)."""

    schedule: str


class Desk(NamedTuple):
    """What a page's handler looks at (``store``), acts by (``engine``) and writes with (``templates``)."""

    site: Site
    templates: Templates

    @property
    def engine(self) -> Engine:
        """What acts."""
        return self.site.engine

    @property
    def store(self) -> Store:
        """What is looked at."""
        return self.site.store

    def execution(self, id: int) -> ExecutionView:  # noqa: A002 - the field is called id everywhere else
        """One execution as it is at this moment; without one the page is a 404."""
        try:
            return with_live_state(self.engine, self.store.reading.execution(id))
        except UnknownNameError:
            raise not_found(f"There is no execution {id}; it may have been deleted with old history.") from None

    def executions(self, filters: Filters, limit: int, cursor: str | None = None) -> Page:
        """A list of executions as they are at this moment, as far as a list shows them.

        Raises ``ValueError`` for a cursor that no list gave.
        """
        page = self.store.reading.executions(filters, limit, cursor, brief=True)
        return Page([self._listed(with_live_state(self.engine, item)) for item in page.items], page.next)

    def _listed(self, execution: ExecutionView) -> ExecutionView:
        schedule = self.store.reading.schedule(execution.id) if execution.kind == Kind.DAG else ""
        return ListedExecution(**msgspec.structs.asdict(execution), schedule=schedule)


Handler = Callable[[Desk, "Request"], "Response"]


def threaded(desk: Desk, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of a handler that reads the store, and so may block: it runs in one of the site's threads."""

    async def endpoint(request: Request) -> Response:
        return await desk.site.draw(looked, request)

    def looked(request: Request) -> Response:
        desk.site.newer.look()
        return handler(desk, request)

    return endpoint


def not_found(detail: str) -> Problem:
    """The answer to a request for something that is not there."""
    return Problem(HTTPStatus.NOT_FOUND, detail)
