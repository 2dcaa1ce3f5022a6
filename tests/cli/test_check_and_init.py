"""``check`` and ``init``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from .conftest import Call

WRONG = """
from microflow import create_flow

flow = create_flow("wrong")


@flow.task(inputs=["b"], schedule="99 * * * *")
def a(x):
    return x


@flow.task(inputs=["a"])
def b(x):
    return x
"""


@pytest.mark.usefixtures("work")
def test_a_flow_without_mistakes_is_ok(call: Call) -> None:
    checked = call("check", "-f", "work_flow:flow")

    assert (checked.exit_code, checked.stdout) == (0, "ok  work: 11 jobs\n")


@pytest.mark.usefixtures("work")
def test_every_mistake_of_every_flow_is_told(call: Call, folder: Path) -> None:
    (folder / "wrong.py").write_text(WRONG, "utf-8")

    checked = call("check", "-f", "wrong", "-f", "missing", "-f", "work_flow")

    assert checked.exit_code == 2
    assert checked.stdout == "ok  work: 11 jobs\n"
    assert "Flow 'wrong' has 2 mistakes:\n" in checked.stderr
    assert "the inputs form a cycle" in checked.stderr
    assert "99" in checked.stderr
    assert "There is no module 'missing'" in checked.stderr
    assert "Traceback" not in checked.stderr


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["run", "a"], ["map", "a", "--inputs", "-"]])
def test_a_flow_with_mistakes_does_not_start(call: Call, folder: Path, command: list[str]) -> None:
    (folder / "wrong.py").write_text(WRONG, "utf-8")

    refused = call(*command, "-f", "wrong")

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "Flow 'wrong' has 2 mistakes:\n" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (folder / ".microflow").exists()


@pytest.mark.usefixtures("work")
def test_two_flows_of_one_name_are_a_mistake_and_one_flow_named_twice_is_none(call: Call, folder: Path) -> None:
    (folder / "other.py").write_text('from microflow import create_flow\n\nflow = create_flow("work")\n', "utf-8")

    twice, two = (
        call("check", "-f", "work_flow", "-f", "work_flow:flow"),
        call("check", "-f", "work_flow", "-f", "other"),
    )

    assert (twice.exit_code, two.exit_code) == (0, 2)
    assert "another of these flows has the same name" in two.stderr


@pytest.mark.usefixtures("work")
def test_what_was_checked_as_json(call: Call, folder: Path) -> None:
    (folder / "wrong.py").write_text(WRONG, "utf-8")

    fine = call("check", "-f", "work_flow", "--json")
    checked = call("check", "-f", "wrong", "-f", "missing", "-f", "work_flow", "--json")

    assert (fine.exit_code, json.loads(fine.stdout)) == (0, {"items": [{"flow": "work", "jobs": 11, "mistakes": []}]})
    assert (checked.exit_code, checked.stderr) == (2, "")
    wrong, missing, work = json.loads(checked.stdout)["items"]
    assert (wrong["flow"], wrong["jobs"], len(wrong["mistakes"])) == ("wrong", 2, 2)
    assert (missing["flow"], missing["jobs"]) == ("missing", None)
    assert missing["mistakes"][0].startswith("There is no module 'missing'")
    assert work["mistakes"] == []


def test_what_may_surprise_in_a_schedule_is_a_note(call: Call, folder: Path) -> None:
    (folder / "odd.py").write_text(
        "from microflow import create_flow\n\n"
        'flow = create_flow("odd")\n\n\n'
        '@flow.task(schedule=["0 0 1 * MON", "*/40 * * * *", "0 8 * * *"])\n'
        "def load():\n    return {}\n",
        "utf-8",
    )

    checked, as_json = call("check", "-f", "odd"), call("check", "-f", "odd", "--json")

    assert checked.exit_code == 0
    first, *notes = checked.stdout.splitlines()
    assert first == "ok  odd: 1 job"
    assert [note.partition(": ")[0] for note in notes] == ["note  odd"] * 2
    assert "schedule 'load' (0 0 1 * MON)" in notes[0]
    assert "either is enough; APScheduler, Celery and Huey mean both." in notes[0]
    assert "schedule 'load-2' (*/40 * * * *): minute '*/40' is 0 and 40 of every hour" in notes[1]
    assert [f"note  odd: {note}" for note in json.loads(as_json.stdout)["items"][0]["notes"]] == notes


def test_a_flow_to_start_from_works(call: Call, folder: Path) -> None:
    written = call("init", "words")

    assert written.exit_code == 0
    assert "microflow serve -f words/my_flow.py" in written.stdout.replace("\\", "/")
    quoted = r'"{\"documents\": [{\"name\"' if sys.platform == "win32" else """'{"documents": [{"name\""""
    assert f"--input {quoted}" in written.stdout
    assert call("check", "-f", "words/my_flow.py").stdout == "ok  my_flow: 2 jobs\n"


def test_nothing_is_overwritten(call: Call, folder: Path) -> None:
    (folder / "my_flow.py").write_text("mine", "utf-8")
    (folder / "words").write_text("a file", "utf-8")

    here, there = call("init"), call("init", "words")

    assert here.exit_code == there.exit_code == 2
    assert here.stderr == "Error: my_flow.py already exists, so nothing was written.\n"
    assert there.stderr == "Error: words already exists, so nothing was written.\n"
    assert (folder / "my_flow.py").read_text("utf-8") == "mine"
