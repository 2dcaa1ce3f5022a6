"""``partitions``: the picture in a terminal, and runs over partitions, with a server and without one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microflow.cli.commands import partitions as module
from microflow.cli.partition_picture import Sheet, legend, picture
from microflow.model.frequencies import Frequency
from microflow.model.partitions import TimePartitions

from .conftest import Call, Server

SHOP = """
from microflow import TimePartitions, create_flow

flow = create_flow("work", timezone="Europe/Berlin")


@flow.task(
    runner="thread",
    time_partitions=TimePartitions("daily", start="2021-01-01", end="2021-01-05"),
    cat_partitions=["north", "south"],
    partition_filter=lambda time, cat: not (cat == "south" and time.day == 2),
)
def load(batch):
    for each in batch if isinstance(batch, list) else [batch]:
        if each["time_partition"].day == 3:
            raise ValueError("no data")
    return {}


@flow.task(runner="thread", cat_partitions=["x", "y"])
def by_category(a):
    print("doing", a["cat_partition"])
    return {}


@flow.task(runner="thread", inputs=[by_category], cat_partitions=["x"])
def report(a):
    return {}


@flow.task(runner="thread")
def plain():
    return {}
"""


@pytest.fixture
def shop(work: Path) -> str:
    """A flow with partitions, by the name that the ``serve`` fixture knows."""
    (work / "work_flow.py").write_text(SHOP, "utf-8")
    return "work_flow:flow"


@pytest.fixture
def partitions(call: Call, shop: str) -> Callable[..., Any]:
    """``partitions("load", …)``: the command with the flow of these tests."""
    return lambda job, *arguments, **named: call("partitions", job, "-f", shop, *arguments, **named)


# The picture


def drawn(sheet: Sheet, width: int | None = None, height: int | None = None, plain: bool = True) -> list[str]:
    return ["".join(text for text, _ in parts) for parts in picture(sheet, width=width, height=height, plain=plain)]


def sheet_of(frequency: str, first: str, last: str, letters: str = "") -> Sheet:
    times = TimePartitions(frequency, timezone="Europe/Berlin").texts(first, last)
    return Sheet(times, [None], [letters or "." * len(times)], Frequency(frequency))


def test_a_row_for_each_category() -> None:
    times = [f"2026-11-{day:02}" for day in range(1, 17)]
    sheet = Sheet(times, ["north", "a name that is longer than anybody wants"], ["s" * 16, "e " * 8], Frequency.DAILY)

    assert drawn(sheet) == [
        "                               2026-11-01   2026-11-14",
        "north                          ssssssssssssssss",
        "a name that is longer than an… e e e e e e e e ",
    ]


def test_a_narrow_terminal_shows_the_newest() -> None:
    times = [f"2026-11-{day:02}" for day in range(1, 31)]
    sheet = Sheet(times, ["北", "x"], ["s" * 30, "." * 29 + "e"], Frequency.DAILY)

    assert drawn(sheet, width=20) == [
        "   2026-11-15   2026-11-28",
        "北 ssssssssssssssss",
        "x  ...............e",
        "14 earlier ones are not shown; --to 2026-11-14 ends with the last of them.",
    ]


@pytest.mark.parametrize(
    ("frequency", "first", "last", "expected"),
    [
        (
            "hourly",
            "2026-10-24T22:00",
            "2026-10-26T01:00",
            ["2026-10-24                       ..", "2026-10-25 .........................", "2026-10-26 .."],
        ),
        ("daily", "2026-01-30", "2026-02-02", ["2026-01                              ..", "2026-02 .."]),
        ("weekly", "2025-W51", "2026-W02", [f"2025 {' ' * 50}..", "2026 .."]),
        ("monthly", "2025-11", "2026-02", ["2025           ..", "2026 .."]),
        ("quarterly", "2029-Q4", "2030-Q1", [f"2020s {' ' * 39}.", "2030s ."]),
        ("yearly", "2028", "2031", ["2020s         ..", "2030s .."]),
    ],
)
def test_time_alone_is_a_calendar(frequency: str, first: str, last: str, expected: list[str]) -> None:
    assert drawn(sheet_of(frequency, first, last)) == expected


def test_a_low_terminal_shows_the_newest_rows() -> None:
    lines = drawn(sheet_of("daily", "2024-01-01", "2026-11-22"), height=12)

    assert len(lines) == 13
    assert lines[0].startswith("2025-12 ...")
    assert lines[-1] == "700 earlier ones are not shown; --to 2025-11-30 ends with the last of them."


def test_categories_alone_are_a_list() -> None:
    sheet = Sheet([None], ["x", "y", "z"], ["s", " ", "."], None)

    assert drawn(sheet) == ["s success   x", ". missing   z"]


def test_no_partitions() -> None:
    assert drawn(Sheet([], [None], [""], Frequency.DAILY)) == ["There are no partitions in this range."]


def test_signs_and_what_they_mean() -> None:
    sheet = Sheet(["2026"], ["a", "b"], ["s", "e"], Frequency.YEARLY)
    (_, row, _) = picture(sheet, width=None, height=None)

    assert row == [("a ", None), ("■", "s")]
    assert legend(["sse", ".  "]) == [
        ("■", "s"),
        (" 2 success", None),
        ("   ", None),
        ("×", "e"),
        (" 1 error", None),
        ("   ", None),
        ("·", "."),
        (" 1 missing", None),
    ]


# Looking


def test_what_was_never_executed(partitions: Any) -> None:
    done = partitions("load")

    assert done.exit_code == 0
    assert done.stdout.splitlines()[1:] == ["north ·····", "south · ···", "", "· 9 missing"]
    assert not Path(".microflow").exists()  # looking makes no store


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["loda"], "There is no job 'loda'. Did you mean 'load'?"),
        (["plain"], "Job 'plain' has no partitions"),
        (["load", "--from", "2021"], "'2021' is no daily partition"),
        (["load", "--from", "2021-01-04", "--to", "2021-01-02"], "start is 2021-01-04, after end"),
        (["load", "--cat", "nort"], "did you mean 'north'?"),
        (["by_category", "--to", "2021-01-01"], "has no time partitions"),
        (["load", "--only", "missing"], "--only says how to execute partitions: give --run too."),
        (["load", "--batch-size", "2"], "--batch-size says how to execute partitions"),
        (["load", "--run", "--only", "broken"], "'broken' is not one of"),
        (["load", "--run", "--batch-size", "0"], "0 is not in the range x>=1"),
        (["load", "--run", "--from", "2022-01-01"], "after the last partition"),
        (["load", "--run", "--with-inputs", "--batch-size", "2"], "can't be combined with batch_size"),
    ],
)
def test_wrong_use(partitions: Any, arguments: list[str], said: str) -> None:
    done = partitions(*arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_json_is_that_of_the_rest_api(partitions: Any) -> None:
    answer = json.loads(partitions("load", "--from", "2021-01-04", "--json").stdout)

    assert (answer["time"], answer["cat"]) == (["2021-01-04", "2021-01-05"], ["north", "south"])
    assert answer["cells"] == [["missing", "missing"], ["missing", "missing"]]


def test_letters_where_a_terminal_has_no_signs(partitions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_has_signs", lambda: False)

    assert partitions("by_category").stdout == ". missing   x\n. missing   y\n\n. 2 missing\n"


def test_on_a_terminal_it_is_as_wide_as_that_and_in_colour(partitions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    partitions("load", "--run")
    monkeypatch.setattr(module, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "10")
    done = partitions("load", color=True)

    assert "north \x1b[32m■■\x1b[0m\x1b[31m×\x1b[0m\x1b[32m■■\x1b[0m\n" in done.stdout


# Running


def test_a_run_ends_with_what_became_of_it(partitions: Any) -> None:
    done = partitions("load", "--run")

    assert done.exit_code == 1
    assert json.loads(done.stdout) == {"error": 2, "success": 7}
    first, *_, last = done.stderr.splitlines()
    assert re.fullmatch(r"9 partitions in 9 executions, \d+ at a time", first)
    assert re.search(r"of work/load: error after .*: 2 of 9 executions of 'load' failed", last)
    assert partitions("load").stdout.splitlines()[1:3] == ["north ■■×■■", "south ■ ×■■"]


def test_what_is_run(partitions: Any) -> None:
    done = partitions("load", "--run", "--from", "2021-01-04", "--to", "2021-01-04", "--cat", "south", "--json")

    assert done.exit_code == 0
    ended = json.loads(done.stdout)
    assert (ended["kind"], ended["trigger"], ended["output"]) == ("partitions", "cli", {"success": 1})
    rest = ["--run", "--only", "missing", "--order", "desc", "--batch-size", "4", "--max-concurrency", "1"]
    done = partitions("load", *rest)
    assert json.loads(done.stdout) == {"error": 2}  # each has a third of January in it
    assert done.stderr.startswith("8 partitions in 2 executions, 1 at a time; likely to take ")
    assert json.loads(partitions("load", "--run", "--only", "failed", "--to", "2021-01-02").stdout) == {"success": 3}
    assert json.loads(partitions("report", "--run", "--with-inputs").stdout) == {"success": 1}


def test_a_dry_run_runs_nothing(partitions: Any) -> None:
    done = partitions("load", "--run", "--dry-run", "--only", "missing")
    assert (done.exit_code, done.stdout[:30]) == (0, "9 partitions in 9 executions, ")
    counts = json.loads(partitions("load", "--run", "--dry-run", "--json").stdout)["counts"]
    assert counts == {"all": 9, "missing": 9, "failed": 0, "missing_or_failed": 9}
    none = partitions("load", "--run", "--dry-run", "--only", "failed").stdout
    assert none == "Nothing to run: no partition has failed.\n"
    assert not Path(".microflow").exists()


def test_a_run_of_nothing_says_so_and_records_nothing(partitions: Any, call: Call) -> None:
    only_b = ["by_category", "--run", "--cat", "x"]
    for only, why in [
        ("missing", "no partition is missing"),
        ("failed", "no partition has failed"),
        ("missing_or_failed", "no partition is missing or failed"),
    ]:
        if only == "missing":
            assert partitions(*only_b).exit_code == 0
        done = partitions(*only_b, "--only", only)
        assert (done.exit_code, done.stdout, done.stderr) == (0, f"Nothing to run: {why}.\n", "")
    assert json.loads(partitions(*only_b, "--only", "failed", "--json").stdout)["partitions"] == 0
    kinds = [item["kind"] for item in json.loads(call("executions", "--json").stdout)["items"]]
    assert sorted(kinds) == ["partitions", "task"]


def test_what_the_job_prints_is_seen(partitions: Any) -> None:
    assert "doing x\ndoing y\n" in partitions("by_category", "--run", "--max-concurrency", "1").stderr


# On a server


def test_the_same_on_a_server(call: Call, shop: str, serve: Callable[..., Server]) -> None:
    server = serve("--grace", "0")

    def there(*arguments: str) -> Any:
        return call(*arguments, "--server", server.url)

    assert there("partitions", "load").stdout.splitlines()[1:] == ["north ·····", "south · ···", "", "· 9 missing"]
    dry = json.loads(there("partitions", "load", "--run", "--dry-run", "--json").stdout)
    assert (dry["partitions"], dry["seconds"], dry["counts"]["missing"]) == (9, None, 9)
    done = there("partitions", "load", "--run", "--to", "2021-01-03", "--cat", "north")
    assert (done.exit_code, json.loads(done.stdout)) == (1, {"error": 1, "success": 2})
    assert "3 partitions in 3 executions" in done.stderr
    assert there("partitions", "load", "--cat", "north").stdout.splitlines()[1] == "north ■■×··"
    plain = json.loads(there("partitions", "load", "--json", "--from", "2021-01-03").stdout)
    assert plain["cells"][0] == ["error", "missing", "missing"]
    assert there("partitions", "by_category").stdout.startswith("· missing   x\n")
    wrong = there("partitions", "load", "--to", "2021")
    assert (wrong.exit_code, "'2021' is no daily partition" in wrong.stderr) == (2, True)

    nothing = there("partitions", "by_category", "--run", "--only", "failed")
    assert (nothing.exit_code, nothing.stdout) == (0, "Nothing to run: no partition has failed.\n")

    for act in ("pause", "resume"):
        done = there(act, "1")
        assert done.exit_code == 2
        assert f"has ended (error), so it can't be {act}d" in done.stderr
    assert call("pause", "1").exit_code == 2
