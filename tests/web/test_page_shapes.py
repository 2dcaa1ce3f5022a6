"""Whatever shape has what a page shows, drawing it costs no more than what is shown, and holds nobody up."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from microflow import ConcurrencyGroup, ExecutionResult, Flow, Schedule, Skip, create_flow, current_execution
from microflow.cli import outcome
from microflow.cli.tables import cut
from microflow.engine.engine import Engine
from microflow.model.payloads import encode_inputs, encode_output
from microflow.views.json_view import SHOWN, inputs_line, json_html, json_text
from microflow.web.http.site import THREADS
from microflow.web.pages import execution as execution_page
from microflow.web.pages.dag_view import MOST_LANES, Picture, Shown, picture, shortened


def work(do: Callable[[], object]) -> int:
    """How many calls something makes, of functions in Python and in C."""
    count = 0

    def tick(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(tick)
    try:
        do()
    finally:
        sys.setprofile(None)
    return count


def deep(levels: int, inner: Any = 0) -> Any:
    for _ in range(levels):
        inner = [inner]
    return inner


def deep_in_dicts(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"key": value, "beside": [1, 2, "three"]}
    return value


SHAPES: Mapping[str, Callable[[int], Any]] = {
    "one nested list": lambda size: {"a": deep(min(size, 190))},
    "one nested dict": lambda size: deep_in_dicts(min(size, 190)),
    "many nested lists": lambda size: {"a": [deep(150)] * size},
    "a long list": lambda size: {"a": [0] * size * 50},
    "empty lists": lambda size: {"a": [[]] * size * 50},
    "many keys": lambda size: {f"key {number}": number for number in range(size * 20)},
    "one long key": lambda size: {"k" * size * 100: 1},
    "brackets in text": lambda size: {"a": "[{" * size * 50},
    "what HTML escapes": lambda size: {"a": "<&'\"" * size * 50},
    "rows": lambda size: [{"name": "x" * 60, "tags": ["a", "b"]}] * size,
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "draw",
    [
        lambda stored: json_html(stored),
        lambda stored: inputs_line(b"[" + stored + b"]"),
        lambda stored: json_text(json.loads(stored)),
        lambda stored: outcome.payload_text(stored),
    ],
    ids=["as HTML", "in one line", "in a form", "on a terminal"],
)
def test_a_payload_of_any_shape_is_written_in_linear_time(draw: Callable[[bytes], object], shape: str) -> None:
    small, large = (encode_output(SHAPES[shape](size), job="x", limit=10**8) for size in (90, 180))
    assert work(lambda: draw(large)) <= 2.6 * work(lambda: draw(small)) + 200


@pytest.mark.parametrize("shape", SHAPES)
def test_a_payload_of_any_shape_is_shown_within_bounds(shape: str) -> None:
    stored = encode_output(SHAPES[shape](1_000), job="x", limit=10**8)
    whole = json_html(stored, whole="/api/executions/1")
    assert len(whole) <= SHOWN + 500
    small = json_html(stored, room=2_000, whole="/api/executions/1")
    assert len(small) <= 12_000  # what is escaped takes more
    assert ('<a href="/api/executions/1">' in small) is (small != json_html(stored))
    assert len(json_text(json.loads(stored))) <= 9 * len(stored) + 100
    assert len(outcome.payload_text(stored)) <= 40 * len(stored) + 100


def test_a_payload_that_is_cut_says_where_the_whole_is() -> None:
    stored = encode_output({"a": [0] * 1_000}, job="x")
    html = json_html(stored, room=1_000, whole="/api/executions/7")
    assert html.startswith('{\n  <span class="k">&#34;a&#34;</span>: [\n')
    assert html.endswith('<a href="/api/executions/7"><span class="w">… more</span></a>')
    assert "more" not in json_html(stored)


def test_what_a_terminal_shows_of_a_deep_payload_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = encode_output({"a": deep(150, "x" * 100_000)}, job="x", limit=10**8)
    written = 0
    dumps = json.dumps

    def counted(value: Any, **options: Any) -> str:
        nonlocal written
        text = dumps(value, **options)
        written += len(text)
        return text

    monkeypatch.setattr(json, "dumps", counted)
    assert json.loads(outcome.payload_text(stored)) == json.loads(stored)
    assert written <= 4 * len(stored)


@pytest.mark.parametrize("letter", ["x", "M", "\u0301", "語", "_"])
def test_a_long_name_is_shortened_without_being_measured_again_and_again(letter: str) -> None:
    def shorten(length: int) -> int:
        return work(lambda: shortened(f"{letter * length} {length}", 100.0))

    assert shorten(20_000) <= 2.2 * shorten(10_000) + 100


def test_a_long_text_is_cut_for_a_terminal_without_being_measured_again_and_again() -> None:
    assert cut("x" * 100_000, 20) == "x" * 19 + "…"
    assert cut("語" * 100_000, 20) == "語" * 9 + "…"
    assert work(lambda: cut("é" * 200_000, 80)) <= 2.2 * work(lambda: cut("é" * 100_000, 80)) + 200


def chain_into_the_last(count: int) -> dict[str, list[str]]:
    graph = {f"job {number}": [f"job {number - 1}"] if number else [] for number in range(count)}
    graph[f"job {count - 1}"] = [f"job {number}" for number in range(count - 1)]
    return graph


def chain_from_the_first(count: int) -> dict[str, list[str]]:
    graph = {f"job {number}": [f"job {number - 1}"] if number else [] for number in range(count)}
    for number in range(2, count):
        graph[f"job {number}"].append("job 0")
    return graph


def chain_with_leaps(count: int) -> dict[str, list[str]]:
    return {
        f"job {number}": [f"job {other}" for other in {number - 1, number // 2, number // 3}] for number in range(count)
    } | {"job 0": []}


def connected_fully(count: int) -> dict[str, list[str]]:
    return {f"job {number}": [f"job {other}" for other in range(number)] for number in range(count)}


def drawn(graph: Mapping[str, list[str]]) -> Picture:
    return picture(graph, {}, dict.fromkeys(graph, Shown(0, "", "never run")))


@pytest.mark.parametrize("count", [40, 150, 400, 1_000])
@pytest.mark.parametrize("shape", [chain_into_the_last, chain_from_the_first, chain_with_leaps, connected_fully])
def test_a_dag_of_any_shape_is_a_picture_of_a_bounded_size_or_a_table(
    shape: Callable[[int], dict[str, list[str]]], count: int
) -> None:
    graph = shape(count)
    found = drawn(graph)
    assert len(found.nodes) == count
    assert found.is_drawn or count > 140
    assert sum(len(line.path) for line in found.lines) < 3_000_000


def test_a_dag_whose_inputs_pass_too_many_layers_is_a_table() -> None:
    # the work of drawing it would grow with the square of the number of jobs
    jobs = int((2 * MOST_LANES) ** 0.5)
    assert drawn(chain_into_the_last(jobs)).is_drawn
    assert not drawn(chain_into_the_last(jobs + 5)).is_drawn
    drawn(chain_into_the_last(1_000))  # what is remembered of names is work of the first time only
    assert work(lambda: drawn(chain_into_the_last(1_000))) <= 2.2 * work(lambda: drawn(chain_into_the_last(500))) + 500


def hostile_flow() -> Flow:
    flow = create_flow("hostile")

    @flow.task(runner="thread", max_payload=10**8)
    def make(asked: dict[str, Any]) -> Any:
        kind, size = asked["kind"], asked["size"]
        if kind in SHAPES:
            return SHAPES[kind](size)
        if kind == "run key":
            return ExecutionResult({}, run_key="k_<" * size)
        if kind == "category":
            return ExecutionResult({"a": 1}, cat_partition="c" * size)
        if kind == "reason":
            raise Skip("r_<" * size)
        if kind == "message":
            raise ValueError("e" * size)
        if kind == "many lines in a message":
            raise ValueError("e\n" * size)
        if kind == "progress":
            current_execution().progress(1, 2, "p<" * size)
            return {}
        sys.stdout.write(asked["text"] * size)
        return {}

    for number in range(120):
        flow.task(name=f"described_{number}", runner="thread", max_concurrency=1, schedule=Schedule("@daily"))(describe)
    make.fn.__doc__ = "A very long description. " * 20_000
    return flow


def describe() -> dict[str, Any]:
    return {}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine([hostile_flow()], store=f"sqlite:///{tmp_path_factory.mktemp('hostile')}/store.db")
    engine.start()
    yield engine
    engine.stop(grace=30)


def make(engine: Engine, kind: str, size: int = 1, text: str = "") -> int:
    submitted = engine.submit(engine.job("hostile", "make"), [{"kind": kind, "size": size, "text": text}])
    assert submitted.future.result(60).status.final
    return submitted.id


@pytest.mark.parametrize("shape", SHAPES)
def test_the_page_of_an_execution_with_an_output_of_any_shape(make_client: Any, hostile: Engine, shape: str) -> None:
    id_ = make(hostile, shape, 2_000)
    client = make_client(hostile)
    page = client.get(f"/executions/{id_}")
    assert page.status == 200
    assert len(page.body) < 1_500_000
    stored = client.get(f"/api/executions/{id_}").json["output"]
    if len(json.dumps(stored)) > SHOWN:
        assert f'<a href="/api/executions/{id_}"><span class="w">… ' in page.text
    assert client.get(f"/jobs/hostile/make?from={id_}").status == 200


@pytest.mark.parametrize(
    "text", ["x", "line\n", "\r50%", "\x1b[", "\x1b[1m", "\x1b]0;", "\u0301", "\x00", "\x9b\x85", "<&'\"", "[", "語"]
)
def test_the_page_of_an_execution_with_a_log_of_any_shape(make_client: Any, hostile: Engine, text: str) -> None:
    id_ = make(hostile, "log", 3_000_000 // len(text.encode()), text)
    client = make_client(hostile)
    page = client.get(f"/executions/{id_}")
    assert page.status == 200
    assert len(page.body) < 700_000
    assert f'<a href="/executions/{id_}/log">' in page.text
    assert len(client.get(f"/executions/{id_}/log").body) >= 2_999_990
    part = client.get(f"/api/executions/{id_}/logs")
    assert len(part.body) < 2_000_000
    assert 0 < part.json["next"] <= 256 * 1024


@pytest.mark.parametrize("kind", ["run key", "reason", "message", "many lines in a message", "progress", "category"])
def test_a_list_shows_the_beginning_of_what_is_long_and_the_page_all_of_it(
    make_client: Any, hostile: Engine, kind: str
) -> None:
    ids = [make(hostile, kind, 10_000) for _ in range(10)]
    client = make_client(hostile)
    for path in ("/executions", "/", "/flows/hostile", "/jobs/hostile/make"):
        page = client.get(path)
        assert page.status == 200
        assert len(page.body) < 1_000_000
    assert len(client.get("/executions").body) < 200_000
    whole = client.get(f"/executions/{ids[0]}")
    assert whole.status == 200
    if kind in ("run key", "reason"):
        assert f"{'k' if kind == 'run key' else 'r'}_&lt;" * 10_000 in whole.text


def test_a_list_of_jobs_shows_the_beginning_of_a_long_description(make_client: Any, hostile: Engine) -> None:
    client = make_client(hostile)
    assert len(client.get("/flows/hostile").body) < 300_000
    assert "A very long description. " * 1_000 in client.get("/jobs/hostile/make").text


def test_an_answer_about_some_jobs_looks_at_those_alone(
    make_client: Any, hostile: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microflow.web.api import routes as api

    viewed: list[str] = []
    view = api.job_view

    def counted(job: Any, moment: Any) -> Any:
        viewed.append(job.name)
        return view(job, moment)

    monkeypatch.setattr(api, "job_view", counted)
    client = make_client(hostile)
    first = client.get("/api/jobs?limit=3").json
    second = client.get(f"/api/jobs?limit=3&cursor={first['next']}").json
    assert viewed == [job["name"] for job in (*first["items"], *second["items"])]
    assert len(viewed) == 6


def test_the_page_of_limits_looks_at_each_job_once(make_client: Any, tmp_path: Path) -> None:
    def groups(count: int) -> int:
        flow = create_flow(f"groups_{count}")
        for number in range(count):
            group = ConcurrencyGroup(1, name=f"group {number}")
            flow.task(name=f"job_{number}", runner="thread", max_concurrency=group)(describe)
        engine = Engine([flow], store=f"sqlite:///{tmp_path}/{count}.db")
        engine.start()
        client = make_client(engine)
        looked = 0

        class Watched(dict[str, Any]):
            def values(self) -> Any:
                nonlocal looked
                looked += len(self)
                return super().values()

        flow.jobs = Watched(flow.jobs)
        page = client.get("/concurrency")
        engine.stop(grace=0)
        assert page.status == 200
        if count > 500:
            assert '<a href="/api/concurrency">and 101 more limits, as JSON</a>' in page.text
        return looked

    assert groups(600) <= 3 * 600


def test_other_answers_come_while_pages_are_being_drawn(
    client: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.submit(engine.job("shop", "add_one"), [{"value": 1}]).future.result(60)
    answered = threading.Event()
    draw = execution_page.newest_part
    check = client.app.state.site.store.reading.check

    def slowly(*arguments: Any) -> Any:
        assert answered.wait(60)
        return draw(*arguments)

    def checked() -> None:
        check()
        answered.set()

    monkeypatch.setattr(execution_page, "newest_part", slowly)
    monkeypatch.setattr(client.app.state.site.store.reading, "check", checked)
    *pages, health = client.get_at_once(*["/executions/1"] * (2 * THREADS), "/api/health")
    assert health.json["status"] == "ok"
    assert [page.status for page in pages] == [200] * (2 * THREADS)


def test_other_answers_come_while_a_large_answer_is_being_written(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from microflow.web.api import endpoints

    written = threading.Event()

    class Slow:
        def encode(self, value: Any) -> bytes:
            is_small = type(value).__name__ == "Health"
            if is_small:
                written.set()
            else:
                assert written.wait(60)
            return encode(value)

    encode = endpoints._encoder.encode
    monkeypatch.setattr(endpoints, "_encoder", Slow())
    jobs, health = client.get_at_once("/api/jobs", "/api/health")
    assert health.json["status"] == "ok"
    assert jobs.status == 200


def test_inputs_of_any_shape_are_one_short_line() -> None:
    for shape in SHAPES.values():
        for size in (1, 5, 200):
            assert len(inputs_line(encode_inputs([shape(size)], job="x", limit=10**8))) <= 170
