"""What an engine does with what a dead one left: a pure plan, in which nothing is lost and nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microflow.engine.recovery.takeover import Predecessor, RetriesOf, Takeover, plan_takeover
from microflow.model.results import Kind, Trigger
from microflow.store.rows import NOBODY, Opened, StoredCall, Waiting

Unfinished = list[tuple[Opened, Kind]]

NOW = 100.0
SERVER = Predecessor(7, "server engine (process 1)", True, "It ended before the execution did.")
SCRIPT = Predecessor(8, "local engine (process 2)", False, "It ended before the execution did.")
LEFT_BEHIND = Predecessor(NOBODY, "server", True, "The server that ran this stopped.")
PAUSED = Waiting("paused", "it is paused", 50.0)


def opened(
    number: int, flow: str = "shop", parent: int | None = None, *, started: bool = True, attempt: int = 1
) -> Opened:
    return Opened(number, flow, f"job {number}", parent, parent or number, 1.0 if started else None, attempt)


def call_of(trigger: Trigger = Trigger.API, waiting: Waiting | None = None) -> Callable[[int], StoredCall]:
    return lambda _: StoredCall("shop", "job", Kind.TASK, "running", trigger, b"[]", None, None, None, None, waiting, 7)


def retries_of(execution: Opened) -> int | None:
    """Flow "shop" is served, flow "bank" is not. Job 99 is never tried again, job 100 is gone, all others have one retry."""
    return None if execution.flow == "bank" else {99: 0, 100: -1}.get(execution.id, 1)


def plan(dead: Predecessor, *left: tuple[Opened, Kind], serves: bool = True, **row: object) -> Takeover:
    return plan_takeover(dead, left[::-1], retries_of, call_of(**row), serves=serves, now=NOW)  # type: ignore[arg-type]


def resumed(found: Takeover) -> list[int]:
    return [number for left in found.resumed for number in left.numbers]


def test_a_server_resumes_what_a_server_left() -> None:
    found = plan(SERVER, (opened(1), Kind.TASK), (opened(2, started=False), Kind.MANAGER), (opened(3), Kind.DAG))

    assert resumed(found) == [1, 2, 3]
    assert {waiting.message for waiting in found.queued.values()} == {
        "waits for its turn: the server that had it ended, and this one resumes it"
    }
    assert (found.unowned, found.untouched) == (set(), set())


def test_a_script_leaves_to_a_server_what_a_server_left() -> None:
    found = plan(SERVER, (opened(1), Kind.TASK), (opened(2), Kind.MAP), serves=False)

    assert found.resumed == []
    assert [waiting.reason for waiting in found.queued.values()] == ["retry", "server"]
    assert found.unowned == {1, 2}


def test_what_a_server_of_other_flows_left_is_queued_for_another_server() -> None:
    found = plan(SERVER, (opened(1, "bank", attempt=9), Kind.TASK), (opened(2), Kind.TASK))

    assert resumed(found) == [2]
    assert found.queued.keys() == {1, 2}
    assert found.unowned == {1}


def test_what_already_waits_for_a_server_of_other_flows_stays_as_it_is() -> None:
    found = plan(LEFT_BEHIND, (opened(1, "bank"), Kind.DAG), (opened(2), Kind.DAG))

    assert found.untouched == {1}
    assert resumed(found) == [2]
    assert 1 not in found.queued
    assert 1 not in found.errors


def test_a_task_without_another_attempt_ends_with_the_error_of_its_engine() -> None:
    found = plan(SERVER, (opened(99), Kind.TASK))

    assert found == Takeover([], {}, set(), {}, set())


@pytest.mark.parametrize(
    ("left", "message"),
    [
        (
            (opened(100, started=False), Kind.TASK),
            "This never started: the server engine (process 1) that had accepted it ended first. It can't be resumed: "
            "'job 100' is no job of flow 'shop' any more.",
        ),
        (
            (opened(100), Kind.MAP),
            "The server engine (process 1) that ran this ended. It can't be resumed: 'job 100' is no job of flow 'shop' any more.",
        ),
    ],
)
def test_what_never_started_and_runs_end_with_an_error_of_their_own(left: tuple[Opened, Kind], message: str) -> None:
    found = plan(SERVER, left)

    assert found.queued == {}
    assert [(error.type, error.message) for error in found.errors.values()] == [("Interrupted", message)]


@pytest.mark.parametrize("serves", [True, False])
@pytest.mark.parametrize(
    ("left", "trigger", "expected"),
    [
        ((opened(1), Kind.TASK), Trigger.CLI, [1]),
        ((opened(1), Kind.MANAGER), Trigger.CLI, [1]),
        ((opened(1), Kind.TASK), Trigger.PYTHON, []),
        ((opened(1, started=False), Kind.TASK), Trigger.CLI, []),
        ((opened(1), Kind.MAP), Trigger.CLI, []),
        ((opened(1, attempt=2), Kind.TASK), Trigger.CLI, []),
        ((opened(1, "bank"), Kind.TASK), Trigger.CLI, []),
    ],
)
def test_of_a_script_only_the_job_of_a_command_that_has_an_attempt_left_is_tried_again(
    left: tuple[Opened, Kind], trigger: Trigger, expected: list[int], serves: bool
) -> None:
    found = plan(SCRIPT, left, serves=serves, trigger=trigger)

    assert resumed(found) == expected
    assert found.queued.keys() == set(expected)
    assert found.unowned == set()


@pytest.mark.parametrize("serves", [True, False])
def test_a_run_that_is_paused_stays_so(serves: bool) -> None:
    found = plan(SERVER, (opened(1), Kind.MAP), (opened(2, parent=1), Kind.TASK), serves=serves, waiting=PAUSED)

    assert found.queued[1] == PAUSED
    assert found.queued[2] != PAUSED


@st.composite
def histories(draw: st.DrawFn) -> Unfinished:
    """Unfinished executions of two flows as an engine may leave them, parents first."""
    found: Unfinished = []
    for number in range(1, draw(st.integers(1, 12)) + 1):
        callers = {known.id: known.flow for known, kind in found if kind is not Kind.TASK}
        parent = draw(st.sampled_from([None, *callers]))
        flow = callers[parent] if parent is not None else draw(st.sampled_from(["shop", "bank"]))
        started, attempt = draw(st.booleans()), draw(st.integers(1, 3))
        found.append((opened(number, flow, parent, started=started, attempt=attempt), draw(st.sampled_from(Kind))))
    return found


@given(
    unfinished=histories(),
    retries=st.lists(st.integers(-1, 2), min_size=13, max_size=13),
    dead=st.sampled_from([SERVER, SCRIPT, LEFT_BEHIND]),
    trigger=st.sampled_from([Trigger.CLI, Trigger.PYTHON]),
    waiting=st.sampled_from([None, PAUSED]),
    serves=st.booleans(),
)
def test_each_execution_is_resumed_left_or_ended_and_never_two_of_these(
    unfinished: Unfinished,
    retries: list[int],
    dead: Predecessor,
    trigger: Trigger,
    waiting: Waiting | None,
    serves: bool,
) -> None:
    known: RetriesOf = lambda execution: None if execution.flow == "bank" else retries[execution.id]  # noqa: E731
    found = plan_takeover(dead, unfinished[::-1], known, call_of(trigger, waiting), serves=serves, now=NOW)

    rows = {execution.id: (execution, kind) for execution, kind in unfinished}
    mine = resumed(found)
    assert len(mine) == len(set(mine))
    assert found.queued.keys() == {*mine, *found.unowned}
    assert found.unowned.isdisjoint(mine)
    assert found.untouched.isdisjoint(found.queued)
    # an engine resumes only what it serves, and only a server what a server left
    assert all(rows[number][0].flow == "shop" for number in mine)
    assert serves or not dead.is_server or not mine
    # only servers leave something to other servers
    assert dead.is_server or not found.unowned
    # what is touched, never started or has no code has an error of its own, should it end
    assert found.errors.keys() == {
        number
        for number, (execution, kind) in rows.items()
        if number not in found.untouched and (execution.started_at is None or not kind.has_code)
    }
    # a member is resumed, or left, with the run that called it
    for number in found.queued:
        above = rows[number][0].parent_id
        assert above is None or ((above in found.queued) and (above in mine) == (number in mine))
