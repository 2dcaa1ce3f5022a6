"""Opening a store: to make it, to change it, to look at it; and its end."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from microflow import StoreError, StoreMissing, StoreUnavailable
from microflow.model.events import Event, EventBus
from microflow.store import Store, default_url
from microflow.store import open as open_store
from microflow.store.rows import Opening

NEW = Opening(flow="shop", job="load", kind="task", trigger="api", inputs=b"[]")


@pytest.mark.parametrize("access", ["make", "change", "look"])
@pytest.mark.parametrize("url", ["mysql://localhost/microflow", "store.db", "sqlite:store.db", ""])
def test_a_url_of_another_kind_is_refused_with_those_that_are_known(url: str, access: Any) -> None:
    with pytest.raises(StoreUnavailable) as raised:
        open_store(url, access)

    assert str(raised.value) == (
        f"The store {url!r} can't be opened: this version knows sqlite:///path (relative), sqlite:////path (absolute) and :memory:."
    )


def test_a_store_is_made_and_found_again(shared: Any) -> None:
    with closing(open_store(shared.url)) as store:
        number = store.executions.open(NEW, 1.0).id
    with closing(open_store(shared.url)) as store:
        assert store.executions.call_of(number).job == "load"
    with closing(open_store(shared.url, "change")) as store:
        assert store.executions.call_of(number).job == "load"
    with closing(open_store(shared.url, "look")) as view:
        assert view.reading.execution(number).job == "load"


@pytest.mark.parametrize("access", ["change", "look"])
def test_only_who_makes_a_store_makes_one(shared: Any, tmp_path: Path, access: Any) -> None:
    with pytest.raises(StoreMissing, match="There is no store"):
        open_store(shared.url, access)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("access", ["change", "look"])
def test_the_memory_of_another_process_can_not_be_opened(access: Any) -> None:
    with pytest.raises(StoreUnavailable, match="is in the memory of another process"):
        open_store(":memory:", access)


def test_what_is_written_is_told_to_those_who_were_named(stores: Any) -> None:
    events, heard = EventBus(), []
    events.subscribe(heard.append)
    with closing(open_store(stores.url, events=events)) as store:
        assert store.events is events
        opened = store.executions.open(NEW, 1.0)

    assert heard == [Event("execution", "shop", "load", opened.id, None, opened.id, "running")]


def test_a_store_that_is_looked_at_has_no_part_that_writes(shared: Any, store: Store) -> None:
    with closing(open_store(shared.url, "look")) as view:
        for name in ("executions", "retention", "mappings", "database"):
            assert not hasattr(view, name)
        assert not hasattr(view.schedules, "record")
        assert not hasattr(view.engines, "register")


def test_a_store_names_itself_for_people(stores: Any, store: Store) -> None:
    assert store.label in stores.url


def test_a_closed_store_says_so_and_may_be_closed_again(store: Store) -> None:
    store.close()
    store.close()

    for act in (
        lambda: store.executions.open(NEW, 1.0),
        lambda: store.reading.check(),
        lambda: store.schedules.of_flow("shop"),
        lambda: store.partitions.lines("shop", "load", ["2026"], [None]),
        lambda: store.engines.dead(),
        lambda: next(store.retention.steps(1.0)),
    ):
        with pytest.raises(StoreError, match=r"The store is closed: the engine that used it has stopped\."):
            act()
    with pytest.raises(StoreError, match="is closed"), store.executions.together():
        pass


def test_the_store_of_a_flow_that_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MICROFLOW_STORE", raising=False)
    assert default_url() == "sqlite:///.microflow/store.db"

    monkeypatch.setenv("MICROFLOW_STORE", "sqlite:///elsewhere.db")
    assert default_url() == "sqlite:///elsewhere.db"
