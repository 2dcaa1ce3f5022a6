"""What Ctrl-C leaves behind that comes at the edge of a ``with`` statement: its traceback holds it, for nobody knows how long."""

from __future__ import annotations

import contextlib
from traceback import walk_tb

_EDGES = contextlib.contextmanager.__code__.co_filename


def let_go(error: BaseException) -> None:
    """Close what was entered, or about to be left, just when ``error`` was raised: a transaction, and the lock that it holds.

    Nobody who handles the error waits for those who need them, then, or writes into what is never committed.
    """
    for frame, _ in walk_tb(error.__traceback__):
        if frame.f_code.co_filename == _EDGES:
            with contextlib.suppress(RuntimeError):  # it goes on: it is leaving something because of this error
                frame.clear()
