"""``microflow serve``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ...errors import DefinitionError, LoadError, ServerError
from ..leaving import leave_at_once
from ..listening import LOCAL, listen, port_of, url_of
from ..quantities import DURATION, SECONDS, WholeNumber
from ..where import Where, copying, flow_option, no_copy_option, store_option, takes_where, traceback_option

if TYPE_CHECKING:
    from ..serving import End


@click.command("serve")
@flow_option("The flow: module:flow or path.py:flow; repeatable.")
@click.option("--host", default="localhost", show_default=True, metavar="HOST", help="The address to listen on.")
@click.option(
    "--port",
    type=WholeNumber(0, 65_535),
    default=3000,
    show_default=True,
    metavar="PORT",
    help="The port; 0 takes any free port.",
)
@store_option
@click.option(
    "--token",
    "secret",
    envvar="MICROFLOW_TOKEN",
    metavar="TOKEN",
    help="The token that requests must carry. Required on any host but localhost. [env: MICROFLOW_TOKEN]",
)
@click.option(
    "--no-auth", is_flag=True, help="Require no token: anyone who can reach the server can use it, on any host."
)
@click.option(
    "--grace",
    type=SECONDS,
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long running executions may take to end when the server stops.",
)
@click.option(
    "--keep",
    type=DURATION,
    default="90d",
    show_default=True,
    metavar="AGE",
    help="How long to keep history: a number and a unit, such as 90d, 12h or 2w.",
)
@click.option("--reload", is_flag=True, help="Restart when a source file of the flows changes; for development.")
@no_copy_option
@traceback_option
@takes_where
def command(
    where: Where,
    host: str,
    port: int,
    secret: str | None,
    no_auth: bool,
    grace: float,
    keep: float,
    reload: bool,
) -> None:
    """Serve flows: the web app, the REST API, the schedules.

    The command prints the URL once the server answers requests. localhost is 127.0.0.1 and, if the machine has IPv6,
    ::1. Only one server at a time can use a store.

    \b
    Examples:
      microflow serve -f my_flow:flow
      microflow serve -f flows/sales.py -f flows/stock.py --port 8080
      microflow serve -f my_flow:flow --host 0.0.0.0 --token "$(cat token.txt)"

    Ctrl-C or SIGTERM stops the server. It then starts nothing new. Running executions have --grace seconds to end, and
    the server ends the rest. A second Ctrl-C ends them at once. Queued executions, unfinished runs and executions with
    attempts left wait for the next server. The exit code is 0 if all executions ended by themselves and none waits,
    else 1.
    """
    from ...engine.engine import Engine
    from ...views.zone_data import zone_data
    from ..reloading import Watch, reloaded, restart
    from ..serving import CHANGED, Settings, serve

    token = _token(host, secret, no_auth)
    before = reloaded() if reload else None
    # from before the files are read, so that no change is missed
    watch = Watch(before.files if before is not None else ()) if reload else None
    try:
        version = where.version()
        if watch is not None:
            watch.add_imported()
            watch.version = version
        engine = Engine(version.flows, store=where.store, kind="server", keep=keep, copying=copying())
        del version  # a reload may replace it, and then nothing may keep it
    except (LoadError, DefinitionError) as error:
        if before is None or watch is None:
            raise
        _say(f"{error}\nWaiting for a change of the source files.", error=True)
        watch.wait()
        restart(before.port, watch.files)
    sockets = listen(host, port if before is None else before.port)
    bound = port_of(sockets)

    def ready() -> None:
        _say(f"Microflow serves {', '.join(engine.flows)} at {url_of(host, bound)} (store: {engine.store.label})")
        if (warning := zone_data().warning) is not None:
            _say(warning, error=True)

    settings = Settings(host, token, no_auth, grace, watch.changed if watch else None)
    try:
        engine.start()
        end = serve(engine, sockets, settings, ready, _say)
    finally:
        for opened in sockets:
            opened.close()
    if end.reason == CHANGED and not end.hurried and watch is not None:
        _say(f"Restarting: {end.reason}.")
        restart(bound, watch.files)
    _end(end, grace)


def _token(host: str, secret: str | None, no_auth: bool) -> str | None:
    """The token to ask for; None if none is. Raises ``ServerError`` where there must be one."""
    if no_auth:
        if (
            secret is not None
            and click.get_current_context().get_parameter_source("secret") is ParameterSource.COMMANDLINE
        ):
            raise click.UsageError("--token asks for a token and --no-auth for none: give one of them.")
        return None
    if secret is None and host not in LOCAL:
        raise ServerError(
            f"At {host} anyone who reaches this machine could run jobs. Give the server a token with --token or "
            "MICROFLOW_TOKEN, or say --no-auth if that is what you want."
        )
    return secret


def _end(end: End, grace: float) -> None:
    """Say how the server ended; exit code 1 unless everything had ended by itself, and nothing waits for the next server."""
    waits = f"; {end.left:,} execution{' waits' if end.left == 1 else 's wait'} for the next server" if end.left else ""
    if end.ended:
        _say(f"Stopped ({end.reason}): {'what ran' if end.left else 'everything'} had ended{waits}.")
        click.get_current_context().exit(1 if end.left else 0)
    when = "at once" if end.hurried else f"after {grace:g} s"
    _say(f"Stopped ({end.reason}): what still ran was ended {when}{waits}.")
    leave_at_once(1)  # a thread of a manager that calls nothing can't be ended, and would be waited for


def _say(text: str, *, error: bool = False) -> None:
    try:
        click.echo(text, err=error)
    except OSError:
        return  # whoever read it has gone; the server serves others too
