"""What holds for every command: help with an example, one message for a mistake, and a start that costs little."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

import microflow
from microflow.cli.commands import COMMANDS, commands

from .conftest import Call

NOT_FOR_HELP = {"rich", "sqlite3", "starlette", "uvicorn", "psutil", "jinja2", "asyncio", "urllib.request", "cronsim"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_with_an_example(call: Call, name: str) -> None:
    shown = call(name, "--help")

    assert shown.exit_code == 0
    assert "Examples:\n" in shown.output
    assert f"    microflow {name}" in shown.output.split("Examples:")[1]
    assert max(map(len, shown.output.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_their_own_help_says(name: str) -> None:
    command = commands.get_command(click.Context(commands), name)

    assert command is not None
    assert command.name == name
    assert (command.help or "").splitlines()[0] == COMMANDS[name]


def test_the_command_itself_lists_what_there_is(call: Call) -> None:
    shown = call("--help").output

    assert [line.split()[0] for line in shown.split("Commands:\n")[1].splitlines()] == list(COMMANDS)
    assert max(map(len, shown.splitlines())) <= 80


def test_the_version_is_the_package_s(call: Call) -> None:
    assert call("--version").output == f"microflow {microflow.__version__}\n"


def test_a_command_that_is_not_there_has_a_near_name(call: Call) -> None:
    refused = call("excutions")

    assert refused.exit_code == 2
    assert refused.stderr.endswith("Error: There is no command 'excutions'. Did you mean 'executions'?\n")


@pytest.mark.parametrize("name", ["serve", "run", "map", "jobs", "check", "retry"])
def test_a_command_that_needs_a_flow_says_so(call: Call, name: str, folder: Path) -> None:
    (folder / "in.jsonl").write_text("", "utf-8")
    arguments = {"run": ["job"], "map": ["job", "-i", "in.jsonl"], "retry": ["1"]}.get(name, [])
    refused = call(name, *arguments)

    assert refused.exit_code == 2
    assert "Error: Name the flow, as in -f my_flow:flow (or -f path/to/my_flow.py:flow)" in refused.stderr


def test_a_flow_that_can_not_be_imported_is_one_message_and_a_traceback_only_if_asked_for(
    call: Call, folder: Path
) -> None:
    (folder / "broken.py").write_text("x = 1\n1 / 0\n", "utf-8")

    refused = call("jobs", "-f", "broken")
    with_traceback = call("jobs", "-f", "broken", "--traceback")

    assert refused.exit_code == 2
    assert refused.stderr == "Error: broken can't be loaded: broken.py, line 2: ZeroDivisionError: division by zero\n"
    assert with_traceback.stderr.startswith("Traceback (most recent call last):\n")
    assert with_traceback.stderr.endswith(f"ZeroDivisionError: division by zero\n{refused.stderr}")


def test_help_imports_only_what_it_needs() -> None:
    code = (
        "import sys\nfrom microflow.cli.commands import commands\n"
        "try:\n    commands(['--help'])\nexcept SystemExit:\n    print('LOADED', *sys.modules)\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(printed.split("LOADED ")[1].split())

    assert sorted(NOT_FOR_HELP & loaded) == []
    assert [name for name in loaded if name.startswith(("microflow.engine", "microflow.web", "microflow.store"))] == []


def test_a_server_needs_no_progress_bar_and_a_look_no_server() -> None:
    code = "import sys\nimport {}\nprint(*sys.modules)"

    def loaded(module: str) -> set[str]:
        run = subprocess.run([sys.executable, "-c", code.format(module)], capture_output=True, text=True, check=True)
        return set(run.stdout.split())

    assert not {"rich", "urllib.request"} & loaded("microflow.cli.serving, microflow.cli.commands.serve")
    assert not {"rich", "starlette", "uvicorn", "psutil"} & loaded(
        "microflow.cli.commands.executions, microflow.cli.commands.show"
    )


def test_the_package_is_a_program_too() -> None:
    shown = subprocess.run([sys.executable, "-m", "microflow", "--version"], capture_output=True, text=True, check=True)

    assert shown.stdout == f"microflow {microflow.__version__}\n"


@pytest.mark.parametrize(("color", "escapes"), [({"NO_COLOR": "1"}, False), ({}, True)])
def test_no_color_leaves_colours_out(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch, color: dict[str, str], escapes: bool
) -> None:
    for name, value in color.items():
        monkeypatch.setenv(name, value)
    (folder / "shop.py").write_text("from microflow import create_flow\nflow = create_flow('shop')\n", "utf-8")

    assert ("\x1b[" in call("jobs", "-f", "shop", color=True).stdout) is escapes


@pytest.mark.parametrize("command", ["show", "logs", "cancel", "pause", "resume", "retry"])
@pytest.mark.parametrize("given", ["x", "0", "1.5", "9" * 19, "9" * 30, "9" * 5_000])
def test_what_is_no_execution_is_told(call: Call, command: str, given: str) -> None:
    result = call(command, given)
    assert result.exit_code == 2
    assert f"'{given}' is no ID of an execution; that is a whole number from 1 on." in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["executions", "--parent", "9" * 30], "is no ID of an execution"),
        (["executions", "--limit", "x"], "'x' is not a valid whole number"),
        (["serve", "--port", "x"], "'x' is not a valid whole number"),
        (["serve", "--grace", "inf"], "'inf' is no number of seconds from 0 to 2592000."),
        (["serve", "--grace", "nan"], "'nan' is no number of seconds"),
        (["serve", "--grace", "-1"], "'-1' is no number of seconds"),
        (["serve", "--keep", "9" * 400 + "d"], "is no length of time"),
        (["prune", "--older-than", "9" * 5_000 + "d"], "is no length of time"),
    ],
)
def test_a_number_that_is_none_is_told(call: Call, arguments: list[str], said: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
