"""The inputs of mappings: kept in blocks, read from any position, and deleted once nobody needs them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microflow.model.events import EventBus
from microflow.model.results import ExecutionStatus
from microflow.store import mappings
from microflow.store.database import Database
from microflow.store.executions import Ending, Executions, NewExecution, Opened
from microflow.store.logs import Logs
from microflow.store.mappings import BLOCK, MappingInputs, StoredMapping
from microflow.store.migrations import migrations
from microflow.store.retention import Retention


@pytest.fixture
def database(store: str) -> Iterator[Database]:
    database = Database(store)
    yield database
    database.close()


@pytest.fixture
def executions(database: Database) -> Executions:
    executions = Executions(database, EventBus())
    executions.register(pid=1, process_started=1.0, kind="server", now=1.0)
    return executions


def encoded(count: int, width: int = 0) -> list[bytes]:
    return [b'[{"n":%d,"text":"%s"}]' % (number, b"x" * width) for number in range(count)]


def begin(executions: Executions, inputs: MappingInputs, mapping: StoredMapping) -> Opened:
    new = NewExecution(flow="shop", job="load", kind="map", trigger="api", inputs=b"[]")
    return executions.open(new, 2.0, lambda number, _: inputs.begin(mapping, number))


def finish(executions: Executions, opened: Opened) -> None:
    executions.finish(opened, Ending(status=ExecutionStatus.SUCCESS), 3.0)


def count(database: Database) -> tuple[int, int]:
    """How many mappings and blocks there are."""
    return tuple(database.read_text(f"SELECT count(*) FROM {name}")[0][0] for name in ("mappings", "mapping_inputs"))  # type: ignore[return-value]


@given(st.lists(st.binary(max_size=3), max_size=40), st.integers(0, 41), st.integers(1, 30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_what_is_read_from_a_position_is_what_was_stored_from_there_on(
    database: Database, executions: Executions, parts: list[bytes], position: int, block: int
) -> None:
    given_inputs = [b'[{"x":"%s"}]' % part.hex().encode() for part in parts]
    inputs = MappingInputs(database)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mappings, "BLOCK", block)
        mapping = inputs.store(iter(given_inputs), executions.engine_id)

    assert mapping.size == len(given_inputs)
    assert [bytes(each) for each in inputs.read(mapping, position)] == given_inputs[position:]


def test_no_transaction_and_no_reader_holds_more_than_a_block(database: Database, executions: Executions) -> None:
    inputs = MappingInputs(database)
    given_inputs = encoded(1000, 1000)

    mapping = inputs.store(iter(given_inputs), executions.engine_id)

    lengths = [length for (length,) in database.read_text("SELECT length(inputs) FROM mapping_inputs")]
    assert len(lengths) > 10
    assert max(lengths) < BLOCK + 2 * len(given_inputs[0])
    assert [bytes(each) for each in inputs.read(mapping)] == given_inputs


def test_inputs_that_raise_leave_nothing(database: Database, executions: Executions) -> None:
    def failing() -> Iterator[bytes]:
        yield from encoded(500, 1000)
        raise ValueError("the 501st")

    with pytest.raises(ValueError, match="501st"):
        MappingInputs(database).store(failing(), executions.engine_id)

    assert count(database) == (0, 0)


def test_inputs_are_kept_as_long_as_their_mapping_is_open(database: Database, executions: Executions) -> None:
    inputs = MappingInputs(database)
    kept = inputs.store(encoded(500, 1000), executions.engine_id)
    opened = begin(executions, inputs, kept)
    stored = inputs.store(encoded(1), executions.engine_id)  # and is about to be opened

    assert not inputs.delete_ended()

    assert inputs.find(opened.id) == kept
    finish(executions, opened)
    steps = 0
    while inputs.delete_ended():
        steps += 1
    assert steps > 2
    assert inputs.find(opened.id) is None
    assert list(inputs.read(stored))


@pytest.mark.parametrize("gone", ["the execution", "the engine"])
def test_inputs_of_what_is_gone_are_deleted_with_old_history(
    database: Database, executions: Executions, tmp_path: Any, gone: str
) -> None:
    inputs = MappingInputs(database)
    mapping = inputs.store(encoded(500, 1000), executions.engine_id)
    if gone == "the execution":
        opened = begin(executions, inputs, mapping)
        database.execute_text("DELETE FROM executions WHERE id = ?", (opened.id,))
    else:
        executions.unregister(now=5.0, reason="it was killed before all were stored")

    list(Retention(database, Logs(tmp_path / "logs")).steps(0.0))

    assert count(database) == (0, 0)


def test_a_store_of_the_version_before_can_keep_inputs(store: str) -> None:
    old = Database(store)
    old.execute_text("DROP TABLE mappings", ())
    old.execute_text("DROP TABLE mapping_inputs", ())
    old.execute_text("DELETE FROM schema_version WHERE version >= 5", ())
    old.close()

    database = Database(store)

    assert database.read_text("SELECT max(version) FROM schema_version") == [(len(migrations()),)]
    assert count(database) == (0, 0)
    database.close()
