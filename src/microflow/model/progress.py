"""How far an execution is, as its job says it: numbers of any kind, and a message."""

from __future__ import annotations

from math import isfinite
from typing import Any, NamedTuple

from .payloads import described


class Progress(NamedTuple):
    """How far an execution is: ``done`` of ``total`` (None: not known), and a ``message``."""

    done: float
    total: float | None = None
    message: str | None = None


def progress_of(done: Any, total: Any = None, message: Any = None) -> Progress:
    """A report of progress, of whatever converts to a number. Raises ``ValueError`` with the reason for what is none."""
    told = None if message is None else str(message).encode("utf-8", "backslashreplace").decode()
    return Progress(_number(done, "done"), None if total is None else _number(total, "total"), told)


def _number(value: Any, name: str) -> float:
    """A number of any kind, such as numpy's, as a float, which every reader of a frame and of a page understands."""
    converts = hasattr(value, "__float__") or hasattr(value, "__index__")
    try:
        number = float(value) if converts else None
    except Exception as error:
        raise ValueError(f"{name} can't be turned into a number ({type(error).__name__}: {error})") from error
    if number is None or not isfinite(number):
        given = described(value) if number is None else repr(number)
        raise ValueError(f"{name} is {given}, and must be a number that is not nan or infinite")
    return number
