"""Whatever an argument holds, the answer is a result or one message: never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from microflow.cli.commands import COMMANDS, commands
from microflow.cli.listening import listen
from microflow.errors import ServerError

from .conftest import Call

GOOD: dict[str, list[str]] = {
    "run": ["double", "-f", "work_flow", "--input", '{"v": 1}'],
    "map": ["double", "-f", "work_flow", "-i", "in.jsonl"],
    "partitions": ["area", "-f", "work_flow"],
    "jobs": ["-f", "work_flow"],
    "schedules": ["-f", "work_flow"],
    "executions": [],
    "show": ["1"],
    "logs": ["1"],
    "cancel": ["1"],
    "pause": ["1"],
    "resume": ["1"],
    "retry": ["1", "-f", "work_flow"],
    "concurrency": [],
    "reload": [],
    "prune": ["--older-than", "9999d"],
    "check": ["-f", "work_flow"],
    "init": ["new"],
}
"""Arguments with which each command works, but for ``serve``, which would not end."""

VALUES = [
    "",
    "\udcff",  # a byte of a command line that is not UTF-8
    "a\0b",
    "a\nb",
    "x" * 5_000,
    "../" * 2_000,
    ".",
    "/dev/null",
    "~nobody-of-this-name/x",
    "9" * 400,
    "-1",
    "nan",
    "[]",
    '{"a": "\udcff"}',
    "@",
    "@\udcff",
    "sqlite:///",
    "sqlite:///\udcff/x.db",
    "sqlite:///~nobody-of-this-name/x.db",
    "http://[",
    "http://localhost:1/\udcff",
    f"http://{'x' * 300}",
    "\U0001f4a5",
]

PARAMETERS = [
    (name, parameter.name, parameter.opts[-1] if isinstance(parameter, click.Option) else None)
    for name in GOOD
    for parameter in (commands.get_command(click.Context(commands), name) or commands).params
    if not getattr(parameter, "is_flag", False)
]


@pytest.fixture
def there(work: Path, call: Call) -> Path:
    """A folder with a flow, a file of inputs and a store with one execution."""
    (work / "in.jsonl").write_text('{"v": 1}\n', "utf-8")
    assert call("run", "double", "-f", "work_flow", "--input", '{"v": 1}').exit_code == 0
    return work


def test_every_command_is_tried() -> None:
    assert set(GOOD) == set(COMMANDS) - {"serve"}


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(("name", "parameter", "option"), PARAMETERS)
def test_no_value_of_any_parameter_ends_in_a_traceback(
    call: Call, name: str, parameter: str, option: str | None
) -> None:
    for value in VALUES:
        if name == "init" and "\udcff" in value:
            continue  # the output of a test runner can't hold what a real one escapes; the next test does it
        rest = GOOD[name]
        given = (
            [f"{option}={value}", *rest]
            if option
            else [value, *(rest[1:] if rest and not rest[0].startswith("-") else rest)]
        )
        refused = call(name, *given)  # raises whatever is no message
        assert refused.exit_code in (0, 1, 2)
        if refused.exit_code == 2:
            assert "Error: " in refused.stderr
        assert (
            "Traceback" not in refused.stderr or refused.exit_code == 1
        )  # that of a job which was given a strange input


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there, every file name is valid Unicode")
def test_a_folder_with_a_name_that_is_not_utf_8_is_like_any_other(start: Callable[..., Any]) -> None:
    name = "caf\udce9"
    written = start("init", name)
    assert written.wait() == 0, written.output
    counted = start(
        "run",
        "count_all",
        "-f",
        f"{name}/my_flow.py",
        "--input",
        '{"documents": []}',
        "--store",
        f"sqlite:///{name}/s.db",
    )
    assert counted.wait() == 0, counted.output
    assert start("logs", "1", "--store", f"sqlite:///{name}/s.db").wait() == 0


@pytest.mark.parametrize("host", ["", "a..b", "x" * 300, "\udcff", "http://localhost", "nowhere.invalid"])
def test_a_host_that_can_not_be_one_is_told(host: str) -> None:
    with pytest.raises(ServerError, match="Give an address of this machine with --host"):
        listen(host, 0)


@pytest.mark.parametrize(
    "url",
    ["http://\udcff", "http://a..b", f"http://{'x' * 300}", "http://localhost:1/\udcff", "http://[", "\U0001f4a5"],
)
def test_a_server_that_can_not_be_one_is_told(call: Call, url: str) -> None:
    refused = call("executions", "--server", url)

    assert refused.exit_code == 2
    assert "is no address; give one as http://localhost:3000." in refused.stderr
