"""Schedules as they are shown: what the code says of them, what the store knows, what comes next."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ..model.clock import utc
from ..model.schedules import ClockChange, describe, next_clock_change, next_ticks, ticks_around
from ..store import ScheduleHistory
from ..store.views import Moment, TickView

if TYPE_CHECKING:
    from ..engine.schedules.runs import ServedSchedule

NEXT_TICKS = 10
"""How many coming ticks of a schedule are shown."""
TICKS_AROUND = 3
"""How many ticks before a clock change are shown, and how many after it."""


class ClockChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """The next time that a schedule's clock is put forward or back, at ``at``.

    ``before`` and ``after`` are the seconds by which it is ahead of UTC until then and from then on. ``ticks`` are the
    last before it and the first after it.
    """

    at: Moment
    before: float
    after: float
    ticks: tuple[Moment, ...]


class ScheduleState(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it stands.

    ``jobs`` are those that it was given to; one tick runs them all, with what they need. ``description`` says the cron
    expression in English. ``served_since``: since when a server has run it as it is (null: none has). ``paused_at``:
    since when it is paused (null: it is not). ``next`` are its coming ticks, also those that a pause would keep from
    running; ``clock_change`` is null where the clock is not changed. ``last`` is what became of its newest tick,
    ``running`` are its runs that have not ended. Times are in UTC.
    """

    flow: str
    name: str
    cron: str
    description: str
    timezone: str
    catch_up: str
    overlap: str
    jobs: tuple[str, ...]
    served_since: Moment | None
    paused_at: Moment | None
    next: tuple[Moment, ...]
    clock_change: ClockChangeView | None
    last: TickView | None
    running: tuple[int, ...]


def schedule_states(served: Iterable[ServedSchedule], store: ScheduleHistory, now: datetime) -> list[ScheduleState]:
    """The schedules as they stand, in the order given. Raises ``StoreError`` if the store can't be read."""
    running = store.running()
    return [_state(schedule, store, now, running.get(schedule.key, [])) for schedule in served]


def schedule_state(served: ServedSchedule, store: ScheduleHistory, now: datetime) -> ScheduleState:
    """One schedule as it stands; as ``schedule_states``."""
    return schedule_states([served], store, now)[0]


def _state(served: ServedSchedule, store: ScheduleHistory, now: datetime, running: list[int]) -> ScheduleState:
    row = store.find(*served.key)
    coming = _coming(served.schedule.cron, served.zone, now.replace(second=0, microsecond=0))
    return ScheduleState(
        flow=served.flow.name,
        name=served.name,
        cron=served.schedule.cron,
        description=coming.description,
        timezone=str(served.zone),
        catch_up=served.schedule.catch_up,
        overlap=served.schedule.overlap,
        jobs=tuple(job.name for job in served.jobs),
        served_since=None if row is None or row.served_since is None else utc(row.served_since),
        paused_at=None if row is None or row.paused_at is None else utc(row.paused_at),
        next=coming.ticks,
        clock_change=coming.change,
        last=next(iter(store.ticks(*served.key, 1)), None),
        running=tuple(running),
    )


class _Coming(NamedTuple):
    description: str
    ticks: tuple[datetime, ...]
    change: ClockChangeView | None


# Memos of pure functions: a list of a thousand schedules is looked at again and again, and ticks change by the minute.
@lru_cache(maxsize=4096)
def _coming(cron: str, zone: tzinfo, minute: datetime) -> _Coming:
    change = _clock_change(zone, minute)
    return _Coming(
        describe(cron),
        tuple(next_ticks(cron, zone, minute, NEXT_TICKS)),
        None if change is None else _change_view(cron, zone, change),
    )


@lru_cache(maxsize=64)
def _clock_change(zone: tzinfo, minute: datetime) -> ClockChange | None:
    return next_clock_change(zone, minute)


def _change_view(cron: str, zone: tzinfo, change: ClockChange) -> ClockChangeView:
    return ClockChangeView(
        at=change.at,
        before=change.before / timedelta(seconds=1),
        after=change.after / timedelta(seconds=1),
        ticks=tuple(ticks_around(cron, zone, change, TICKS_AROUND)),
    )
