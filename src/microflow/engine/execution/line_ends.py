"""The ends of the lines that jobs print: in a log they are "\\n" on every platform."""

from __future__ import annotations


class LineEnds:
    """Output that comes in pieces, with "\\n" in place of the "\\r\\n" that programs write on Windows.

    A "\\r" at the end of a piece waits for the next piece, and is dropped if none comes.
    """

    def __init__(self) -> None:
        self._held = b""

    def take(self, data: bytes) -> bytes:
        """The next piece; it may be empty."""
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        return data[: len(data) - len(self._held)].replace(b"\r\n", b"\n")
