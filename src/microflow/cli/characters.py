"""Characters that standard output can't hold, such as a sign that a code page of Windows lacks: escaped, as JSON does it."""

from __future__ import annotations

import codecs
import io
import json
import sys

ESCAPED = "microflow.escaped"
"""The name of the error handler of codecs; JSON stays the same JSON with it, and other text readable."""


def escape_what_cannot_be_printed() -> None:
    """Let both standard streams take any text, whatever their encoding."""
    codecs.register_error(ESCAPED, _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPED)


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
