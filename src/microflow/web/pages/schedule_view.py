"""Schedules as their pages show them: ticks in the schedule's own time, the last hundred as a strip, a clock change in words.

Pure functions of what the store and the definitions say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from typing import NamedTuple

from ...model.cron_reading import read_cron
from ...model.results import ExecutionStatus
from ...store.views import TickView
from ...views import formats
from ...views.schedules import ClockChangeView

STRIP_SLOTS = 100
STRIP_HEIGHT = 28

CATCH_UP = {
    "last": "the newest one that was missed is run once",
    "all": "each one that was missed is run, in order",
    "none": "those that were missed are not run",
}
"""What happens to the ticks that passed while no server ran."""

OVERLAP = {
    "skip": "a tick is skipped while the run before it is still going",
    "queue": "a tick waits until the run before it has ended",
    "allow": "a tick runs beside the run before it",
}
"""What happens to a tick while the previous run is still going."""

_WORDS = {"overlap": "skipped, overlap", "missed": "missed", "paused": "paused"}
_LOOKS = {"overlap": "skipped", "missed": "missed", "paused": "paused"}
_ORDER = (*map(str, ExecutionStatus), "none", "missed", "paused")
_TALL = {"overlap": 0.5, "missed": 0.5, "paused": 0.2}


class ComingTick(NamedTuple):
    """A tick that is still to come: ``at`` in UTC, and what the clock of its schedule shows then."""

    at: datetime
    local: str


class ChangeTick(NamedTuple):
    """A tick near a clock change: what the clock shows, how far it is ahead of UTC, and how long after the tick before."""

    local: str
    offset: str
    gap: str


class ChangeStory(NamedTuple):
    """A clock change: what happens to the clock, what the schedule makes of it, and the ticks before and after it."""

    change: str
    rule: str
    before: list[ChangeTick]
    after: list[ChangeTick]


class PastTick(NamedTuple):
    """A tick that has passed. ``look`` names its mark and colour, ``word`` says what became of it, ``local`` when it was."""

    tick: TickView
    local: str
    look: str
    word: str


class StripCell(NamedTuple):
    """A tick in the strip: a bar of the picture (``x``, ``width`` in percent, ``y``, ``height`` in pixels)."""

    x: float
    width: float
    y: float
    height: float
    look: str
    execution_id: int | None
    text: str
    failed: bool


def local_time(at: datetime, zone: tzinfo, now: datetime) -> str:
    """What a zone's clock shows: "Tue 24 Nov, 02:30", with the year where it is another one."""
    shown = at.astimezone(zone)
    year = "" if shown.year == now.astimezone(zone).year else f" {shown.year}"
    seconds = f":{shown.second:02}" if shown.second else ""
    return f"{shown:%a} {shown.day} {shown:%b}{year}, {shown:%H:%M}{seconds}"


def coming_ticks(ticks: Sequence[datetime], zone: tzinfo, now: datetime) -> list[ComingTick]:
    """Ticks with what the clock of their schedule shows."""
    return [ComingTick(at, local_time(at, zone, now)) for at in ticks]


def past_tick(tick: TickView, zone: tzinfo, now: datetime) -> PastTick:
    """A tick with what became of it, in a word."""
    if tick.outcome in ("run", "queued"):
        status = None if tick.status is None else str(tick.status)
        return PastTick(tick, local_time(tick.at, zone, now), status or "none", status or "run")
    return PastTick(tick, local_time(tick.at, zone, now), _LOOKS[tick.outcome], _WORDS[tick.outcome])


def outcomes(past: Sequence[PastTick]) -> list[tuple[str, str, int]]:
    """(look, word, how many) of what became of ticks; a record that stands for several counts as so many."""
    counted: Counter[tuple[str, str]] = Counter()
    for item in past:
        counted[(item.look, item.word)] += item.tick.count
    return [(*key, counted[key]) for key in sorted(counted, key=lambda key: (_ORDER.index(key[0]), key[1]))]


def strip(past: Sequence[PastTick]) -> list[StripCell]:
    """The newest ticks (given newest first) as cells of a picture, the newest at its right end."""
    shown = list(reversed(past[:STRIP_SLOTS]))
    width = 100 / STRIP_SLOTS
    first = STRIP_SLOTS - len(shown)
    cells = []
    for index, item in enumerate(shown):
        tick = item.tick
        tall = STRIP_HEIGHT * _TALL.get(tick.outcome, 1.0)
        many = f" and {tick.count - 1:,} before it" if tick.count > 1 else ""
        cells.append(
            StripCell(
                round((first + index) * width + width * 0.12, 3),
                round(width * 0.76, 3),
                round(STRIP_HEIGHT - tall, 2),
                round(tall, 2),
                item.look,
                tick.execution_id,
                f"{item.local}{many}: {item.word}",
                tick.outcome in ("run", "queued") and item.look in ("error", "cancelled"),
            )
        )
    return cells


def change_story(view: ClockChangeView, cron: str, zone: tzinfo, zone_name: str) -> ChangeStory:
    """A clock change and the ticks around it, in words."""
    wall = view.at.replace(tzinfo=None)
    before, after = timedelta(seconds=view.before), timedelta(seconds=view.after)
    shift = after - before
    day = (wall + before).date()
    how = f"put {'forward' if shift > timedelta() else 'back'} by {formats.round_duration(abs(shift.total_seconds()))}"
    change = (
        f"On {day:%A} {day.day} {day:%B} {day.year} the clock of {zone_name} is {how}: where it would show "
        f"{wall + before:%H:%M} it shows {wall + after:%H:%M}."
    )
    ticks = [_change_tick(at, zone, earlier) for earlier, at in pairwise([None, *view.ticks]) if at is not None]
    count = sum(at < view.at for at in view.ticks)
    return ChangeStory(change, _rule(read_cron(cron).wildcard, shift), ticks[:count], ticks[count:])


def _rule(follows: bool, shift: timedelta) -> str:
    forward = shift > timedelta()
    if follows:
        what = "does not happen" if forward else "happens twice"
        return f"This schedule follows the clock: what it {'jumps over' if forward else 'shows twice'} {what}."
    what = "jumps over happens at the moment of the jump" if forward else "shows twice happens the first time only"
    return f"This schedule keeps its appointments: one that the clock {what}."


def _change_tick(at: datetime, zone: tzinfo, earlier: datetime | None) -> ChangeTick:
    shown = at.astimezone(zone)
    local = f"{shown:%a} {shown.day} {shown:%b} {shown.year}, {shown:%H:%M}"
    gap = "" if earlier is None else f"{formats.round_duration((at - earlier).total_seconds())} later"
    return ChangeTick(local, f"{shown:%z}"[:3] + ":" + f"{shown:%z}"[3:5], gap)
