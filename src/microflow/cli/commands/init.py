"""``microflow init``."""

from __future__ import annotations

import shlex
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
    name = shlex.quote(shown(file.absolute()))
    click.echo(
        f"Wrote {file}. Run it once, or serve it:\n\n"
        f'  microflow run count_all -f {name} --input \'{{"documents": [{{"name": "a", "text": "to be"}}]}}\'\n'
        f"  microflow serve -f {name}"
    )
