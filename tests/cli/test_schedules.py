"""``schedules``: what is listed and shown, and what pausing, resuming and running do, with a server and without one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Call, Server

SHOP = """
from microflow import Schedule, create_flow

flow = create_flow("work", timezone="Europe/Berlin")
nightly = Schedule("30 2 * * *", name="nightly")


@flow.task(runner="thread", schedule=nightly)
def load():
    print("loading")
    return {"rows": 3}


@flow.task(runner="thread", schedule=nightly, inputs=[load])
def report(rows):
    return rows


@flow.manager(schedule="*/10 * * * *")
def poll():
    return None
"""


@pytest.fixture
def shop(work: Path) -> str:
    """A flow with schedules, by the name that the ``serve`` fixture knows."""
    (work / "work_flow.py").write_text(SHOP, "utf-8")
    return "work_flow:flow"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name the flow"),
        (["--pause", "-f", "work_flow"], "microflow schedules NAME --pause"),
        (
            ["nightly", "--pause", "--run", "-f", "work_flow"],
            "--pause and --run can't be asked at once; give one of them.",
        ),
        (["nigthly", "-f", "work_flow"], "There is no schedule 'nigthly'. Did you mean 'nightly'?"),
        (["nigthly", "--run", "-f", "work_flow"], "There is no schedule 'nigthly'"),
        (["nightly", "--resume", "-f", "nowhere"], "nowhere"),
    ],
)
def test_wrong_use_is_one_message(call: Call, shop: str, arguments: list[str], message: str) -> None:
    result = call("schedules", *arguments)

    assert result.exit_code == 2
    assert message in result.stderr


def test_looking_makes_no_store(call: Call, shop: str, work: Path) -> None:
    result = call("schedules", "-f", shop)

    assert result.exit_code == 0
    head, nightly, poll = result.stdout.splitlines()
    assert head.split() == ["SCHEDULE", "STATE", "NEXT", "LAST", "WHEN"]
    assert (nightly.split()[0], nightly.split()[2]) == ("work/nightly", "02:30")
    assert nightly.endswith("every day at 02:30")
    assert poll.endswith("every 10 minutes")
    assert not (work / ".microflow").exists()


def test_one_is_shown_with_what_comes_next(call: Call, shop: str) -> None:
    shown = call("schedules", "work/nightly", "-f", shop).stdout.splitlines()

    assert shown[0] == "work/nightly"
    assert "  jobs      load, report" in shown
    assert len([line for line in shown if line.startswith("  20") and " 02:30 +0" in line]) >= 10
    assert [line for line in shown if line.startswith("Around the next clock change (")]


def test_a_schedule_is_paused_and_resumed_in_the_store(call: Call, shop: str) -> None:
    assert call("schedules", "nightly", "-f", shop, "--pause").stdout == "Schedule work/nightly is paused.\n"
    assert "paused since" in call("schedules", "-f", shop).stdout
    assert "(none runs while it is paused)" in call("schedules", "nightly", "-f", shop).stdout
    state = json.loads(call("schedules", "nightly", "-f", shop, "--resume", "--json").stdout)

    assert (state["paused_at"], state["ticks"]) == (None, [])


def test_run_now_is_carried_out_here(call: Call, shop: str) -> None:
    result = call("schedules", "nightly", "--run", "-f", shop)

    assert (result.exit_code, json.loads(result.stdout)) == (0, {"success": 2})
    assert "loading" in result.stderr
    listed = json.loads(call("executions", "--json").stdout)["items"]
    assert [(run["job"], run["kind"], run["trigger"]) for run in listed] == [
        ("report", "task", "call"),
        ("load", "task", "call"),
        ("load", "dag", "cli"),
    ]


def test_a_flow_without_schedules_has_none(call: Call, work: Path) -> None:
    result = call("schedules", "-f", "work_flow")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "There are no schedules.\n")


def test_a_server_s_schedules(call: Call, shop: str, serve: Callable[..., Server], work: Path) -> None:
    server = serve("--grace", "0")
    there = ("--server", server.url)
    assert "work/nightly" in call("schedules", *there).stdout
    assert call("schedules", "nightly", "--pause", *there).exit_code == 0
    # without the server's address the store says so too, and what is changed there holds for the server
    assert "paused since" in call("schedules", "nightly", "-f", shop).stdout
    assert call("schedules", "nightly", "--resume", "-f", shop).exit_code == 0
    assert json.loads(call("schedules", "nightly", "--json", *there).stdout)["paused_at"] is None
    ran = call("schedules", "nightly", "--run", *there)
    assert (ran.exit_code, json.loads(ran.stdout)) == (0, {"success": 2})
    assert call("schedules", "weekly", *there).exit_code == 2
    items = json.loads(call("schedules", "--json", *there).stdout)["items"]
    assert [(item["name"], item["served_since"] is None) for item in items] == [("nightly", False), ("poll", False)]
