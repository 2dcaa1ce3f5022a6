"""How a command refuses, and where it leaves what that takes."""

from __future__ import annotations

import errno
import os

import click

INTERRUPTED = 130
"""The exit code after Ctrl-C."""

SHOW_TRACEBACK = "microflow.traceback"
"""Where a command leaves the wish for the traceback of a flow that can't be loaded."""


EXHAUSTED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS, errno.EIO})
"""What the system answers, without a file's name, where the machine has nothing left to give."""


def system_message(error: OSError) -> str:
    """What the system refused, in a line: the path, if there is one, and the reason."""
    reason = error.strerror or str(error)
    return f"{reason}." if error.filename is None else f"{os.fsdecode(error.filename)}: {reason}."


def check_working_directory() -> None:
    """Raise ``Refused`` where there is none: nearly every path is looked for from it."""
    try:
        os.getcwd()
    except OSError as error:
        where = os.environ.get("PWD", "of this shell")
        raise Refused(
            f"The working directory {where} can't be used ({error.strerror}): go to another one, as with cd."
        ) from None


class Refused(click.ClickException):
    """Wrong use, or something that can't be done: one message on standard error, exit code 2."""

    exit_code = 2
