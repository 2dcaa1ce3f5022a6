"""Write ``cli.md``, the help of every command: ``python3 dev.py docs``."""

from __future__ import annotations

from pathlib import Path

import click

from microflow.cli.commands import commands

PAGE = Path(__file__).parent / "cli.md"

BEGINNING = """# Command line

<!-- Written by docs/command_line.py from the commands themselves. -->

This page lists every command with its options. Each command also prints its help with `--help`. `microflow COMMAND` and
`python -m microflow COMMAND` are the same.

Name a flow as `module:flow`, or by its file: `path/to/my_flow.py:flow`. If a module holds a single flow, you can leave out
`:flow`. Microflow looks for modules in the working directory first.

| exit code | meaning |
|---|---|
| 0 | success; a skipped job counts as success |
| 1 | the job failed, or a server had to end executions that were still running |
| 2 | wrong use, or an action that is not possible; a message on standard error explains it |
| 130 | Ctrl-C |

Results go to standard output, as JSON if you pass `--json`. Progress, messages and the output of jobs go to standard error.
Progress is a bar on a terminal, and plain lines elsewhere. Characters that the output's encoding lacks are escaped in the same
way as in JSON, so JSON output stays valid and equal.

**Without a server**, commands that only read (`executions`, `show`, `logs`, `schedules`, `partitions`) read the store and never
change it. They also work while a server runs on the store. They can read the schema of this version and of the previous one.
Commands that execute jobs (`run`, `map`) start an engine in their own process. These commands and `serve` first migrate an older
store, unless another engine uses it.

**With `--server URL`**, commands act on the server at that URL, and need no `-f`.

| variable | effect |
|---|---|
| `MICROFLOW_STORE` | the default of `--store`, for flows that name no store of their own |
| `MICROFLOW_SERVER` | the default of `--server`, if `--store` is not given |
| `MICROFLOW_TOKEN` | the default of `--token` |
| `NO_COLOR` | turns off colours |
"""


def page() -> str:
    """Return the text of the page."""
    context = context_of(commands, "microflow")
    parts = [BEGINNING, shown(context)]
    for name in commands.list_commands(context):
        command = commands.get_command(context, name)
        assert command is not None
        parts += [f"## {name}\n", shown(context_of(command, name, context))]
    return "\n".join(parts)


def context_of(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    """Return the context of a command in a terminal with 80 columns."""
    settings = command.context_settings
    return click.Context(command, parent, info_name=name, terminal_width=80, max_content_width=80, **settings)


def shown(context: click.Context) -> str:
    """Return the help of one command."""
    return f"```text\n{context.command.get_help(context).rstrip()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8", newline="\n")
