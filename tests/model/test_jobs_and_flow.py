"""Definitions: what a decorator refuses at once, what a decorated function still is, and calls that have no place."""

from __future__ import annotations

import inspect
from functools import partial
from math import inf, nan
from typing import Any

import pytest

from microflow import (
    Backoff,
    CallError,
    ConcurrencyGroup,
    DefinitionError,
    DuplicateJobError,
    Flow,
    InputCountError,
    JobCallInTaskError,
    Manager,
    MicroflowError,
    OutsideExecutionError,
    Schedule,
    ScheduleError,
    Task,
    create_flow,
    current_execution,
    map_parallel,
    run_all,
    run_dag,
    run_parallel,
)
from microflow import errors as all_errors
from microflow.engine.engine import Engine


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop")


def nothing() -> None: ...


def one(a: Any) -> None: ...


def two(a: Any, b: Any) -> None: ...


# Refused at once


@pytest.mark.parametrize("name", ["", "a/b", ".", "a\nb", 5, None])
def test_a_flow_needs_a_name(name: Any) -> None:
    with pytest.raises(DefinitionError, match=r": a name is printable text, not empty, without a slash"):
        create_flow(name)


def test_two_jobs_of_one_name_are_refused_with_the_line_of_the_first(flow: Flow) -> None:
    flow.task(one)
    line = one.__code__.co_firstlineno

    with pytest.raises(DuplicateJobError) as raised:
        flow.manager(name="one")(two)

    assert str(raised.value) == (
        f"Flow 'shop' has a task named 'one' already (line {line} of {__name__}); give this manager another name, as in "
        "@flow.manager(name=…)."
    )
    assert list(flow.jobs) == ["one"]


@pytest.mark.parametrize("given", ["load", 5])
def test_a_decorator_that_gets_no_function_says_so(flow: Flow, given: Any) -> None:
    with pytest.raises(DefinitionError, match=rf"^@flow\.task decorates a function, and got {given!r}\.$"):
        flow.task(given)


@pytest.mark.parametrize("name", [5, ["a"], b"a"])
def test_a_name_that_is_no_string_is_refused(flow: Flow, name: Any) -> None:
    with pytest.raises(DefinitionError, match=r"a name is printable text, not empty, without a slash"):
        flow.task(name=name)(one)


def test_the_decorators_say_what_they_take(flow: Flow) -> None:
    fn, *named = inspect.signature(flow.task).parameters.values()

    assert (fn.name, fn.kind, fn.default) == ("fn", fn.POSITIONAL_ONLY, None)
    assert {given.kind for given in named} == {fn.KEYWORD_ONLY}
    assert {given.name: given.default for given in named} == {
        "name": None,
        "schedule": None,
        "inputs": None,
        "max_concurrency": None,
        "run_strategy": "any_success_no_error",
        "time_partitions": None,
        "cat_partitions": None,
        "partition_filter": None,
        "max_payload": 32 * 1024,
        "retries": 0,
        "retry_delay": 1.0,
        "timeout": None,
        "cancel_grace": 5.0,
        "runner": None,
    }
    assert list(inspect.signature(flow.manager).parameters.values()) == [fn, *named[:-1]]


@pytest.mark.parametrize("kind", ["task", "manager"])
def test_an_argument_that_no_decorator_has_is_refused(flow: Flow, kind: str) -> None:
    with pytest.raises(DefinitionError) as raised:
        getattr(flow, kind)(retrys=3)(one)

    assert str(raised.value) == f"@flow.{kind} has no argument 'retrys'; did you mean 'retries'?"


def test_a_manager_has_no_runner(flow: Flow) -> None:
    with pytest.raises(DefinitionError, match=r"^A manager has no runner: it runs in a thread of the main process\."):
        flow.manager(runner="fresh")


@pytest.mark.parametrize("limit", [0, -1, 1.5, "2", True, None])
def test_a_group_needs_a_limit(limit: Any) -> None:
    with pytest.raises(DefinitionError, match="a limit is a whole number from 1 on"):
        ConcurrencyGroup(limit)


@pytest.mark.parametrize("arguments", [{"name": 5}, {"name": ""}, {"key": ["customer"]}, {"key": ""}])
def test_name_and_key_of_a_group_are_text(arguments: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match=r"ConcurrencyGroup\((name|key)=.*\): give a string that is not empty"):
        ConcurrencyGroup(1, **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        *[{"initial": -1}, {"factor": 0.5}, {"initial": 9, "maximum": 8}, {"jitter": 2}, {"jitter": -1}],
        *[{"initial": "1"}, {"factor": None}, {"initial": nan}, {"factor": inf}, {"maximum": "9"}, {"jitter": nan}],
    ],
)
def test_a_backoff_that_makes_no_sense_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(
        DefinitionError, match="needs initial >= 0, factor >= 1, maximum >= initial, and jitter from 0 to 1"
    ):
        Backoff(**arguments)


def test_two_flows_of_one_name_do_not_go_together() -> None:
    with pytest.raises(DefinitionError, match=r"Two flows are named 'shop'; give one of them another name"):
        Engine([create_flow("shop"), create_flow("shop")])


def test_flows_with_different_stores_do_not_go_together() -> None:
    with pytest.raises(DefinitionError, match=r"The flows name different stores \(:memory:, sqlite:///x.db\)"):
        Engine([create_flow("a", store=":memory:"), create_flow("b", store="sqlite:///x.db")])


# What becomes of a decorated function


def test_a_schedule_may_stand_among_the_parameters(flow: Flow) -> None:
    @flow.manager
    def notify(schedule: str = "*/10 * * * *") -> None: ...

    flow.check()
    (schedule,) = notify.schedules
    assert isinstance(schedule, Schedule)
    assert schedule.cron == "*/10 * * * *"
    assert flow.schedule_name(schedule) == "notify"
    assert notify.parameters.names == ()


def test_a_decorated_function_stays_one_for_unit_tests(flow: Flow) -> None:
    @flow.task
    def double(a: dict[str, int]) -> dict[str, int]:
        """Double it.

        And nothing else.
        """
        return {"value": a["value"] * 2}

    assert isinstance(double, Task)
    assert double.fn({"value": 2}) == {"value": 4}
    assert double.__name__ == double.name == "double"
    assert double.description == "Double it.\n\nAnd nothing else."
    assert double.parameters.names == ("a",)
    assert repr(double) == "<task 'shop.double'>".replace("'", "")
    assert repr(flow) == "<flow 'shop' with 1 jobs>"


def test_attributes_of_the_function_do_not_become_the_jobs(flow: Flow) -> None:
    def load() -> None: ...

    load.timeout = "of some other decorator"  # type: ignore[attr-defined]

    assert flow.task(load).timeout is None


def test_lambdas_partials_and_callable_objects_can_be_jobs_under_a_name(flow: Flow) -> None:
    class Loader:
        def __call__(self, a: Any) -> None: ...

    assert flow.task(name="small")(lambda a: None).parameters.names == ("a",)
    assert flow.task(name="part")(partial(two, {})).parameters.names == ("b",)
    assert flow.manager(Loader()).name == "Loader"
    assert isinstance(flow.jobs["Loader"], Manager)
    flow.check()


def test_an_int_is_a_limit_of_the_job_alone_and_a_group_is_shared(flow: Flow) -> None:
    group = ConcurrencyGroup(2)
    a = flow.task(name="a", max_concurrency=3)(nothing)
    b = flow.task(name="b", max_concurrency=[group, group])(nothing)
    c = flow.manager(name="c", max_concurrency=group)(nothing)

    assert [(limit.name, limit.max_concurrency) for limit in a.limits] == [("a", 3)]
    assert b.limits == c.limits == (group,)
    assert group.name == "b"


def test_delays_before_retries(flow: Flow) -> None:
    grows = Backoff(initial=1, factor=3, maximum=10, jitter=0.5)

    assert [grows.delay(attempt, chance=lambda: 0.0) for attempt in (1, 2, 3, 4)] == [1, 3, 9, 10]
    assert grows.delay(2, chance=lambda: 1.0) == 1.5
    assert grows.delay(10_000, chance=lambda: 0.0) == 10
    listed = flow.task(name="a", retry_delay=[1, 5])(nothing)
    assert [listed.delay_after(attempt) for attempt in (1, 2, 3)] == [1, 5, 5]
    assert flow.task(name="b", retry_delay=2)(nothing).delay_after(7) == 2.0


# Used where there is no execution, no job, no flow


@pytest.mark.parametrize(
    ("wrong_call", "error", "message"),
    [
        (current_execution, OutsideExecutionError, "current_execution() was called outside any execution"),
        (
            run_all,
            OutsideExecutionError,
            "run_all() was called outside any execution; call flow.run_all(), or name the jobs.",
        ),
        (run_dag, CallError, "run_dag() was called without a job; name the jobs to run, as in run_dag(report)."),
        (lambda: run_dag(len), CallError, "run_dag: <built-in function len> is no job."),
        (lambda: map_parallel(len, []), CallError, "map_parallel: <built-in function len> is no job."),
        (
            lambda: run_parallel({"a": 1}),
            CallError,
            "run_parallel: argument 1 is {'a': 1}; each must be a job or a tuple",
        ),
        (lambda: run_parallel((len, {})), CallError, "run_parallel: argument 1 is (<built-in function len>, {});"),
        (lambda: create_flow("f").context["a"], OutsideExecutionError, "flow.context was used outside any execution"),
        (
            lambda: create_flow("f").run_all(),
            CallError,
            "Flow 'f' has no job that declares inputs, so there is no DAG to run.",
        ),
    ],
)
def test_a_call_that_cannot_be_made_here_says_where_it_can(
    wrong_call: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        wrong_call()

    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("inputs", "what"), [("text", "a str"), (b"bytes", "a bytes"), ({"a": 1}, "a dict"), (5, "an int"), (None, "None")]
)
def test_a_mapping_over_what_is_no_list_is_refused(flow: Flow, inputs: Any, what: str) -> None:
    with pytest.raises(CallError, match=rf"^map_parallel: inputs is {what}; give a list \(or any iterable\)"):
        map_parallel(flow.task(one), inputs)


@pytest.mark.parametrize("name", ["batch_size", "max_concurrency"])
@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True])
def test_a_mapping_with_a_bound_that_makes_no_sense_is_refused(flow: Flow, name: str, count: Any) -> None:
    with pytest.raises(CallError, match=rf"^{name} is {count!r}; it must be a whole number from 1 on, or None\.$"):
        map_parallel(flow.task(one), [], **{name: count})


def test_a_dag_run_of_two_flows_is_refused(flow: Flow) -> None:
    other = create_flow("other").task(name="b")(nothing)

    with pytest.raises(
        CallError, match=r"^run_dag: 'one' belongs to flow 'shop' and 'b' to 'other'; one DAG run is of one flow\.$"
    ):
        run_dag(flow.task(one), other)


# The errors themselves


def test_every_error_has_a_message_of_its_own_and_one_base() -> None:
    kinds = [kind for kind in vars(all_errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]

    assert all(issubclass(kind, MicroflowError) for kind in kinds)
    assert str(JobCallInTaskError()).startswith("A task can't call a job; make the caller a manager")
    assert issubclass(InputCountError, TypeError)
    assert issubclass(ScheduleError, ValueError)
