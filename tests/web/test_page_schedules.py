"""Schedules: the list, one with its ticks, the three buttons, and what comes next on the home page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from microflow import Flow, Schedule, Skip, create_flow
from microflow.engine.engine import Engine
from microflow.model.results import ExecutionStatus
from microflow.model.schedules import next_clock_change, ticks_around
from microflow.store.schedules import TickRecord, TickView
from microflow.views.schedules import ClockChangeView
from microflow.web.pages import schedule_view, schedules

PARIS = ZoneInfo("Europe/Paris")


def words(html: str) -> str:
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", html.partition("<main")[2]).split()))


def rows(html: str) -> dict[str, str]:
    """What the list says of each schedule."""
    found = re.findall(r'<tr data-key="schedule-([^"]*)"(.*?)</tr>', html, re.DOTALL)
    return {unescape(name): words(f"<main{inside}") for name, inside in found}


def part(html: str, name: str) -> str:
    """A part of a schedule's page, in words."""
    return words("<main" + html[html.index(f'id="{name}"') :].partition("</section>")[0])


def greenhouse(gate: Any) -> Flow:
    flow = create_flow("greenhouse", timezone="Europe/Paris")
    watering = Schedule("30 2 * * *", name="water all", overlap="skip", catch_up="all")

    @flow.task(runner="thread", schedule=watering)
    def water_roses() -> dict[str, Any]:
        gate.wait()
        return {}

    @flow.task(runner="thread", schedule=watering)
    def water_ferns() -> dict[str, Any]:
        return {}

    @flow.task(runner="thread", schedule=Schedule("*/10 * * * *", timezone="Asia/Tokyo", overlap="queue"))
    def measure() -> dict[str, Any]:
        return {}

    return flow


@pytest.fixture
def engine(tmp_path: Path, gate: Any) -> Iterator[Engine]:
    engine = Engine([greenhouse(gate)], store=f"sqlite:///{tmp_path}/greenhouse.db")
    engine.start()
    yield engine
    gate.opened.set()
    engine.stop(grace=30)


def record(engine: Engine, *records: TickRecord) -> None:
    """What a server has recorded of the ticks of "water all"."""
    engine.schedules.record("greenhouse", "water all", records, 1_800_000_000.0)


@pytest.mark.parametrize("path", ["/schedules/greenhouse/none", "/schedules/none/measure"])
def test_a_schedule_that_is_not_there_is_a_404_that_says_so(client: Any, path: str) -> None:
    answer = client.get(path)
    assert answer.status == 404
    assert "There is no schedule" in answer.text


@pytest.mark.parametrize("act", ["pause", "resume", "run"])
def test_buttons_take_forms_of_this_site_alone(client: Any, engine: Engine, act: str) -> None:
    path = f"/schedules/greenhouse/measure/{act}"
    assert client.get(path).status == 405
    assert client.form(path, {}, origin="http://elsewhere.example").status == 403
    assert client.form("/schedules/greenhouse/none/" + act, {}).status == 404
    assert rows(client.get("/schedules").text)["greenhouse/measure"].endswith("Pause measure Run now : measure")
    assert client.get("/api/executions").json["items"] == []


def test_the_list_says_when_in_words_and_in_the_schedules_own_time(client: Any) -> None:
    answer = client.get("/schedules")
    assert answer.status == 200
    assert "2 schedules" in words(answer.text)
    found = rows(answer.text)
    assert list(found) == ["greenhouse/water all", "greenhouse/measure"]
    told = found["greenhouse/water all"]
    assert "water_roses , water_ferns" in told
    assert "every day at 02:30 30 2 * * * · Europe/Paris" in told
    assert re.search(r"\w{3} \d+ \w{3}( \d{4})?, 02:30 none yet", told)
    assert "every 10 minutes */10 * * * * · Asia/Tokyo" in found["greenhouse/measure"]
    assert 'data-time="until"' in answer.text
    assert 'data-live="schedule execution"' in answer.text


def test_without_schedules_the_page_says_how_to_have_one(make_client: Any, tmp_path: Path) -> None:
    flow = create_flow("idle")
    flow.task(runner="thread", name="rest")(lambda: {})
    engine = Engine([flow], store=f"sqlite:///{tmp_path}/idle.db")
    engine.start()
    try:
        client = make_client(engine)
        assert "No job has a schedule" in client.get("/schedules").text
        assert "What comes next" not in client.get("/").text
    finally:
        engine.stop(grace=0)


def test_of_very_many_schedules_a_page_shows_some_and_leads_to_the_others(make_client: Any, tmp_path: Path) -> None:
    flow = create_flow("many")
    for number in range(schedules.PAGE + 1):
        schedule = Schedule("0 8 * * *", name=f"schedule {number}")
        flow.task(runner="thread", name=f"job_{number}", schedule=schedule)(lambda: {})
    engine = Engine([flow], store=f"sqlite:///{tmp_path}/many.db")
    engine.start()
    try:
        client = make_client(engine)
        first, second = client.get("/schedules").text, client.get("/schedules?page=2").text
        assert f"{schedules.PAGE + 1} schedules" in words(first)
        assert len(rows(first)) == schedules.PAGE
        assert 'href="/schedules?page=2" rel="next"' in first
        assert list(rows(second)) == [f"many/schedule {schedules.PAGE}"]
        assert 'href="/schedules" rel="prev"' in second
        assert rows(client.get("/schedules?page=99").text) == rows(second)
        assert rows(client.get("/schedules?page=x").text) == rows(first)
        answer = client.form(f"/schedules/many/schedule%20{schedules.PAGE}/pause", {"page": "2"})
        assert answer.headers["location"] == "/schedules?page=2"
    finally:
        engine.stop(grace=0)


def test_a_schedule_is_paused_and_resumed_and_the_way_leads_back(client: Any) -> None:
    path = "/schedules/greenhouse/water%20all"
    answer = client.form(f"{path}/pause", {"page": "1"})
    assert (answer.status, answer.headers["location"]) == (303, "/schedules")
    assert "2 schedules, 1 paused" in words(client.get("/schedules").text)
    told = rows(client.get("/schedules").text)["greenhouse/water all"]
    assert "paused" in told
    assert "Resume" in told
    page = words(client.get(path).text)
    assert "Paused since" in page
    assert "Next tick does not run" in page

    answer = client.form(f"{path}/resume", {})
    assert (answer.status, answer.headers["location"]) == (303, path)
    assert "paused" not in words(client.get("/schedules").text)


def test_the_jobs_of_a_paused_schedule_say_that_they_do_not_run(client: Any) -> None:
    job = "/jobs/greenhouse/water_ferns"
    assert "Next paused since" not in words(client.get(job).text)
    client.form("/schedules/greenhouse/water%20all/pause", {})
    assert "Next paused since" in words(client.get(job).text)
    assert words(client.get("/flows/greenhouse").text).count("paused every day at 02:30") == 2
    client.form("/schedules/greenhouse/water%20all/resume", {})
    assert "Next paused since" not in words(client.get(job).text)
    assert "paused" not in words(client.get("/flows/greenhouse").text)


def test_a_schedule_is_run_now_and_shows_its_run(client: Any, engine: Engine, gate: Any) -> None:
    answer = client.form("/schedules/greenhouse/water%20all/run", {"page": "1"})
    assert (answer.status, answer.headers["location"]) == (303, "/schedules")
    assert gate.reached.wait(60)
    (run,) = client.get("/api/executions?trigger=web").json["items"]
    html = client.get("/schedules").text
    assert "1 run going on" in words(html)
    assert f"#{run['id']}" in rows(html)["greenhouse/water all"]
    assert f"Now #{run['id']}" in words(client.get("/schedules/greenhouse/water%20all").text)
    assert f"#{run['id']} water all" in words(client.get("/").text)
    assert f"#{run['id']} water all" in words(client.get("/executions").text)
    assert '<a href="/schedules/greenhouse/water%20all">water all</a>' in client.get(f"/executions/{run['id']}").text


def test_a_tick_that_has_passed_is_run_again_from_its_row(client: Any, engine: Engine, gate: Any) -> None:
    gate.opened.set()
    missed = datetime(2026, 11, 22, 2, 30, tzinfo=PARIS)
    record(engine, TickRecord(missed.timestamp(), "missed", "Missed: no server ran at that time."))
    html = client.get("/schedules/greenhouse/water%20all").text
    (at,) = re.findall(r'<input type="hidden" name="at" value="([^"]+)">', html)
    answer = client.form("/schedules/greenhouse/water%20all/run", {"at": at})

    assert answer.status == 303
    (run,) = client.get("/api/executions?trigger=web").json["items"]
    assert run["scheduled_at"] == "2026-11-22T01:30:00Z"
    assert [tick.outcome for tick in engine.schedules.ticks("greenhouse", "water all")] == ["missed"]
    refused = client.form("/schedules/greenhouse/water%20all/run", {"at": "long ago"})
    assert refused.status == 422
    assert "'long ago' is not a moment" in words(refused.text)


def test_schedules_of_a_flow_that_this_server_does_not_have_are_named(client: Any, engine: Engine) -> None:
    since = datetime(2026, 11, 20, 8, tzinfo=PARIS).timestamp()
    for name in ("hourly", "nightly"):
        engine.schedules.serve("stock", name, "@daily", "UTC", since)
    for path in ("/", "/schedules"):
        told = words(client.get(path).text)
        assert "No server runs the schedules hourly, nightly of flow stock since" in told
    engine.schedules.remove("stock", "hourly", since)
    assert "No server runs the schedule nightly of flow stock since" in words(client.get("/").text)


def test_a_run_that_must_not_overlap_is_refused_with_the_reason(client: Any, gate: Any) -> None:
    path = "/schedules/greenhouse/water%20all"
    client.form(f"{path}/run", {})
    assert gate.reached.wait(60)
    answer = client.form(f"{path}/run", {})
    assert answer.status == 409
    assert "is still running" in words(answer.text)
    assert f'<meta name="live-source" content="{path}">' in answer.text
    answer = client.form(f"{path}/run", {"page": "1"})
    assert answer.status == 409
    assert '<meta name="live-source" content="/schedules">' in answer.text


def test_a_schedules_page_shows_what_it_is_and_its_next_ten_ticks(client: Any) -> None:
    html = client.get("/schedules/greenhouse/water%20all").text
    text = words(html)
    assert "every day at 02:30 ( 30 2 * * * ) , in Europe/Paris" in text
    assert "If runs overlap a tick is skipped while the run before it is still going" in text
    assert "After a stop of the server each one that was missed is run, in order" in text
    assert "Served since never" in text  # this engine is no server
    assert len(re.findall(r"\w{3} \d+ \w{3}( \d{4})?, 0[23]:[03]0", part(html, "next"))) == 10
    assert 'data-live="schedule:greenhouse/water%20all' in html
    assert "No tick has passed yet" in text


def test_a_job_leads_to_its_schedule(client: Any) -> None:
    assert 'href="/schedules/greenhouse/water%20all"' in client.get("/jobs/greenhouse/water_ferns").text


def test_what_became_of_the_last_ticks_is_told_one_by_one(client: Any, engine: Engine) -> None:
    done = engine.submit(engine.job("greenhouse", "measure"))
    done.future.result(60)
    record(
        engine,
        TickRecord(1_790_000_000.0, "run", None, done.id),
        TickRecord(1_790_086_400.0, "queued", "Queued: the run before it was still going.", done.id),
        TickRecord(1_790_172_800.0, "overlap", f"Skipped: execution {done.id} was still going.", done.id),
        TickRecord(1_790_259_200.0, "missed", "Missed: no server ran at that time.", None, 12, 1_789_000_000.0),
        TickRecord(1_790_345_600.0, "paused", "The schedule is paused."),
        TickRecord(1_790_432_000.0, "run", None, 999),
    )
    html = client.get("/schedules/greenhouse/water%20all").text
    ticks = part(html, "ticks")
    assert f"success #{done.id}" in ticks
    assert f"success queued #{done.id} Queued: the run before it was still going." in ticks
    assert f"skipped, overlap #{done.id} Skipped: execution {done.id} was still going." in ticks
    assert "12 ticks missed Missed: no server ran at that time." in ticks
    assert "paused The schedule is paused." in ticks
    assert "run #999, deleted" in ticks
    assert "2 success 1 skipped, overlap 1 run 12 missed 1 paused" in ticks
    assert html.count('class="bar ') == 6
    assert "none yet" not in rows(client.get("/schedules").text)["greenhouse/water all"]


def test_a_tick_whose_run_failed_or_was_skipped_says_why(client: Any, engine: Engine) -> None:
    def wither(_: Any) -> None:
        raise ValueError("no <water>" + "!" * 1_000)

    def rest(_: Any) -> None:
        raise Skip("it rained")

    flow = engine.flow("greenhouse")
    failed, skipped = (engine.submit(flow.task(name=fn.__name__, runner="thread")(fn), [{}]) for fn in (wither, rest))
    for submitted in (failed, skipped):
        submitted.future.result(60)
    record(
        engine,
        TickRecord(1_790_000_000.0, "run", "Run late: no server ran at that time.", failed.id),
        TickRecord(1_790_086_400.0, "run", None, skipped.id),
        TickRecord(1_790_172_800.0, "overlap", "Skipped: it was still going.", failed.id),
    )

    overlap, skip, failure = engine.schedules.ticks("greenhouse", "water all")
    assert overlap.run_reason is None
    assert skip.run_reason == "it rained"
    assert failure.run_reason is not None
    assert len(failure.run_reason) == len("ValueError: ") + 500
    ticks = part(client.get("/schedules/greenhouse/water%20all").text, "ticks")
    assert f"error #{failed.id} Run late: no server ran at that time. ValueError: no <water>!!!" in ticks
    assert f"skipped #{skipped.id} it rained" in ticks


def test_of_very_many_ticks_the_last_hundred_are_shown(client: Any, engine: Engine) -> None:
    record(engine, *(TickRecord(1_790_000_000.0 + 60 * number, "paused") for number in range(150)))
    html = client.get("/schedules/greenhouse/water%20all").text
    assert "Last 100 ticks" in part(html, "ticks")
    assert html.count('class="bar paused"') == 100


def test_the_home_page_says_what_comes_next_soonest_first(client: Any) -> None:
    html = client.get("/").text
    coming = part(html, "coming")
    due = re.findall(r'<time datetime="([^"]+)"', html[html.index('id="coming"') :].partition("</section>")[0])
    assert len(due) == 2
    assert due == sorted(due)
    assert "measure" in coming
    assert "water all" in coming
    assert "every 10 minutes" in coming
    assert "All 2 schedules" in coming
    client.form("/schedules/greenhouse/measure/pause", {})
    coming = part(client.get("/").text, "coming")
    assert "measure" not in coming
    client.form("/schedules/greenhouse/water%20all/pause", {})
    assert "every schedule is paused" in part(client.get("/").text, "coming")


# What is said of moments

NOVEMBER = datetime(2026, 11, 23, 15, tzinfo=UTC)


def test_a_tick_is_told_in_the_time_of_its_schedule_and_with_another_years_number() -> None:
    at = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    assert schedule_view.local_time(at, UTC, NOVEMBER) == "Thu 31 Dec, 23:30"
    assert schedule_view.local_time(at, PARIS, NOVEMBER) == "Fri 1 Jan 2027, 00:30"


def story(cron: str, zone: ZoneInfo, after: datetime) -> schedule_view.ChangeStory:
    change = next_clock_change(zone, after)
    assert change is not None
    view = ClockChangeView(
        at=change.at,
        before=change.before.total_seconds(),
        after=change.after.total_seconds(),
        ticks=tuple(ticks_around(cron, zone, change, 3)),
    )
    return schedule_view.change_story(view, cron, zone, zone.key)


def test_an_appointment_that_the_clock_jumps_over() -> None:
    told = story("30 2 * * *", PARIS, NOVEMBER)
    assert told.change == (
        "On Sunday 28 March 2027 the clock of Europe/Paris is put forward by 1 h: where it would show 02:00 it shows 03:00."
    )
    assert told.rule == (
        "This schedule keeps its appointments: one that the clock jumps over happens at the moment of the jump."
    )
    assert told.before[-1] == ("Sat 27 Mar 2027, 02:30", "+01:00", "1 d later")
    assert told.after[0] == ("Sun 28 Mar 2027, 03:00", "+02:00", "23 h 30 min later")


def test_an_appointment_that_the_clock_shows_twice() -> None:
    told = story("30 2 * * *", PARIS, NOVEMBER + timedelta(days=150))
    assert told.change == (
        "On Sunday 31 October 2027 the clock of Europe/Paris is put back by 1 h: where it would show 03:00 it shows 02:00."
    )
    assert told.rule.endswith("one that the clock shows twice happens the first time only.")
    assert [tick.local for tick in (told.before[-1], told.after[0])] == [
        "Sun 31 Oct 2027, 02:30",
        "Mon 1 Nov 2027, 02:30",
    ]


def test_a_schedule_that_follows_the_clock() -> None:
    forward = story("*/30 * * * *", PARIS, NOVEMBER)
    assert forward.rule == "This schedule follows the clock: what it jumps over does not happen."
    assert [tick.local[-5:] for tick in (*forward.before, *forward.after)] == [
        "00:30",
        "01:00",
        "01:30",
        "03:00",
        "03:30",
        "04:00",
    ]
    back = story("*/30 * * * *", PARIS, NOVEMBER + timedelta(days=150))
    assert back.rule == "This schedule follows the clock: what it shows twice happens twice."
    assert {tick.gap for tick in (*back.before[1:], *back.after)} == {"30 min later"}


def test_a_clock_that_is_changed_by_half_an_hour() -> None:
    assert "is put back by 30 min" in story("0 * * * *", ZoneInfo("Australia/Lord_Howe"), NOVEMBER).change


def test_a_strip_grows_from_the_right_and_tells_failures_by_a_flag() -> None:
    def tick(hour: int, status: ExecutionStatus) -> TickView:
        at = datetime(2026, 11, 23, hour, tzinfo=UTC)
        return TickView(
            at=at, outcome="run", reason=None, execution_id=hour, status=status, count=1, first=at, recorded_at=at
        )

    newest_first = [tick(3, ExecutionStatus.ERROR), tick(2, ExecutionStatus.SUCCESS)]
    cells = schedule_view.strip([schedule_view.past_tick(item, UTC, NOVEMBER) for item in newest_first])
    assert [cell.look for cell in cells] == ["success", "error"]
    assert [cell.failed for cell in cells] == [False, True]
    assert cells[0].x < cells[1].x < 100
    assert cells[1].x + cells[1].width > 99
    assert cells[1].text == "Mon 23 Nov, 03:00: error"
