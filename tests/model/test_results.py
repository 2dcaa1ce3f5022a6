"""Results: reading one that has no data says why; one that has reads like its output; what run strategies make of statuses."""

from __future__ import annotations

import pickle
from enum import StrEnum
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microflow import (
    ExecutionError,
    ExecutionFailed,
    ExecutionResult,
    ExecutionSkipped,
    ExecutionStatus,
    RunStrategy,
    Skip,
)
from microflow.model.results import Kind, Trigger, combined_status, decide

FAILED = ExecutionResult(
    status="error",
    job="load",
    error=ExecutionError("ValueError", "no such file", "Traceback …\nValueError: no such file\n"),
)
SKIPPED = ExecutionResult(status="skipped", job="load", reason="nothing new.")
CANCELLED = ExecutionResult(status="cancelled", job="load", reason="it was cancelled while it ran")

READINGS = {
    "item": lambda result: result["k"],
    "position": lambda result: result[0],
    "get": lambda result: result.get("k"),
    "iteration": list,
    "length": len,
    "contains": lambda result: "k" in result,
    "unpacking": lambda result: dict(**result),
    "keys": lambda result: result.keys(),
    "values": lambda result: result.values(),
    "items": lambda result: result.items(),
    "data": lambda result: result.data,
}


# Reading what is not there


@pytest.mark.parametrize("reading", READINGS)
def test_reading_a_failed_result_names_job_error_and_traceback(reading: str) -> None:
    with pytest.raises(ExecutionFailed) as raised:
        READINGS[reading](FAILED)

    assert str(raised.value) == "Job 'load' failed: ValueError: no such file"
    assert raised.value.__notes__ == ["The traceback in the job:\nTraceback …\nValueError: no such file"]


@pytest.mark.parametrize("reading", READINGS)
def test_reading_a_skipped_result_says_why_it_was_skipped(reading: str) -> None:
    with pytest.raises(ExecutionSkipped) as raised:
        READINGS[reading](SKIPPED)

    assert str(raised.value) == "Job 'load' was skipped, so its result holds no data: nothing new."


def test_reading_a_cancelled_result_fails() -> None:
    with pytest.raises(
        ExecutionFailed, match=r"^Job 'load' ended as cancelled, so its result holds no data: it was cancelled"
    ):
        CANCELLED["k"]


def test_a_result_that_nobody_named_says_so_too() -> None:
    with pytest.raises(ExecutionSkipped, match=r"^The job was skipped, so its result holds no data\.$"):
        ExecutionResult(status="skipped")["k"]


def test_a_failed_result_has_no_data_even_if_it_has_an_output() -> None:
    with pytest.raises(ExecutionFailed):
        ExecutionResult({"rows": 3}, status="error")["rows"]


def test_an_unknown_status_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError) as raised:
        ExecutionResult({}, status="done")

    assert str(raised.value) == "status is 'done'; it must be one of 'success', 'skipped', 'error', 'cancelled'."


def test_a_result_is_as_unhashable_as_a_dict() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(ExecutionResult({}))


# Reading what is there


def test_a_result_reads_like_a_dict() -> None:
    result = ExecutionResult({"a": 1, "b": 2})

    assert result["a"] == 1
    assert result.get("a") == 1
    assert result.get("c", 5) == 5
    assert {**result} == {"a": 1, "b": 2} == dict(result)
    assert list(result) == ["a", "b"] == list(result.keys())
    assert list(result.values()) == [1, 2]
    assert list(result.items()) == [("a", 1), ("b", 2)]
    assert len(result) == 2
    assert "a" in result
    assert "c" not in result
    with pytest.raises(KeyError):
        result["c"]


def test_a_result_reads_like_a_list() -> None:
    result = ExecutionResult([{"a": 1}, {"a": 2}])

    assert result[1] == {"a": 2}
    assert result[-1:] == [{"a": 2}]
    assert [item["a"] for item in result] == [1, 2]
    assert len(result) == 2
    assert {"a": 1} in result


def test_a_skipped_result_with_an_output_of_an_earlier_success_can_be_read() -> None:
    result = ExecutionResult({"a": 1}, status="skipped", run_key="k")

    assert result["a"] == 1
    assert not result


def test_a_success_without_an_output_is_empty() -> None:
    assert len(ExecutionResult()) == 0
    assert list(ExecutionResult()) == []


@pytest.mark.parametrize("status", ExecutionStatus)
def test_a_result_is_true_if_it_succeeded(status: ExecutionStatus) -> None:
    assert bool(ExecutionResult(status=status)) is (status == "success")
    assert bool(ExecutionResult({}, status=status)) is (status == "success")


def test_equality_compares_outputs_and_between_results_statuses_too() -> None:
    result = ExecutionResult({"a": 1}, job="one", execution_id=1)

    assert result == {"a": 1}
    assert result == {"a": 1}
    assert result != {"a": 2}
    assert result == ExecutionResult({"a": 1}, job="two", execution_id=2)
    assert result != ExecutionResult({"a": 1}, status="skipped")
    assert result != "text"
    assert ExecutionResult([{"a": 1}]) == [{"a": 1}]
    assert ExecutionResult(status="skipped") != {}


def test_a_result_around_a_result_has_its_output() -> None:
    assert ExecutionResult(ExecutionResult({"a": 1})).output == {"a": 1}  # type: ignore[arg-type]


def test_its_repr_says_what_a_person_asks_first() -> None:
    assert repr(ExecutionResult({"a": 1}, job="load")) == "ExecutionResult({'a': 1}, status='success', job='load')"
    assert repr(FAILED) == "ExecutionResult(None, status='error', job='load', error=ValueError: no such file)"


def test_statuses_are_the_words_of_the_documentation() -> None:
    assert {str(status) for status in ExecutionStatus if not status.final} == {"queued", "running"}
    assert {str(status) for status in ExecutionStatus if status.final} == {"success", "skipped", "error", "cancelled"}


def test_skip_keeps_its_reason() -> None:
    assert Skip("no new files").reason == "no new files"
    assert str(Skip()) == ""


# Run strategies


def oracle(strategy: str, statuses: list[str]) -> str:
    """The table of the specification, read row by row."""
    if not statuses or strategy == "always":
        return "run"
    success, error = "success" in statuses, "error" in statuses or "cancelled" in statuses
    runs = {
        "any_success_no_error": success and not error,
        "any_success": success,
        "all_success": set(statuses) == {"success"},
    }[strategy]
    if runs:
        return "run"
    return "error" if error else "skipped"


FINAL = ["success", "skipped", "error", "cancelled"]


@pytest.mark.parametrize("strategy", RunStrategy)
def test_every_combination_of_three_inputs_is_decided_as_the_table_says(strategy: RunStrategy) -> None:
    for count in range(4):
        for statuses in product(FINAL, repeat=count):
            verdict = decide(strategy, [ExecutionStatus(status) for status in statuses])

            assert (verdict.status or "run") == oracle(strategy, list(statuses)), statuses


@settings(deadline=None, derandomize=True, database=None)
@given(st.sampled_from(RunStrategy), st.lists(st.sampled_from(FINAL), min_size=4, max_size=30))
def test_any_number_of_inputs_is_decided_as_the_table_says(strategy: RunStrategy, statuses: list[str]) -> None:
    verdict = decide(strategy, [ExecutionStatus(status) for status in statuses])

    assert (verdict.status or "run") == oracle(strategy, statuses)
    assert verdict.run is (verdict.status is None)
    if verdict.status == "error":
        assert statuses[verdict.culprit] in ("error", "cancelled")
    if verdict.status == "skipped":
        assert statuses[verdict.culprit] == "skipped"


def combined(*statuses: str) -> Any:
    return combined_status([ExecutionStatus(status) for status in statuses])


def test_a_list_of_results_is_an_error_if_any_is_else_a_success_if_any_is_else_skipped() -> None:
    assert combined("success", "error", "skipped") == "error"
    assert combined("success", "cancelled") == "error"
    assert combined("skipped", "success") == "success"
    assert combined("skipped", "skipped") == "skipped"
    assert combined() == "success"


def test_only_jobs_have_code_and_runs_call_them() -> None:
    assert [kind for kind in Kind if kind.has_code] == ["task", "manager"]


@pytest.mark.parametrize("enum", [Kind, Trigger])
def test_kinds_and_triggers_are_plain_strings_for_others(enum: type[StrEnum]) -> None:
    for member in enum:
        assert msgspec.json.encode({"given": member}) == b'{"given":"%s"}' % member.encode()
        assert type(msgspec.to_builtins(member)) is str
        assert f"{member}" == str(member) == member.value
        assert pickle.loads(pickle.dumps(member)) is member
