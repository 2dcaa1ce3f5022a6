"""Writes ``cli.md``, the help of every command: ``python3 dev.py docs``."""

from __future__ import annotations

from pathlib import Path

import click

from microflow.cli.commands import commands

PAGE = Path(__file__).parent / "cli.md"

BEGINNING = """# Command line

<!-- Written by docs/command_line.py from the commands themselves. -->

Every command prints this help with `--help`. What goes wrong is one message on standard error. `microflow COMMAND` and
`python -m microflow COMMAND` are the same.
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
