"""The state of a live execution, and every change of it.

::

                 park, park_for_retry
      ACTIVE ───────────────────────────> PARKED
        │    <───────────────────────────   │
        │               unpark              │
        │ end                               │ leave, end
        v                                   v
      ENDED <────────────────────────────────

A new execution is ``ACTIVE``: one thread prepares it, carries it out and ends it. ``PARKED``: it waits without a thread, for
slots, for an execution of another engine, or for its next attempt. Whoever unparks it carries it out from then on: of a grant,
a cancel and a stop of the engine that come at the same time, only one does. ``ENDED``: this engine has finished with it.

Asking an execution to stop and parking it exclude each other. Whoever asks sets the reason first and then unparks what is parked;
``park`` looks at the reason under the lock. So either the execution does not park, or whoever asked finds it parked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum

from ...runners.base import Stop


class State(Enum):
    """Whether a thread carries an execution out, it waits without one, or it has ended."""

    ACTIVE = "active"
    PARKED = "parked"
    ENDED = "ended"


class Lifecycle:
    """The state of one execution, and its lock. The methods are the only transitions; each takes the lock. Reading needs none."""

    __slots__ = ("lock", "state")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.state = State.ACTIVE

    def park(self, stop: Stop) -> bool:
        """Active to parked; False if it was asked to stop, so that it has to end instead."""
        with self.lock:
            if stop.reason is not None:
                return False
            self.state = State.PARKED
        return True

    def park_for_retry(self, stop: Stop, renew: Callable[[], None]) -> bool:
        """Active to parked, until its next attempt, for which ``renew`` makes a ``Stop`` that nobody has set.

        False if it was asked to stop, other than by the timeout of the attempt that failed.
        """
        with self.lock:
            if stop.reason not in (None, "timeout"):
                return False
            renew()
            self.state = State.PARKED
        return True

    def unpark(self) -> bool:
        """Parked to active; False if it was not parked: somebody else has unparked it, and carries it out or ends it."""
        with self.lock:
            if self.state is not State.PARKED:
                return False
            self.state = State.ACTIVE
        return True

    def leave(self, may_leave: Callable[[], bool]) -> bool:
        """Parked to ended, for another engine to carry out; False if it was not parked, or may not be left."""
        with self.lock:
            if self.state is not State.PARKED or not may_leave():
                return False
            self.state = State.ENDED
        return True

    def end(self) -> None:
        """Whatever its state, it has ended."""
        with self.lock:
            self.state = State.ENDED
