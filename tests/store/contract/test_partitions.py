"""What became of partitions: written with the ends of executions, read as lines of letters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microflow import ExecutionError, ExecutionStatus
from microflow.model.frequencies import Frequency
from microflow.model.partitions import STATUS_LETTERS
from microflow.store import PartitionStatuses, Store
from microflow.store import open as open_store
from microflow.store.rows import Ending, LivePartition, Opened, Opening, PartitionRecord, Waiting

QUEUED, RUNNING, SUCCESS, SKIPPED, ERROR, CANCELLED = ExecutionStatus
BUSY = Waiting("limit", "waits for a place", 1.0)
NEW = {"flow": "shop", "job": "load", "kind": "task", "trigger": "call", "inputs": b"[]"}
Key = tuple[str, str]


class Life:
    """Executions of one job that stand for partitions."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.executions = store.executions
        self.statuses = store.partitions

    def cold(self) -> PartitionStatuses:
        """Statuses that remember nothing of an earlier look."""
        return PartitionStatuses(self.store.database)

    def open(self, *keys: Key, now: float = 1.0, **given: Any) -> Opened:
        if len(keys) == 1:
            given |= {"time_partition": keys[0][0] or None, "cat_partition": keys[0][1] or None}
        return self.executions.open(Opening(**{**NEW, **given, "partitions": keys}), now)

    def end(self, opened: Opened, status: ExecutionStatus, now: float = 2.0, **given: Any) -> None:
        self.executions.finish(opened, Ending(status=status, **given), now)

    def ended(self, *keys: Key, status: ExecutionStatus = SUCCESS, now: float = 1.0, took: float = 1.0) -> int:
        opened = self.open(*keys, now=now)
        self.end(opened, status, now + took)
        return opened.id

    def lines(self, times: Any = ("2025", "2026"), cats: Any = ("red", "blue")) -> list[str]:
        return self.statuses.lines("shop", "load", times, cats)


@pytest.fixture
def life(store: Store) -> Life:
    return Life(store)


def test_nothing_is_known_of_a_job_that_was_never_executed(life: Life) -> None:
    assert life.lines() == ["..", ".."]
    assert life.lines([None], [None]) == ["."]
    assert life.lines([], ["red"]) == [""]
    assert life.lines(["2026"], []) == []
    assert life.statuses.earliest("shop", "load", Frequency.YEARLY, ["red"]) is None
    assert life.statuses.record("shop", "load", ("2026", "red")) is None
    assert life.statuses.live("shop", "load", ("2026", "red")) is None
    assert life.statuses.seconds_each("shop", "load", "task") is None


def test_the_status_is_that_of_the_newest_that_was_not_skipped(life: Life) -> None:
    seen = []
    for status in (SKIPPED, SUCCESS, SKIPPED, ERROR, SKIPPED, CANCELLED, SUCCESS):
        opened = life.open(("2026", "red"), waiting=BUSY)
        seen.append(life.lines()[0][1])
        life.executions.start(opened, 1.5)
        seen.append(life.lines()[0][1])
        life.end(opened, status)
        seen.append(life.lines()[0][1])

    assert "".join(seen) == "qrk" + "qrs" + "qrs" + "qre" + "qre" + "qrc" + "qrs"


def test_what_is_outside_the_grid_is_passed_over(life: Life) -> None:
    life.ended(("1999", "red"), ("2026", "red"), ("2026", "gone"), ("2026-01", "red"))
    life.ended(("2026", "gone"), status=ERROR)
    life.open(("2027", "red"))

    assert life.lines() == [".s", ".."]


def test_another_job_is_another_story(life: Life) -> None:
    life.open(("2026", "red"), job="other")
    life.open(("2025", "red"), ("2026", "red"), flow="else")
    life.end(life.open(("2026", "red"), job="other"), SUCCESS)
    life.open(("2026", "red"), kind="dag")  # its jobs stand for the partition, it does not

    assert life.lines() == ["..", ".."]


def test_gaps_and_other_forms_do_not_shift_anything(life: Life) -> None:
    start = datetime(2026, 11, 22, tzinfo=UTC)
    times = [(start + timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M+00:00") for number in range(60)]
    for number, text in enumerate(times):
        if number % 7 != 3:
            life.ended((text, "red"), status=ERROR if number % 5 == 0 else SUCCESS)
    life.ended(("2026-11-22T05:00+01:00", "red"), status=CANCELLED)  # from when the zone was another
    expected = "".join("." if number % 7 == 3 else "e" if number % 5 == 0 else "s" for number in range(60))

    assert life.lines(times, ["red"]) == [expected]
    assert life.lines(times[10:21], ["red"]) == [expected[10:21]]
    assert life.lines(times[4:10], ["blue", "red"]) == ["......", expected[4:10]]


def test_two_hours_of_one_name(life: Life) -> None:
    times = ["2026-10-25T01:00+02:00", "2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"]
    life.ended((times[1], ""), status=SUCCESS)
    life.ended((times[2], ""), status=ERROR)
    for cold in (True, False):
        if cold:
            life.statuses = life.cold()
        assert life.lines(times, [None]) == [".se."]
        assert life.lines(times[:2], [None]) == [".s"]
        assert life.lines(times[2:], [None]) == ["e."]

    life.ended((times[0], ""), status=CANCELLED)
    life.ended((times[3], ""), status=CANCELLED)
    running = life.open((times[2], ""))
    assert life.lines(times, [None]) == ["csrc"]
    assert life.cold().lines("shop", "load", times, [None]) == ["csrc"]
    life.end(running, SKIPPED)
    assert life.lines(times, [None]) == ["csec"]
    assert life.lines(times[1:], [None]) == ["sec"]


def test_jobs_with_one_dimension(life: Life) -> None:
    life.ended(("2026", ""))
    assert life.lines(["2025", "2026"], [None]) == [".s"]

    life.ended(("", "blue"), status=ERROR)
    assert life.lines([None], ["red", "blue"]) == [".", "e"]


def test_a_batch(life: Life) -> None:
    batch = life.open(("2025", "red"), ("2026", "red"), ("2026", "blue"))
    assert life.lines() == ["rr", ".r"]
    life.end(batch, ERROR, error=ExecutionError("ValueError", "no"))
    assert life.lines() == ["ee", ".e"]


def test_a_batch_that_another_one_took_over(life: Life) -> None:
    keys = [("2025", "red"), ("2026", "red")]
    older, newer = life.open(*keys), life.open(*keys)
    life.end(older, SUCCESS)
    assert life.lines() == ["rr", ".."]
    life.end(newer, SKIPPED)
    assert life.lines() == ["ss", ".."]

    older, newer = life.open(*keys), life.open(*keys)
    life.end(newer, ERROR)
    life.end(older, SUCCESS)
    assert life.lines() == ["ee", ".."]


def test_a_partition_set_afterwards(life: Life) -> None:
    life.end(life.open(), SUCCESS, partition=("2026", "red"), time_partition="2026", cat_partition="red")
    assert life.lines() == [".s", ".."]

    life.end(life.open(("2025", "red")), ERROR, partition=("2025", "blue"), cat_partition="blue")
    assert life.lines() == [".s", "e."]

    life.end(life.open(("2025", "red"), ("2026", "red")), SKIPPED, partition=("2026", "blue"))
    assert life.lines() == ["ks", "ek"]


def test_what_is_known_of_one_partition(life: Life) -> None:
    first = life.ended(("2026", "red"), now=10.0, took=2.0)
    opened = life.open(("2026", "red"), now=20.0, waiting=BUSY)

    assert life.statuses.record("shop", "load", ("2026", "red")) == PartitionRecord("success", first, 10.0, 12.0, 1)
    assert life.statuses.live("shop", "load", ("2026", "red")) == LivePartition(opened.id, "queued", 20.0, None, 1)

    batch = life.open(("2025", "red"), ("2026", "red"), now=30.0)
    live = life.statuses.live("shop", "load", ("2025", "red"))
    assert live == LivePartition(batch.id, "running", 30.0, 30.0, 1)
    assert life.statuses.record("shop", "load", ("2025", "red")) is None
    life.end(batch, SUCCESS)
    life.end(opened, CANCELLED)
    assert life.statuses.live("shop", "load", ("2026", "red")) is None
    record = life.statuses.record("shop", "load", ("2026", "red"))
    assert record is not None
    assert record.execution_id == batch.id


def test_the_earliest_of_a_frequency(life: Life) -> None:
    for text in ("2024-Q3", "2024-11", "2025-W01", "2025-01-07", "2026-10-25T02:00+02:00", "2023"):
        life.ended((text, "red"))
        life.ended((text.replace("202", "203"), "blue"))
    earliest = {
        frequency: life.statuses.earliest("shop", "load", frequency, ["blue", "red"]) for frequency in Frequency
    }

    assert earliest == {
        Frequency.HOURLY: "2026-10-25T02:00+02:00",
        Frequency.DAILY: "2025-01-07",
        Frequency.WEEKLY: "2025-W01",
        Frequency.MONTHLY: "2024-11",
        Frequency.QUARTERLY: "2024-Q3",
        Frequency.YEARLY: "2023",
    }
    assert life.statuses.earliest("shop", "load", Frequency.YEARLY, ["blue"]) == "2033"
    assert life.statuses.earliest("shop", "load", Frequency.YEARLY, ["green"]) is None


def test_how_long_it_took_and_how_long_ago(life: Life) -> None:
    life.ended(("2025", "red"), now=0.0, took=0.05)
    life.ended(("2026", "red"), now=0.0, took=100_000.0)
    cancelled = life.open(("2025", "blue"), waiting=BUSY)
    life.end(cancelled, CANCELLED, 50.0)
    axes = ("shop", "load", ["2025", "2026"], ["red", "blue"])

    assert life.statuses.measured(*axes, "duration", 0.0) == ["bl", "  "]
    assert life.statuses.measured(*axes, "age", 100_000.5) == ["fa", "f "]


def test_how_long_each_partition_takes(life: Life) -> None:
    life.ended(("2025", "red"), took=2.0)
    life.ended(("2025", "red"), ("2026", "red"), ("2025", "blue"), took=7.0)
    life.ended(("2026", "blue"), took=1_000.0, status=ERROR)
    life.end(life.open(kind="partitions"), SUCCESS, 5_000.0)

    # the first one is no partition's status any more, and counts for one; the batch for three
    assert life.statuses.seconds_each("shop", "load", "task") == pytest.approx(9.0 / 4)
    assert life.statuses.seconds_each("shop", "load", "dag") is None


def test_successes_and_failures_by_execution(life: Life) -> None:
    first = life.ended(("2025", "red"))
    life.ended(("2026", "red"))
    failed = life.ended(("2025", "blue"), status=ERROR)
    life.ended(("2026", "blue"), status=CANCELLED)
    statuses = life.statuses

    assert statuses.succeeded_after("shop", "load", first) == [("2026", "red")]
    assert statuses.failed_before("shop", "load", failed) == [("2025", "blue")]
    assert statuses.succeeded_after("shop", "other", 0) == []


def test_while_a_run_goes_on_only_what_changed_is_read(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = life.store.database.read
    monkeypatch.setattr(
        life.store.database, "read", lambda name, values=(): read.append(name) or original(name, values)
    )
    life.ended(("2025", "red"))
    life.open(kind="partitions")  # the run itself, which goes on all the time
    assert life.lines() == ["s.", ".."]
    for number, key in enumerate(KEYS):
        opened = life.open(key)
        life.lines()
        life.end(opened, ERROR if number % 2 else SUCCESS)
        assert life.lines() == life.cold().lines("shop", "load", ("2025", "2026"), ("red", "blue"))

    assert life.lines() == ["ss", "ee"]
    assert read.count("partition_statuses") == 1 + len(KEYS)  # once, and for each of those that know nothing
    assert original("partition_cursor", {"flow": "shop", "job": "load"}) == [(opened.id + 1,)]


KEYS = [*product(("2025", "2026"), ("red", "blue"))]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("open"), st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True)),
            st.tuples(
                st.just("end"), st.tuples(st.integers(0, 9), st.sampled_from([SUCCESS, SKIPPED, ERROR, CANCELLED]))
            ),
            st.just(("look", None)),
        ),
        max_size=30,
    )
)
def test_the_letters_are_what_the_executions_say(story: list[Any]) -> None:
    store = open_store(":memory:")
    store.engines.register("server", 0.0)
    life = Life(store)
    open_now: list[tuple[Opened, list[Key]]] = []
    ended: list[tuple[int, list[Key], ExecutionStatus]] = []
    for act, what in story:
        if act == "open":
            open_now.append((life.open(*what), what))
        elif act == "look":
            assert life.lines() == life.cold().lines("shop", "load", ("2025", "2026"), ("red", "blue"))
        elif open_now:
            opened, keys = open_now.pop(what[0] % len(open_now))
            life.end(opened, what[1])
            ended.append((opened.id, keys, what[1]))
    lines = life.lines()
    for row, category in enumerate(("red", "blue")):
        for column, time in enumerate(("2025", "2026")):
            key = (time, category)
            done = max(
                ((id_, status) for id_, keys, status in ended if key in keys and status is not SKIPPED), default=None
            )
            # of batches only the newest is remembered as the one that goes on
            live = [
                opened.id
                for opened, keys in open_now
                if key in keys and (len(keys) == 1 or opened is _last(open_now, ended, key))
            ]
            if live and (done is None or max(live) > done[0]):
                expected = "r"
            elif done is not None:
                expected = STATUS_LETTERS[done[1]]
            else:
                expected = "k" if any(key in keys for _, keys, _ in ended) else "."
            assert lines[row][column] == expected, (key, story)
    store.close()


def _last(
    open_now: list[tuple[Opened, list[Key]]], ended: list[tuple[int, list[Key], ExecutionStatus]], key: Key
) -> Any:
    """The batch that was begun last for a partition, if it is still at it."""
    batches = [(opened.id, opened) for opened, keys in open_now if key in keys and len(keys) > 1]
    batches += [(id_, None) for id_, keys, _ in ended if key in keys and len(keys) > 1]  # type: ignore[misc]
    return max(batches, key=lambda entry: entry[0])[1] if batches else None
