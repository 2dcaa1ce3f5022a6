"""What the store's parts need of a database: named statements, transactions, and callbacks after a commit.

Every statement stands in a ``.sql`` file under a name. Those beside this module are shared by all databases; a database has files
of its own for what it must say differently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from importlib.resources import files
from typing import Any, Protocol

Row = tuple[Any, ...]
Values = Mapping[str, Any] | Sequence[Any]


class Readable(Protocol):
    """A database that can be read, from every thread. Every method raises ``StoreError`` if that fails."""

    def read(self, name: str, values: Values = ()) -> list[Row]:
        """All rows of the query of this name, of what is committed."""
        ...

    def read_newest(self, name: str, conditions: Sequence[str], values: Values) -> list[Row]:
        """The rows of the query of this name for which all of the named conditions hold, the highest ids first.

        ``limit`` among the values is how many there may be.
        """
        ...


class Database(Readable, Protocol):
    """A database that can also be written. Every method raises ``StoreError`` if the database refuses.

    Each statement is a transaction of its own unless the calling thread has one open.
    """

    def transaction(self) -> AbstractContextManager[None]:
        """Commit everything that this thread executes inside at the end, or roll it back if something raises.

        What a check inside it finds still holds when it commits. A transaction inside another one is part of it.
        """
        ...

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call this once everybody can read what this thread has written: now, or after the open transaction's commit.

        The callback is never called if the transaction fails. An exception that it raises is logged.
        """
        ...

    def execute(self, name: str, values: Values = ()) -> int:
        """Execute the statement of this name; the number of rows that it changed."""
        ...

    def insert(self, name: str, values: Values) -> int:
        """Execute the INSERT of this name; the id of the new row."""
        ...

    def fetch(self, name: str, values: Values = ()) -> list[Row]:
        """All rows of the query of this name, as the open transaction sees them."""
        ...

    def checkpoint(self) -> None:
        """Put away now what much writing has piled up, so that no commit of another writer has to wait for that."""
        ...


@lru_cache
def statements(package: str) -> dict[str, str]:
    """The statements in the ``.sql`` files of a package, by their names."""
    found: dict[str, str] = {}
    for file in files(package).iterdir():
        if not file.name.endswith(".sql"):
            continue
        for block in file.read_text("utf-8").split("-- name: ")[1:]:
            name, _, body = block.partition("\n")
            assert name.strip() not in found, f"two statements are named {name.strip()!r}"
            found[name.strip()] = (
                "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip().rstrip(";")
            )
    return found


def shared_statements() -> dict[str, str]:
    """The statements that every database understands, by their names."""
    return statements(__package__)
