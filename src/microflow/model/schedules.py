"""Schedules: what one says, which of its ticks are due, and what becomes of those that were missed or that overlap.

Decisions only: the tick that is due is claimed, recorded and run by ``engine/scheduler.py``. Cron expressions are in
``cron.py``, the rules at clock changes in ``ticks.py``, time zones in ``zones.py``; the names that belong together
are all found here.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, get_args

import msgspec

from ..errors import ScheduleError
from .arguments import says_what_it_takes
from .cron_reading import cron_mistake
from .cron_words import describe
from .ticks import count_ticks, newest_ticks, next_ticks, ticks, ticks_around, ticks_around_clock_change
from .zones import ClockChange, as_instant, machine_zone, next_clock_change, resolve_zone, zone_mistake

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

CatchUp = Literal["last", "all", "none"]
Overlap = Literal["skip", "queue", "allow"]
TickOutcome = Literal["run", "missed", "paused"]
OverlapVerdict = Literal["run", "skip", "queue"]

MOST_RUNS = 1_000
"""At most so many ticks of one schedule are run at once, the newest; what is older is recorded as missed."""
MOST_RECORDS = 100
"""At most so many ticks that are not run have a record each, the newest; what is older shares one, with its count."""


class Schedule:
    """When jobs run: a crontab expression of five fields, or a nickname such as ``@daily``.

    The same object given to several jobs is one schedule: one tick is one DAG run of them. Two objects are two
    schedules, however alike. ``timezone`` is an IANA name; None means the flow's, else the machine's own. ``name`` is
    what the web app, the API and the command line call it; None means that of its first job, in each flow. ``catch_up`` is what
    happens to ticks missed while no server ran: ``"last"`` runs once for the newest, ``"all"`` runs each in order
    (the newest 1,000), ``"none"`` runs none. ``overlap`` is what happens to a tick while the previous run is still
    going: ``"skip"``, ``"queue"`` or ``"allow"``.

    Raises ``ScheduleError`` for an argument of the wrong type or an unknown option. A bad cron expression or time
    zone does not raise: ``mistake`` says it, so that ``flow.check()`` can report every mistake of a flow at once.
    """

    __slots__ = ("__weakref__", "catch_up", "cron", "name", "overlap", "timezone")

    @says_what_it_takes("Schedule()", 'Schedule("0 8 * * *", "mornings", timezone="Europe/Paris")')
    def __init__(
        self,
        cron: str,
        name: str | None = None,
        *,
        timezone: str | None = None,
        catch_up: CatchUp = "last",
        overlap: Overlap = "skip",
    ) -> None:
        if not isinstance(cron, str):
            raise ScheduleError(f"Schedule: {cron_mistake(cron)}")
        for argument, text in (("timezone", timezone), ("name", name)):
            if text is not None and (not isinstance(text, str) or not text):
                raise ScheduleError(
                    f"Schedule({cron!r}): {argument} is {text!r}; it must be a string that is not empty, or None."
                )
        _check_option(cron, "catch_up", catch_up, get_args(CatchUp))
        _check_option(cron, "overlap", overlap, get_args(Overlap))
        self.cron = cron
        self.timezone = timezone
        self.name = name
        self.catch_up: CatchUp = catch_up
        self.overlap: Overlap = overlap

    @property
    def mistake(self) -> str | None:
        """What is wrong with the cron expression and the time zone, in words; None if nothing is."""
        found = [cron_mistake(self.cron), None if self.timezone is None else zone_mistake(self.timezone)]
        return " Also, ".join(mistake for mistake in found if mistake is not None) or None

    def zone(self, flow_timezone: str | tzinfo | None = None) -> tzinfo:
        """The time zone it ticks in: its own, else the flow's, else the machine's.

        Raises ``DefinitionError`` for an unknown name.
        """
        return resolve_zone(self.timezone, flow_timezone)

    def __repr__(self) -> str:
        options = {"timezone": None, "name": None, "catch_up": "last", "overlap": "skip"}
        given = [f"{key}={getattr(self, key)!r}" for key, default in options.items() if getattr(self, key) != default]
        return f"Schedule({', '.join([repr(self.cron), *given])})"


def _check_option(cron: str, argument: str, value: object, allowed: Sequence[str]) -> None:
    if not isinstance(value, str) or value not in allowed:
        known = ", ".join(repr(option) for option in allowed)
        raise ScheduleError(f"Schedule({cron!r}): {argument} is {value!r}; it must be one of {known}.")


class DueTick(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a tick that is due: it is "run", "missed" or "paused".

    ``at`` is the tick (UTC). ``reason`` says why in words; "" for a tick that runs in its time. ``count`` above 1: one
    record for so many older ticks, from ``first`` to ``at``, none of which runs.
    """

    at: datetime
    outcome: TickOutcome
    reason: str = ""
    count: int = 1
    first: datetime

    @property
    def late(self) -> bool:
        """Whether it runs now because it was missed when it was due."""
        return self.outcome == "run" and self.reason != ""


def due(
    cron: str,
    zone: tzinfo,
    *,
    since: datetime | None,
    now: datetime,
    served_since: datetime,
    catch_up: CatchUp = "last",
    paused: bool = False,
) -> list[DueTick]:
    """What becomes of every tick after ``since`` and up to ``now``, oldest first.

    ``since``: the ``now`` up to which this schedule's ticks have been recorded already, or the moment its expression
    was changed or it was resumed, whichever is later; None for a schedule that was never served, which has missed
    nothing. ``served_since``: since when this server has watched the schedule without a break; ticks up to it were
    missed and fall under ``catch_up``, ticks after it are due, however late the loop wakes up. (A loop that finds
    that the machine slept gives the moment it woke.) Whether the previous run is still going is not asked here: see
    ``decide_overlap``.

    The newest 1,000 ticks run at most, and the newest 100 that do not run are recorded each; older ones share one
    record with their count. So a year of missed minutes costs little. A clock that was put back gives no tick twice:
    then ``now`` is before ``since``. Raises ``ScheduleError`` for an expression that is not valid, ``ValueError`` for
    a moment without a time zone.
    """
    now = as_instant(now, "now")
    start = as_instant(served_since if since is None else since, "since")
    if now <= start:
        return []
    border = start if since is None else min(max(as_instant(served_since, "served_since"), start), now)
    if paused:
        return _recorded(cron, zone, start, now, "paused", "The schedule is paused.")
    found = _caught_up(cron, zone, start, border, catch_up) if border > start else []
    return found + _in_time(cron, zone, border, now)


def catch_up_ticks(missed: Sequence[datetime], policy: CatchUp) -> list[tuple[datetime, TickOutcome]]:
    """What becomes of ticks that were missed while no server ran, given oldest first: each is "run" or "missed"."""
    last = len(missed) - 1
    return [
        (tick, "run" if policy == "all" or (policy == "last" and index == last) else "missed")
        for index, tick in enumerate(missed)
    ]


def overlap_of(schedule: Schedule, tick: DueTick) -> Overlap:
    """How a tick that would run gets on with the run before it.

    As its schedule says; only those caught up by ``catch_up="all"`` are queued where they would be skipped, since of many
    begun at once all but the first would be.
    """
    queued = tick.late and schedule.catch_up == "all" and schedule.overlap == "skip"
    return "queue" if queued else schedule.overlap


def decide_overlap(policy: Overlap, running: bool) -> OverlapVerdict:
    """What becomes of a tick that would run, given whether the schedule's previous run is still going."""
    return policy if running and policy != "allow" else "run"


_MISSED = "Missed: no server ran at that time."
_CAUGHT_UP = "Run late: no server ran at that time."
_TOO_MANY = f"Missed: of the ticks due at once, the newest {MOST_RUNS:,} are run."


def _caught_up(cron: str, zone: tzinfo, since: datetime, until: datetime, policy: CatchUp) -> list[DueTick]:
    if policy == "none":
        return _recorded(cron, zone, since, until, "missed", _MISSED)
    runs = newest_ticks(cron, zone, since, until, MOST_RUNS if policy == "all" else MOST_RECORDS + 1)
    if not runs:
        return []
    return [
        *_shared(cron, zone, since, runs[0], "missed", _TOO_MANY if policy == "all" else _MISSED),
        *(
            DueTick(at=tick, outcome=outcome, reason=_CAUGHT_UP if outcome == "run" else _MISSED, first=tick)
            for tick, outcome in catch_up_ticks(runs, policy)
        ),
    ]


def _in_time(cron: str, zone: tzinfo, since: datetime, until: datetime) -> list[DueTick]:
    runs = list(ticks(cron, zone, since, until, MOST_RUNS + 1))
    older: list[DueTick] = []
    if len(runs) > MOST_RUNS:
        runs = newest_ticks(cron, zone, since, until, MOST_RUNS)
        older = _shared(cron, zone, since, runs[0], "missed", _TOO_MANY)
    return [*older, *(DueTick(at=tick, outcome="run", first=tick) for tick in runs)]


def _recorded(
    cron: str, zone: tzinfo, since: datetime, until: datetime, outcome: TickOutcome, reason: str
) -> list[DueTick]:
    """Records of ticks none of which runs."""
    newest = newest_ticks(cron, zone, since, until, MOST_RECORDS)
    if not newest:
        return []
    return [
        *_shared(cron, zone, since, newest[0], outcome, reason),
        *(DueTick(at=tick, outcome=outcome, reason=reason, first=tick) for tick in newest),
    ]


def _shared(
    cron: str, zone: tzinfo, since: datetime, before: datetime, outcome: TickOutcome, reason: str
) -> list[DueTick]:
    """One record for all ticks after ``since`` and before ``before``, itself a tick; none if there is none."""
    pair = newest_ticks(cron, zone, since, before, 2)
    if len(pair) < 2:
        return []
    first = next(ticks(cron, zone, since, before))
    count = count_ticks(cron, zone, since, before) - 1
    return [DueTick(at=pair[0], outcome=outcome, reason=reason, count=count, first=first)]


__all__ = [
    "MOST_RECORDS",
    "MOST_RUNS",
    "CatchUp",
    "ClockChange",
    "DueTick",
    "Overlap",
    "OverlapVerdict",
    "Schedule",
    "TickOutcome",
    "catch_up_ticks",
    "count_ticks",
    "cron_mistake",
    "decide_overlap",
    "describe",
    "due",
    "machine_zone",
    "newest_ticks",
    "next_clock_change",
    "next_ticks",
    "overlap_of",
    "resolve_zone",
    "ticks",
    "ticks_around",
    "ticks_around_clock_change",
    "zone_mistake",
]
