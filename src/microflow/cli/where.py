"""Which flows, which store or which server a command is about: the options that commands share, and what they mean.

Without a server, what looks reads the store itself, which works while a server runs, and what runs a job starts an engine in this
process. With a server everything goes through its REST API.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import datetime, tzinfo
from difflib import get_close_matches
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click
from click.core import ParameterSource

from ..errors import LoadError, UnknownNameError
from ..model.zones import read_moment
from ..store import default_url
from ..store.copying import Copying
from .refusals import SHOW_TRACEBACK

if TYPE_CHECKING:
    from ..flow import Flow
    from ..jobs import Job
    from ..versions import CodeVersion
    from .client import Client
    from .source import Source

_NO_COPY = "microflow.no_copy"
"""Where a command leaves the wish for no copy."""

F = TypeVar("F", bound=Callable[..., Any])


class Where(NamedTuple):
    """What a command was told: flows by their specs, and a store's URL or a server's, with its token."""

    specs: tuple[str, ...] = ()
    store: str | None = None
    server: str | None = None
    token: str | None = None

    def flows(self) -> list[Flow]:
        """The flows, imported. Raises ``LoadError``, ``UsageError`` where none was named."""
        return list(self.version().flows)

    def version(self, failed: Callable[[str, LoadError], None] | None = None) -> CodeVersion:
        """The flows, imported, as one version of their code; errors as for ``flows``, and as ``load_version`` says."""
        from ..loading import load_version
        from ..runners.records import mark_level

        if not self.specs:
            hint = " or a running server with --server URL" if "server" in click.get_current_context().params else ""
            raise click.UsageError(f"Name the flow, as in -f my_flow:flow (or -f path/to/my_flow.py:flow){hint}.")
        mark_level()
        # what a module prints while it is imported is no result
        with redirect_stdout(sys.stderr):
            # the shell leaves the ~ of --flow=~/my_flow.py as it is
            return load_version([os.path.expanduser(spec) for spec in self.specs], failed)

    def names(self) -> list[str]:
        """The names of the flows that were named; empty if none was."""
        return [flow.name for flow in self.flows()] if self.specs else []

    def job_here(self, text: str) -> tuple[list[Flow], Job[Any]]:
        """The flows that were named, and the job of theirs that ``text`` means. Raises ``UnknownNameError``."""
        flows = self.flows()
        known = {(flow.name, name): job for flow in flows for name, job in flow.jobs.items()}
        return flows, known[find_job(list(known), text)]

    def job_there(self, client: Client, text: str) -> tuple[str, str]:
        """(flow, job) of the server's that ``text`` means; flows that were named narrow it. Raises ``UnknownNameError``."""
        names = self.names()
        return find_job([(job.flow, job.name) for job in client.jobs() if not names or job.flow in names], text)

    def client(self) -> Client:
        """What talks to the server. Raises ``UsageError`` where none was named."""
        from .client import Client

        if self.server is None:
            raise click.UsageError("Name the running server with --server URL, or MICROFLOW_SERVER.")
        return Client(self.server, self.token)

    @contextmanager
    def source(self) -> Iterator[Source]:
        """What is looked at: the server, or the store of the flow that was named, or else the store of this folder."""
        if self.server is not None:
            yield self.client()
            return
        from .source import open_store

        with open_store(self.store or self.store_of_flow()) as source:
            yield source

    def store_url(self) -> str:
        """The store that was named, or that of the flow that was named, or else the store of this folder."""
        return self.store or self.store_of_flow() or default_url()

    def store_of_flow(self) -> str | None:
        """The store that the flows that were named have; None if they name none. Raises ``DefinitionError`` if they differ."""
        from ..engine.names import named_store

        return named_store(self.flows()) if self.specs else None


def flow_option(help: str, *, short: bool = True) -> Callable[[F], F]:  # noqa: A002 - as click calls it
    """``-f``; repeatable."""
    names = ("-f", "--flow") if short else ("--flow",)
    return click.option(*names, "specs", multiple=True, metavar="FLOW", help=help)


def store_option(command: F) -> F:
    """``--store``."""
    return click.option(
        "--store",
        metavar="URL",
        help="The store: sqlite:///path. Default: the flow's, else MICROFLOW_STORE, else .microflow/store.db here.",
    )(command)


def server_options(command: F) -> F:
    """``--server`` and ``--token``."""
    command = click.option(
        "--token", metavar="TOKEN", envvar="MICROFLOW_TOKEN", help="The server's token. [env: MICROFLOW_TOKEN]"
    )(command)
    return click.option(
        "--server",
        metavar="URL",
        envvar="MICROFLOW_SERVER",
        help="Act on the server at this URL. [env: MICROFLOW_SERVER]",
    )(command)


def json_option(command: F) -> F:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, in the form of the REST API.")(command)


def traceback_option(command: F) -> F:
    """``--traceback``, for commands that import flows."""

    def keep(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        ctx.meta[SHOW_TRACEBACK] = value

    return click.option(
        "--traceback",
        is_flag=True,
        expose_value=False,
        callback=keep,
        help="If the flow can't be imported, show the traceback.",
    )(command)


def at_option(command: F) -> F:
    """``--at``."""
    return click.option(
        "--at",
        metavar="TICK",
        help="The tick that jobs receive as scheduled_at, such as 2026-11-22T06:30. Default time zone: the schedule's.",
    )(command)


def tick_of(text: str | None, zone: tzinfo) -> datetime | None:
    """The moment that ``--at`` names; None without it. Raises ``BadParameter``."""
    try:
        return None if text is None else read_moment(text, zone)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--at'") from None


def no_copy_option(command: F) -> F:
    """``--no-copy``, for commands that may migrate the store."""

    def keep(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        ctx.meta[_NO_COPY] = value

    return click.option(
        "--no-copy",
        is_flag=True,
        expose_value=False,
        callback=keep,
        help="Keep no copy of the store before a migration that rewrites it.",
    )(command)


def copying() -> Copying:
    """Whether a copy of the store is kept before a migration that rewrites it; how far it is goes to standard error."""
    return Copying(not click.get_current_context().meta.get(_NO_COPY, False), _show_copy)


def _show_copy(done: int, total: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        click.echo(f"\rKeeping a copy of the store: {100 * done // max(total, 1)} %{end}", err=True, nl=False)
    elif done == total:
        click.echo("A copy of the store is kept beside it, before its migration.", err=True)


def takes_where(command: F) -> Callable[..., Any]:
    """Hand the options of this module to the command as one ``Where``, its first argument."""

    @wraps(command)
    def with_where(
        *,
        specs: tuple[str, ...] = (),
        store: str | None = None,
        server: str | None = None,
        token: str | None = None,
        **others: Any,
    ) -> Any:
        if store and server:
            if click.get_current_context().get_parameter_source("server") is not ParameterSource.ENVIRONMENT:
                raise click.UsageError("A server has its own store: give --server or --store, not both.")
            server = None  # what is typed goes before what the environment says
        return command(Where(specs, store or None, server or None, token or None), **others)

    return with_where


def find_job(known: Sequence[tuple[str, str]], text: str) -> tuple[str, str]:
    """(flow, job) that ``text`` names, as JOB or FLOW/JOB. Raises ``UnknownNameError``."""
    return find_named(known, text, "job")


def find_named(known: Sequence[tuple[str, str]], text: str, kind: str) -> tuple[str, str]:
    """(flow, name) of what ``text`` names, as NAME or FLOW/NAME; ``kind`` is what it is. Raises ``UnknownNameError``."""
    found = [(flow, name) for flow, name in known if text in (name, f"{flow}/{name}")]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{flow}/{name}" for flow, name in found)
        raise UnknownNameError(f"Several flows have a {kind} {text!r}; name one of {names}.")
    full = [f"{flow}/{name}" for flow, name in known]
    near = get_close_matches(text, [name for _, name in known], 3) or get_close_matches(text, full, 3)
    if near:
        hint = f"Did you mean {' or '.join(map(repr, near))}?"
    else:
        hint = (
            f"There are {', '.join(full[:20])}{', …' if len(full) > 20 else ''}." if full else f"There are no {kind}s."
        )
    raise UnknownNameError(f"There is no {kind} {text!r}. {hint}")
