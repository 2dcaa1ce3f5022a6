"""A call with a wrong argument says what to write, also to somebody who knew the argument by another name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from microflow import (
    ConcurrencyGroup,
    DefinitionError,
    ExecutionError,
    ExecutionFailed,
    ExecutionResult,
    ExecutionSkipped,
    ExecutionStatus,
    PayloadError,
    Schedule,
    WrongArgumentError,
    create_flow,
)

call: Any = lambda function: function  # noqa: E731 - past the type checker, which says the same


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: call(create_flow)("shop", global_tasks_concurrency=2),
            "create_flow() has no argument 'global_tasks_concurrency'; did you mean 'max_concurrency'?",
        ),
        (
            lambda: call(create_flow)(flow_name="shop"),
            "create_flow() has no argument 'flow_name'; did you mean 'name'?",
        ),
        (
            lambda: call(create_flow)("shop", max_concurency=2),
            "create_flow() has no argument 'max_concurency'; did you mean 'max_concurrency'?",
        ),
        (
            lambda: call(create_flow)("shop", colour=2),
            "create_flow() has no argument 'colour'; it has name, max_concurrency, timezone, store.",
        ),
        (
            lambda: call(create_flow)(),
            "create_flow() needs its argument 'name'. Write create_flow(\"my_flow\", max_concurrency=4).",
        ),
        (
            lambda: call(create_flow)(max_concurrency=2),
            "create_flow() needs its argument 'name'. Write create_flow(\"my_flow\", max_concurrency=4).",
        ),
        (
            lambda: call(create_flow)("shop", 2),
            "create_flow() takes 1 argument by position (name), and 2 were given. Name the others, as in "
            'create_flow("my_flow", max_concurrency=4).',
        ),
        (lambda: call(Schedule)(expr="@daily"), "Schedule() has no argument 'expr'; did you mean 'cron'?"),
        (lambda: call(Schedule)("@daily", tz="UTC"), "Schedule() has no argument 'tz'; did you mean 'timezone'?"),
        (
            lambda: call(ConcurrencyGroup)(2, max_concurrency_by_key="customer"),
            "ConcurrencyGroup() has no argument 'max_concurrency_by_key'; did you mean 'key'?",
        ),
        (
            lambda: call(create_flow("shop").task)(global_tasks_concurrency=2),
            "@flow.task has no argument 'global_tasks_concurrency'; did you mean 'max_concurrency'?",
        ),
    ],
)
def test_a_wrong_argument_is_refused_with_the_right_one(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(WrongArgumentError) as raised:
        make()
    assert str(raised.value) == words
    assert isinstance(raised.value, DefinitionError)
    assert isinstance(raised.value, TypeError)


def test_what_checks_arguments_leaves_signatures_as_they_are() -> None:
    assert list(inspect.signature(create_flow).parameters)[:2] == ["name", "max_concurrency"]
    assert list(inspect.signature(Schedule).parameters) == ["cron", "name", "timezone", "catch_up", "overlap"]
    assert str(inspect.signature(ConcurrencyGroup)).startswith("(max_concurrency: 'int' = 1, name:")
    assert create_flow("shop").module == __name__


def test_the_name_of_a_schedule_may_stand_second() -> None:
    schedule = Schedule("30 2 * * *", "nightly", timezone="UTC")
    assert (schedule.name, schedule.timezone) == ("nightly", "UTC")
    assert Schedule("30 2 * * *", name="nightly").name == "nightly"


@pytest.mark.parametrize("status", [*ExecutionStatus, "skipped", "SKIPPED", "Error"])
def test_a_status_in_the_place_of_the_output_is_refused_with_the_right_form(status: Any) -> None:
    right = f"write ExecutionResult(status={str(status).lower()!r})."
    with pytest.raises(PayloadError, match="the first argument is the output, and this is a status") as raised:
        ExecutionResult(status)
    assert str(raised.value).endswith(right)


def test_more_by_position_than_the_output_is_refused_with_the_right_form() -> None:
    with pytest.raises(PayloadError, match=r"write ExecutionResult\(…, status='success'\)\.$"):
        call(ExecutionResult)(ExecutionStatus.SUCCESS, {"a": 1})
    with pytest.raises(
        PayloadError, match=r"was given 2 values: write ExecutionResult\({…}, status='success', run_key=…\)"
    ):
        call(ExecutionResult)({"a": 1}, "skipped")


def test_a_copy_of_a_result_is_its_output_to_change() -> None:
    result = ExecutionResult({"a": [1]}, run_key="k")
    copied = result.copy()
    copied["b"] = 2
    assert (type(copied), copied, result) == (dict, {"a": [1], "b": 2}, {"a": [1]})
    rows = ExecutionResult([{"a": 1}]).copy()
    rows.append({"at": datetime(2026, 11, 22, tzinfo=UTC)})
    assert len(rows) == 2


def test_there_is_no_copy_of_data_that_a_result_lacks() -> None:
    with pytest.raises(ExecutionFailed):
        ExecutionResult(status="error", error=ExecutionError("ValueError", "no")).copy()
    with pytest.raises(ExecutionSkipped):
        ExecutionResult(status="skipped").copy()
