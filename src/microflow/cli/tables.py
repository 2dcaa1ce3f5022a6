"""Tables in plain text: columns by their widest cell, and on a terminal no wider than that."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import datetime

import click

GAP = "  "


def print_table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    style: Callable[[int, str], str] = lambda _, text: text,
) -> None:
    """Print rows below their heads. On a terminal the last column is cut where the line ends.

    ``right``: the columns that are aligned to the right. ``style`` is given a cell's column and text, and colours it.
    """
    width = shutil.get_terminal_size().columns if on_terminal() else None
    widths = [max(text_width(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    for number, row in enumerate((heads, *rows)):
        cells = []
        for column, text in enumerate(row):
            if column == len(row) - 1 and width is not None:
                text = cut(text, max(width - sum(widths[:-1]) - len(GAP) * (len(row) - 1), 8))
            space = " " * (widths[column] - text_width(text))
            shown = click.style(text, bold=True) if number == 0 else style(column, text)
            cells.append(space + shown if column in right else shown + space if column < len(row) - 1 else shown)
        click.echo(GAP.join(cells).rstrip())


def on_terminal() -> bool:
    """Whether a person looks at standard output."""
    return sys.stdout is not None and sys.stdout.isatty()


def moment(when: datetime | None) -> str:
    """A time to the second, where this machine is; "" for None."""
    return "" if when is None else when.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def first_line(text: str) -> str:
    """The first line of a text, without the space around it."""
    lines = text.strip().splitlines()
    return lines[0].strip() if lines else ""


def text_width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, width: int) -> str:
    """A text in at most so many columns."""
    if text_width(text) <= width:
        return text
    text = text[:width]  # at least a column for nearly each, and what is cut off need not be measured again and again
    while text_width(text) > width - 1:
        text = text[:-1]
    return f"{text}…"
