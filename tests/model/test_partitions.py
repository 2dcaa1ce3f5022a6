"""Partitions of a job: its definition, one partition, the axes, the grid."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from microflow.errors import DefinitionError, PartitionError
from microflow.model.partitions import (
    ABSENT_LETTER,
    STATUS_LETTERS,
    Cells,
    Frequency,
    Partitions,
    TimePartitions,
)
from microflow.model.results import ExecutionStatus

BERLIN = "Europe/Berlin"


@pytest.fixture(autouse=True)
def machine_in_berlin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every machine gives the same answers."""
    monkeypatch.setattr("tzlocal.get_localzone", lambda: ZoneInfo(BERLIN))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# Definitions


@pytest.mark.parametrize(
    ("time", "said"),
    [
        (TimePartitions("dayly"), "time_partitions is 'dayly'; it must be one of 'hourly', 'daily'"),
        (TimePartitions(5), "time_partitions is 5"),  # type: ignore[arg-type]
        (TimePartitions("daily", timezone="Europ/Paris"), "did you mean 'Europe/Paris'?"),
        (TimePartitions("daily", start="2026-11"), "start is '2026-11': '2026-11' is no daily partition"),
        (TimePartitions("daily", end=5), "end is 5: 5 is no time partition"),  # type: ignore[arg-type]
        (TimePartitions("monthly", "2026-11", "2026-10"), "start is 2026-11, after end, which is 2026-10."),
    ],
)
def test_mistakes_of_time_partitions(time: TimePartitions, said: str) -> None:
    (mistake,) = time.mistakes()
    assert said in mistake
    assert Partitions("job", time).mistakes() == [mistake]


def test_the_time_zone_of_a_flow_is_a_mistake_of_the_flow_alone() -> None:
    assert TimePartitions("daily").with_default_zone("Europ/Paris").mistakes() == []
    (mistake,) = TimePartitions("daily", end=5).with_default_zone("Europ/Paris").mistakes()  # type: ignore[arg-type]
    assert mistake.startswith("time_partitions: end is 5")


def test_every_mistake_at_once() -> None:
    partitions = Partitions("job", TimePartitions("daily", "x", "y"), ["a", "", "b", "a", 3, "b", "a"], "no filter")  # type: ignore[list-item, arg-type]
    mistakes = partitions.mistakes()
    assert len(mistakes) == 6
    assert "cat_partitions holds 3; categories are strings." in mistakes
    assert "cat_partitions holds the empty name ''; a category needs a name." in mistakes
    assert "cat_partitions holds 'a', 'b' more than once; name each category once." in mistakes
    assert "partition_filter is 'no filter'; it must be a function" in mistakes[-1]


@pytest.mark.parametrize(
    ("partitions", "said"),
    [
        (Partitions("job", cat="abc"), "cat_partitions is 'abc'; it must be a list of strings."),
        (Partitions("job", cat=[]), "is an empty list"),
        (Partitions("job", cat=[" "]), "holds the empty name ' '"),
        (Partitions("job", filter=lambda time, cat: True), "partition_filter is given without partitions"),
        (Partitions("job", 12), "time_partitions is 12"),  # type: ignore[arg-type]
    ],
)
def test_mistakes_of_partitions(partitions: Partitions, said: str) -> None:
    (mistake,) = partitions.mistakes()
    assert said in mistake


def test_a_right_definition_has_no_mistakes() -> None:
    assert Partitions("job", "daily", ["a", "b"], lambda time, cat: True).mistakes() == []
    assert Partitions("job", TimePartitions("hourly", date(2026, 1, 1), "2026-01-02T00:00")).mistakes() != []
    assert Partitions("job", TimePartitions("daily", date(2026, 1, 1), datetime(2026, 1, 1))).mistakes() == []


def test_the_zone_is_its_own_else_the_flows_else_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tzlocal.get_localzone", lambda: ZoneInfo("Asia/Tokyo"))
    shared = TimePartitions("daily")
    assert Partitions("job", shared, timezone="America/New_York").key("2026-11-22", None) == ("2026-11-22", None)
    assert str(shared.zone) == "Asia/Tokyo"  # one definition serves several flows
    in_york = Partitions("job", shared, timezone="America/New_York").time
    assert in_york is not None
    assert str(in_york.zone) == "America/New_York"
    own = Partitions("job", TimePartitions("daily", timezone=BERLIN), timezone="America/New_York").time
    assert own is not None
    assert str(own.zone) == BERLIN


def test_a_wrong_definition_can_not_be_used() -> None:
    with pytest.raises(DefinitionError, match="'dayly'"):
        TimePartitions("dayly").parse("2026-11-22")
    with pytest.raises(DefinitionError, match="no such time zone"):
        TimePartitions("daily", timezone="Mars/Olympus").parse("2026-11-22")


def test_definitions_travel() -> None:
    time = TimePartitions(Frequency.DAILY, "2026-01-01", timezone=BERLIN)
    assert time.parse("2026-11-22") == pickle.loads(pickle.dumps(time)).parse("2026-11-22")
    assert repr(time) == "TimePartitions('daily', start='2026-01-01', timezone='Europe/Berlin')"


# One partition of a job


def grid() -> Partitions:
    return Partitions(
        "sync",
        TimePartitions("daily", "2026-01-01", "2026-12-31", BERLIN),
        ["orders", "customers", "returns"],
        lambda time, cat: not (cat == "returns" and time.month == 1),
    )


def test_a_partition_that_exists_is_found() -> None:
    start = datetime(2026, 11, 22, tzinfo=ZoneInfo(BERLIN))
    assert grid().check("2026-11-22", "orders") == (start, "orders")
    assert grid().key(start, "orders") == ("2026-11-22", "orders")
    assert grid().check(None, None) == (None, None)
    assert grid().check(date(2026, 1, 1), None)[1] is None  # the filter is not asked while a dimension is open
    assert grid().key(None, "returns") == (None, "returns")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (("2026-11-22", "order"), "Job 'sync' has no category 'order'; did you mean 'orders'?"),
        (("2026-11-22", "xyz"), "has no category 'xyz'; it has 'orders', 'customers', 'returns'."),
        (("2026-11-22", 3), "cat_partition is 3; a category is a string."),
        (("2026-11", "orders"), "Job 'sync': '2026-11' is no daily partition"),
        (("2025-12-31", "orders"), "2025-12-31 is before the first partition, which is 2026-01-01."),
        (("2027-01-01", "orders"), "2027-01-01 is after the last partition, which is 2026-12-31."),
        (("2026-01-05", "returns"), "partition 2026-01-05 of returns is left out by partition_filter."),
    ],
)
def test_a_partition_that_does_not_exist_is_refused(keys: tuple[str, str], said: str) -> None:
    with pytest.raises(PartitionError) as caught:
        grid().check(*keys)
    assert said in str(caught.value)


def test_a_dimension_the_job_does_not_have_is_refused() -> None:
    with pytest.raises(PartitionError, match="'only_time' has no categories, and cat_partition 'a' was given"):
        Partitions("only_time", "daily").check(None, "a")
    with pytest.raises(PartitionError, match="'only_cat' has no time partitions, and time_partition '2026' was given"):
        Partitions("only_cat", cat=["a"]).check("2026", None)
    with pytest.raises(PartitionError, match="has no time partitions, and a range"):
        Partitions("only_cat", cat=["a"]).time_axis("2026", None, utc("2026-01-01"))
    with pytest.raises(PartitionError, match="has no time partitions; leave"):
        Partitions("only_cat", cat=["a"]).time_axis_of(["2026"])


def test_a_filter_that_fails_or_answers_something_else_is_told() -> None:
    def broken(time: datetime | None, cat: str | None) -> bool:
        raise KeyError("region")

    with pytest.raises(PartitionError, match="failed for 2026-11-22 of a: KeyError: 'region'") as caught:
        Partitions("job", "daily", ["a"], broken).check("2026-11-22", "a")
    assert isinstance(caught.value.__cause__, KeyError)
    for answer in (1, None, "yes"):
        vague = Partitions("job", cat=["a"], filter=lambda time, cat, answer=answer: answer)  # type: ignore[misc]
        with pytest.raises(PartitionError, match=f"returned {answer!r} for a; it must return True or False"):
            vague.check(None, "a")
        with pytest.raises(PartitionError, match="it must return True or False"):
            vague.mark_absent(["."], None)


# Axes

NOW = utc("2026-11-22T12:00")


@pytest.mark.parametrize(
    ("first", "last", "earliest", "expected"),
    [
        (None, None, None, ("2026-10", "2026-11")),
        ("2026-11", None, None, ("2026-11", "2026-11")),
        (None, "2026-10", None, ("2026-10", "2026-10")),
        (None, "2026-12", None, ("2026-10", "2026-11")),  # never past the period that is running
        (None, None, "2020-01", ("2026-10", "2026-11")),  # start is start
        ("2026-11", "2026-10", None, None),
    ],
)
def test_an_axis_with_a_start_grows_with_time(
    first: str | None, last: str | None, earliest: str | None, expected: tuple[str, str] | None
) -> None:
    axis = TimePartitions("monthly", "2026-10", "2027-05", BERLIN).axis(first, last, NOW, earliest)
    assert (axis.texts[0], axis.texts[-1]) == expected if expected else axis.texts == []
    assert [start.strftime("%Y-%m") for start in axis.starts] == axis.texts
    later = TimePartitions("monthly", "2026-10", "2027-05", BERLIN).axis(None, None, utc("2029-01-01"))
    assert (later.texts[0], later.texts[-1], len(later)) == ("2026-10", "2027-05", 8)


def test_an_axis_without_a_start_begins_with_the_earliest_executed() -> None:
    time = TimePartitions("daily", timezone=BERLIN)
    assert time.axis(None, None, NOW, "2026-11-20").texts == ["2026-11-20", "2026-11-21", "2026-11-22"]
    assert time.axis(None, None, NOW).texts == ["2026-11-22"]
    assert time.axis(None, None, NOW, "2026-W47").texts == ["2026-11-22"]  # left over from another frequency
    assert time.axis("2026-11-21", None, NOW, "2026-11-20").texts == ["2026-11-21", "2026-11-22"]


def test_a_partition_exists_once_its_period_has_started() -> None:
    time = TimePartitions("daily", "2026-11-21", timezone=BERLIN)
    midnight = utc("2026-11-21T23:00")
    assert time.axis(None, None, midnight - timedelta(seconds=1)).texts[-1] == "2026-11-21"
    assert time.axis(None, None, midnight).texts[-1] == "2026-11-22"
    assert time.axis(None, None, utc("2026-11-01")).texts == []
    assert time.checked("2030-01-01").year == 2030  # but one may be named ahead of its time


def test_the_ends_of_an_axis_must_be_partitions_of_the_job() -> None:
    partitions = Partitions("job", TimePartitions("monthly", "2026-10", "2027-05", BERLIN))
    with pytest.raises(PartitionError, match="Job 'job': 2026-09 is before the first"):
        partitions.time_axis("2026-09", None, NOW)
    with pytest.raises(PartitionError, match="Job 'job': 2027-06 is after the last"):
        partitions.time_axis(None, "2027-06", NOW)
    with pytest.raises(PartitionError, match="is no monthly partition"):
        partitions.time_axis_of(["2026-10", "x"])


def test_an_axis_of_chosen_partitions_is_in_order_and_without_doubles() -> None:
    axis = Partitions("job", TimePartitions("hourly", timezone=BERLIN)).time_axis_of(
        ["2026-10-25T02:00+01:00", "2026-10-25T05:00", "2026-10-25T02:00+02:00", utc("2026-10-25T01:00")]
    )
    assert axis.texts == ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-10-25T05:00+01:00"]
    assert [start.isoformat(timespec="minutes") for start in axis.starts] == axis.texts
    assert repr(axis) == "<3 time partitions from 2026-10-25T02:00+02:00 to 2026-10-25T05:00+01:00>"


# Cells


def test_categories_are_chosen_in_their_order() -> None:
    partitions = Partitions("job", "daily", ["b", "a"])
    assert partitions.categories() == ("b", "a")
    assert partitions.categories(["a", "b", "a"]) == ("b", "a")
    assert partitions.categories([]) == ()
    assert Partitions("job", "daily").categories() == (None,)
    with pytest.raises(PartitionError, match="has no category 'c'"):
        partitions.categories(["c"])
    with pytest.raises(PartitionError, match="has no categories"):
        Partitions("job", "daily").categories(["c"])
    for wrong in ("ab", 3):
        with pytest.raises(PartitionError, match="give a list"):
            partitions.categories(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["2026-11-22", date(2026, 11, 22), 5])
def test_time_partitions_are_a_list(wrong: object) -> None:
    with pytest.raises(PartitionError, match="give a list of time partitions"):
        Partitions("job", "daily").time_axis_of(wrong)  # type: ignore[arg-type]


def test_cells_go_by_time_and_then_by_category() -> None:
    ascending = [("2025", "b"), ("2025", "a"), ("2026", "b"), ("2026", "a")]
    cells = Cells(["2025", "2026"], ["b", "a"], ["..", ".."])
    assert list(cells) == ascending
    assert list(cells) == ascending  # again, from the beginning
    assert list(Cells(["2025", "2026"], ["b", "a"], ["..", ".."], order="desc")) == ascending[2:] + ascending[:2]
    assert list(Cells(["2025", "2026"], [None], [".."])) == [("2025", None), ("2026", None)]
    assert list(Cells([None], ["a", "b"], [".", "."])) == [(None, "a"), (None, "b")]
    assert len(cells) == 4
    assert list(Cells(["2025"], (), [])) == list(Cells([], ["a"], [""])) == []
    with pytest.raises(PartitionError, match="order is 'up'; it must be one of 'asc', 'desc'"):
        Cells(["2025"], [None], ["."], order="up")  # type: ignore[arg-type]
    with pytest.raises(PartitionError, match="only is 'broken'; it must be one of 'all', 'missing'"):
        Cells(["2025"], [None], ["."], "broken")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("only", "expected"),
    [("all", "1234567"), ("missing", "37"), ("failed", "24"), ("missing_or_failed", "2347")],
)
def test_cells_are_picked_by_status(only: str, expected: str) -> None:
    cells = Cells("12345678", [None], ["sekcrq. "], only)  # type: ignore[arg-type]
    assert "".join(text or "" for text, _ in cells) == expected
    assert len(cells) == len(expected)


def test_every_status_has_a_letter_of_its_own() -> None:
    assert set(STATUS_LETTERS) == {str(status) for status in ExecutionStatus}
    assert len(set(STATUS_LETTERS.values())) == len(STATUS_LETTERS)


def test_the_filter_gets_the_start_and_the_category() -> None:
    asked: list[tuple[datetime | None, str | None]] = []

    def odd_years(time: datetime | None, cat: str | None) -> bool:
        asked.append((time, cat))
        return time is not None and time.year % 2 == 1

    partitions = Partitions("job", TimePartitions("yearly", "2024", timezone="UTC"), filter=odd_years)
    assert partitions.mark_absent(["..."], partitions.time_axis(None, None, NOW)) == [" . "]
    assert asked == [(datetime(year, 1, 1, tzinfo=ZoneInfo("UTC")), None) for year in (2024, 2025, 2026)]


def test_a_cell_that_is_filtered_out_is_a_space_even_if_it_was_executed() -> None:
    partitions = Partitions(
        "job",
        TimePartitions("yearly", "2024", timezone="UTC"),
        ["a", "b"],
        lambda time, cat: not (time.year == 2025 and cat == "b"),
    )
    axis = partitions.time_axis(None, None, NOW)
    assert partitions.mark_absent([".s.", ".ec"], axis) == [".s.", f".{ABSENT_LETTER}c"]
    assert partitions.mark_absent([".ec"], axis, ("b",)) == [f".{ABSENT_LETTER}c"]
    assert Partitions("job", cat=["a", "b"]).mark_absent([".", "s"], None) == [".", "s"]


def test_a_partition_executed_ahead_of_its_time_does_not_hide_those_before() -> None:
    axis = Partitions("job", TimePartitions("daily", timezone=BERLIN)).time_axis(None, None, NOW, "2027-01-01")
    assert axis is not None
    assert axis.texts == ["2026-11-22"]


@pytest.mark.parametrize(
    ("time", "category", "wrong"),
    [
        ("2026-13", "red", ("2026-13", None)),
        ("2026-10-01", "red", ("2026-10-01", None)),
        ("2026-12-01", "red", ("2026-12-01", None)),
        ("2026-11-21", "blue", (None, "blue")),
        ("2026-11-21", 5, (None, 5)),
    ],
)
def test_an_error_has_the_value_that_is_wrong(time: str, category: object, wrong: tuple[object, object]) -> None:
    days = TimePartitions("daily", "2026-11-01", "2026-11-30")

    with pytest.raises(PartitionError) as raised:
        Partitions("load", days, cat=("red",)).check(time, category)  # type: ignore[arg-type]

    assert (raised.value.time_partition, raised.value.cat_partition) == wrong


def test_an_error_of_a_filter_is_about_no_value() -> None:
    def fail(time: object, category: object) -> bool:
        raise ValueError("no such category")

    with pytest.raises(PartitionError, match="no such category") as raised:
        Partitions("load", None, cat=("red",), filter=fail).check(None, "red")

    assert (raised.value.time_partition, raised.value.cat_partition) == (None, None)
