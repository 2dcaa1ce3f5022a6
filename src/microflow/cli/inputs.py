"""What a person gives a job as its inputs: JSON on the command line, in a file, or from standard input.

Inputs stay plain JSON here, with tagged dates (see ``model/payloads.py``): that is what a server is sent, and what is decoded
for an engine in this process.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from ..model.payloads import TOO_DEEP, decode, is_too_deep

STANDARD_INPUT = "-"

ONE_PER_LINE = (
    "For an execution for each object, write one object on each line, as jq -c '.[]' does; --batch-size makes lists."
)
"""What to do with an array where an input for each of its objects is meant."""


def read_inputs(given: Sequence[str]) -> list[Any]:
    """The inputs that ``--input`` options name: JSON, ``@file.json``, or ``-``. Raises ``UsageError`` saying where and why."""
    if given.count(STANDARD_INPUT) > 1:
        raise click.UsageError("--input - reads standard input, which can be read only once.")
    inputs = []
    for number, text in enumerate(given, start=1):
        name = "--input" if len(given) == 1 else f"--input number {number}"
        if text == STANDARD_INPUT:
            text, name = _standard_input(), f"{name} (standard input)"
        elif text.startswith("@"):
            text, name = _content(text[1:]), f"{name} ({text[1:]})"
        inputs.append(parse(text, name))
    return inputs


def read_lines(file: str) -> list[Any]:
    """The inputs in a file of JSON lines (``-`` is standard input), one on each line that is not empty.

    A line with a list is one input, whose job gets the list: standard error is told, since most who write one mean an input for
    each of its objects. Raises ``UsageError`` with the number of the line.
    """
    name = "standard input" if file == STANDARD_INPUT else file
    text = _standard_input() if file == STANDARD_INPUT else _content(file)
    # JSON may hold what str.splitlines takes for a line's end
    lines = {number: line for number, line in enumerate(text.split("\n"), start=1) if line.strip() != ""}
    if len(lines) > 1 and isinstance(_json_or_none(text), list):
        raise click.UsageError(f"{name} holds one JSON array on several lines. {ONE_PER_LINE}")
    for number, line in lines.items():
        if line.strip() == "{":
            raise click.UsageError(
                f"{name}, line {number} is the beginning of a JSON object on several lines. Write each object on one line, as "
                "jq -c . does."
            )
    inputs = {number: parse(line, f"{name}, line {number}") for number, line in lines.items()}
    lists = [number for number, value in inputs.items() if isinstance(value, list)]
    if lists:
        which = f"line {lists[0]}" if len(lists) == 1 else f"{len(lists)} lines, the first of them line {lists[0]},"
        verb = "holds a JSON array" if len(lists) == 1 else "hold a JSON array each"
        click.echo(f"Note: in {name}, {which} {verb}: that is one input, a list. {ONE_PER_LINE}", err=True)
    return list(inputs.values())


def parse(text: str, name: str) -> Any:
    """One input: a JSON object, or a list of objects. ``name`` says in a ``UsageError`` which one it is."""
    if is_too_deep(text):
        raise click.UsageError(f"{name} can't be read. {TOO_DEEP}")
    try:
        value = json.loads(text.removeprefix("\ufeff"), parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        _refuse(name, text, f"{error.msg} at line {error.lineno}, column {error.colno}")
    except ValueError as error:
        _refuse(name, text, str(error))
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict):
            raise click.UsageError(
                f"{name} holds {_described(item)}; an input is a JSON object or a list of objects, as in "
                '{"my_value": 1}.'
            )
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        broken = error.object[error.start : error.end]
        raise click.UsageError(
            f"{name} holds text that is not valid Unicode ({broken!a}), such as a file name in another encoding."
        ) from None
    return value


def decoded(inputs: Sequence[Any]) -> list[Any]:
    """The inputs as a job gets them, dates as dates. Raises ``PayloadError`` for a tagged date that is none."""
    return [decode(json.dumps(value)) for value in inputs]


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None


def _standard_input() -> str:
    if sys.stdin is None:
        raise click.UsageError("There is no standard input to read; give the JSON itself, or @file.json.")
    if sys.stdin.isatty():
        click.echo("Reading JSON from the keyboard; Ctrl-D ends it (Ctrl-Z and Enter on Windows).", err=True)
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except OSError as error:
        raise click.UsageError(f"Standard input can't be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise click.UsageError(f"Standard input is no text in UTF-8: {error}.") from None


def _content(path: str) -> str:
    try:
        return Path(os.path.expanduser(path)).read_text("utf-8")  # the shell leaves the ~ of @~/order.json as it is
    except OSError as error:
        raise click.UsageError(f"{path!r} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path!r} is no text in UTF-8: {error}.") from None
    except ValueError as error:  # a null character, which no path can hold
        raise click.UsageError(f"{path!r} can't be read: {error}.") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON; use null or a string instead")


def _refuse(name: str, text: str, why: str) -> NoReturn:
    first = text.strip().splitlines()[0][:60] if text.strip() else ""
    if not first.isprintable():  # such as an escape sequence, which the terminal would obey
        first = ascii(first)
    message = f"{name} is no valid JSON: {why}{f', in {first}' if first else ' (it is empty)'}"
    through_the_shell = name.startswith("--input") and not name.endswith(")")
    if through_the_shell and first.startswith(("{", "'")) and '"' not in text and len(first) > 2:
        message += (
            "\nThe shell may have taken the quotation marks. Put the JSON into single quotes, as in --input "
            "'{\"my_value\": 1}', or into a file: --input @file.json."
        )
    raise click.UsageError(message)


def _described(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return {str: "a string", int: "a number", float: "a number", list: "a list in a list"}[type(value)]
