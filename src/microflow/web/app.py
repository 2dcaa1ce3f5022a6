"""The application: the routes of the API, of the pages and of the static files, inside the wrappers that every
request goes through.

From the outside in: the headers of every answer, the answers to errors, the host check, the token, the origin check,
the router.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from ..errors import ServerError
from .api.routes import ENDPOINTS
from .http.auth import Auth, TokenCheck, sign_in_routes
from .http.problems import Answering, raise_again
from .http.security import ANY_HOST, LOCAL_HOSTS, PRIVATE_HOST, AnswerHeaders, HostCheck, OriginCheck
from .http.site import Site
from .http.static import StaticFiles
from .pages import page_routes
from .pages.rendering import Templates

if TYPE_CHECKING:
    from ..engine.engine import Engine


def create_app(
    engine: Engine, *, token: str | None = None, hosts: Sequence[str] = LOCAL_HOSTS, no_auth: bool = False
) -> Starlette:
    """The web app and the REST API of a started engine, as an ASGI application.

    ``hosts``: the names (without a port) that the server answers to; "*" is any, and without a token any address or private
    name, since a page of another site could have any other as its own. ``token``: asked of every request; without one, a
    server that answers to more than this machine's own names must be told ``no_auth`` out loud.
    ``app.state.site`` is the ``Site``: its ``close`` lets a server stop at once. Raises ``ServerError`` for a token
    that is missing or empty.
    """
    if token is None and not no_auth and not set(hosts) <= set(LOCAL_HOSTS):
        raise ServerError(
            f"The server would be reached as {', '.join(sorted(set(hosts) - set(LOCAL_HOSTS)))} by anyone. Give it a token with "
            "--token or MICROFLOW_TOKEN, or say --no-auth if that is what you want."
        )
    if token is None:
        hosts = [PRIVATE_HOST if host == ANY_HOST else host for host in hosts]
    site = Site(engine)
    static = StaticFiles()

    def served() -> dict[str, Any]:
        return {"flows": tuple(engine.flows), "code": engine.reloads, "newer": site.newer.names}

    templates = Templates(static, served)
    routes = [*(endpoint.route(site) for endpoint in ENDPOINTS), *page_routes(site, templates), static.route()]
    wrappers = [Middleware(AnswerHeaders), Middleware(Answering, templates.error), Middleware(HostCheck, hosts)]
    if token is not None:
        auth = Auth(token)
        wrappers.append(Middleware(TokenCheck, auth))

        def sign_in_page(request: Request, status: int, values: dict[str, Any]) -> Response:
            return templates.page(request, "sign_in.html", values, status=status)

        routes += sign_in_routes(auth, sign_in_page)
    wrappers.append(Middleware(OriginCheck))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        watching = asyncio.ensure_future(site.watch_files())
        yield
        watching.cancel()
        site.release()

    app = Starlette(
        routes=routes, middleware=wrappers, exception_handlers={HTTPException: raise_again}, lifespan=lifespan
    )
    app.state.site = site
    return app
