"""Records of ``logging`` in the logs of executions: what Microflow adds to what a flow's module set up, in workers and in threads.

Where nobody set the level of the root logger, records count from INFO on. Where no root handler writes to a standard stream, and so
to the execution's log, Microflow adds one. It is not there while a module is imported: ``logging.basicConfig`` does nothing if the
root logger has a handler.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class UnsetLevel(int):
    """The level of the root logger as Python sets it. Once a process ``is_used`` to it, any other number was set by somebody."""

    is_used: ClassVar[bool] = False


def is_level_set(root: logging.Logger) -> bool:
    """Whether somebody set the level of the root logger; without a mark, Python's own level counts as not set."""
    return not isinstance(root.level, UnsetLevel) and (UnsetLevel.is_used or root.level != logging.WARNING)


def mark_level() -> None:
    """Make it possible to tell whether the modules that are imported next set the level of the root logger."""
    root = logging.getLogger()
    if not is_level_set(root):
        root.setLevel(UnsetLevel(root.level))
        UnsetLevel.is_used = True


class WorkerRecords:
    """What a worker process adds to the set-up of its flow's modules."""

    def __init__(self) -> None:
        self._handler = _StandardErrorHandler()
        self._handler.setFormatter(logging.Formatter(FORMAT))
        self._last_resort = logging.lastResort
        logging.getLogger().setLevel(logging.INFO)
        self._complete()

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """While modules set up what they need, there is only what they set up; afterwards it is completed."""
        root = logging.getLogger()
        root.removeHandler(self._handler)
        logging.lastResort = self._handler  # for records that come meanwhile
        try:
            yield
        finally:
            logging.lastResort = self._last_resort
            self._complete()

    def _complete(self) -> None:
        root = logging.getLogger()
        if not any(writes_to_standard_stream(handler) for handler in root.handlers):
            root.addHandler(self._handler)


def writes_to_standard_stream(handler: logging.Handler) -> bool:
    """Whether what a handler writes is printed by this process."""
    stream = getattr(handler, "stream", None)
    console = getattr(handler, "console", None)  # of rich
    return any(
        found is not None and found in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
        for found in (stream, getattr(console, "file", None))
    )


class _StandardErrorHandler(logging.StreamHandler[Any]):
    """Writes to whatever ``sys.stderr`` is at the time."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, value: Any) -> None:
        raise AttributeError("the stream is always sys.stderr")
