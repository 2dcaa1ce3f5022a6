"""The commands by name, each imported when it is called for, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from ... import __version__
from ...errors import LoadError, MicroflowError
from ..refusals import EXHAUSTED, INTERRUPTED, SHOW_TRACEBACK, Refused, check_working_directory, system_message

COMMANDS = {
    "serve": "Serve flows: the web app, the REST API, the schedules.",
    "run": "Execute a job once, and print its result.",
    "map": "Execute a job over a list of inputs.",
    "partitions": "Show the partitions of a job, or execute them.",
    "jobs": "List the jobs of flows.",
    "schedules": "List schedules, show one, pause, resume or run it.",
    "executions": "List executions, newest first.",
    "show": "Show an execution and its child executions.",
    "logs": "Print the log of an execution.",
    "cancel": "Cancel an execution and everything that it called.",
    "pause": "Pause a run over partitions or inputs.",
    "resume": "Resume a paused run.",
    "retry": "Run an execution that has ended again, as a new one.",
    "reload": "Reload the code of a server's flows.",
    "concurrency": "List the limits, with the executions that hold or wait for slots.",
    "prune": "Delete old history.",
    "check": "Check flows for mistakes.",
    "init": "Write a small working flow to start from.",
}
"""Name and first line of help of every command, in the order of the list; each stands in the module of its name."""


class Commands(click.Group):
    """``microflow`` itself."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f".{cmd_name}", __package__).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the nearest name where there is none of this name."""
        if any("\0" in argument for argument in args):
            ctx.fail("An argument holds a null character, which no path, name or number can hold.")
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = get_close_matches(args[0], COMMANDS, 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(COMMANDS)}."
            ctx.fail(f"There is no command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Carry out what the arguments say; what the machine refuses is a message too, wherever that happens."""
        try:
            return super().main(*arguments, **options)
        except OSError as error:
            if error.filename is None and error.errno not in EXHAUSTED:
                raise  # a mistake of Microflow's own
            with suppress(OSError):  # standard error may be what has no space left
                Refused(system_message(error)).show()
            sys.exit(Refused.exit_code)

    def invoke(self, ctx: click.Context) -> Any:
        """Carry out the command; an error of Microflow is a message, Ctrl-C an exit code."""
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            check_working_directory()
            return super().invoke(ctx)
        except MicroflowError as error:
            if isinstance(error, LoadError) and error.__cause__ is not None and ctx.meta.get(SHOW_TRACEBACK):
                click.echo("".join(traceback.format_exception(error.__cause__)), err=True, nl=False)
            raise Refused(str(error)) from error
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True)
@click.version_option(__version__, message="%(prog)s %(version)s")
def commands() -> None:
    """Run data pipelines and other automated jobs, written as Python functions.

    \b
    Examples:
      microflow init                          a flow to start from
      microflow serve -f my_flow:flow         the web app at http://localhost:3000
      microflow run compute -f my_flow:flow --input '{"my_value": 1}'

    Name a flow as module:flow, or by its file: path/to/my_flow.py:flow. If a module holds a single flow, you can leave
    out its name.

    Exit codes: 0 success, 1 the job failed, 2 wrong use.
    """
