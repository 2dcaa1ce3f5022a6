"""Numbers as people write them on a command line: lengths of time, how many of something, which execution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    _Float = click.ParamType[float]
    _Int = click.ParamType[int]
else:
    _Float = _Int = click.ParamType  # the oldest click that will do knows no such index

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_MOST_DIGITS = 9
_LONGEST_WAIT = 30 * 86_400.0
_LARGEST_ID = 2**63 - 1


class Duration(_Float):
    """A whole number and a unit: ``45s``, ``30m``, ``12h``, ``90d`` or ``2w``; its value is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds; fails with what is allowed."""
        if isinstance(value, (int, float)):
            return float(value)
        text = str(value).strip().lower()
        number, unit = text[:-1], text[-1:]
        if unit not in _UNITS or not _is_number(number, _MOST_DIGITS):
            self.fail(
                f"{value!r} is no length of time; give a number and a unit, as 90d, 12h, 30m, 45s or 2w.", param, ctx
            )
        return float(int(number) * _UNITS[unit])


class Seconds(_Float):
    """How long to wait, in seconds."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds; fails with what is allowed."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds <= _LONGEST_WAIT:
            self.fail(f"{value!r} is no number of seconds from 0 to {_LONGEST_WAIT:.0f}.", param, ctx)
        return seconds


class WholeNumber(click.IntRange):
    """A whole number within bounds."""

    name = "whole number"


class ExecutionNumber(_Int):
    """The ID of an execution."""

    name = "execution"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; fails where no execution can have it."""
        text = str(value)
        if not _is_number(text, 19) or not 0 < int(text) <= _LARGEST_ID:
            self.fail(f"{value!r} is no ID of an execution; that is a whole number from 1 on.", param, ctx)
        return int(text)


def _is_number(text: str, most_digits: int) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= most_digits


DURATION = Duration()
SECONDS = Seconds()
COUNT = WholeNumber(min=1)
EXECUTION = ExecutionNumber()
