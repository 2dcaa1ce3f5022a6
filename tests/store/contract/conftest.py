"""The kinds of stores that these tests are about: what they say holds for each of them.

The tests speak to a ``Store`` alone. Where they look into tables, they do so in SQL that every database understands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from microflow.model.events import EventBus
from microflow.store import Store, StoreView
from microflow.store import open as open_store


class Stores(Protocol):
    """Stores of one kind. ``url``: where the test's own store is; ``is_shared``: it can be opened more than once."""

    url: str
    is_shared: bool

    def rows(self, store: Store, query: str, values: Any = ()) -> list[tuple[Any, ...]]:
        """What a query finds in the store's tables."""
        ...

    def change(self, store: Store, statement: str, values: Any = ()) -> None:
        """Change the store's tables behind its back."""
        ...

    def die(self, store: Store) -> None:
        """Close the store as if its process had died: its engine lives no more, and nothing of that is recorded."""
        ...


class SqliteStores:
    """Stores in a file, or in memory."""

    def __init__(self, url: str, *, is_shared: bool) -> None:
        self.url = url
        self.is_shared = is_shared

    def rows(self, store: Store, query: str, values: Any = ()) -> list[tuple[Any, ...]]:
        database: Any = store.database
        found: list[tuple[Any, ...]] = database.read_text(query, values)
        return found

    def change(self, store: Store, statement: str, values: Any = ()) -> None:
        database: Any = store.database
        database.execute_text(statement, values)

    def die(self, store: Store) -> None:
        # a process of the same number that was started at another time
        self.change(store, "UPDATE engines SET process_started = 0 WHERE id = ?", (store.engines.own,))
        store.close()


KINDS: dict[str, Callable[[Path], Stores]] = {
    "sqlite-file": lambda folder: SqliteStores(f"sqlite:///{folder.as_posix()}/store.db", is_shared=True),
    "sqlite-memory": lambda folder: SqliteStores(":memory:", is_shared=False),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test passes with every kind of store; what several processes must see, with each kind that they can share."""
    if "stores" in metafunc.fixturenames:
        is_shared = "shared" in metafunc.fixturenames
        kinds = [name for name, kind in KINDS.items() if kind(Path()).is_shared or not is_shared]
        metafunc.parametrize("stores", kinds, indirect=True)


@pytest.fixture
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    """Every kind of store."""
    return KINDS[request.param](tmp_path)


@pytest.fixture
def shared(stores: Stores) -> Stores:
    """Every kind of store that several processes can share."""
    return stores


@pytest.fixture
def store(stores: Stores) -> Iterator[Store]:
    """An empty store, with the engine of a server."""
    store = open_store(stores.url, events=EventBus())
    store.engines.register("server", 0.0)
    yield store
    store.close()


@pytest.fixture
def other(shared: Stores, store: Store) -> Iterator[Store]:
    """The same store, opened again for an engine of its own."""
    other = open_store(shared.url, events=EventBus())
    other.engines.register("local", 0.0)
    yield other
    other.close()


@pytest.fixture
def view(shared: Stores, store: Store) -> Iterator[StoreView]:
    """The same store, opened to look at it."""
    view = open_store(shared.url, "look")
    yield view
    view.close()


@pytest.fixture
def events(store: Store) -> EventBus:
    """What the store publishes its events on."""
    return store.events
