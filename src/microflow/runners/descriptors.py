"""Files by their numbers: the same in the main process and in a worker."""

from __future__ import annotations

import os
from typing import Any


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything. Raises ``OSError`` if the other side is gone."""
    written = os.write(descriptor, data)
    while written < len(data):
        data = data[written:]
        written = os.write(descriptor, data)


def identity(descriptor: int) -> tuple[int, int] | None:
    """Which open file a descriptor stands for; None if it stands for none. A number is used again once its file is closed."""
    try:
        found: Any = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino
