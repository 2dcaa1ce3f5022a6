"""An execution's log as a page shows it: the newest part of it, and all of it as plain text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from ...store import LogReader
    from ..http.site import Site

TAIL = 96 * 1024
"""Bytes of a log that a page shows at most when it is opened; a module of the page adds what comes after."""

_PIECE = 256 * 1024

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\))")


class NewestPart(NamedTuple):
    """The end of a log: its ``text``, how many bytes stand before it, and the offset ``next`` after it."""

    text: str
    before: int
    next: int


def newest_part(logs: LogReader, execution_id: int, tail: int = TAIL) -> NewestPart:
    """At most ``tail`` bytes from the end of a log. It begins with a whole line, unless the last line is longer than that."""
    offset, text = max(logs.end(execution_id) - tail, 0), ""
    from_the_beginning = offset == 0
    while (part := logs.read(execution_id, offset, tail)).text and len(text) < 2 * tail:
        text, offset = text + part.text, part.next
    if from_the_beginning:
        return NewestPart(cleaned(text), 0, offset)
    _, _, whole = text.partition("\n")
    kept = whole or text  # the last line may be longer than the tail
    return NewestPart(cleaned(kept), offset - len(kept.encode("utf-8", "replace")), offset)


def cleaned(text: str) -> str:
    """Text as it is shown: without what is for a terminal alone, and of a line that was written over only its last version.

    The cost is linear in the length of the text, whether it is one line or many. static/js/execution-log.js does the same with what
    comes later.
    """
    plain = _ESCAPES.sub("", text).replace("\r\n", "\n")
    if "\r" not in plain:
        return plain
    # not by a pattern such as [^\n]*\r, which looks at the rest of a line from each of its characters
    return "\n".join(line[line.rfind("\r") + 1 :] for line in plain.split("\n"))


class LogResponse(Response):
    """Answers with a whole log as text, piece by piece; where something was not kept, a line says so."""

    def __init__(self, site: Site, execution_id: int) -> None:
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        super().__init__(None, 200, headers, "text/plain; charset=utf-8")
        del self.headers["content-length"]
        self._site = site
        self._execution_id = execution_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        offset = 0
        while scope["method"] != "HEAD":
            part = await self._site.draw(self._site.store.logs.read, self._execution_id, offset, _PIECE)
            gap = (
                f"\n[{part.left_out:,} bytes were left out here to keep the log within its limit]\n"
                if part.left_out
                else ""
            )
            if not part.text:
                break
            await send({"type": "http.response.body", "body": (gap + part.text).encode(), "more_body": True})
            offset = part.next
        await send({"type": "http.response.body", "body": b""})
