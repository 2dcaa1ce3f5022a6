"""The copy of a store that is kept before a migration rewrites it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Copying(NamedTuple):
    """Whether a copy is kept before a migration that rewrites or drops what is stored, and who learns how far the copy is.

    ``progress`` is called with (parts copied, parts in all), at the end too.
    """

    keep: bool = True
    progress: Callable[[int, int], None] = lambda done, total: None


KEEP_COPY = Copying()
"""A copy is kept, and its progress is not reported."""
