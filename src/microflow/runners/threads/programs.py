"""What programs write that a job in a thread of the main process starts is in the job's log.

A program takes over the descriptors of the process that starts it, and those are the server's. So wherever ``subprocess`` would
hand these on, it is given the pipe of the execution. ``os.popen`` and ``asyncio`` start programs by ``subprocess`` too; for
``os.system`` it does the same. Everything else about the program stays as its starter said.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from ..replacements import Replacement, Replacements
from .output import BinaryStandIn, StandIn, output_here


def _starts(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def __init__(  # noqa: N807 - it replaces that
        self: Any,
        args: Any,
        bufsize: int = -1,
        executable: Any = None,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        *rest: Any,
        **named: Any,
    ) -> None:
        output = output_here()
        if output is None or not (_is_standard(stdout) or _is_standard(stderr)):
            original(self, args, bufsize, executable, stdin, stdout, stderr, *rest, **named)
            return
        with output.descriptor() as descriptor:
            if descriptor is not None:
                stdout = descriptor if _is_standard(stdout) else stdout
                stderr = descriptor if _is_standard(stderr) else stderr
            original(self, args, bufsize, executable, stdin, stdout, stderr, *rest, **named)

    return __init__


def _is_standard(stream: Any) -> bool:
    """Whether this means the standard output or error of this process: left out, by descriptor, or as a stream."""
    if stream is None or isinstance(stream, (StandIn, BinaryStandIn)):
        return True
    if isinstance(stream, int):
        return stream in (1, 2)
    try:
        return stream.fileno() in (1, 2)
    except (AttributeError, OSError, ValueError):
        return False  # if it can't be used, subprocess says so


def _runs_shell(original: Callable[..., int]) -> Callable[..., int]:
    @wraps(original)
    def system(command: Any) -> int:
        if output_here() is None or not isinstance(command, (str, bytes, os.PathLike)):
            return original(command)
        sys.audit("os.system", command)
        # what the C function hands on to the shell, beside the standard streams
        process = subprocess.Popen(os.fspath(command), shell=True, close_fds=False, restore_signals=False)
        code = process.wait()
        if sys.platform == "win32":
            return code
        return code << 8 if code >= 0 else -code  # as wait(2) tells it

    return system


def _find() -> Sequence[Replacement]:
    return [
        Replacement(subprocess.Popen, "__init__", _starts),
        Replacement(os, "system", _runs_shell),
    ]


PROGRAMS = Replacements(_find)
"""What starts programs."""
