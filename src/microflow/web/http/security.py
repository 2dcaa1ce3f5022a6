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
from typing import TYPE_CHECKING, NamedTuple
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
                "Use one of these. For every name, start the server with --host 0.0.0.0 and a token. Behind a proxy that "
                f"serves HTTPS, let the proxy ask for one of these (nginx: proxy_set_header Host {self._hosts[0]}).",
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
        sender = sender_of(headers)
        if sender.same is False:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                f"This request comes from another site, and may change nothing here: {sender.said}",
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
        if sender.same is None:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "This form does not say which site it comes from (no Origin, Sec-Fetch-Site or Referer header). Send it from "
                "a page of this server, or use the REST API with Content-Type: application/json.",
                kind="origin",
            )


class Sender(NamedTuple):
    """Whether a request comes from a page of this site (None: it does not say), and, if not, in words how that is known."""

    same: bool | None
    said: str = ""


def sender_of(headers: Headers) -> Sender:
    """What the headers of a request say of the page that sent it. The order matters.

    1. ``Sec-Fetch-Site``: the browser's own word. 2. ``Origin``, compared with ``Host``. 3. ``Referer``, the same.
    """
    host, site = headers.get("host", ""), headers.get("sec-fetch-site")
    origin, referer = headers.get("origin"), headers.get("referer")
    if site in ("cross-site", "same-site"):
        return Sender(False, f"Sec-Fetch-Site says {site}.")
    if site == "same-origin" and (origin is None or _is_told_to(origin, host)):
        return Sender(True)
    if origin is not None:
        return _compared("Origin", origin, host)
    if site is not None:
        # none: typed by the reader, or a page that was opened again
        return Sender(True) if site == "none" else Sender(False, f"Sec-Fetch-Site says {site[:100]}.")
    return Sender(None) if referer is None else _compared("Referer", referer, host)


def _is_told_to(origin: str, host: str) -> bool:
    """Whether a browser sends ``Sec-Fetch-Site`` from a page of this origin to its own server.

    It does so over HTTPS, where the certificate vouches for the name, and to this machine. A name that was rebound to this
    server has neither, so a plain HTTP origin of another name than ``Host`` is not believed.
    """
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return False
    name = host_name(parts.netloc)
    return parts.scheme != "http" or name in LOCAL_HOSTS or name == host_name(host)


def _compared(header: str, url: str, host: str) -> Sender:
    """The sender by a header that holds a URL of the page: this site if the URL has the host and port of ``Host``."""
    try:
        parts = urlsplit(url.lower())
        port = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
        same = parts.netloc != "" and parts.netloc.removesuffix(port) == host.lower().removesuffix(port)
    except ValueError:
        return Sender(False, f"{header} is not a URL: {url[:100]}")
    if same:
        return Sender(True)
    if url == "null":
        return Sender(
            False,
            "Origin says null, as it does for a page in a sandbox and under the Referrer-Policy no-referrer. A proxy in front of "
            "this server must leave its Referrer-Policy as it is.",
        )
    given = f"{parts.scheme}://{parts.netloc}" if parts.netloc else url
    return Sender(
        False,
        f"{header} says {given[:100]}, Host says {host[:100]}. If both are this server behind a proxy, let the proxy pass "
        "the Host on as the browser sent it, with its port: pass $http_host (nginx: proxy_set_header Host $http_host).",
    )


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
