"""Who may ask, and from where: wrappers around the application that refuse before any handler is reached.

The ``Host`` header must be one that the server answers to, or a page of another site could reach it under a name of
its own (DNS rebinding). What changes something must be JSON, which no page of another site can send unasked, or a
form of this very site (cross-site request forgery). Every answer carries the headers that keep a page from loading or
telling anything elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders

from .problems import Problem, is_for_programs

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""The names under which a server on this machine is asked for."""

ANY_HOST = "*"
"""In place of names: every name, where a token keeps others out."""

PRIVATE_HOST = "any address or private name"
"""In place of names: what no page of another site can have as its own, an address or a name that the public DNS does not know."""

_PRIVATE_DOMAINS = (".local", ".localhost", ".internal", ".lan", ".home.arpa")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

_ANSWER_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # not "no-referrer": under that a browser hides the origin of this site's own forms as well
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_FORM_TYPE = "application/x-www-form-urlencoded"


class AnswerHeaders:
    """Adds the headers that every answer has, unless it has them already."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ANSWER_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class HostCheck:
    """Refuses requests for a host that the server does not answer to.

    ``hosts`` are names without a port; ``ANY_HOST`` and ``PRIVATE_HOST`` stand for many.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = tuple(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._check(Headers(scope=scope).getlist("host"))
        await self._app(scope, receive, send)

    def _check(self, given: Sequence[str]) -> None:
        if len(given) != 1 or not given[0]:
            raise Problem(HTTPStatus.BAD_REQUEST, "A request needs exactly one Host header.", kind="host")
        if not self._answers_to(host_name(given[0])):
            raise Problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"This server does not answer to the host {given[0][:100]!r}, only to {', '.join(self._hosts)}. "
                "Use one of these, or start it with the --host that it is to be reached by.",
                kind="host",
            )

    def _answers_to(self, name: str) -> bool:
        if name in self._hosts or ANY_HOST in self._hosts:
            return True
        return PRIVATE_HOST in self._hosts and is_private(name)


class OriginCheck:
    """Refuses requests that change something unless they are JSON, or a form of this site; below /api only JSON.

    A page of another site can send a POST unasked, of any type but JSON. Every other method it may send only after a question
    that this server does not answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _SAFE_METHODS:
            self._check(scope["method"], scope["path"], Headers(scope=scope))
        await self._app(scope, receive, send)

    def _check(self, method: str, path: str, headers: Headers) -> None:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        same = is_same_origin(headers)
        if same is False:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "This request comes from another site, and may change nothing here.",
                kind="origin",
            )
        if kind == "application/json" or method != "POST":
            return
        if is_for_programs(path) or kind != _FORM_TYPE:
            raise Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"A request that changes something is sent as JSON, and this one is {kind or 'of no type'}: add the header "
                "Content-Type: application/json (with an empty body, or {}, if there is nothing to say).",
            )
        if same is None:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "This form does not say which site it comes from (no Origin, Sec-Fetch-Site or Referer header). Send it from "
                "a page of this server, or use the REST API with Content-Type: application/json.",
                kind="origin",
            )


def is_same_origin(headers: Headers) -> bool | None:
    """Whether a request comes from a page of the host it is sent to; None if it does not say."""
    host = headers.get("host", "").lower()
    if (origin := headers.get("origin")) is not None:
        return _place_of(origin) == host and origin != "null"
    if (site := headers.get("sec-fetch-site")) is not None:
        return site in ("same-origin", "none")  # none: typed by the reader, or a page that was opened again
    if (referer := headers.get("referer")) is not None:
        return _place_of(referer) == host
    return None


def _place_of(url: str) -> str | None:
    """The host and port of a URL; None for a text that is none."""
    try:
        return urlsplit(url.lower()).netloc
    except ValueError:
        return None


def host_name(host: str) -> str:
    """The name in a Host header, without its port, in lower case; an IPv6 address keeps its brackets.

    Where something else than a port follows the name, all of it is the name, which nobody has.
    """
    name, colon, port = host.lower().rpartition(":")
    if not colon or not (port.isascii() and (port.isdigit() or not port)):
        name = host.lower()  # without a port; an IPv6 address ends with its bracket, so no colon of it is taken for one
    return name if name.startswith("[") else name.rstrip(".")


def is_private(name: str) -> bool:
    """Whether a host is an address, or a name that nobody can register: one word, or in a domain of private networks."""
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
        return True
    except ValueError:
        return "." not in name or name.endswith(_PRIVATE_DOMAINS)
