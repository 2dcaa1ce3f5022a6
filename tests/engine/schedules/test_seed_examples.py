"""The examples of the description of Microflow that have schedules, word for word, with their jobs in real workers."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from microflow.loading import load_flow

SHARED = """
from microflow import create_flow, Schedule
from other_module import (
  fetch_api_save_results,
  update_downstream_data,
  generate_daily_report,
)

flow = create_flow("my_flow")
api_schedule = Schedule("10 * * * *")


@flow.task(schedule=api_schedule)
def fetch_api_task():
  last_update = fetch_api_save_results()
  if last_update != flow.context.get("cursor", None):
      return {}


@flow.task(schedule=api_schedule, inputs=[fetch_api_task])
def update_downstream_task():
  update_downstream_data()
  return {}


@flow.task(schedule="0 8 * * *")
def generate_report_task():
  generate_daily_report()
  return {}
"""

ON_ITS_SCHEDULE = """
from microflow import create_flow, ConcurrencyGroup
from other_module import check_api, send_email

flow = create_flow("my_flow")
api_limit = ConcurrencyGroup(max_concurrency=2)
db_limit = ConcurrencyGroup(max_concurrency=2)


@flow.task(max_concurrency=api_limit)
def check_endpoint_1():
  last_date_available = check_api(endpoint="endpoint1")
  if last_date_available != flow.context.get("cursor", None):
      return {
          "last_date_available": last_date_available
      }


@flow.task
def send_email_task(api_result):
   send_email(f"API updated; last date: {api_result['last_date_available']}")
   return {}


@flow.manager
def check_api_and_notify(schedule="*/10 * * * *"):
  return send_email_task(check_endpoint_1())

@flow.task(max_concurrency=[api_limit, db_limit])
def fetch_api_task():
  fetch_api_save_results()
  return {}
"""

OTHER_MODULE = """
from pathlib import Path

HERE = Path(__file__).parent


def note(what):
    with (HERE / "calls.txt").open("a") as file:
        file.write(what + "\\n")


def last_update():
    answer = (HERE / "last_update.txt").read_text()
    return answer or None


def fetch_api_save_results():
    note("fetch")
    return last_update()


def update_downstream_data():
    note("update")


def generate_daily_report():
    note("report")


def check_api(endpoint):
    note("check " + endpoint)
    return last_update()


def send_email(text):
    note(text)
"""


class Example:
    """One of the examples as a user has it: a module, and beside it the module that it imports."""

    def __init__(self, folder: Path, source: str, server: Any) -> None:
        (folder / "api_flow.py").write_text(source)
        (folder / "other_module.py").write_text(OTHER_MODULE)
        self._folder = folder
        self.answers("2026-05-03")
        self.server = server
        server.start(load_flow("api_flow:flow"))

    def answers(self, last_update: str) -> None:
        (self._folder / "last_update.txt").write_text(last_update)

    def advance(self, minutes: int) -> list[str]:
        """What was called in the meantime."""
        server, calls = self.server, self._folder / "calls.txt"
        calls.write_text("")
        server.advance_to(datetime.fromtimestamp(server.clock.now() + minutes * 60, UTC))
        return calls.read_text().splitlines()

    def ended(self) -> list[tuple[str, str, str]]:
        return [(run.job, run.kind, str(run.status)) for run in self.server.executions()]


@pytest.fixture
def example(tmp_path: Path, make_server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    for name in ("api_flow", "other_module"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield lambda source: Example(tmp_path, source, make_server())
    for name in ("api_flow", "other_module"):
        sys.modules.pop(name, None)


def test_jobs_on_a_shared_schedule_run_one_after_the_other_while_there_is_something_new(example: Any) -> None:
    found = example(SHARED)

    assert found.advance(59) == ["fetch", "update"]
    assert found.ended() == [
        ("fetch_api_task", "dag", "success"),
        ("fetch_api_task", "task", "success"),
        ("update_downstream_task", "task", "success"),
    ]
    found.answers("")
    assert found.advance(60) == ["fetch"]
    assert [status for _, _, status in found.ended()[3:]] == ["skipped"] * 3
    scheduled = {run.scheduled_at for run in found.server.executions()[3:]}
    assert scheduled == {datetime(2026, 5, 4, 1, 10, tzinfo=UTC)}


def test_a_job_on_another_schedule_runs_independently(example: Any) -> None:
    found = example(SHARED)
    found.answers("")
    found.advance(7 * 60 + 50)

    assert found.advance(30) == ["report", "fetch"]
    (report,) = [run for run in found.server.executions() if run.job == "generate_report_task"]
    assert (report.kind, report.trigger, report.scheduled_at.hour) == ("task", "schedule", 8)


def test_a_manager_runs_on_the_schedule_that_is_the_default_of_its_parameter(example: Any) -> None:
    found = example(ON_ITS_SCHEDULE)

    assert found.advance(15) == ["check endpoint1", "API updated; last date: 2026-05-03"]
    assert found.ended() == [
        ("check_api_and_notify", "manager", "success"),
        ("check_endpoint_1", "task", "success"),
        ("send_email_task", "task", "success"),
    ]
    found.answers("")
    assert found.advance(10) == ["check endpoint1"]
    assert [status for _, _, status in found.ended()[3:]] == ["skipped"] * 3
