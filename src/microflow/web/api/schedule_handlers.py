"""The handlers of schedules in the REST API; their addresses are in the table of ``api.py``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from ...model.results import Trigger
from ...views.live import with_live_state
from ...views.schedules import ScheduleState, schedule_state, schedule_states
from ..http.parameters import bad_cursor, part_of, tick_of
from .endpoints import Answer, Call
from .messages import NewScheduleRun, OfFlowQuery, ScheduleList, TickList, TicksQuery

if TYPE_CHECKING:
    from ...engine.schedules.runs import ServedSchedule
    from ..http.site import Site


def list_schedules(site: Site, call: Call) -> ScheduleList:
    """The schedules, of all flows or of one."""
    asked: OfFlowQuery = call.query
    if asked.flow is not None:
        site.engine.flow(asked.flow)
    served = [schedule for schedule in site.engine.schedules.values() if asked.flow in (None, schedule.flow.name)]
    shown, following = part_of(served, asked.limit, asked.cursor)
    return ScheduleList(schedule_states(shown, site.store.schedules, site.now()), following)


def show_schedule(site: Site, call: Call) -> ScheduleState:
    """One schedule."""
    return _state(site, _named(site, call))


def list_ticks(site: Site, call: Call) -> TickList:
    """What became of the ticks of a schedule, newest first."""
    asked: TicksQuery = call.query
    served = _named(site, call)
    found = site.store.schedules.ticks(*served.key, asked.limit + 1, _moment(asked.cursor))
    shown = found[: asked.limit]
    return TickList(shown, shown[-1].at.isoformat() if len(found) > len(shown) else None)


def pause_schedule(site: Site, call: Call) -> ScheduleState:
    """Let no tick of a schedule run until it is resumed.

    Each is recorded as paused. What runs or is queued goes on.
    """
    served = _named(site, call)
    site.engine.pause_schedule(*served.key)
    return _state(site, served)


def resume_schedule(site: Site, call: Call) -> ScheduleState:
    """Let the ticks of a schedule run again; none of those that passed while it was paused does."""
    served = _named(site, call)
    site.engine.resume_schedule(*served.key)
    return _state(site, served)


def run_schedule(site: Site, call: Call) -> Answer:
    """Run a schedule's jobs now, paused or not, as of the tick `at`.

    The run is not a tick, and takes no tick's record. It is refused while a run is going that it must not overlap.
    """
    served = _named(site, call)
    asked: NewScheduleRun = call.body
    at = None if asked.at is None else tick_of(asked.at, served.zone)
    submitted = site.engine.run_schedule(*served.key, trigger=Trigger.API, at=at)
    execution = with_live_state(site.engine, site.store.reading.execution(submitted.id))
    return Answer(execution, f"/api/executions/{submitted.id}")


def _named(site: Site, call: Call) -> ServedSchedule:
    site.engine.flow(call.path["flow"])
    return site.engine.schedule(call.path["flow"], call.path["name"])


def _state(site: Site, served: ServedSchedule) -> ScheduleState:
    return schedule_state(served, site.store.schedules, site.now())


def _moment(cursor: str | None) -> datetime | None:
    if cursor is None:
        return None
    try:
        moment = datetime.fromisoformat(cursor)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise bad_cursor(cursor)
    return moment
