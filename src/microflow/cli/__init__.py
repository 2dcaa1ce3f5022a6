"""The command line, ``microflow COMMAND``: the only place that puts store, engine and web together.

Each command is a module of its own, imported when it is called for, so that a command pays only for what it uses.
"""

from __future__ import annotations


def main() -> None:
    """Carry out what this process's arguments say, and end it: 0 done, 1 the job failed, 2 wrong use."""
    from .first_process import reap_if_first

    reap_if_first()  # before anything starts a thread, and before what the parent need not hold is imported
    from .characters import escape_what_cannot_be_printed
    from .commands import commands

    escape_what_cannot_be_printed()
    # on Windows, click would put variables and names of files in place of what looks like them, in JSON too
    commands(prog_name="microflow", windows_expand_args=False)
