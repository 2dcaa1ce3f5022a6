"""The standard streams of a worker process: the task's own, so that its output goes to a pipe that survives a crash."""

from __future__ import annotations

import io
import os
import sys
from typing import Any


def take_pipes() -> tuple[int, int]:
    """Free descriptors 0 and 1 for the task; the pipes that were behind them."""
    requests, responses = os.dup(0), os.dup(1)
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (requests, responses, 2):
            msvcrt.setmode(descriptor, os.O_BINARY)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it stays open as long as the process lives
    sys.stdout = sys.__stdout__ = _text_stream(1)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _text_stream(2)  # type: ignore[misc]
    return requests, responses


def _text_stream(descriptor: int) -> io.TextIOWrapper:
    raw = open(descriptor, "wb", closefd=False)  # noqa: SIM115 - as above
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", newline="\n", line_buffering=True)


def flush_streams() -> None:
    """Write out what a task has printed, whatever it did to the streams."""
    streams: list[Any] = [sys.stdout, sys.stderr]
    if sys.__stdout__ is not sys.stdout or sys.__stderr__ is not sys.stderr:
        streams += [sys.__stdout__, sys.__stderr__]
    for stream in streams:
        try:
            stream.flush()
        except Exception:  # noqa: BLE001 - the task may have closed it, or put anything at all in its place
            continue
