"""The slots of one execution: asked for, waited for without a thread, held, passed on and given back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...store.rows import Waiting
from ..admission.slots import Limit, SlotRequest
from .resources import Resources
from .settling import waiting_at

logger = logging.getLogger("microflow")


class Turn:
    """Waits for the turn of one execution, at full limits or by a timer.

    ``request``: its request for slots; None before it has made one. It is set by the thread that carries the execution out.
    """

    __slots__ = ("_resources", "_timer", "request")

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._timer: Any = None
        self.request: SlotRequest | None = None

    def ask(self, limits: Sequence[Limit], above: Iterable[SlotRequest], execution_id: int = 0) -> SlotRequest:
        """Make a request, which holds nothing yet. ``above``: those of the callers."""
        self.request = SlotRequest(limits, above)
        self.request.execution_id = execution_id
        return self.request

    def ask_anew(self) -> None:
        """Make the same request again."""
        request = self.made
        self.ask(request.limits, request.ancestors, request.execution_id)

    @property
    def made(self) -> SlotRequest:
        """The request, which must have been made."""
        assert self.request is not None, "it has asked for no slots"
        return self.request

    @property
    def waits_at(self) -> Limit | None:
        """The limit at which it is parked."""
        return self.request.parked_at if self.request is not None else None

    def take(self) -> bool:
        """Take all slots now; False, with none taken, if one is not free."""
        return self._resources.admission.take(self.made)

    def park(self, granted: Callable[[], None]) -> bool:
        """Wait for the slots: ``granted`` is called once they are taken. False if they were free after all, and are taken.

        Raises ``DeadlockError``.
        """
        return self._resources.admission.park(self.made, granted) is not None

    def waiting(self) -> Waiting:
        """Why it waits for slots, at this moment."""
        busy = next((limit for limit in self.made.limits if limit.full), None)
        return waiting_at(busy, self._resources.clock.now())

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Wait so many seconds, and then do this, unless ``stop_waiting`` comes first."""
        self._timer = self._resources.timers.later(seconds, action)

    def stop_waiting(self) -> None:
        """Wait neither for slots nor for a timer; an exception is logged, since the execution ends in any case."""
        if self._timer is not None:
            self._timer.cancel()
        if self.request is None:
            return
        for _ in range(2):  # twice is once
            try:
                self._resources.admission.withdraw(self.request)
                return
            except Exception:
                logger.exception("Execution %s could not stop waiting.", self.request.execution_id)

    def release(self) -> None:
        """Give back the slots; nothing happens if none are held."""
        if self.request is not None:
            self._resources.admission.release(self.request)
