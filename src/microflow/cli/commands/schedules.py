"""``microflow schedules``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Protocol

import click
import msgspec

from ...errors import DefinitionError
from ...model.clock import utc
from ...model.results import Trigger
from ...model.schedules import resolve_zone
from ...store import StoreView
from ...store.views import TickView
from ...views.schedules import ScheduleState, schedule_states
from ...views.zone_data import ZoneData, zone_data
from ..outcome import print_json
from ..tables import first_line, moment, print_table
from ..where import (
    Where,
    at_option,
    copying,
    find_named,
    flow_option,
    json_option,
    no_copy_option,
    server_options,
    store_option,
    takes_where,
    tick_of,
    traceback_option,
)

if TYPE_CHECKING:
    from ...engine.schedules.runs import ServedSchedule
    from ...flow import Flow

SHOWN = 10
"""How many of a schedule's last ticks are shown."""

_COLORS = {"run": "green", "queued": "yellow", "overlap": "cyan", "missed": "red", "paused": "cyan"}


class _Details(ScheduleState, frozen=True, kw_only=True):
    """One schedule with its last ticks, newest first, and the zone data that these follow."""

    ticks: list[TickView]
    zone_data: ZoneData | None


class _Source(Protocol):
    """Where schedules are looked at: a server or a store."""

    def schedules(self) -> list[ScheduleState]: ...
    def ticks(self, flow: str, name: str, limit: int) -> list[TickView]: ...
    def note(self) -> str: ...
    def zone_data(self) -> ZoneData | None: ...


@click.command("schedules")
@click.argument("schedule", required=False)
@flow_option("The flow: module:flow or path.py:flow; repeatable.")
@click.option("--pause", is_flag=True, help="Pause the schedule: no tick runs until you resume it.")
@click.option("--resume", is_flag=True, help="Resume the schedule. Ticks that passed meanwhile do not run.")
@click.option("--run", is_flag=True, help="Run the jobs of the schedule now, paused or not.")
@at_option
@json_option
@store_option
@no_copy_option
@server_options
@traceback_option
@takes_where
def command(
    where: Where, schedule: str | None, pause: bool, resume: bool, run: bool, at: str | None, as_json: bool
) -> None:
    """List schedules, show one, pause, resume or run it.

    SCHEDULE is the name of a schedule, or FLOW/SCHEDULE. Only a server runs ticks. The store keeps --pause and --resume,
    so they apply to the server that is running on it now and to the next one.

    \b
    Examples:
      microflow schedules -f my_flow:flow
      microflow schedules report -f my_flow:flow --pause
      microflow schedules report --run --server http://localhost:3000
      microflow schedules report --run --at 2026-11-22T06:30 -f my_flow:flow
    """
    acts = [name for name, asked in (("pause", pause), ("resume", resume), ("run", run)) if asked]
    if len(acts) > 1:
        raise click.UsageError(f"--{acts[0]} and --{acts[1]} can't be asked at once; give one of them.")
    act = acts[0] if acts else None
    if at is not None and act != "run":
        raise click.UsageError("--at says as of which tick a schedule's jobs run: give it with --run.")
    if act is not None and schedule is None:
        raise click.UsageError(f"Name the schedule that is to be acted on, as in microflow schedules NAME --{act}.")
    if act == "run":
        assert schedule is not None
        _run(where, schedule, at, as_json)
        return
    if act is not None:
        assert schedule is not None
        name = "/".join(_change(where, schedule, act))
        if not as_json:
            click.echo(f"Schedule {name} is {'paused' if act == 'pause' else 'resumed'}.")
            return
    with _source(where) as source:
        names = where.names()
        states = [state for state in source.schedules() if not names or state.flow in names]
        if states and (note := source.note()):
            click.secho(note, fg="yellow", err=True)
        zones = source.zone_data()
        if states and zones is not None and zones.warning is not None:
            click.secho(zones.warning, fg="yellow", err=True)
        if schedule is None:
            _print_list(states, zones, as_json)
            return
        found = find_named([(state.flow, state.name) for state in states], schedule, "schedule")
        state = next(state for state in states if (state.flow, state.name) == found)
        ticks = source.ticks(*found, SHOWN)
        _print_one(_Details(**msgspec.structs.asdict(state), ticks=ticks, zone_data=zones), as_json)


@contextmanager
def _source(where: Where) -> Iterator[_Source]:
    if where.server is not None:
        yield where.client()
        return
    from ..source import open_or_empty

    flows = _checked(where)
    with open_or_empty(where.store_url()) as store:
        yield _StoreSource(flows, store)


class _StoreSource:
    """The schedules of flows, as a store on this machine knows them."""

    def __init__(self, flows: list[Flow], store: StoreView) -> None:
        from ...engine.schedules.runs import served_schedules

        self._served = served_schedules(flows)
        self._history = store.schedules
        self._server = store.engines.server()
        self.ticks = store.schedules.ticks

    def schedules(self) -> list[ScheduleState]:
        """Every schedule of the flows."""
        return schedule_states(self._served, self._history, datetime.now(UTC))

    def zone_data(self) -> ZoneData:
        """The time zone data of this machine."""
        return zone_data()

    def note(self) -> str:
        """Why none of their ticks runs now: there is no server. "" where one runs."""
        server = self._server
        if server.process is not None:
            return ""
        if server.started_at is None:
            return "No server has run on this store yet, so no tick runs. Start one with `microflow serve`."
        if server.ended_at is None:
            since = f"the last one, started {moment(utc(server.started_at))}, ended without a word"
        else:
            since = f"the last one ended {moment(utc(server.ended_at))}"
        return f"No server runs on this store ({since}), so no tick runs. Start one with `microflow serve`."


def _checked(where: Where) -> list[Flow]:
    flows = where.flows()
    for flow in flows:
        flow.check()  # a schedule with a mistake can't be shown as it is meant
    return flows


def _named_here(where: Where, text: str) -> tuple[list[Flow], ServedSchedule]:
    from ...engine.schedules.runs import served_schedules

    flows = _checked(where)
    served = {schedule.key: schedule for schedule in served_schedules(flows)}
    return flows, served[find_named(list(served), text, "schedule")]


def _named_there(where: Where, text: str) -> tuple[str, str]:
    names = where.names()
    known = [(state.flow, state.name) for state in where.client().schedules() if not names or state.flow in names]
    return find_named(known, text, "schedule")


def _change(where: Where, schedule: str, act: str) -> tuple[str, str]:
    if where.server is not None:
        found = _named_there(where, schedule)
        where.client().change_schedule(*found, act)
        return found
    from ...engine.engine import Engine

    flows, served = _named_here(where, schedule)
    engine = Engine(flows, store=where.store, copying=copying())
    engine.start()
    try:
        (engine.pause_schedule if act == "pause" else engine.resume_schedule)(*served.key)
    finally:
        engine.stop(grace=0, reason="the command was done")
    return served.key


def _run(where: Where, schedule: str, at: str | None, as_json: bool) -> None:
    from ..display import open_display
    from ..outcome import finish
    from ..running import run_here, run_there

    if where.server is not None:
        client, found = where.client(), _named_there(where, schedule)
        ended = run_there(client, lambda: client.run_schedule(*found, at), open_display())
    else:
        flows, served = _named_here(where, schedule)
        tick = tick_of(at, served.zone)
        ended = run_here(
            flows,
            where.store,
            lambda engine: engine.run_schedule(*served.key, trigger=Trigger.CLI, at=tick),
            open_display(),
        )
    finish(ended, as_json=as_json)


def _print_list(states: list[ScheduleState], zones: ZoneData | None, as_json: bool) -> None:
    if as_json:
        print_json({"items": states, "next": None, "zone_data": zones})
        return
    if not states:
        click.echo("There are no schedules.", err=True)
        return
    rows = [
        (
            f"{state.flow}/{state.name}",
            _state(state),
            _when(state.next[0], _zone(state)) if state.next and state.paused_at is None else "",
            "" if state.last is None else f"{_when(state.last.at, _zone(state))} {_became(state.last)}",
            state.description,
        )
        for state in states
    ]
    print_table(("SCHEDULE", "STATE", "NEXT", "LAST", "WHEN"), rows)
    if zones is not None:
        click.echo(f"Zone data: {zones.describe()}")


def _print_one(state: _Details, as_json: bool) -> None:
    if as_json:
        print_json(state)
        return
    zone = _zone(state)
    facts = [
        ("when", f"{state.description} ({state.cron}, {state.timezone})"),
        ("jobs", ", ".join(state.jobs)),
        ("state", _state(state) or "waiting for its next tick"),
        ("catch up", state.catch_up),
        ("overlap", state.overlap),
    ]
    if state.zone_data is not None:
        facts.append(("zone data", state.zone_data.describe()))
    click.echo(click.style(f"{state.flow}/{state.name}", bold=True))
    for name, value in facts:
        click.echo(f"  {name:<9} {value}")
    click.echo("Next ticks" if state.paused_at is None else "Next ticks (none runs while it is paused)")
    for tick in state.next:
        click.echo(f"  {_when(tick, zone)}")
    if (change := state.clock_change) is not None:
        direction = "forward" if change.after > change.before else "back"
        click.echo(f"Around the next clock change ({direction} at {_when(change.at, zone)})")
        for tick in change.ticks:
            click.echo(f"  {_when(tick, zone)}")
    if state.ticks:
        rows = [
            (
                _when(tick.at, zone),
                tick.outcome,
                "" if tick.execution_id is None else str(tick.execution_id),
                "" if tick.status is None else str(tick.status),
                " ".join(filter(None, (tick.reason, first_line(tick.run_reason or "")))),
            )
            for tick in state.ticks
        ]
        print_table(("TICK", "OUTCOME", "EXECUTION", "STATUS", "REASON"), rows, right=(2,), style=_styled)


def _styled(column: int, text: str) -> str:
    return click.style(text, fg=_COLORS[text]) if column == 1 else text


def _state(state: ScheduleState) -> str:
    paused = "" if state.paused_at is None else f"paused since {_when(state.paused_at, _zone(state))}"
    running = "" if not state.running else f"running: {', '.join(map(str, state.running))}"
    return ", ".join(filter(None, (paused, running)))


def _became(tick: TickView) -> str:
    return str(tick.status) if tick.outcome in ("run", "queued") and tick.status is not None else tick.outcome


def _zone(state: ScheduleState) -> tzinfo:
    try:
        return resolve_zone(state.timezone)
    except DefinitionError:
        return UTC  # a server elsewhere knows zones that this machine does not; the offset is shown


def _when(moment: datetime, zone: tzinfo) -> str:
    """As the schedule's clock shows it, with its offset, since that is what its cron expression speaks of."""
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M %z")
