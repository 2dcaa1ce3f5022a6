"""``flow.check()``: every mistake of a flow at once, each with its place and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from microflow import Flow, FlowCheckError, Schedule, TimePartitions, create_flow
from microflow.engine.engine import Engine


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop")


def mistakes(flow: Flow) -> tuple[str, ...]:
    with pytest.raises(FlowCheckError) as raised:
        flow.check()
    assert str(raised.value).startswith(f"Flow {flow.name!r} has {len(raised.value.mistakes)} mistake")
    return raised.value.mistakes


def nothing() -> None: ...


def one(a: Any) -> None: ...


def two(a: Any, b: Any) -> None: ...


@pytest.mark.parametrize(
    ("arguments", "mistake"),
    [
        ({"retries": -1}, "retries is -1; it must be a whole number from 0 on."),
        ({"retries": True}, "retries is True; it must be a whole number from 0 on."),
        ({"retry_delay": "1"}, "retry_delay is '1'; give seconds, a list of seconds, or a Backoff."),
        ({"retry_delay": [1, -1]}, "retry_delay is [1, -1]; give seconds, a list of seconds, or a Backoff."),
        ({"retry_delay": float("inf")}, "retry_delay is inf; give seconds, a list of seconds, or a Backoff."),
        ({"timeout": 0}, "timeout is 0; it must be a number of seconds above 0, or None."),
        ({"timeout": "5"}, "timeout is '5'; it must be a number of seconds above 0, or None."),
        ({"timeout": float("nan")}, "timeout is nan; it must be a number of seconds above 0, or None."),
        ({"cancel_grace": -1}, "cancel_grace is -1; it must be a number of seconds from 0 on."),
        ({"cancel_grace": None}, "cancel_grace is None; it must be a number of seconds from 0 on."),
        ({"cancel_grace": float("inf")}, "cancel_grace is inf; it must be a number of seconds from 0 on."),
        ({"max_payload": 0}, "max_payload is 0; it must be a number of bytes from 1 on."),
        (
            {"runner": "cloud"},
            "runner is 'cloud'; give 'process', 'fresh', 'thread', or an object with the methods of Runner.",
        ),
        (
            {"run_strategy": "never"},
            "run_strategy is 'never'; it must be one of 'any_success_no_error', 'any_success', 'all_success', 'always'.",
        ),
        (
            {"max_concurrency": 0},
            "max_concurrency has 0; give a whole number from 1 on, a ConcurrencyGroup, or a list of them.",
        ),
        (
            {"max_concurrency": ["a"]},
            "max_concurrency has 'a'; give a whole number from 1 on, a ConcurrencyGroup, or a list of them.",
        ),
        ({"schedule": 5}, "schedule is 5; give a crontab string or a Schedule. Several go into a list."),
        ({"name": ""}, "a name is printable text, not empty, without a slash, and neither . nor .."),
        ({"name": "a/b"}, "a name is printable text, not empty"),
        ({"name": ".."}, "a name is printable text, not empty"),
        ({"name": "a\x1b[2J"}, "a name is printable text, not empty"),
        ({"cat_partitions": []}, "cat_partitions is an empty list; name at least one category, or leave it out."),
        (
            {"partition_filter": "x", "cat_partitions": ["a"]},
            "partition_filter is 'x'; it must be a function of the time partition",
        ),
    ],
)
def test_an_argument_that_makes_no_sense_is_reported(flow: Flow, arguments: dict[str, Any], mistake: str) -> None:
    flow.task(**arguments)(nothing)

    (found,) = mistakes(flow)
    assert found.startswith(f"task {arguments.get('name', 'nothing')!r}: {mistake}")


@pytest.mark.parametrize("frequency", ["dayly", 5])
def test_an_unknown_frequency_is_reported(flow: Flow, frequency: Any) -> None:
    flow.task(time_partitions=frequency)(nothing)

    assert repr(frequency) in mistakes(flow)[0]


def test_a_bad_cron_expression_is_reported_with_its_position(flow: Flow) -> None:
    flow.task(schedule="* 25 * * *")(nothing)

    (found,) = mistakes(flow)
    assert "25" in found
    assert "position" in found or "field" in found


@pytest.mark.parametrize("limit", [0, "2", True])
def test_a_flow_whose_limit_makes_no_sense_is_reported(limit: Any) -> None:
    assert mistakes(create_flow("shop", max_concurrency=limit)) == (
        f"max_concurrency is {limit!r}; it must be a whole number from 1 on, or None for the cores available.",
    )


def test_a_store_that_is_no_url_is_reported() -> None:
    assert mistakes(create_flow("shop", store=Path("store.db"))) == (  # type: ignore[arg-type]
        f"store is {Path('store.db')!r}; it must be a URL, such as 'sqlite:///path', or None.",
    )


@pytest.mark.parametrize(
    ("store", "mistake"),
    [
        ("oracle://shop", "this version knows sqlite:///path (relative), sqlite:////path (absolute) and :memory:."),
        ("sqlite:///", "it names no file; give one, such as sqlite:///store.db."),
    ],
)
def test_a_store_that_can_not_be_one_is_reported(store: str, mistake: str) -> None:
    assert mistakes(create_flow("shop", store=store)) == (f"store is {store!r}; {mistake}",)


@pytest.mark.parametrize("inputs", [5, {"a": 1}, len])
def test_inputs_that_are_no_list_of_jobs_are_reported(flow: Flow, inputs: Any) -> None:
    flow.task(inputs=inputs)(one)

    assert mistakes(flow) == (f"task 'one': the input {inputs!r} is neither a job nor the name of one.",)


def test_a_single_input_needs_no_list(flow: Flow) -> None:
    load = flow.task(name="load")(nothing)
    flow.task(name="by name", inputs="load")(one)
    flow.task(name="by job", inputs=load)(one)

    flow.check()
    assert flow.input_names() == {"load": [], "by name": ["load"], "by job": ["load"]}


def test_a_time_zone_that_is_none_is_reported() -> None:
    assert "Mars/Olympus" in mistakes(create_flow("shop", timezone="Mars/Olympus"))[0]


def test_a_cycle_is_reported_with_the_path_round_it(flow: Flow) -> None:
    flow.task(name="a", inputs=["b"])(one)
    flow.task(name="b", inputs=["c"])(one)
    flow.manager(name="c", inputs=["a"])(one)

    assert mistakes(flow) == ("the inputs form a cycle: a -> b -> c -> a. Drop one of these inputs.",)


def test_a_job_that_is_its_own_input_is_a_cycle(flow: Flow) -> None:
    flow.task(name="a", inputs=["a"])(one)

    assert mistakes(flow) == ("the inputs form a cycle: a -> a. Drop one of these inputs.",)


def test_an_unknown_input_is_reported_with_what_was_perhaps_meant(flow: Flow) -> None:
    flow.task(name="load")(nothing)
    flow.task(name="report", inputs=["laod"])(one)
    flow.task(name="other", inputs=[nothing])(one)  # type: ignore[list-item]
    flow.task(name="third", inputs=[create_flow("else").task(name="x")(nothing)])(one)

    assert mistakes(flow) == (
        "task 'report': the input 'laod' is no job of this flow; did you mean 'load'?",
        f"task 'other': the input {nothing!r} is neither a job nor the name of one.",
        "task 'third': the input 'x' is a job of flow 'else'; inputs are jobs of the same flow.",
    )


@pytest.mark.parametrize(
    ("fn", "count", "takes"),
    [
        (one, 2, "1"),
        (two, 1, "2"),
        (lambda a, b=None: None, 3, "1 to 2"),
        (lambda a, b, *rest: None, 1, "at least 2"),
    ],
)
def test_a_function_that_cannot_take_its_inputs_is_reported(flow: Flow, fn: Any, count: int, takes: str) -> None:
    names = [flow.task(name=f"input{number}")(nothing).name for number in range(count)]
    flow.task(name="report", inputs=names)(fn)

    assert mistakes(flow) == (
        f"task 'report' declares {count} input{'s' if count > 1 else ''} and its function takes {takes}: give it one parameter for "
        "each input, or none at all.",
    )


def test_a_function_with_a_required_keyword_is_reported(flow: Flow) -> None:
    @flow.task
    def load(a: Any, *, path: str) -> None: ...

    assert mistakes(flow) == (
        "task 'load': its parameter 'path' can only be given by name, and inputs are positional; give it a default, or drop the *.",
    )


def test_a_schedule_on_a_job_that_nothing_gives_its_input_is_reported(flow: Flow) -> None:
    flow.task(schedule="@daily")(one)

    assert mistakes(flow) == (
        "task 'one' has a schedule, and nothing gives it its input 'a': declare inputs, or give the parameter a default.",
    )


def test_a_schedule_that_would_run_an_input_without_its_own_input_is_reported(flow: Flow) -> None:
    flow.task(name="base")(one)
    flow.task(name="middle", inputs=["base"])(one)
    flow.task(name="top", inputs=["middle"], schedule="@daily")(one)
    flow.task(name="by hand")(one)

    assert mistakes(flow) == (
        "task 'base' has to run on the schedule of task 'top', and nothing gives it its input 'a': declare inputs, or give the "
        "parameter a default.",
    )


def test_schedules_of_one_name_are_reported_once_with_their_jobs(flow: Flow) -> None:
    flow.task(name="a", schedule=Schedule("@daily", name="night"))(nothing)
    flow.task(name="b", schedule=Schedule("@weekly", name="night"))(nothing)
    for name in ("c", "d"):
        flow.task(name=name, schedule=Schedule("@daily", name="day"))(nothing)
    flow.task(name="day", schedule="@daily")(nothing)

    assert mistakes(flow) == (
        "two schedules are named 'night', those of task 'a' and task 'b'; give each another name, as in Schedule(…, name=…).",
        "3 schedules are named 'day', those of task 'c', task 'd' and task 'day'; give each another name, as in "
        "Schedule(…, name=…).",
    )


def test_schedules_without_a_name_have_that_of_their_first_job(flow: Flow) -> None:
    shared = Schedule("0 6 * * *")
    flow.task(name="a", schedule=["0 8 * * MON-FRI", Schedule("0 9 * * *", "nine"), "0 10 * * SAT", shared])(nothing)
    flow.task(name="b", schedule=(shared, "@daily"))(nothing)
    flow.task(name="c", schedule=[])(nothing)

    flow.check()

    assert [(found.name, found.schedule.cron, [job.name for job in found.jobs]) for found in flow.schedules()] == [
        ("a", "0 8 * * MON-FRI", ["a"]),
        ("nine", "0 9 * * *", ["a"]),
        ("a-2", "0 10 * * SAT", ["a"]),
        ("a-3", "0 6 * * *", ["a", "b"]),
        ("b", "@daily", ["b"]),
    ]
    assert flow.schedule_name(shared) == "a-3"
    flow.task(name="d", schedule="@hourly")(nothing)
    assert flow.schedules()[-1].name == "d"


def test_what_is_wrong_with_a_list_of_schedules_is_reported(flow: Flow) -> None:
    twice = Schedule("@daily", "night")
    flow.task(name="a", schedule=["0 8 * * *", 5, "61 * * * *", twice, twice])(nothing)
    flow.task(name="a-2", schedule="@daily")(nothing)

    assert mistakes(flow) == (
        "task 'a': schedule is 5; give a crontab string or a Schedule. Several go into a list.",
        "task 'a': schedule has Schedule('@daily', name='night') twice; give it once.",
        "task 'a': cron expression '61 * * * *': field 1 (minute), column 1: '61' is not allowed here; allowed are 0 to 59, or '*' "
        "for any.",
        "two schedules are named 'a-2', those of task 'a' and task 'a-2'; give each another name, as in Schedule(…, name=…).",
    )


def test_what_may_surprise_in_a_schedule_is_noted_and_not_a_mistake(flow: Flow) -> None:
    flow.task(name="a", schedule=["0 0 1 * MON", "*/10 * * * *", "nonsense"])(nothing)
    flow.task(name="b", schedule=Schedule("*/40 * * * *", "often"))(nothing)

    assert flow.notes() == [
        "schedule 'a' (0 0 1 * MON): the day of month (1) and the day of week (MON) are both given, and either is enough; "
        "APScheduler, Celery and Huey mean both.",
        "schedule 'often' (*/40 * * * *): minute '*/40' is 0 and 40 of every hour, where it starts over, since 40 does not "
        "divide 60.",
    ]


def test_what_is_wrong_with_a_shared_schedule_is_reported_once(flow: Flow) -> None:
    shared = Schedule("60 24 * * *", timezone="Mars/Base")
    for name in "abcde":
        flow.manager(name=name, schedule=shared)(nothing)

    (mistake,) = mistakes(flow)

    assert mistake.startswith(
        "manager 'a', manager 'b', manager 'c' and 2 more: cron expression '60 24 * * *': field 1"
    )
    assert "field 2 (hour), column 4: '24'" in mistake
    assert "timezone is 'Mars/Base'" in mistake


def test_every_mistake_is_reported_at_once_and_no_engine_starts(flow: Flow) -> None:
    flow.task(name="a", inputs=["b"], retries=-1)(two)
    flow.task(name="b", inputs=["a"], schedule="nonsense")(one)

    with pytest.raises(FlowCheckError) as raised:
        Engine([flow], store=":memory:")

    assert len(raised.value.mistakes) == 4
    assert str(raised.value).count("\n  - ") == 4


def test_each_kind_of_mistake_is_reported_once_in_one_flow() -> None:
    flow = create_flow("shop", timezone="Mars/Olympus", store="oracle://shop")
    flow.task(name="a", inputs=["c"])(one)
    flow.task(name="b", inputs=["a"])(one)
    flow.task(name="c", inputs=["b"])(one)
    flow.task(name="unknown", inputs=["laod"])(one)
    flow.task(name="cron", schedule="0 8 32 * *")(nothing)
    flow.task(name="signature", inputs=["cron"])(two)
    flow.task(name="frequency", time_partitions="fortnightly")(one)
    flow.task(name="category", cat_partitions=["books", "books"])(one)
    flow.task(name="bounds", time_partitions=TimePartitions("daily", start="2026-13-01"))(one)
    flow.task(name="unfed", schedule="@daily")(one)
    flow.task(name="fed by its partition", schedule="@daily", time_partitions="daily")(one)

    told = [
        "timezone is 'Mars/Olympus'",
        "store is 'oracle://shop'",
        "cycle: a -> c -> b -> a",
        "task 'unknown': the input 'laod'",
        "task 'cron': cron expression '0 8 32 * *': field 3 (day of month), column 5: '32'",
        "task 'signature' declares 1 input",
        "task 'frequency': time_partitions is 'fortnightly'",
        "task 'category': cat_partitions holds 'books' more than once",
        "task 'bounds': time_partitions: start is '2026-13-01'",
        "task 'unfed' has a schedule",
    ]
    found = mistakes(flow)
    assert [
        [text for text in told if text in mistake] for mistake in found if not any(t in mistake for t in told)
    ] == []
    assert [sum(text in mistake for mistake in found) for text in told] == [1] * len(told)


# What is no mistake


def test_a_function_without_parameters_may_declare_inputs(flow: Flow) -> None:
    flow.task(name="a")(nothing)
    flow.task(name="b", inputs=["a"])(nothing)
    flow.task(name="c", inputs=["a", "b"])(lambda *results: None)
    flow.task(name="d", inputs=["a"])(lambda first, second=None: None)

    flow.check()
    assert flow.input_names() == {"a": [], "b": ["a"], "c": ["a", "b"], "d": ["a"]}
