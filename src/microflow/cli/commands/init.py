"""``microflow init``."""

from __future__ import annotations

import shlex
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import click

from ...loading import shown
from ..refusals import Refused

FILE = "my_flow.py"


@click.command("init")
@click.argument("directory", default=".", metavar="[DIR]", type=click.Path(path_type=Path))
def command(directory: Path) -> None:
    """Write a small working flow to start from.

    The flow is written to my_flow.py in DIR, or in the working directory. An existing file is not changed.

    \b
    Examples:
      microflow init
      microflow init word_counts
    """
    file = directory / FILE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8", newline="\n") as target:
            target.write((files(__package__) / "starter.txt").read_text("utf-8"))
    except FileExistsError as error:
        what = file if file.exists() else error.filename or directory
        raise Refused(f"{what} already exists, so nothing was written.") from None
    except OSError as error:
        raise Refused(f"{file} can't be written: {error.strerror}.") from None
    except ValueError as error:  # a null character, which no path can hold
        raise Refused(f"{str(file)!r} can't be written: {error}.") from None
    name = shown(file.absolute())
    run = ["microflow", "run", "count_all", "-f", name, "--input", '{"documents": [{"name": "a", "text": "to be"}]}']
    serve = ["microflow", "serve", "-f", name]
    click.echo(f"Wrote {file}. Run it once, or serve it:\n\n  {_typed(run)}\n  {_typed(serve)}")


def _typed(command: list[str]) -> str:
    """A command as it is typed: in a shell, or in the command prompt of Windows, which knows double quotes alone."""
    return subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)
