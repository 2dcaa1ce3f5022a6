"""GET /api/health, /api/flows, /api/jobs, /api/jobs/{flow}/{job}, /api/openapi.json."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from microflow import Backoff, ConcurrencyGroup, Schedule, TimePartitions, create_flow
from microflow.engine.engine import Engine
from microflow.web.api.routes import ENDPOINTS


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/jobs?flow=shpo", "no flow 'shpo' in this engine; did you mean 'shop'?"),
        ("/api/jobs/shpo/add_one", "no flow 'shpo'"),
        ("/api/jobs/shop/add_on", "no job 'add_on' in flow 'shop'; did you mean 'add_one'"),
        ("/api/jobs/shop/%00", "no job"),
        ("/api/jobs/shop", "nothing at /api/jobs/shop"),
    ],
)
def test_a_name_that_is_not_there_is_a_404(untouched: Any, path: str, said: str) -> None:
    answer = untouched.get(path)
    assert answer.status == 404
    assert said in answer.detail


def test_an_unknown_parameter_is_refused(untouched: Any) -> None:
    answer = untouched.get("/api/jobs?flw=shop")
    assert answer.status == 422
    assert "did you mean 'flow'?" in answer.detail
    assert "nothing is expected" in untouched.get("/api/health?x=1").detail


@pytest.mark.parametrize("path", ["/api/flows", "/api/jobs", "/api/schedules", "/api/concurrency"])
def test_what_is_defined_is_listed_whole_or_part_by_part(untouched: Any, path: str) -> None:
    whole = untouched.get(path).json
    assert whole["next"] is None

    found, cursor = [], ""
    while cursor is not None:
        part = untouched.get(f"{path}?limit=2{f'&cursor={cursor}' if cursor else ''}").json
        assert len(part["items"]) <= 2
        found += part["items"]
        cursor = part["next"]
    assert [item["name"] for item in found] == [item["name"] for item in whole["items"]]

    assert untouched.get(f"{path}?cursor=99999").json == {"items": [], "next": None}
    for query in ("limit=0", "limit=501", "limit=x", "cursor=-1", "cursor=a", "cursor=" + "9" * 50):
        assert untouched.get(f"{path}?{query}").status == 422, query


def test_health(untouched: Any) -> None:
    answer = untouched.get("/api/health")
    health = answer.json
    zones = health.pop("zone_data")
    assert (answer.status, health) == (200, {"status": "ok"})
    assert set(zones) == {"source", "version", "path", "warning"}
    assert zones["source"] in ("system", "package")
    assert answer.headers["content-type"] == "application/json"


def test_flows_are_listed(untouched: Any) -> None:
    (flow,) = untouched.get("/api/flows").json["items"]
    assert (flow["name"], flow["max_concurrency"], flow["timezone"]) == ("shop", 2, None)
    assert flow["jobs"][:2] == ["add_one", "hold"]


def test_jobs_are_listed_with_what_their_code_says(untouched: Any) -> None:
    answer = untouched.get("/api/jobs").json
    assert answer["next"] is None
    jobs = {job["name"]: job for job in answer["items"]}
    add_one = jobs["add_one"]
    assert (add_one["flow"], add_one["kind"], add_one["runner"]) == ("shop", "task", "thread")
    assert add_one["description"] == "Add one to an amount."
    assert add_one["parameters"] == {"names": ["amount"], "required": 1, "variable": False}
    assert (add_one["max_payload"], add_one["retries"], add_one["timeout"]) == (32_768, 0, None)
    assert jobs["hold"]["limits"] == [{"name": "hold", "max_concurrency": 1, "key": None}]
    assert (jobs["report"]["kind"], jobs["report"]["runner"], jobs["report"]["inputs"]) == ("manager", None, ["fail"])
    assert untouched.get("/api/jobs?flow=shop").json == answer


def test_one_job(untouched: Any) -> None:
    job = untouched.get("/api/jobs/shop/report").json
    schedule = job["schedule"]
    assert (schedule["name"], schedule["cron"]) == ("report", "0 8 * * *")
    ticks = [datetime.fromisoformat(tick) for tick in schedule["next"]]
    assert len(ticks) == 5
    assert ticks == sorted(ticks)
    assert {tick.minute for tick in ticks} == {0}


def test_everything_a_definition_can_say(make_client: Callable[..., Any], tmp_path: Any) -> None:
    flow = create_flow("plant", timezone="Europe/Paris")
    group = ConcurrencyGroup(3, name="database", key="customer")

    @flow.task(
        schedule=[Schedule("*/10 * * * *", catch_up="all", overlap="queue", name="often"), "0 8 * * MON"],
        time_partitions=TimePartitions("daily", start="2026-01-01", timezone="Asia/Tokyo"),
        cat_partitions=["eu", "us"],
        partition_filter=lambda time, cat: True,
        max_concurrency=group,
        retries=2,
        retry_delay=[1, 5],
        timeout=60,
        cancel_grace=0,
        run_strategy="all_success",
    )
    def water(*beds: Any) -> None: ...

    @flow.task(retry_delay=Backoff(1, 3, 30, 0))
    def weed() -> None: ...

    engine = Engine([flow], store=f"sqlite:///{tmp_path}/store.db")
    engine.start()
    try:
        water_view, weed_view = make_client(engine).get("/api/jobs").json["items"]
    finally:
        engine.stop(grace=0)
    assert water_view["parameters"] == {"names": [], "required": 0, "variable": True}
    schedule = water_view["schedule"]
    assert (schedule["name"], schedule["timezone"]) == ("often", "Europe/Paris")
    assert [own["name"] for own in water_view["schedules"]] == ["often", "water"]
    assert water_view["schedules"][0] == schedule
    assert water_view["schedules"][1]["description"] == "every Monday at 08:00"
    assert (weed_view["schedule"], weed_view["schedules"]) == (None, [])
    assert (schedule["description"], schedule["catch_up"], schedule["overlap"]) == ("every 10 minutes", "all", "queue")
    assert water_view["partitions"] == {
        "time": {"frequency": "daily", "start": "2026-01-01", "end": None, "timezone": "Asia/Tokyo"},
        "cat": ["eu", "us"],
        "filtered": True,
    }
    assert water_view["limits"] == [{"name": "database", "max_concurrency": 3, "key": "customer"}]
    assert (water_view["retries"], water_view["retry_delay"], water_view["timeout"]) == (2, [1, 5], 60)
    assert (water_view["cancel_grace"], weed_view["cancel_grace"]) == (0, 5)
    assert water_view["run_strategy"] == "all_success"
    assert weed_view["retry_delay"] == {"initial": 1, "factor": 3, "maximum": 30, "jitter": 0}


def test_the_openapi_document_tells_of_every_endpoint(untouched: Any) -> None:
    document = untouched.get("/api/openapi.json").json
    assert document["openapi"] == "3.1.0"
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert told == {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert "default" in operation["responses"]


def test_the_openapi_document_refers_only_to_what_it_has(untouched: Any) -> None:
    document = untouched.get("/api/openapi.json").json
    found: set[str] = set()

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                found.add(part["$ref"])
            for value in part.values():
                walk(value)
        elif isinstance(part, list):
            for value in part:
                walk(value)

    walk(document)
    assert found
    assert found == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]} & found
    assert "#/components/schemas/ExecutionView" in found


def test_the_openapi_document_tells_of_parameters_and_bodies(untouched: Any) -> None:
    paths = untouched.get("/api/openapi.json").json["paths"]
    listing = {parameter["name"]: parameter for parameter in paths["/api/executions"]["get"]["parameters"]}
    assert listing["status"]["schema"]["items"]["enum"]
    assert listing["limit"]["schema"]["maximum"] == 500
    assert listing["since"]["in"] == "query"
    execute = paths["/api/jobs/{flow}/{job}/executions"]["post"]
    assert [parameter["name"] for parameter in execute["parameters"]] == ["flow", "job"]
    assert execute["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/NewExecution")
    assert "201" in execute["responses"]
    described = {path: paths[path]["get"]["responses"]["200"]["content"] for path in ("/api/openapi.json", "/metrics")}
    assert described == {
        "/api/openapi.json": {"application/json": {"schema": {"type": "object"}}},
        "/metrics": {"text/plain": {"schema": {"type": "string"}}},
    }
