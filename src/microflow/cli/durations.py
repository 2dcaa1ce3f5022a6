"""Lengths of time as people write them on a command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    _Float = click.ParamType[float]
else:
    _Float = click.ParamType  # the oldest click that will do knows no such index

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Duration(_Float):
    """A whole number and a unit: ``45s``, ``30m``, ``12h``, ``90d`` or ``2w``; its value is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds; fails with what is allowed."""
        if isinstance(value, (int, float)):
            return float(value)
        text = str(value).strip().lower()
        number, unit = text[:-1], text[-1:]
        if unit not in _SECONDS or not (number.isascii() and number.isdecimal()):
            self.fail(
                f"{value!r} is no length of time; give a number and a unit, as 90d, 12h, 30m, 45s or 2w.", param, ctx
            )
        return float(int(number) * _SECONDS[unit])


DURATION = Duration()
