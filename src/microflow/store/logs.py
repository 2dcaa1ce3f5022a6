"""What executions print, as the engine writes it and as pages and commands read it.

Offsets count the bytes that were printed. Of a log longer than ``LOG_CAP`` the head and the tail are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from .rows import LogPart

LOG_CAP = 10 * 1024 * 1024
"""Bytes kept of one execution's log."""


class LogWriter(Protocol):
    """One execution's log, being written."""

    def append(self, data: bytes) -> None:
        """Add what was printed. It can be read at once. Raises ``StoreError`` if it can't be written (a full disk)."""
        ...

    def close(self) -> None:
        """Add nothing after this. Raises ``StoreError`` if what was added last can't be written."""
        ...


class LogReader(Protocol):
    """Reads the logs of a store's executions. Every method raises ``StoreError`` if they can't be read."""

    def read(self, execution_id: int, after: int = 0, limit: int = 1024 * 1024) -> LogPart:
        """At most ``limit`` bytes of what was printed after the offset ``after``, as text.

        Where bytes were left out to keep within the cap, the part starts after them and ``left_out`` counts them.
        """
        ...

    def end(self, execution_id: int) -> int:
        """How many bytes were printed so far: the offset after the last one."""
        ...


class Logs(LogReader, Protocol):
    """Writes, reads and deletes the logs of a store's executions. Every method raises ``StoreError`` if that fails."""

    def open(self, execution_id: int, *, goes_on: bool = False) -> LogWriter:
        """A log to write to. ``goes_on``: behind what it holds, else from its start."""
        ...

    def delete(self, execution_ids: Iterable[int]) -> None:
        """Delete the logs of these executions."""
        ...
