"""The button that loads the flows' code again, and the page that says why it can't be loaded."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.responses import RedirectResponse
from starlette.routing import Route

from ...errors import ConflictError, DefinitionError, LoadError
from ..http.parameters import read_bytes
from .desk import Desk

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def routes(desk: Desk) -> list[Route]:
    """What the button sends its form to."""
    return [Route("/reload", partial(reload_code, desk), methods=["POST"], name="reload")]


async def reload_code(desk: Desk, request: Request) -> Response:
    """Load the code, and go back to where the button was; or say why it can't be loaded, with all mistakes."""
    fields = parse_qs((await read_bytes(request)).decode("utf-8", "replace"))
    back = own_path(fields.get("to", [""])[0])
    try:
        await desk.site.reload()
    except (ConflictError, DefinitionError, LoadError) as error:
        status = HTTPStatus.CONFLICT if isinstance(error, ConflictError) else HTTPStatus.UNPROCESSABLE_ENTITY
        return desk.templates.page(request, "reload.html", {"mistake": str(error), "back": back}, status=status)
    return RedirectResponse(back, HTTPStatus.SEE_OTHER)


def own_path(text: str) -> str:
    """A path of this server; the home page for everything that may lead elsewhere."""
    is_path = text.startswith("/") and text.isprintable() and "\\" not in text and not text.startswith("//")
    return text if is_path else "/"
