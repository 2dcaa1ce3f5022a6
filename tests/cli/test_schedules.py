"""``schedules``: what is listed and shown, and what pausing, resuming and running do, with a server and without one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from microflow.views.zone_data import ZoneData, zone_data

from ..conftest import ASK_TO_END
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
    head, nightly, poll, zones = result.stdout.splitlines()
    assert head.split() == ["SCHEDULE", "STATE", "NEXT", "LAST", "WHEN"]
    assert (nightly.split()[0], nightly.split()[2]) == ("work/nightly", "02:30")
    assert nightly.endswith("every day at 02:30")
    assert poll.endswith("every 10 minutes")
    assert zones == f"Zone data: {zone_data().describe()}"
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


def test_the_zone_data_is_shown_and_warned_of(call: Call, shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ZoneData(source="system", version="2025b", path="/zones", warning="The installed package is newer.")
    monkeypatch.setattr("microflow.cli.commands.schedules.zone_data", lambda: data)

    listed, one = call("schedules", "-f", shop), call("schedules", "nightly", "-f", shop)
    as_json = [json.loads(call("schedules", *name, "-f", shop, "--json").stdout) for name in ([], ["nightly"])]

    assert listed.stdout.splitlines()[-1] == "Zone data: 2025b, the system's (/zones)"
    assert "  zone data 2025b, the system's (/zones)" in one.stdout.splitlines()
    assert "The installed package is newer.\n" in listed.stderr
    assert [found["zone_data"] for found in as_json] == [msgspec.to_builtins(data)] * 2


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
    listed = json.loads(call("schedules", "--json", *there).stdout)
    assert listed["zone_data"] == msgspec.to_builtins(zone_data())
    items = listed["items"]
    assert [(item["name"], item["served_since"] is None) for item in items] == [("nightly", False), ("poll", False)]


DAY = """
from microflow import Schedule, create_flow, current_execution

flow = create_flow("work", timezone="Europe/Berlin")
nightly = Schedule("30 2 * * *", name="nightly")


@flow.task(runner="thread", schedule=nightly)
def load():
    return {"day": current_execution().scheduled_at.date().isoformat()}


@flow.task(runner="thread", schedule=nightly, inputs=[load])
def report(day):
    return {"day": day["day"], "at": current_execution().scheduled_at.isoformat()}
"""


def test_a_job_that_computes_its_day_runs_as_of_any_tick(call: Call, work: Path) -> None:
    (work / "work_flow.py").write_text(DAY, "utf-8")

    def output(job: str, *arguments: str) -> Any:
        assert call(*arguments, "-f", "work_flow").exit_code == 0
        return json.loads(call("executions", job, "--status", "success", "--limit", "1", "--json").stdout)["items"][0][
            "output"
        ]

    assert output("report", "schedules", "nightly", "--run", "--at", "2026-11-22T00:30") == {
        "day": "2026-11-21",
        "at": "2026-11-21T23:30:00+00:00",
    }
    assert output("load", "run", "load", "--at", "2026-11-22T23:30:00-05:00") == {"day": "2026-11-23"}
    assert output("report", "run", "report", "--with-inputs", "--at", "2026-11-22")["at"] == "2026-11-21T23:00:00+00:00"
    assert output("load", "schedules", "nightly", "--run")["day"] >= "2026"
    retried = call("schedules", "nightly", "-f", "work_flow", "--json")
    assert json.loads(retried.stdout)["ticks"] == [], "a run by hand takes no tick's record"


@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01", "1969-12-31", "9999-12-31T23:59:59-12:00"])
def test_a_tick_that_is_no_moment_is_refused(call: Call, shop: str, text: str) -> None:
    for command in (["schedules", "nightly", "--run"], ["run", "load"]):
        refused = call(*command, "-f", shop, "--at", text)
        assert refused.exit_code == 2
        assert f"{text!r} is not a moment from 1970 to 9998" in refused.stderr


def test_a_tick_without_a_run_is_wrong_use(call: Call, shop: str) -> None:
    refused = call("schedules", "nightly", "-f", shop, "--at", "2026-11-22")

    assert refused.exit_code == 2
    assert "give it with --run" in refused.stderr


def test_where_no_server_runs_it_is_said_since_when(call: Call, serve: Callable[..., Server], shop: str) -> None:
    def note() -> str:
        return call("schedules", "-f", shop).stderr

    assert note() == "No server has run on this store yet, so no tick runs. Start one with `microflow serve`.\n"
    server = serve()
    assert note() == ""
    server.signal(ASK_TO_END)
    server.wait()
    assert re.fullmatch(
        r"No server runs on this store \(the last one ended \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\), so no tick runs\. .*\n",
        note(),
    )
    server = serve()
    server.end()
    assert "ended without a word" in note()


def test_a_job_with_several_schedules_is_listed_with_each(call: Call, folder: Path) -> None:
    (folder / "often.py").write_text(
        "from microflow import Schedule, create_flow\n\n"
        'flow = create_flow("often", timezone="UTC")\n\n\n'
        '@flow.task(runner="thread", schedule=["0 8 * * MON-FRI", Schedule("*/40 * * * *", "extra"), "0 9 * * SAT"])\n'
        "def load():\n    return {}\n",
        "utf-8",
    )

    listed, jobs = call("schedules", "-f", "often"), call("jobs", "-f", "often")
    ran = call("schedules", "load-2", "-f", "often", "--run")

    lines = {line.split()[0]: line for line in listed.stdout.splitlines() if line.startswith("often/")}
    assert list(lines) == ["often/load", "often/extra", "often/load-2"]
    assert lines["often/extra"].rstrip().endswith("at minutes 0 and 40 of every hour")
    assert "0 8 * * MON-FRI; */40 * * * *; 0 9 * * SAT" in jobs.stdout
    assert (ran.exit_code, ran.stdout) == (0, "{}\n")
