"""The web app's pages: HTML for people over the same reading and acting as the REST API. One handler for each act."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import concurrency, dag, execution, home, jobs, listing, partitions, reload, schedules
from .desk import Desk

if TYPE_CHECKING:
    from starlette.routing import Route

    from ..http.site import Site
    from .rendering import Templates

__all__ = ["page_routes"]


def page_routes(site: Site, templates: Templates) -> list[Route]:
    """The routes of every page."""
    desk = Desk(site, templates)
    return [
        *home.routes(desk),
        *listing.routes(desk),
        *jobs.routes(desk),
        *partitions.routes(desk),
        *dag.routes(desk),
        *execution.routes(desk),
        *schedules.routes(desk),
        *concurrency.routes(desk),
        *reload.routes(desk),
    ]
