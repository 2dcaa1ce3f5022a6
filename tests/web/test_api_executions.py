"""GET /api/executions, one of them, its tree and its log; cancel and retry."""

from __future__ import annotations

from typing import Any

import pytest

HOLD = "/api/jobs/shop/hold/executions"


def add_two(client: Any) -> dict[str, Any]:
    """A manager that has called two tasks."""
    ended: dict[str, Any] = client.post(
        "/api/jobs/shop/add_two/executions", {"inputs": [{"value": 1}], "wait": 60}
    ).json
    return ended


@pytest.mark.parametrize("path", ["", "/tree", "/logs"])
@pytest.mark.parametrize("id_", ["7", "0", "-1", "x", "1.0", "9" * 19, "9" * 40, "%D9%A3"])
def test_an_execution_that_is_not_there_is_a_404(untouched: Any, id_: str, path: str) -> None:
    answer = untouched.get(f"/api/executions/{id_}{path}")
    assert answer.status == 404
    assert "There is no execution" in answer.detail


@pytest.mark.parametrize("act", ["cancel", "retry"])
def test_nothing_is_done_to_an_execution_that_is_not_there(untouched: Any, act: str) -> None:
    assert untouched.post(f"/api/executions/7/{act}").status == 404
    assert untouched.post(f"/api/executions/x/{act}").status == 404


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("stat=error", "There is no query parameter 'stat' here; did you mean 'status'?"),
        ("status=failed", "status is 'failed', which does not fit: 'failed' is none of queued, running"),
        ("status=error&status=x", "status is 'error,x'"),
        (
            "trigger=cron",
            "trigger is 'cron', which does not fit: 'cron' is none of schedule, web, api, cli, python, call",
        ),
        ("limit=0", "limit is '0', which does not fit: Expected `int` >= 1"),
        ("limit=501", "limit is '501', which does not fit: Expected `int` <= 500"),
        ("limit=ten", "limit is 'ten'"),
        ("parent=x", "parent is 'x'"),
        ("root=99999999999999999999", "root is '99999999999999999999'"),
        ("flow=a&flow=b", "'flow' is given more than once"),
        ("since=yesterday", "since is 'yesterday'; give a date and time in ISO 8601"),
        ("until=2026-13-01", "until is '2026-13-01'"),
        ("since=0001-01-01T00:00:00%2B14:00", "since is '0001-01-01T00:00:00+14:00'"),
        ("cursor=x", "cursor is 'x', which no list gave"),
        ("top_level=true", "There is no query parameter 'top_level'"),
    ],
)
def test_a_query_that_can_not_be_read_is_a_422(untouched: Any, query: str, said: str) -> None:
    answer = untouched.get(f"/api/executions?{query}")
    assert answer.status == 422
    assert said in answer.detail


def test_the_list_is_paged(client: Any) -> None:
    add_two(client)
    first = client.get("/api/executions?limit=2").json
    assert [item["id"] for item in first["items"]] == [3, 2]
    second = client.get(f"/api/executions?limit=2&cursor={first['next']}").json
    assert ([item["id"] for item in second["items"]], second["next"]) == ([1], None)
    assert "attempts" not in first["items"][0]


def test_the_list_is_filtered(client: Any) -> None:
    add_two(client)
    client.post("/api/jobs/shop/fail/executions", {"wait": 60})

    def ids(query: str) -> list[int]:
        return [item["id"] for item in client.get(f"/api/executions?{query}").json["items"]]

    assert ids("status=error,cancelled") == ids("status=error&status=cancelled") == [4]
    assert ids("status=error&status=success") == [4, 3, 2, 1]
    assert ids("job=add_one&flow=shop") == [3, 2]
    assert ids("parent=1") == [3, 2]
    assert ids("root=1") == [3, 2, 1]
    assert ids("trigger=api") == [4, 1]
    assert ids("run_key=none") == ids("time_partition=2026") == ids("cat_partition=eu") == []


def test_the_list_is_filtered_by_time(client: Any) -> None:
    add_two(client)
    first = client.get("/api/executions/1").json["queued_at"]
    third = client.get("/api/executions/3").json["queued_at"]

    def count(query: str) -> int:
        return len(client.get(f"/api/executions?{query}").json["items"])

    assert count(f"since={first}") == 3
    assert count(f"until={first}") == 1
    assert count(f"since={third}&until={third}") == 1
    assert count("since=2000-01-01") == 3
    assert count("since=2000-01-01T00:00:00+02:00") == 3  # the sign not escaped
    assert count("since=0001-01-02T00:00:00%2B14:00") == 3
    assert count("until=9999-12-31T23:59:59") == 3
    assert count("until=2000-01-01T00:00") == 0


def test_one_execution_has_every_field(client: Any) -> None:
    id_ = add_two(client)["id"]
    assert list(client.get(f"/api/executions/{id_}").json) == [
        *[
            "id",
            "flow",
            "job",
            "kind",
            "status",
            "trigger",
            "parent_id",
            "root_id",
            "inputs",
            "output",
            "error",
            "reason",
        ],
        *[
            "run_key",
            "time_partition",
            "cat_partition",
            "attempt",
            "scheduled_at",
            "queued_at",
            "started_at",
            "ended_at",
        ],
        *["progress", "waiting", "cpu_seconds", "peak_memory", "attempts"],
    ]


def test_a_tree(client: Any) -> None:
    id_ = add_two(client)["id"]
    tree = client.get(f"/api/executions/{id_}/tree").json
    assert (tree["count"], tree["truncated"]) == (3, False)
    assert [child["position"] for child in tree["execution"]["children"]] == [0, 1]
    assert all(child["parent_id"] == id_ for child in tree["execution"]["children"])


def test_a_log_is_read_part_by_part(client: Any) -> None:
    add_two(client)
    whole = client.get("/api/executions/2/logs").json
    assert (whole["text"], whole["left_out"], whole["ended"]) == ("adding one to 1\n", 0, True)
    part = client.get("/api/executions/2/logs?after=7&limit=3").json
    assert (part["text"], part["next"]) == ("one", 10)
    assert client.get(f"/api/executions/2/logs?after={whole['next']}").json["text"] == ""
    assert client.get(f"/api/executions/2/logs?after={2**63 - 1}").json["text"] == ""
    assert client.get("/api/executions/1/logs").json["text"] == ""


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "from=0", f"after={2**63}"])
def test_a_part_of_a_log_that_can_not_be_is_a_422(untouched: Any, query: str) -> None:
    assert untouched.get(f"/api/executions/1/logs?{query}").status == 422


def test_a_running_execution_tells_its_progress_and_prints_as_it_goes(client: Any, gate: Any) -> None:
    id_ = client.post(HOLD, {"inputs": [{}]}).json["id"]
    assert gate.reached.wait(60)
    running = client.get(f"/api/executions/{id_}").json
    assert (running["status"], running["ended_at"]) == ("running", None)
    assert running["progress"] == {"done": 1.0, "total": 4.0, "message": "waiting"}
    assert client.get("/api/executions?status=running").json["items"][0]["progress"]["done"] == 1
    assert client.get(f"/api/executions/{id_}/tree").json["execution"]["progress"]["done"] == 1
    log = client.get(f"/api/executions/{id_}/logs").json
    assert (log["text"], log["ended"]) == ("at the gate\n", False)


def test_a_queued_execution_tells_why_it_waits_and_for_whom(client: Any, gate: Any) -> None:
    holder = client.post(HOLD, {"inputs": [{}]}).json["id"]
    assert gate.reached.wait(60)
    waiter = client.post(HOLD, {"inputs": [{}]}).json["id"]
    queued = client.get(f"/api/executions/{waiter}").json
    assert queued["status"] == "queued"
    assert queued["waiting"]["reason"] == "limit"
    assert "hold" in queued["waiting"]["message"]
    assert queued["waiting"]["held_by"] == [holder]
    assert queued["waiting"]["since"].endswith("Z")
    limits = {limit["name"]: limit for limit in client.get("/api/concurrency").json["items"]}
    assert (limits["hold"]["limit"], limits["hold"]["holders"], limits["hold"]["waiters"]) == (1, [holder], [waiter])


def test_a_queued_execution_is_cancelled(client: Any, gate: Any) -> None:
    client.post(HOLD, {"inputs": [{}]})
    assert gate.reached.wait(60)
    waiter = client.post(HOLD, {"inputs": [{}]}).json["id"]
    answer = client.post(f"/api/executions/{waiter}/cancel")
    assert (answer.status, answer.json["status"]) == (202, "cancelled")
    again = client.post(f"/api/executions/{waiter}/cancel", {})
    assert again.status == 409
    assert "nothing to cancel" in again.detail


def test_what_has_ended_is_executed_again_and_what_runs_is_not(client: Any, gate: Any) -> None:
    first = add_two(client)
    answer = client.post(f"/api/executions/{first['id']}/retry")
    assert answer.status == 201
    again = answer.json
    assert again["id"] != first["id"]
    assert (again["job"], again["trigger"], again["inputs"]) == ("add_two", "retry", first["inputs"])
    assert answer.headers["location"] == f"/api/executions/{again['id']}"
    running = client.post(HOLD, {"inputs": [{}]}).json["id"]
    assert client.post(f"/api/executions/{running}/retry").status == 409
