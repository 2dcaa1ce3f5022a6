"""The token: asked of every request where the server has one, by ``Authorization: Bearer`` or by the cookie of the
sign-in page.

The token is compared in constant time. A cookie does not hold it but a proof, made with it, of when the sign-in runs
out, so that a cookie that leaks is no token. Whoever tries wrong tokens has to wait, longer with each.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ...errors import ServerError
from .parameters import read_form
from .problems import Problem, is_for_programs

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

SESSION = 30 * 24 * 3600
"""Seconds that a sign-in lasts."""
FREE_TRIES = 3
"""Wrong tokens that cost no waiting."""
FIRST_DELAY = 0.5
"""Seconds to wait after the next wrong one; twice as long after each further one."""
LONGEST_DELAY = 8.0
LONGEST_QUEUE = 30.0
"""Seconds that a try waits at most for the tries before it; then it is refused."""
FORGET_AFTER = 900.0
"""Seconds after which wrong tries are forgotten."""

_MOST_CLIENTS = 1_000
_OPEN_PATHS = ("/sign-in", "/sign-out", "/api/health")
_OPEN_PREFIX = "/static/"
_FORM_LIMIT = 16 * 1024

SignInPage = Callable[[Request, int, dict[str, Any]], Response]
"""Makes the sign-in page of (request, status, {"error": text or None, "next": path})."""


class Tries:
    """Wrong tokens by client, and how long the next try of each has to wait.

    ``monotonic`` gives seconds, ``sleep`` waits for some.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._clients: OrderedDict[str, tuple[int, float]] = OrderedDict()  # (wrong tries, when the next may be made)

    async def wait(self, client: str) -> None:
        """Wait until this client's next try may be made. Raises ``Problem`` (429) where too many wait already."""
        now = self._monotonic()
        wrong, free_at = self._known(client, now)
        if free_at <= now:
            return
        if free_at - now > LONGEST_QUEUE:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "Too many wrong tokens were tried from your address. Wait a minute and try again.",
                headers={"Retry-After": str(int(free_at - now) + 1)},
            )
        # the place in the queue is taken before waiting, so that tries made at the same time wait for each other
        self._clients[client] = wrong, free_at + _delay(wrong)
        await self._sleep(free_at - now)

    def failed(self, client: str) -> None:
        """A try was wrong."""
        now = self._monotonic()
        wrong, free_at = self._known(client, now)
        self._clients[client] = wrong + 1, max(free_at, now + _delay(wrong + 1))
        self._clients.move_to_end(client)
        if len(self._clients) > _MOST_CLIENTS:
            self._clients.popitem(last=False)

    def succeeded(self, client: str) -> None:
        """A try was right: its client starts anew."""
        self._clients.pop(client, None)

    def _known(self, client: str, now: float) -> tuple[int, float]:
        wrong, free_at = self._clients.get(client, (0, now))
        return (0, now) if now - free_at > FORGET_AFTER else (wrong, free_at)


def _delay(wrong: int) -> float:
    return min(FIRST_DELAY * 2.0 ** (wrong - FREE_TRIES - 1), LONGEST_DELAY) if wrong > FREE_TRIES else 0.0


class Auth:
    """What the token lets in. ``now`` gives seconds since the epoch.

    Raises ``ServerError`` for an empty token, and for one that no header can hold.
    """

    def __init__(self, token: str, tries: Tries | None = None, now: Callable[[], float] = time.time) -> None:
        if not token.strip():
            raise ServerError("The token is empty. Give one with --token or MICROFLOW_TOKEN: a long random string.")
        if not (token.isascii() and token.isprintable()) or token != token.strip():
            raise ServerError(
                "The token holds what no header can: it is printable ASCII, without spaces at its ends. Give another with --token "
                "or MICROFLOW_TOKEN."
            )
        self._token = token.encode()
        self._now = now
        self.tries = tries if tries is not None else Tries()
        # named after the token, since a browser sends the cookies of one port to every other port of the host
        self.cookie = f"microflow_{self._proof('cookie')[:8]}"

    async def accepts(self, token: str, client: str) -> bool:
        """Whether this is the token; a client that gave wrong ones waits first."""
        await self.tries.wait(client)
        if hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self._token):
            self.tries.succeeded(client)
            return True
        self.tries.failed(client)
        return False

    def new_session(self) -> str:
        """The value of a cookie that signs its bearer in from now on."""
        ends = str(int(self._now()) + SESSION)
        return f"{ends}.{self._proof('session ' + ends)}"

    def knows_session(self, value: str) -> bool:
        """Whether a cookie's value is one of ``new_session`` that has not run out."""
        ends, _, proof = value.partition(".")
        if not (ends.isascii() and ends.isdecimal() and len(ends) < 16 and proof.isascii()):
            return False
        return hmac.compare_digest(proof, self._proof("session " + ends)) and int(ends) > self._now()

    def _proof(self, text: str) -> str:
        return hmac.new(self._token, f"microflow {text}".encode(), hashlib.sha256).hexdigest()


class TokenCheck:
    """Refuses requests without the token; asks people to sign in."""

    def __init__(self, app: ASGIApp, auth: Auth) -> None:
        self._app = app
        self._auth = auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _OPEN_PATHS or scope["path"].startswith(_OPEN_PREFIX):
            await self._app(scope, receive, send)
            return
        if await self._admits(scope):
            await self._app(scope, receive, send)
        elif is_for_programs(scope["path"]) or scope["method"] not in ("GET", "HEAD"):
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "This server asks for its token: send it as Authorization: Bearer TOKEN, or sign in at /sign-in.",
                headers={"WWW-Authenticate": 'Bearer realm="Microflow"'},
            )
        else:
            request = Request(scope)
            wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            await RedirectResponse(f"/sign-in?{urlencode({'next': wanted})}", HTTPStatus.SEE_OTHER)(
                scope, receive, send
            )

    async def _admits(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        if (header := headers.get("authorization")) is not None:
            kind, _, token = header.partition(" ")
            return kind.lower() == "bearer" and await self._auth.accepts(token.strip(), client_of(scope))
        cookies = cookie_parser(headers.get("cookie", ""))
        return self._auth.knows_session(cookies.get(self._auth.cookie, ""))


def client_of(scope: Scope) -> str:
    """The address that a request comes from."""
    client = scope.get("client")
    return client[0] if client else ""


def sign_in_routes(auth: Auth, page: SignInPage) -> list[Route]:
    """The sign-in page, what its form is sent to, and signing out."""

    async def show(request: Request) -> Response:
        return page(request, 200, {"error": None, "next": local_path(request.query_params.get("next", "/"))})

    async def sign_in(request: Request) -> Response:
        fields = await read_form(request, _FORM_LIMIT)
        wanted = local_path(fields.get("next", "/"))
        if not await auth.accepts(fields.get("token", ""), client_of(request.scope)):
            return page(request, HTTPStatus.UNAUTHORIZED, {"error": "That is not the token.", "next": wanted})
        response = RedirectResponse(wanted, HTTPStatus.SEE_OTHER)
        response.set_cookie(
            auth.cookie,
            auth.new_session(),
            max_age=SESSION,
            path="/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response

    async def sign_out(_: Request) -> Response:
        response = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
        response.delete_cookie(auth.cookie, path="/", httponly=True, samesite="strict")
        return response

    return [
        Route("/sign-in", show, methods=["GET"]),
        Route("/sign-in", sign_in, methods=["POST"]),
        Route("/sign-out", sign_out, methods=["POST"]),
    ]


def local_path(path: str) -> str:
    """A path on this server, to go to after signing in; "/" for anything that would lead elsewhere."""
    leads_elsewhere = not path.startswith("/") or path.startswith(("//", "/\\")) or not path.isprintable()
    return "/" if leads_elsewhere or "\\" in path else path
