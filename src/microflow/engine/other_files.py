"""Files of imported modules outside the flows' folders: a reload does not load them again, and says which have changed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

Stamp = tuple[int, int]
"""The time and the size of a file."""


class OtherFiles:
    """Knows those files as they were when it first noticed that they were imported. ``is_own``: whether a path is a flow's."""

    def __init__(self, is_own: Callable[[str], bool]) -> None:
        self._is_own = is_own
        self._known: dict[str, Stamp | None] = {}

    def note(self) -> None:
        """Notice what is imported by now."""
        for path in self._imported():
            if path not in self._known:
                self._known[path] = _stamp(path)

    def changed(self) -> list[Path]:
        """The files that are others now than when they were noticed, or that are gone; sorted."""
        return sorted(Path(path) for path, stamp in self._known.items() if _stamp(path) != stamp)

    def _imported(self) -> Iterator[str]:
        for module in tuple(sys.modules.values()):
            path = getattr(module, "__file__", None)
            if isinstance(path, str) and os.path.isabs(path) and not self._is_own(path):
                yield path


def _stamp(path: str) -> Stamp | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
