"""Styles, modules and pictures: read once at start, served for ever under the hash of all of them.

A URL is ``/static/<hash>/js/live.js``. The hash is one for all files, so that a module's relative imports (``./live.js``) and a
style's relative URLs stay within the same version, and a page never mixes two. A file that is not there when the server starts is
never served, so a path can't lead out of the folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/x-icon",
}

_FOR_EVER = "public, max-age=31536000, immutable"


class StaticFiles:
    """The files below ``web/static``; ``version`` is the hash of their names and contents."""

    def __init__(self, folder: Traversable | None = None) -> None:
        found = dict(_files_below(folder if folder is not None else files("microflow.web").joinpath("static"), ""))
        digest = sha256()
        for path, content in sorted(found.items()):
            digest.update(f"{path}\0{len(content)}\0".encode() + content)
        self.version = digest.hexdigest()[:16]
        self._files = found

    def url(self, path: str) -> str:
        """Where a file such as ``css/base.css`` is served. Raises ``KeyError`` if there is none."""
        if path not in self._files:
            raise KeyError(f"web/static has no file {path!r}")
        return f"/static/{self.version}/{path}"

    def paths(self, prefix: str) -> list[str]:
        """The files whose path begins with ``prefix``, in order."""
        return sorted(path for path in self._files if path.startswith(prefix))

    def route(self) -> Route:
        """The one route that serves them."""
        return Route("/static/{path:path}", self._serve, methods=["GET"], name="static")

    async def _serve(self, request: Request) -> Response:
        version, _, path = request.path_params["path"].partition("/")
        content = self._files.get(path)
        if content is None or version != self.version:
            raise HTTPException(404)
        kind = _TYPES[path.rpartition(".")[2]]
        return Response(content, headers={"Content-Type": kind, "Cache-Control": _FOR_EVER})


def _files_below(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files_below(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            yield prefix + entry.name, entry.read_bytes()
