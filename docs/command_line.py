"""Writes ``cli.md``, the help of every command: ``python3 dev.py docs``."""

from __future__ import annotations

from pathlib import Path

import click

from microflow.cli.commands import commands

PAGE = Path(__file__).parent / "cli.md"

BEGINNING = """# Command line

<!-- Written by docs/command_line.py from the commands themselves. -->

Every command prints this help with `--help`. `microflow COMMAND` and `python -m microflow COMMAND` are the same.

A flow is named as `module:flow`, or by its file, `path/to/my_flow.py:flow`. Where a module holds one flow, `:flow` may be left out.
Modules are looked for in the working directory first.

| exit code | means |
|---|---|
| 0 | done; a job that was skipped counts as that |
| 1 | the job failed, or a server had to end what still ran |
| 2 | wrong use, or something that can't be done; one message on standard error says what |
| 130 | Ctrl-C |

Results go to standard output, as JSON where `--json` is given. What jobs print, progress and messages go to standard error.
Progress is a bar on a terminal, and plain lines elsewhere. Characters that the output's encoding lacks are escaped as JSON does
it, so that JSON stays the same JSON.

**Without a server**, commands that only read (`executions`, `show`, `logs`, `schedules`, `partitions`) read the store, also while a
server runs on it, and change nothing in it. They read the schema of this version and of the version before it. Commands that
execute (`run`, `map`) start an engine in their own process; they and `serve` bring an older store up to date first, unless another
engine uses it. **With `--server URL`** commands act on the server that runs there, which needs no `-f`.

| variable | stands for |
|---|---|
| `MICROFLOW_STORE` | `--store`, for flows that name no store of their own |
| `MICROFLOW_SERVER` | `--server`, where no `--store` is given |
| `MICROFLOW_TOKEN` | `--token` |
| `NO_COLOR` | no colours |
"""


def page() -> str:
    """The page as it should be."""
    context = context_of(commands, "microflow")
    parts = [BEGINNING, shown(context)]
    for name in commands.list_commands(context):
        command = commands.get_command(context, name)
        assert command is not None
        parts += [f"## {name}\n", shown(context_of(command, name, context))]
    return "\n".join(parts)


def context_of(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    """A command as it is called in a terminal of 80 columns."""
    settings = command.context_settings
    return click.Context(command, parent, info_name=name, terminal_width=80, max_content_width=80, **settings)


def shown(context: click.Context) -> str:
    """The help of one command."""
    return f"```text\n{context.command.get_help(context).rstrip()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8", newline="\n")
