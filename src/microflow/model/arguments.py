"""What is wrong with the arguments of a call, in words that say what to write instead.

A wrong keyword is a ``TypeError`` in Python, and says no more than that it is wrong; whoever knew an argument by another name, here
or elsewhere, wants to read what it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, TypeVar

from ..errors import WrongArgumentError

P = ParamSpec("P")
T = TypeVar("T")

FORMER_NAMES = {
    "concurrency": "max_concurrency",
    "cron_string": "cron",
    "expr": "cron",
    "expression": "cron",
    "flow_name": "name",
    "global_task_concurrency": "max_concurrency",
    "global_tasks_concurrency": "max_concurrency",
    "limit": "max_concurrency",
    "max_concurrency_by_key": "key",
    "schedule_expr": "cron",
    "tz": "timezone",
    "value": "output",
}
"""Names that arguments have elsewhere, or had, and what they are called here; all there are, for every function."""


def unknown_argument(callee: str, given: str, known: Iterable[str]) -> str:
    """That ``callee`` has no argument of this name, with the one that was probably meant."""
    from difflib import get_close_matches

    names = list(known)
    former = FORMER_NAMES.get(given)
    near = [former] if former in names else get_close_matches(given, names, 1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(names)}."
    return f"{callee} has no argument {given!r}{hint}"


def says_what_it_takes(callee: str, example: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Have a function raise ``WrongArgumentError`` for arguments that it does not take, or lacks; ``example`` is a right call."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        code = function.__code__
        first = 1 if code.co_varnames[:1] == ("self",) else 0
        positional = code.co_varnames[first : code.co_argcount]
        known = code.co_varnames[first : code.co_argcount + code.co_kwonlyargcount]
        required = positional[: len(positional) - len(function.__defaults__ or ())]

        @wraps(function)
        def checked(*arguments: P.args, **named: P.kwargs) -> T:
            for name in named:
                if name not in known:
                    raise WrongArgumentError(unknown_argument(callee, name, known))
            given = positional[: len(arguments) - first]
            if len(arguments) - first > len(positional):
                raise WrongArgumentError(
                    f"{callee} takes {len(positional)} argument{'' if len(positional) == 1 else 's'} by position "
                    f"({', '.join(positional)}), and {len(arguments) - first} were given. Name the others, as in {example}."
                )
            for name in required:
                if name not in given and name not in named:
                    raise WrongArgumentError(f"{callee} needs its argument {name!r}. Write {example}.")
            return function(*arguments, **named)

        return checked

    return decorate
