"""An endpoint of the API as one value, from which its route and its part of the OpenAPI document are made."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..http.parameters import read_bytes, read_id, read_json, read_query
from .messages import NoBody, NoQuery

if TYPE_CHECKING:
    from ..http.site import Site

_QUICKLY_READ = 64 * 1024
"""Bytes of JSON that are read in less time than it takes to hand them to a thread."""

_encoder = msgspec.json.Encoder()


class Answer(NamedTuple):
    """What a handler gives that is more than a value for the body: where the thing it made is found."""

    value: Any
    location: str


class Call(NamedTuple):
    """What a request asks, checked: the parts of the path, the query and the body as the endpoint's Structs."""

    path: dict[str, str]
    query: Any
    body: Any

    @property
    def id(self) -> int:
        """The execution that the path names. Raises ``Problem`` (404) if that is no id."""
        return read_id(self.path["id"])


class Endpoint(NamedTuple):
    """One line of the route table.

    ``handler`` takes (site, call). A plain function runs in one of the site's threads, where its answer is encoded too,
    since that may be large; an ``async`` one runs in the event loop, where it must not block. It returns a value of
    ``response``, an ``Answer`` around one, or a response of its own.
    """

    method: str
    path: str
    handler: Callable[..., Any]
    response: type | None = None
    status: HTTPStatus = HTTPStatus.OK
    query: type[msgspec.Struct] = NoQuery
    body: type[msgspec.Struct] = NoBody
    media_type: str = "application/json"

    @property
    def summary(self) -> tuple[str, str]:
        """What the handler's docstring says: its first line, and the rest."""
        first, _, rest = (inspect.getdoc(self.handler) or "").partition("\n")
        return first.rstrip("."), " ".join(rest.split())

    def route(self, site: Site) -> Route:
        """What answers at this address."""
        takes_body = self.method != "GET"
        is_async = inspect.iscoroutinefunction(self.handler)

        async def answer(request: Request) -> Response:
            query, body = read_query(request, self.query), None
            if takes_body:
                content = await read_bytes(request)
                small = len(content) <= _QUICKLY_READ
                body = read_json(content, self.body) if small else await site.run(read_json, content, self.body)
            call = Call(request.path_params, query, body)
            if is_async:
                return self._response(await self.handler(site, call))
            return await site.run(lambda: self._response(self.handler(site, call)))

        return Route(self.path, answer, methods=[self.method], name=self.handler.__name__)

    def _response(self, value: Any) -> Response:
        if isinstance(value, Response):
            return value
        headers = {}
        if isinstance(value, Answer):
            headers["Location"] = value.location
            value = value.value
        return Response(_encoder.encode(value), self.status, headers, self.media_type)
