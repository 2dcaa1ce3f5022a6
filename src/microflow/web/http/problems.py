"""What a request that can't be answered gets: problem details (RFC 9457) for programs, a page for people.

Every failure of a request becomes a ``Problem`` here, whatever raised it: the router, the reading of parameters, a
wrapper, the engine, the store. What nobody expected is logged with its traceback and answered without any of its
internals.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from ...errors import (
    CallError,
    ConflictError,
    DefinitionError,
    LoadError,
    PartitionError,
    PayloadError,
    PayloadTooLarge,
    StoreError,
    UnknownNameError,
)

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("microflow.web")

PROBLEM_TYPE = "application/problem+json"

_STATUSES: dict[type[Exception], HTTPStatus] = {
    PayloadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    PayloadError: HTTPStatus.UNPROCESSABLE_ENTITY,
    CallError: HTTPStatus.UNPROCESSABLE_ENTITY,
    PartitionError: HTTPStatus.UNPROCESSABLE_ENTITY,
    LoadError: HTTPStatus.UNPROCESSABLE_ENTITY,
    DefinitionError: HTTPStatus.UNPROCESSABLE_ENTITY,
    UnknownNameError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
}


class ProblemDetails(msgspec.Struct, frozen=True):
    """Why a request was not carried out: ``type`` for programs, ``title`` and ``detail`` for people."""

    type: str
    title: str
    status: int
    detail: str


class Problem(Exception):
    """A request that is not carried out. ``kind`` tells programs which problem it is (the last part of its ``type``)."""

    def __init__(
        self, status: HTTPStatus, detail: str, *, kind: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.kind = kind or re.sub(r"[^a-z]+", "-", status.phrase.lower())

    @property
    def details(self) -> ProblemDetails:
        """What the answer says."""
        return ProblemDetails(f"urn:microflow:problem:{self.kind}", self.status.phrase, int(self.status), self.detail)


ErrorPage = Callable[[Request, int, str, str], Response]
"""Makes the page for people of (request, status, title, detail)."""


def problem_of(error: Exception, request: Request) -> Problem:
    """What an error means for the request that it was raised for; an unexpected one is logged."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return _http_problem(error, request)
    for kind in type(error).__mro__:
        if (status := _STATUSES.get(kind)) is not None:
            return Problem(status, str(error), kind=_words(type(error).__name__))
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something failed that should not have; the log of the server says what and where.",
    )


def _http_problem(error: HTTPException, request: Request) -> Problem:
    status, path = HTTPStatus(error.status_code), request.url.path
    detail = error.detail
    if detail == status.phrase:
        if status is HTTPStatus.NOT_FOUND:
            detail = f"There is nothing at {path[:200]}."
            if is_for_programs(path):
                detail += " GET /api/openapi.json lists what there is."
        elif status is HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(sorted((error.headers or {})["Allow"].split(", ")))
            detail = f"{path[:200]} does not take {request.method[:20]}; it takes {allowed}."
            return Problem(status, detail, headers={"Allow": allowed})
    return Problem(status, detail, headers=error.headers)


def _words(name: str) -> str:
    """UnknownNameError as unknown-name."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name.removesuffix("Error")).lower()


def is_for_programs(path: str) -> bool:
    """Whether what is at a path is read by programs, so that its errors are problem details and not pages."""
    return path.startswith("/api/") or path in ("/api", "/metrics")


class Answering:
    """Turns whatever the application raises into an answer; outermost but for the headers that every answer has.

    ``error_page`` makes the page for people.
    """

    def __init__(self, app: ASGIApp, error_page: ErrorPage) -> None:
        self._app = app
        self._error_page = error_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_watched)
        except ClientDisconnect:
            logger.debug("%s %s: the client went away", scope["method"], scope["path"])
        except Exception as error:
            request = Request(scope)
            problem = problem_of(error, request)
            if started:
                logger.error("%s %s failed midway", request.method, request.url.path, exc_info=error)
                raise
            await self._response(request, problem)(scope, receive, send)

    def _response(self, request: Request, problem: Problem) -> Response:
        details = problem.details
        if is_for_programs(request.url.path):
            return Response(msgspec.json.encode(details), details.status, problem.headers, PROBLEM_TYPE)
        if problem.kind == "host":  # a page would be without its styles, which are refused for this host too
            return PlainTextResponse(f"{details.status} {details.title}\n\n{details.detail}\n", details.status)
        response = self._error_page(request, details.status, details.title, details.detail)
        response.headers.update(problem.headers)
        return response


async def raise_again(_: Request, error: Exception) -> Response:
    """Leaves an error to ``Answering``, where Starlette would answer it with plain text."""
    raise error
