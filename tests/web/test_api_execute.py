"""POST /api/jobs/{flow}/{job}/executions and …/map."""

from __future__ import annotations

import json
from typing import Any

import pytest

from microflow.web.http.parameters import MAXIMUM_BODY

ADD_ONE = "/api/jobs/shop/add_one"


@pytest.mark.parametrize("path", ["/api/jobs/shop/nothing/executions", "/api/jobs/nothing/add_one/map"])
def test_an_unknown_job_is_a_404(untouched: Any, path: str) -> None:
    answer = untouched.post(path, {"inputs": []})
    assert answer.status == 404
    assert "There is no" in answer.detail


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"inputs": {}}, "inputs: Expected `array`, got `object`"),
        ({"input": []}, "there is no 'input' in it; did you mean 'inputs'?"),
        ({"inputs": [{"value": 1}], "wait": -1}, "wait: Expected `float` >= 0"),
        ({"inputs": [{"value": 1}], "wait": 1e9}, "wait: Expected `float` <= 3600"),
        ({"inputs": [{"value": 1}], "wait": True}, "wait: Expected `float`, got `bool`"),
        ({"inputs": [{"value": 1}], "force": "yes"}, "force: Expected `bool`, got `str`"),
        ([], "Expected `object`, got `array`"),
        ({"inputs": [{"value": 1}, {}]}, "takes 1 input, and 2 were given"),
        ({"inputs": []}, "takes 1 input, and 0 were given"),
        ({"inputs": [3]}, "inputs[0] is an int"),
        ({"inputs": [[3]]}, "inputs[0][0] is an int"),
        ({"inputs": [{"day": {"$date": "soon"}}]}, "not a date in ISO 8601"),
    ],
)
def test_a_body_that_does_not_fit_is_a_422(untouched: Any, body: Any, said: str) -> None:
    answer = untouched.post(f"{ADD_ONE}/executions", body)
    assert answer.status == 422
    assert said in answer.detail
    assert untouched.get("/api/executions").json["items"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"inputs": [NaN]}', 400),
        (b'{"inputs": [{"x": "\\ud800"}]}', 400),
        (b'{"inputs": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}", 400),
        (b'{"inputs": [{"x": 1e999}]}', 422),
        (b'{"inputs": [{"x": "\xff"}]}', 422),
        (b'{"inputs": [{"x": ' + b"9" * 5_000 + b"}]}", 422),
        (b'{"inputs": [' + b'{"x":' * 12_000 + b"1" + b"}" * 12_000 + b"]}", 400),
        (b'{"inputs": [' + b'{"x":' * 300 + b"1" + b"}" * 300 + b"]}", 422),
        (b'"' + b"x" * MAXIMUM_BODY + b'"', 413),
    ],
)
def test_a_body_that_is_no_payload_is_refused(untouched: Any, body: bytes, status: int) -> None:
    answer = untouched.request("POST", f"{ADD_ONE}/executions", {"content-type": "application/json"}, body)
    assert answer.status == status
    assert answer.detail
    assert untouched.get("/api/executions").json["items"] == []


@pytest.mark.parametrize("path", ["executions", "map", "partitions/executions"])
def test_what_is_nested_too_deeply_is_told_by_every_python(untouched: Any, path: str) -> None:
    for levels in (600, 12_000, 1_000_000):
        body = b'{"inputs": [' + b'{"x":' * levels + b"1" + b"}" * levels + b"]}"
        answer = untouched.request("POST", f"/api/jobs/shop/add_one/{path}", {"content-type": "application/json"}, body)
        assert answer.status == 400
        assert answer.detail == "This is nested too deeply. At most 200 levels are allowed."


def test_what_has_more_levels_than_a_payload_is_told_in_a_few_words(untouched: Any) -> None:
    body = b'{"inputs": [' + b'{"x":' * 300 + b"1" + b"}" * 300 + b"]}"
    answer = untouched.request("POST", f"{ADD_ONE}/executions", {"content-type": "application/json"}, body)
    assert answer.detail.endswith('"]["x"]["x"]["x"]["x"]["… is nested more than 200 levels deep, or holds itself.')
    assert len(answer.detail) < 600


def test_inputs_over_the_limit_of_the_job_are_a_413(untouched: Any) -> None:
    answer = untouched.post(f"{ADD_ONE}/executions", {"inputs": [{"text": "x" * 40_000}]})
    assert answer.status == 413
    assert "32,768" in answer.detail
    assert answer.json["type"] == "urn:microflow:problem:payload-too-large"


def test_declared_inputs_and_given_ones_do_not_go_together(untouched: Any) -> None:
    answer = untouched.post("/api/jobs/shop/report/executions", {"inputs": [{}], "with_inputs": True})
    assert answer.status == 422
    assert "its declared inputs are what it gets" in answer.detail


def test_an_execution_is_started_and_found_where_the_answer_says(client: Any) -> None:
    answer = client.post(f"{ADD_ONE}/executions", {"inputs": [{"value": 1}]})
    assert answer.status == 201
    started = answer.json
    assert answer.headers["location"] == f"/api/executions/{started['id']}"
    assert (started["flow"], started["job"], started["trigger"]) == ("shop", "add_one", "api")
    assert started["inputs"] == [{"value": 1}]
    found = client.get(answer.headers["location"]).json
    assert (found["id"], found["queued_at"]) == (started["id"], started["queued_at"])


def test_waiting_for_the_end(client: Any) -> None:
    ended = client.post("/api/jobs/shop/add_two/executions", {"inputs": [{"value": 1}], "wait": 60}).json
    assert (ended["status"], ended["output"]) == ("success", {"value": 3})
    assert ended["ended_at"].endswith("Z")
    assert ended["started_at"] <= ended["ended_at"]


def test_waiting_no_longer_than_asked(client: Any, gate: Any) -> None:
    answer = client.post("/api/jobs/shop/hold/executions", {"inputs": [{}], "wait": 0.001})
    assert answer.status == 201
    assert answer.json["status"] == "running"


def test_waiting_ends_when_the_server_is_to_stop(client: Any, gate: Any, engine: Any) -> None:
    # the event of the start is what stops the server here: nothing but close() ends the waiting then
    engine.events.subscribe(lambda event: client.app.state.site.close() if event.topic == "progress" else None)
    answer = client.post("/api/jobs/shop/hold/executions", {"inputs": [{}], "wait": 3_000})
    assert answer.json["status"] == "running"


def test_a_failure_is_told_as_a_failed_execution(client: Any) -> None:
    answer = client.post("/api/jobs/shop/fail/executions", {"wait": 60})
    assert answer.status == 201
    failed = answer.json
    assert (failed["status"], failed["output"]) == ("error", None)
    assert (failed["error"]["type"], failed["error"]["message"]) == ("ValueError", "the shop is closed")
    assert "raise ValueError" in failed["error"]["traceback"]


def test_an_empty_body_asks_for_an_execution_without_inputs(client: Any) -> None:
    assert client.post("/api/jobs/shop/fail/executions").status == 201


def test_dates_arrive_as_dates_and_are_shown_as_they_were_sent(client: Any) -> None:
    moment = {"$datetime": "2026-11-22T05:00:00+01:00"}
    ended = client.post("/api/jobs/shop/echo/executions", {"inputs": [{"moment": moment}], "wait": 60}).json
    assert ended["output"] == {"type": "datetime", "moment": moment}
    assert ended["inputs"] == [{"moment": moment}]


def test_a_job_with_its_declared_inputs(client: Any) -> None:
    ended = client.post("/api/jobs/shop/report/executions", {"with_inputs": True, "wait": 60}).json
    assert (ended["kind"], ended["status"]) == ("dag", "error")
    children = client.get(f"/api/executions?parent={ended['id']}").json["items"]
    assert [child["job"] for child in children] == ["report", "fail"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "missing required field `inputs`"),
        ({"inputs": [{}], "batch_size": 0}, "batch_size: Expected `int` >= 1"),
        ({"inputs": [{}], "max_concurrency": 1.5}, "max_concurrency: Expected `int"),
        ({"inputs": [{}], "with_inputs": True}, "there is no 'with_inputs' in it; did you mean 'inputs'?"),
    ],
)
def test_a_mapping_that_does_not_fit_is_a_422(untouched: Any, body: Any, said: str) -> None:
    answer = untouched.post(f"{ADD_ONE}/map", body)
    assert answer.status == 422
    assert said in answer.detail


def test_a_mapping_is_one_execution_with_children(client: Any) -> None:
    answer = client.post(f"{ADD_ONE}/map", {"inputs": [{"value": value} for value in range(5)], "wait": 60})
    assert answer.status == 201
    mapping = answer.json
    assert (mapping["kind"], mapping["trigger"], mapping["status"]) == ("map", "api", "success")
    tree = client.get(f"/api/executions/{mapping['id']}/tree").json
    values = [
        json.loads(client.get(f"/api/executions/{child['id']}").body)["output"]["value"]
        for child in tree["execution"]["children"]
    ]
    assert values == [1, 2, 3, 4, 5]
    assert {child["trigger"] for child in tree["execution"]["children"]} == {"map"}


def test_a_mapping_in_batches(client: Any) -> None:
    mapping = client.post(f"{ADD_ONE}/map", {"inputs": [{"value": 1}] * 5, "batch_size": 2, "wait": 60}).json
    children = client.get(f"/api/executions?parent={mapping['id']}").json["items"]
    assert [len(child["inputs"][0]) for child in children[::-1]] == [2, 2, 1]
