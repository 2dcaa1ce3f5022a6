"""The inputs of mappings: kept in blocks, read from any position, and deleted once nobody needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microflow.model.results import ExecutionStatus
from microflow.store import MappingInputs, Store, mappings
from microflow.store.mappings import BLOCK
from microflow.store.rows import Ending, Opened, Opening, StoredMapping

Count = Callable[[], tuple[int, ...]]


@pytest.fixture
def inputs(store: Store) -> MappingInputs:
    return store.mappings


@pytest.fixture
def count(stores: Any, store: Store) -> Callable[[], tuple[int, ...]]:
    """``count()``: how many mappings and blocks there are."""
    return lambda: tuple(
        stores.rows(store, f"SELECT count(*) FROM {name}")[0][0] for name in ("mappings", "mapping_inputs")
    )


def encoded(count: int, width: int = 0) -> list[bytes]:
    return [b'[{"n":%d,"text":"%s"}]' % (number, b"x" * width) for number in range(count)]


def start(store: Store, mapping: StoredMapping) -> Opened:
    new = Opening(flow="shop", job="load", kind="map", trigger="api", inputs=b"[]")
    return store.executions.open(new, 2.0, lambda number, _: store.mappings.begin(mapping, number))


def finish(store: Store, opened: Opened) -> None:
    store.executions.finish(opened, Ending(status=ExecutionStatus.SUCCESS), 3.0)


@given(st.lists(st.binary(max_size=3), max_size=40), st.integers(0, 41), st.integers(1, 30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_what_is_read_from_a_position_is_what_was_stored_from_there_on(
    store: Store, inputs: MappingInputs, parts: list[bytes], position: int, block: int
) -> None:
    given_inputs = [b'[{"x":"%s"}]' % part.hex().encode() for part in parts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mappings, "BLOCK", block)
        mapping = inputs.store(iter(given_inputs), store.engines.own)

    assert mapping.size == len(given_inputs)
    assert [bytes(each) for each in inputs.read(mapping, position)] == given_inputs[position:]


def test_no_transaction_and_no_reader_holds_more_than_a_block(stores: Any, store: Store, inputs: MappingInputs) -> None:
    given_inputs = encoded(1000, 1000)

    mapping = inputs.store(iter(given_inputs), store.engines.own)

    lengths = [length for (length,) in stores.rows(store, "SELECT length(inputs) FROM mapping_inputs")]
    assert len(lengths) > 10
    assert max(lengths) < BLOCK + 2 * len(given_inputs[0])
    assert [bytes(each) for each in inputs.read(mapping)] == given_inputs


def test_inputs_that_raise_leave_nothing(store: Store, inputs: MappingInputs, count: Count) -> None:
    def failing() -> Iterator[bytes]:
        yield from encoded(500, 1000)
        raise ValueError("the 501st")

    with pytest.raises(ValueError, match="501st"):
        inputs.store(failing(), store.engines.own)

    assert count() == (0, 0)


def test_inputs_are_kept_as_long_as_their_mapping_is_open(store: Store, inputs: MappingInputs) -> None:
    kept = inputs.store(encoded(500, 1000), store.engines.own)
    opened = start(store, kept)
    stored = inputs.store(encoded(1), store.engines.own)  # and is about to be opened

    assert not inputs.delete_ended()

    assert inputs.find(opened.id) == kept
    finish(store, opened)
    steps = 0
    while inputs.delete_ended():
        steps += 1
    assert steps > 2
    assert inputs.find(opened.id) is None
    assert list(inputs.read(stored))


@pytest.mark.parametrize("gone", ["the execution", "the engine"])
def test_inputs_of_what_is_gone_are_deleted_with_old_history(
    stores: Any, store: Store, inputs: MappingInputs, count: Count, gone: str
) -> None:
    mapping = inputs.store(encoded(500, 1000), store.engines.own)
    if gone == "the execution":
        opened = start(store, mapping)
        stores.change(store, f"DELETE FROM executions WHERE id = {opened.id}")
    else:
        store.engines.unregister(now=5.0, reason="it was killed before all were stored")

    list(store.retention.steps(0.0))

    assert count() == (0, 0)
