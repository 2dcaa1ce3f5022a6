"""The geometry of the pictures that the server draws: pure functions from views to small values that a template writes as SVG.

Across, everything is in percent of the picture's width, so that it fits any screen without being distorted; upwards it is pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate
from math import ceil, floor, log10
from typing import NamedTuple

from ...model.results import ExecutionStatus
from ...store.views import Bucket, ExecutionDuration
from ...views import formats

FAILED = frozenset({ExecutionStatus.ERROR, ExecutionStatus.CANCELLED})

_STACK = ("success", "skipped", "queued", "running", "cancelled", "error")
"""The order of a stacked bar, from the axis upwards: what went wrong is on top."""


class Bar(NamedTuple):
    """A rectangle: ``x`` and ``width`` in percent, ``y`` and ``height`` in pixels; ``status`` gives its colour."""

    x: float
    width: float
    y: float
    height: float
    status: str


class Slot(NamedTuple):
    """A stretch of the day: its bars, what a reader is told of it, and the worst that happened ("" if nothing failed)."""

    x: float
    width: float
    start: datetime
    end: datetime
    bars: list[Bar]
    text: str
    failed: str


class DurationBar(NamedTuple):
    """One execution in a duration chart."""

    id: int
    bar: Bar
    text: str
    failed: bool


class DurationChart(NamedTuple):
    """The newest executions of a job, oldest first. ``lines`` are (y, label) of the horizontal lines."""

    bars: list[DurationBar]
    lines: list[tuple[float, str]]
    height: int
    range: str

    @property
    def summary(self) -> str:
        """What the picture shows, in words."""
        return f"Durations: {self.range}"


class Tick(NamedTuple):
    """A mark on a time axis: where, in percent, and what it says."""

    x: float
    label: str


def day_slots(buckets: Sequence[Bucket], height: int) -> list[Slot]:
    """The buckets of a day as stacked bars, the fullest one ``height`` pixels high; what failed is never too small to see."""
    most = max((sum(bucket.statuses.values()) for bucket in buckets), default=0)
    width = 100 / max(len(buckets), 1)
    slots = []
    for index, bucket in enumerate(buckets):
        bars, y = [], float(height)
        # by the square root, or one busy quarter would flatten the rest of the day
        total = sum(bucket.statuses.values())
        scale = (total / most) ** 0.5 * height / total if total else 0.0
        for status in _STACK:
            if count := bucket.statuses.get(status, 0):
                tall = max(count * scale, 3.0 if status in ("error", "cancelled") else 2.0)
                y = max(y - tall, 0.0)
                bars.append(
                    Bar(
                        round(index * width + width * 0.14, 3),
                        round(width * 0.72, 3),
                        round(y, 2),
                        round(tall, 2),
                        status,
                    )
                )
        told = ", ".join(f"{bucket.statuses[status]} {status}" for status in _STACK if bucket.statuses.get(status))
        text = f"{formats.clock(bucket.start)} to {formats.clock(bucket.end)} UTC: {told or 'nothing'}"
        failed = next((status for status in ("error", "cancelled") if bucket.statuses.get(status)), "")
        slots.append(Slot(round(index * width, 3), round(width, 3), bucket.start, bucket.end, bars, text, failed))
    return slots


def duration_chart(durations: Sequence[ExecutionDuration], height: int, slots: int) -> DurationChart | None:
    """How long the executions took (given newest first), as bars from the left; None if there is none."""
    if not durations:
        return None
    shown = list(reversed(durations[:slots]))
    top = nice_above(max(duration.seconds for duration in shown))
    width = 100 / max(len(shown), slots // 2)
    bars = []
    for index, duration in enumerate(shown):
        tall = max(duration.seconds / top * height, 2.0)
        bar = Bar(
            round(index * width + width * 0.12, 3),
            round(width * 0.76, 3),
            round(height - tall, 2),
            round(tall, 2),
            str(duration.status),
        )
        text = f"#{duration.id}: {duration.status}, {formats.duration(duration.seconds)}, {formats.timestamp(duration.started_at)}"
        bars.append(DurationBar(duration.id, bar, text, duration.status in FAILED))
    ordered = sorted(duration.seconds for duration in shown)
    told = (
        f"median {formats.duration(ordered[len(ordered) // 2])}, {formats.duration(ordered[0])} to {formats.duration(ordered[-1])} "
        f"in the last {len(shown)}"
        if len(shown) > 1
        else f"{formats.duration(ordered[0])} in the only one"
    )
    return DurationChart(
        bars, [(0.0, formats.round_duration(top)), (height / 2, formats.round_duration(top / 2))], height, told
    )


def sparkline(durations: Sequence[ExecutionDuration], height: int, slots: int) -> list[Bar]:
    """The newest executions as small bars, the newest at the right end."""
    shown = list(reversed(durations[:slots]))
    most = max((duration.seconds for duration in shown), default=0.0) or 1.0
    width = 100 / slots
    first = slots - len(shown)
    return [
        Bar(
            round((first + index) * width + width * 0.14, 2),
            round(width * 0.72, 2),
            round(height - tall, 2),
            round(tall, 2),
            str(duration.status),
        )
        for index, duration in enumerate(shown)
        for tall in [max(duration.seconds / most * height, 3.0)]
    ]


def crowd(spans: Sequence[tuple[float, float, str]], slices: int, height: int) -> list[Bar]:
    """How many of ``spans`` (beginning and end in percent, and a status) there are at each time, as stacked bars.

    The axis is cut into so many slices; where most are at work the picture is ``height`` pixels high. What failed is never
    too small to see. Slices beside each other that are alike are one bar.
    """
    changes: dict[str, list[int]] = {status: [0] * (slices + 1) for status in _STACK}
    for begin, end, status in spans:
        first = min(int(begin / 100 * slices), slices - 1)
        changes[status][first] += 1
        changes[status][max(min(ceil(end / 100 * slices), slices), first + 1)] -= 1
    columns = list(zip(*(accumulate(changes[status][:slices]) for status in _STACK), strict=True))
    most = max(map(sum, columns))
    bars = []
    for index, column in enumerate(columns):
        y = float(height)
        for status, count in zip(_STACK, column, strict=True):
            if count:
                tall = max(count / most * height, 4.0 if status in FAILED else 1.0)
                y = max(y - tall, 0.0)
                bars.append(Bar(index * 100 / slices, 100 / slices, round(y, 2), round(tall, 2), status))
    return _joined(bars)


def _joined(bars: Sequence[Bar]) -> list[Bar]:
    """The bars, those that touch each other and are alike as one."""
    joined: list[Bar] = []
    newest: dict[tuple[str, float, float], int] = {}
    for bar in bars:
        alike = (bar.status, bar.y, bar.height)
        index = newest.get(alike)
        if index is not None and abs(joined[index].x + joined[index].width - bar.x) < 1e-6:
            joined[index] = joined[index]._replace(width=bar.x + bar.width - joined[index].x)
        else:
            newest[alike] = len(joined)
            joined.append(bar)
    return [bar._replace(x=round(bar.x, 3), width=round(bar.width, 3)) for bar in joined]


def nice_above(value: float) -> float:
    """The next round number from ``value`` up: 1, 2, 2.5 or 5 times a power of ten; seconds from a minute on, minutes and hours."""
    if value <= 0:
        return 0.001
    for step in (60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400):
        if 50 < value <= step:
            return float(step)
    power = 10.0 ** floor(log10(value))
    return next(power * step for step in (1, 2, 2.5, 5, 10) if power * step >= value * (1 - 1e-9))


def ticks(seconds: float, most: int = 5) -> list[Tick]:
    """Round marks on an axis from 0 to ``seconds``, at most ``most`` after the one at 0."""
    if seconds <= 0:
        return [Tick(0.0, "0")]
    step = nice_above(seconds / most)
    return [Tick(0.0, "0")] + [
        Tick(round(number * step / seconds * 100, 3), formats.round_duration(number * step))
        for number in range(1, min(ceil(seconds / step), most + 1))
        if number * step / seconds < 0.97
    ]
