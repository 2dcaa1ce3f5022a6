"""GET /metrics and GET /api/concurrency."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from microflow import ConcurrencyGroup, create_flow
from microflow.engine.engine import Engine

LINE = re.compile(r'^(?P<name>[a-z_]+)(?:{(?P<labels>(?:[a-z]+="(?:[^"\\\n]|\\.)*",?)*)})? (?P<value>[0-9.e+-]+)$')


def figures(client: Any) -> dict[str, float]:
    """Every sample by its name and labels."""
    answer = client.get("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {}
    for line in answer.text.splitlines():
        if not line.startswith("# "):
            match = LINE.match(line)
            assert match, line
            found[line.rpartition(" ")[0]] = float(match["value"])
    return found


def test_every_family_has_its_help_and_its_type_once(client: Any) -> None:
    lines = client.get("/metrics").text.splitlines()
    helped = [line.split()[2] for line in lines if line.startswith("# HELP")]
    typed = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert helped == typed
    assert len(set(helped)) == len(helped)
    samples = {re.split("[{ ]", line)[0] for line in lines if not line.startswith("#")}
    assert samples <= set(helped)


def test_ended_executions_are_counted_from_the_first_question_on(client: Any) -> None:
    def run(job: str) -> None:
        client.post(
            f"/api/jobs/shop/{job}/executions", {"inputs": [{"value": 1}] if job == "add_one" else [], "wait": 60}
        )

    run("add_one")
    assert not any(name.startswith("microflow_executions_ended_total") for name in figures(client))
    run("add_one"), run("add_one"), run("fail")
    ended = {name: value for name, value in figures(client).items() if "ended_total" in name}
    assert ended == {
        'microflow_executions_ended_total{flow="shop",job="add_one",status="success"}': 2,
        'microflow_executions_ended_total{flow="shop",job="fail",status="error"}': 1,
    }


def test_what_runs_and_what_waits(client: Any, gate: Any) -> None:
    for _ in range(2):
        client.post("/api/jobs/shop/hold/executions", {"inputs": [{}]})
    assert gate.reached.wait(60)
    found = figures(client)
    assert (found["microflow_executions_running"], found["microflow_executions_queued"]) == (1, 1)
    labels = '{flow="shop",limit="hold",key=""}'
    assert [found[f"microflow_limit_{what}{labels}"] for what in ("slots", "held", "waiting")] == [1, 1, 1]
    assert found["process_resident_memory_bytes"] > 1_000_000


def test_names_are_escaped(make_client: Callable[..., Any], tmp_path: Path) -> None:
    flow = create_flow('a "b" \\ c')

    @flow.task(runner="thread", max_concurrency=ConcurrencyGroup(1, name="two\nlines"))
    def tick() -> None: ...

    engine = Engine([flow], store=f"sqlite:///{tmp_path}/store.db")
    engine.start()
    try:
        client = make_client(engine)
        figures(client)
        engine.submit(tick).future.result(60)
        figures(client)
        text = client.get("/metrics").text
        assert 'ended_total{flow="a \\"b\\" \\\\ c",job="tick",status="skipped"} 1' in text
        assert 'limit_slots{flow="a \\"b\\" \\\\ c",limit="two\\nlines",key=""} 1' in text
    finally:
        engine.stop(grace=0)


def test_the_limits(client: Any, gate: Any) -> None:
    holder = client.post("/api/jobs/shop/hold/executions", {"inputs": [{}]}).json["id"]
    assert gate.reached.wait(60)
    answer = client.get("/api/concurrency").json
    limits = {limit["name"]: limit for limit in answer["items"]}
    assert limits["shop"] == {
        "kind": "flow",
        "name": "shop",
        "flow": "shop",
        "key": None,
        "value": None,
        "limit": 2,
        "holders": [holder],
        "waiters": [],
    }
    assert limits["hold"]["holders"] == [holder]
    assert answer["next"] is None


def test_the_limits_are_there_before_anybody_needs_them(untouched: Any) -> None:
    limits = untouched.get("/api/concurrency").json["items"]
    assert [(limit["kind"], limit["name"], limit["limit"]) for limit in limits] == [
        ("flow", "shop", 2),
        ("group", "hold", 1),
    ]
