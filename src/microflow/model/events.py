"""What happened, as values, and the bus that tells whoever listens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

import msgspec

logger = logging.getLogger("microflow")

Topic = Literal["execution", "progress", "log", "schedule", "concurrency", "code"]


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change. It names what changed, so that a reader can fetch it anew; it is published after the change is committed.

    ``topic`` is the kind of thing; ``id``, ``parent_id`` and ``root_id`` are executions; ``name`` is a schedule's.
    "code": other definitions are served, or the files that they were loaded from have changed.
    """

    topic: Topic
    flow: str = ""
    job: str = ""
    id: int = 0
    parent_id: int | None = None
    root_id: int = 0
    status: str = ""
    name: str = ""


Listener = Callable[[Event], None]


class EventBus:
    """Hands every event to every listener, in the thread that publishes it. A listener must be quick.

    An exception in a listener is logged: it concerns neither the other listeners nor what the event tells of.
    """

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()

    @property
    def listened(self) -> bool:
        """Whether anyone listens; lets a publisher save the making of an event."""
        return bool(self._listeners)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; the function returned takes it away again."""
        self._listeners = (*self._listeners, listener)

        def unsubscribe() -> None:
            self._listeners = tuple(known for known in self._listeners if known is not listener)

        return unsubscribe

    def publish(self, event: Event) -> None:
        """Tell every listener."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                logger.exception("A listener failed at an event of topic %r.", event.topic)
