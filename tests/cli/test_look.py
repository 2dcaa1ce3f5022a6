"""``jobs``, ``executions``, ``show``, ``logs`` on a store, and what is said where there is nothing to see."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from .conftest import Call

pytestmark = pytest.mark.usefixtures("work")


@pytest.fixture
def history(call: Call, work: Path) -> None:
    """1 double, 2 a failed double, 3 many with 4 and 5 below it."""
    call("run", "double", "-f", "work_flow", "-i", '{"v": 1}')
    call("run", "double", "-f", "work_flow", "-i", '{"v": 13}')
    call("run", "many", "-f", "work_flow", "-i", '{"count": 2}')


def ids(call: Call, *arguments: str) -> list[int]:
    return [execution["id"] for execution in json.loads(call("executions", "--json", *arguments).stdout)["items"]]


def test_jobs_are_listed_with_what_they_are_for(call: Call) -> None:
    lines = call("jobs", "-f", "work_flow").stdout.splitlines()
    told = json.loads(call("jobs", "-f", "work_flow", "--json").stdout)

    assert lines[0].split() == ["JOB", "KIND", "SCHEDULE", "DESCRIPTION"]
    assert lines[1].split() == ["work/double", "task", "Twice", "a", "value."]
    assert lines[3].split() == ["work/many", "manager", "(request)"]
    assert [job["name"] for job in told["items"]][:3] == ["double", "skip", "many"]


def test_jobs_of_a_flow_with_a_mistake_are_not_listed(call: Call, work: Path) -> None:
    (work / "wrong.py").write_text(
        "from microflow import create_flow\nflow = create_flow('wrong')\n"
        "@flow.task(inputs=['nobody'], retries=-1)\ndef job(x):\n    return x\n",
        "utf-8",
    )
    refused = call("jobs", "-f", "wrong")

    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: Flow 'wrong' has 2 mistakes:\n  - ")


@pytest.mark.usefixtures("history")
def test_executions_are_listed_newest_first(call: Call) -> None:
    lines = call("executions").stdout.splitlines()

    assert lines[0].split() == ["ID", "STARTED", "STATUS", "TOOK", "PARENT", "JOB"]
    assert [line.split()[0] for line in lines[1:]] == ["5", "4", "3", "2", "1"]
    assert [line.split()[-1] for line in lines[1:]] == [
        "work/double",
        "work/double",
        "work/many",
        "work/double",
        "work/double",
    ]


@pytest.mark.usefixtures("history")
def test_executions_are_found_by_what_is_asked(call: Call) -> None:
    assert ids(call, "double") == [5, 4, 2, 1]
    assert ids(call, "work/many") == [3]
    assert ids(call, "work/") == [5, 4, 3, 2, 1]
    assert ids(call, "-f", "work_flow") == [5, 4, 3, 2, 1]
    assert ids(call, "other/double") == []
    assert ids(call, "--status", "error", "--status", "running") == [2]
    assert ids(call, "--trigger", "cli") == [3, 2, 1]
    assert ids(call, "--parent", "3") == [5, 4]
    assert ids(call, "--root", "3") == [5, 4, 3]
    assert ids(call, "--since", "1h") == [5, 4, 3, 2, 1]
    assert ids(call, "--until", "2020-01-01") == []
    assert ids(call, "--until", "1h") == []


@pytest.mark.usefixtures("history")
def test_a_list_goes_on_where_it_ended(call: Call) -> None:
    first = call("executions", "--limit", "2")
    cursor = first.stderr.split("--cursor ")[1].strip()

    assert ids(call, "--limit", "2") == [5, 4]
    assert ids(call, "--limit", "2", "--cursor", cursor) == [3, 2]
    refused = call("executions", "--cursor", "nonsense")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)


@pytest.mark.usefixtures("history")
def test_one_execution_is_shown_with_what_it_called(call: Call) -> None:
    lines = [line.strip() for line in call("show", "3").stdout.splitlines()]

    assert lines[0] == "Execution 3 of work/many"
    assert "status          success" in lines
    assert 'inputs          [{"count": 2}]' in lines
    assert 'output          {"sum": 2}' in lines
    assert [line.split()[:3] for line in lines[-2:]] == [["4", "double", "success"], ["5", "double", "success"]]


@pytest.mark.usefixtures("history")
def test_a_failed_one_is_shown_with_its_traceback(call: Call) -> None:
    shown = call("show", "2").stdout

    assert "    Traceback (most recent call last):\n" in shown
    assert "    ValueError: 13 is unlucky\n" in shown
    assert json.loads(call("show", "2", "--json").stdout)["error"]["type"] == "ValueError"
    assert json.loads(call("show", "3", "--tree", "--json").stdout)["count"] == 3


@pytest.mark.usefixtures("history")
def test_a_log_is_what_was_printed(call: Call) -> None:
    assert call("logs", "1").stdout == "doubling 1\n"
    assert call("logs", "3").stdout == ""
    assert call("logs", "1", "--follow").stdout == "doubling 1\n"
    assert json.loads(call("logs", "1", "--json").stdout) == {
        "text": "doubling 1\n",
        "next": 11,
        "left_out": 0,
        "ended": True,
    }


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("command", ["show", "logs"])
def test_an_execution_that_is_not_there_is_told(call: Call, command: str) -> None:
    refused = call(command, "99")

    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: There is no execution 99")
    assert call(command, "0").exit_code == call(command, "x").exit_code == 2


def test_a_store_that_is_not_there_is_not_made(call: Call, folder: Path) -> None:
    refused = call("executions")

    assert refused.exit_code == 2
    assert refused.stderr.startswith(
        "Error: There is no store sqlite:///.microflow/store.db: nothing has been executed"
    )
    assert not (folder / ".microflow").exists()


def test_the_store_is_the_flow_s_or_the_one_that_is_named(call: Call, work: Path) -> None:
    text = (work / "work_flow.py").read_text("utf-8")
    (work / "stored_flow.py").write_text(
        text.replace('create_flow("work")', 'create_flow("stored", store="sqlite:///own.db")'), "utf-8"
    )
    call("run", "double", "-f", "stored_flow", "-i", '{"v": 1}')
    call("run", "double", "-f", "stored_flow", "-i", '{"v": 1}', "--store", "sqlite:///named.db")

    assert ids(call, "-f", "stored_flow") == [1]
    assert ids(call, "--store", "sqlite:///own.db") == ids(call, "--store", "sqlite:///named.db") == [1]
    assert call("logs", "1", "--flow", "stored_flow").stdout == "doubling 1\n"


@pytest.mark.parametrize("moment", ["tomorrow", "5", "2026-13-01", "99999999999w"])
def test_a_moment_that_is_none_is_told(call: Call, moment: str) -> None:
    refused = call("executions", "--since", moment)

    assert refused.exit_code == 2
    assert f"{moment!r} is no moment; give one as 2026-11-22" in refused.stderr


@pytest.mark.usefixtures("history")
def test_a_terminal_that_is_narrow_is_not_overrun(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from microflow.cli import tables

    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(tables, "on_terminal", lambda: True)

    assert max(map(len, call("jobs", "-f", "work_flow").stdout.splitlines())) <= 60
    assert "…" in call("jobs", "-f", "work_flow").stdout
    assert sys.stdout is not None


LOOKS = [
    ("executions",),
    ("executions", "--json"),
    ("show", "3", "--tree"),
    ("logs", "1"),
    ("schedules", "-f", "work_flow"),
    ("partitions", "area", "-f", "work_flow"),
    ("partitions", "area", "-f", "work_flow", "--run", "--dry-run"),
    ("jobs", "-f", "work_flow"),
    ("check", "-f", "work_flow"),
]


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("command", LOOKS, ids=" ".join)
def test_a_command_that_looks_changes_nothing(call: Call, work: Path, command: tuple[str, ...]) -> None:
    def contents() -> dict[str, bytes]:
        folder = work / ".microflow"
        return {str(file): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}

    before = contents()
    assert call(*command).exit_code == 0

    assert contents() == before


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    "command", [*LOOKS[:4], ("partitions", "area", "-f", "work_flow"), ("schedules", "-f", "work_flow")]
)
def test_a_store_of_an_old_version_is_one_message(call: Call, work: Path, command: tuple[str, ...]) -> None:
    store = work / ".microflow" / "store.db"
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("DELETE FROM schema_version WHERE version > 1")
    refused = call(*command)

    assert refused.exit_code == 2
    assert "has schema version 1" in refused.stderr
    assert "`microflow serve` or `microflow run`" in refused.stderr


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("text", ['{"newest":{"$datetime":"NaT"}}', '{"newest":', "nonsense"])
def test_an_output_that_can_not_be_read_is_told_of_that_execution_alone(call: Call, work: Path, text: str) -> None:
    with closing(sqlite3.connect(work / ".microflow" / "store.db")) as store, store:
        store.execute("UPDATE executions SET output = ? WHERE id = 1", (text,))

    shown = call("show", "1")
    assert shown.exit_code == 0
    assert '{"newest": {"$datetime": "NaT"}}' in shown.stdout or "can't be read" in shown.stdout
    assert json.loads(call("show", "1", "--json").stdout)["id"] == 1
    assert ids(call) == [5, 4, 3, 2, 1]
    assert call("executions").exit_code == 0
    assert call("retry", "1", "-f", "work_flow").exit_code == 0
