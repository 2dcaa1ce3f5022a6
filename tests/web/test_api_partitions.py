"""GET …/partitions and …/partitions/detail, POST …/partitions/plan and …/partitions/executions, pause and resume."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from microflow import Flow, TimePartitions, create_flow
from microflow.engine.engine import Engine
from microflow.model.frequencies import Frequency
from microflow.model.segments import expand

JOBS = "/api/jobs/shop"
LOAD = f"{JOBS}/load/partitions"
MONTHS = ["2021-01", "2021-02", "2021-03"]
NORTH = ["north"]


def shop(gate: Any) -> Flow:
    flow = create_flow("shop", max_concurrency=2, timezone="Europe/Berlin")

    @flow.task(
        runner="thread",
        time_partitions=TimePartitions("monthly", start="2021-01", end="2021-03"),
        cat_partitions=["north", "south"],
        partition_filter=lambda time, cat: not (time.month == 2 and cat == "south"),
    )
    def load(a: dict[str, Any]) -> Any:
        if a.get("cat_partition") == "south":
            raise ValueError("no")
        return {}

    @flow.task(runner="thread", cat_partitions=["a", "b", "c"], max_concurrency=1)
    def hold(a: dict[str, Any]) -> Any:
        gate.wait()
        return {}

    @flow.task(runner="thread", time_partitions=TimePartitions("hourly", start="2009-01-01T00:00"))
    def hours(a: dict[str, Any]) -> Any:
        return {}

    @flow.task(
        runner="thread",
        time_partitions=TimePartitions("hourly", start="2012-01-01T00:00", end="2012-07-28T07:00"),
        cat_partitions=[f"shop_{number:02}" for number in range(20)],
    )
    def wide(a: dict[str, Any]) -> Any:
        return {}

    @flow.task(runner="thread", cat_partitions=["a,b", "c & d", "e"])
    def odd(a: dict[str, Any]) -> Any:
        return {}

    @flow.manager(inputs=[load], time_partitions="monthly")
    def report(a: dict[str, Any]) -> Any:
        return {}

    @flow.task(runner="thread")
    def plain() -> Any:
        return {}

    return flow


@pytest.fixture
def engine(tmp_path: Path, gate: Any) -> Iterator[Engine]:
    engine = Engine([shop(gate)], store=f"sqlite:///{tmp_path}/store.db")
    engine.start()
    yield engine
    gate.opened.set()
    engine.stop(grace=30)


@pytest.fixture
def run(client: Any) -> Callable[..., Any]:
    """``run(job, **body)``: a run over partitions, ended."""

    def begin(job: str, **body: Any) -> Any:
        answer = client.post(f"{JOBS}/{job}/partitions/executions", {"wait": 60, **body})
        assert answer.status == 201, answer.text
        return answer.json

    return begin


# Looking


def test_what_is_wrong_is_said(client: Any) -> None:
    for path, status, said in (
        (f"{JOBS}/nothing/partitions", 404, "There is no job 'nothing'"),
        ("/api/jobs/nowhere/load/partitions", 404, "There is no flow 'nowhere'"),
        (f"{JOBS}/plain/partitions", 422, "Job 'plain' has no partitions"),
        (f"{LOAD}?from=2021", 422, "'2021' is no monthly partition; write it like '2026-11'"),
        (f"{LOAD}?to=2022-01", 422, "2022-01 is after the last partition, which is 2021-03"),
        (f"{LOAD}?from=2021-03&to=2021-01", 422, "start is 2021-03, after end"),
        (f"{LOAD}?cat=east", 422, "has no category 'east'"),
        (f"{LOAD}?form=long", 422, "form is 'long', which does not fit: 'long' is none of auto, plain, compact"),
        (f"{LOAD}?measure=size", 422, "measure is 'size'"),
        (f"{LOAD}?start=2021-01", 422, "There is no query parameter 'start' here"),
        (f"{JOBS}/hold/partitions?from=2021-01", 422, "has no time partitions, and a range of them was given"),
        (f"{LOAD}/detail?time_partition=2021-01", 422, "say which one with cat_partition"),
        (f"{LOAD}/detail?time_partition=2021-02&cat_partition=south", 422, "left out by partition_filter"),
        (f"{LOAD}/detail?time_partition=soon&cat_partition=south", 422, "'soon' is no monthly partition"),
    ):
        answer = client.get(path)
        assert (answer.status, said in answer.detail) == (status, True), (path, answer.text)


def test_a_small_grid_has_a_word_for_each_cell(client: Any, run: Any) -> None:
    run("load", end="2021-02")
    answer = client.get(LOAD).json

    assert answer["form"] == "plain"
    assert (answer["frequency"], answer["timezone"]) == ("monthly", "Europe/Berlin")
    assert (answer["time"], answer["cat"]) == (MONTHS, ["north", "south"])
    assert answer["cells"] == [["success", "success", "missing"], ["error", None, "missing"]]
    assert answer["counts"] == {"success": 2, "error": 1, "missing": 2}
    assert answer["measured"] is answer["levels"] is None


def test_a_range_and_categories(client: Any, run: Any) -> None:
    run("load")

    assert client.get(f"{LOAD}?from=2021-02&to=2021-02").json["cells"] == [["success"], [None]]
    assert client.get(f"{LOAD}?from=2021-03&cat=south").json["cells"] == [["error"]]
    assert client.get(f"{LOAD}?cat=south,north").json["cat"] == ["north", "south"]
    assert client.get(f"{JOBS}/odd/partitions?cat=a,b&cat=c%20%26%20d").json["cat"] == ["a,b", "c & d"]


def test_axes_that_a_job_does_not_have(client: Any, run: Any) -> None:
    categories = client.get(f"{JOBS}/hold/partitions").json
    assert (categories["time"], categories["cat"], categories["frequency"]) == ([None], ["a", "b", "c"], None)
    assert categories["cells"] == [["missing"], ["missing"], ["missing"]]
    times = client.get(f"{JOBS}/hours/partitions?from=2021-01-01T00:00&to=2021-01-01T02:00%2B01:00").json
    assert times["time"] == [f"2021-01-01T0{hour}:00+01:00" for hour in range(3)]
    assert (times["cat"], times["cells"]) == ([None], [["missing"] * 3])

    compact = client.get(f"{JOBS}/hold/partitions?form=compact").json
    assert (compact["time"], compact["cat"], compact["cells"]) == (None, ["a", "b", "c"], [".", ".", "."])
    assert client.get(f"{JOBS}/hours/partitions?form=compact").json["cat"] is None


def test_the_compact_form_says_the_same(client: Any, run: Any) -> None:
    run("load")
    plain, compact = client.get(LOAD).json, client.get(f"{LOAD}?form=compact").json

    assert compact["cells"] == ["sss", "e e"]
    assert compact["time"] == [["2021-01", 3]]
    legend = compact["legend"]
    assert [[legend[letter] for letter in line] for line in compact["cells"]] == plain["cells"]
    assert compact["counts"] == plain["counts"]


def test_a_large_grid_is_compact_by_itself_and_small(client: Any) -> None:
    hours = TimePartitions("hourly", timezone="Europe/Berlin")
    first = hours.parse("2009-01-01T00:00+01:00")
    last = hours.text(first.astimezone(UTC) + timedelta(hours=100_000))
    answer = client.get(f"{JOBS}/hours/partitions?to={last}")
    found = answer.json

    assert found["form"] == "compact"
    assert [len(line) for line in found["cells"]] == [found["counts"]["missing"]] == [100_001]
    texts = expand([tuple(stretch) for stretch in found["time"]], Frequency(found["frequency"]))
    assert (len(texts), texts[0], texts[-1]) == (100_001, "2009-01-01T00:00+01:00", last)
    assert len(answer.body) < 120_000
    wide = client.get(f"{JOBS}/wide/partitions")
    assert wide.json["counts"] == {"missing": 100_460}
    assert len(wide.body) < 120_000


def test_how_long_it_took_and_how_long_ago(client: Any, run: Any) -> None:
    run("load", end="2021-01", cat_partitions=["north"])
    by_age = client.get(f"{LOAD}?measure=age").json
    by_duration = client.get(f"{LOAD}?measure=duration&form=compact").json

    assert by_age["measured"] == ["a  ", "   "]
    assert by_age["levels"][:2] == [60, 600]
    assert by_duration["measured"][0][0] in "abcdefghijkl"
    assert len(by_duration["levels"]) == 11


def test_one_partition(client: Any, run: Any) -> None:
    path = f"{LOAD}/detail?time_partition=2021-01&cat_partition=south"
    before = client.get(path).json
    assert (before["status"], before["execution_id"], before["last"]) == ("missing", None, None)
    assert (before["start"], before["end"]) == ("2021-01-01T00:00:00+01:00", "2021-02-01T00:00:00+01:00")

    run("load", cat_partitions=["south"], end="2021-01")
    after = client.get(path).json
    execution = client.get(f"/api/executions/{after['execution_id']}").json
    assert (after["status"], after["attempt"], after["last"]) == ("error", 1, None)
    assert (after["time_partition"], after["cat_partition"]) == ("2021-01", "south")
    assert (execution["job"], execution["cat_partition"]) == ("load", "south")
    assert (after["started_at"], after["ended_at"]) == (execution["started_at"], execution["ended_at"])
    assert after["duration"] >= 0


def test_one_hour_of_an_address_whose_plus_was_not_escaped(client: Any, run: Any) -> None:
    for plus in ("+", "%2B"):
        found = client.get(f"{JOBS}/hours/partitions/detail?time_partition=2021-01-01T05:00{plus}01:00").json
        assert found["time_partition"] == "2021-01-01T05:00+01:00"


def test_one_partition_that_goes_on_now(client: Any, gate: Any) -> None:
    first = client.post(f"{JOBS}/hold/executions", {"cat_partition": "a"}).json
    second = client.post(f"{JOBS}/hold/executions", {"cat_partition": "a"}).json
    found = client.get(f"{JOBS}/hold/partitions/detail?cat_partition=a").json

    assert (found["status"], found["execution_id"], found["ended_at"]) == ("queued", second["id"], None)
    assert found["queued_at"] == second["queued_at"]
    assert first["id"] < second["id"]
    assert client.get(f"{JOBS}/hold/partitions").json["cells"] == [["queued"], ["missing"], ["missing"]]


def test_the_last_one_is_told_while_another_goes_on(client: Any, gate: Any, run: Any) -> None:
    gate.opened.set()
    ended = run("hold", cat_partitions=["a"])
    gate.opened.clear()
    gate.reached.clear()
    running = client.post(f"{JOBS}/hold/executions", {"cat_partition": "a"}).json
    assert gate.reached.wait(60)
    found = client.get(f"{JOBS}/hold/partitions/detail?cat_partition=a").json

    assert (found["status"], found["execution_id"]) == ("running", running["id"])
    assert (found["last"]["status"], found["last"]["execution_id"]) == ("success", ended["id"] + 1)


# Running


@pytest.mark.parametrize("act", ["plan", "executions"])
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"only": "broken"}, "only: 'broken' is none of all, missing, failed, missing_or_failed"),
        ({"order": "up"}, "order: 'up' is none of asc, desc"),
        ({"batch_size": 0}, "batch_size: Expected `int` >= 1"),
        ({"max_concurrency": -1}, "max_concurrency: Expected `int` >= 1"),
        ({"start": 5}, "start: Expected `str | null`, got `int`"),
        ({"time_partitions": "2021-01"}, "time_partitions: Expected `array | null`, got `str`"),
        ({"areas": [{"from": "2021-01"}]}, "areas[0]: Object contains unknown field `from`"),
        ({"category": "north"}, "there is no 'category' in it; there are time_partitions, cat_partitions"),
        ({"start": "2021-W01"}, "'2021-W01' is no monthly partition"),
        ({"start": "2021-03", "end": "2021-01"}, "start is 2021-03, after end"),
        ({"time_partitions": ["2021-01"], "start": "2021-01"}, "not both"),
        ({"areas": [], "cat_partitions": ["north"]}, "Give either areas, or a range and categories"),
        ({"areas": [{"cat_partitions": ["east"]}]}, "has no category 'east'"),
        ({"areas": [{"start": "2020-12"}]}, "before the first partition"),
        ({"areas": [{"start": "2021-02", "end": "2021-01"}]}, "start is 2021-02, after end"),
        ({"cat_partitions": ["east"]}, "has no category 'east'"),
        ({"with_inputs": True, "batch_size": 2}, "can't be combined with batch_size"),
    ],
)
def test_a_run_that_makes_no_sense_is_a_422(client: Any, act: str, body: Any, said: str) -> None:
    answer = client.post(f"{LOAD}/{act}", body)
    assert answer.status == 422
    assert said in answer.detail
    assert client.get("/api/executions").json["items"] == []


def test_a_plan_runs_nothing(client: Any, run: Any) -> None:
    answer = client.post(f"{LOAD}/plan", {"batch_size": 2})
    assert answer.status == 200
    assert answer.json == {
        "partitions": 5,
        "executions": 3,
        "concurrency": 2,
        "seconds_each": None,
        "seconds": None,
        "counts": {"all": 5, "missing": 5, "failed": 0, "missing_or_failed": 5},
    }
    assert client.get("/api/executions").json["items"] == []

    run("load", end="2021-01")
    plan = client.post(f"{LOAD}/plan", {"only": "missing_or_failed", "max_concurrency": 1}).json
    assert (plan["partitions"], plan["executions"], plan["concurrency"]) == (4, 4, 1)
    assert plan["seconds"] == pytest.approx(4 * plan["seconds_each"])
    assert plan["counts"] == {"all": 5, "missing": 3, "failed": 1, "missing_or_failed": 4}


def test_a_run_is_one_execution_with_children(client: Any) -> None:
    body = {"start": "2021-02", "order": "desc", "only": "missing", "max_concurrency": 1, "wait": 60}
    answer = client.post(f"{LOAD}/executions", body)

    assert answer.status == 201
    ended = answer.json
    assert answer.headers["location"] == f"/api/executions/{ended['id']}"
    assert (ended["kind"], ended["trigger"], ended["status"]) == ("partitions", "api", "error")
    assert (ended["output"], ended["progress"]["done"]) == ({"error": 1, "success": 2}, 3)
    children = client.get(f"/api/executions?parent={ended['id']}").json["items"]
    assert [(child["time_partition"], child["cat_partition"]) for child in children[::-1]] == [
        ("2021-03", "north"),
        ("2021-03", "south"),
        ("2021-02", "north"),
    ]


def test_single_partitions_batches_and_inputs(client: Any, run: Any) -> None:
    assert run("load", time_partitions=["2021-03", "2021-01"], cat_partitions=["north"])["output"] == {"success": 2}
    assert run("wide", time_partitions=["2012-01-01T05:00"], batch_size=7)["output"] == {"success": 3}
    with_inputs = run("report", time_partitions=["2021-01"], with_inputs=True)
    assert with_inputs["status"] == "success", with_inputs
    tree = client.get(f"/api/executions/{with_inputs['id']}/tree").json["execution"]
    assert [node["kind"] for node in tree["children"]] == ["dag"]
    assert [node["time_partition"] for node in tree["children"][0]["children"]] == ["2021-01", "2021-01"]


@pytest.mark.parametrize(
    ("areas", "expected"),
    [
        ([], ["   ", "   "]),
        ([{}], ["xxx", "x x"]),
        ([{"start": "2021-02"}], [" xx", "  x"]),
        (
            [{"end": "2021-01", "cat_partitions": ["south"]}, {"start": "2021-02", "cat_partitions": ["north"]}],
            [" xx", "x  "],
        ),
        (
            [
                {"start": "2021-01", "end": "2021-02"},
                {"start": "2021-02", "end": "2021-03", "cat_partitions": ["north"]},
            ],
            ["xxx", "x  "],
        ),
        ([{"start": "2021-01-01", "end": "2021-01"}], ["x  ", "x  "]),
    ],
)
def test_any_areas(client: Any, run: Any, areas: Any, expected: list[str]) -> None:
    count = sum(line.count("x") for line in expected)
    assert client.post(f"{LOAD}/plan", {"areas": areas}).json["partitions"] == count
    run("load", areas=areas)

    cells = client.get(f"{LOAD}?form=compact").json["cells"]
    assert ["".join("x" if letter in "se" else " " for letter in line) for line in cells] == expected


def test_areas_before_the_earliest_and_after_now(client: Any, run: Any) -> None:
    now = datetime.now(UTC)
    areas = [{"start": "2020-11", "end": "2020-12"}, {"start": f"{now.year + 2}-01", "end": f"{now.year + 2}-02"}]
    assert client.post(f"{JOBS}/report/partitions/plan", {"areas": areas}).json["partitions"] == 2
    assert client.post(f"{JOBS}/hold/partitions/plan", {"areas": [{"cat_partitions": ["a"]}]}).json["partitions"] == 1
    assert client.post(f"{JOBS}/hold/partitions/plan", {"areas": [{"end": "2020"}]}).status == 422


def test_a_retry_runs_what_did_not_succeed(client: Any, run: Any) -> None:
    areas = [{"end": "2021-01"}]
    ended = run("load", areas=areas)
    answer = client.post(f"/api/executions/{ended['id']}/retry")
    assert answer.status == 201
    assert (answer.json["kind"], answer.json["trigger"]) == ("partitions", "retry")
    done = run("load", areas=[{"end": "2021-01", "cat_partitions": ["north"]}])
    again = client.post(f"/api/executions/{done['id']}/retry")
    assert (again.status, "has succeeded" in again.detail) == (409, True)


def test_pausing_and_resuming(client: Any, gate: Any, engine: Engine) -> None:
    started = client.post(f"{JOBS}/hold/partitions/executions", {"max_concurrency": 1}).json
    assert gate.reached.wait(60)
    address = f"/api/executions/{started['id']}"
    paused = client.post(f"{address}/pause")
    assert paused.status == 200
    assert (paused.json["status"], paused.json["waiting"]["reason"]) == ("running", "paused")
    assert client.get(address).json["waiting"]["message"].startswith("it is paused")
    assert client.post(f"{address}/pause").status == 409
    gate.opened.set()

    resumed = client.post(f"{address}/resume")
    assert (resumed.status, resumed.json["waiting"]) == (200, None)
    assert client.post(f"{address}/resume").status == 409
    child = client.get(f"/api/executions?parent={started['id']}").json["items"][-1]
    assert client.post(f"/api/executions/{child['id']}/pause").status == 409
    assert client.post("/api/executions/999/pause").status == 404


def test_everything_is_described(client: Any) -> None:
    paths = client.get("/api/openapi.json").json["paths"]
    described = paths["/api/jobs/{flow}/{job}/partitions"]["get"]
    assert [parameter["name"] for parameter in described["parameters"]] == [
        "flow",
        "job",
        "from",
        "to",
        "cat",
        "form",
        "measure",
    ]
    for path in ("partitions/detail", "partitions/plan", "partitions/executions"):
        assert f"/api/jobs/{{flow}}/{{job}}/{path}" in paths
    assert json.dumps(paths).count("PartitionMatrix") == 1
