"""The engines of a store, as the other parts need them. Each kind of store finds out in its own way which are alive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from .rows import DeadEngine, RunningElsewhere, ServerState


class EngineHistory(Protocol):
    """Looks at the engines of a store. Every method raises ``StoreError`` if the store can't be read."""

    def server(self) -> ServerState:
        """Whether a server runs on the store, and what is known of the last one."""
        ...

    def orphans(self, execution_ids: Iterable[int]) -> set[int]:
        """Those of the executions whose engine is a server that died without recording its end."""
        ...


class Engines(EngineHistory, Protocol):
    """Records engines, this process's own among them, and finds out which of the others are alive.

    ``own``: the id of this process's engine, 0 before it is registered. ``has_ended``: its end has been recorded.
    """

    own: int
    has_ended: bool

    def become_server(self) -> None:
        """Be the one server of the store until the store is closed or this process ends, in whatever way.

        Raises ``StoreLocked`` while another process is the server, ``StoreUnavailable`` if the store can't find that out.
        """
        ...

    def register(self, kind: str, now: float) -> int:
        """Record a new engine of this process, "server" or "local": the owner of what is opened from now on. Returns its id."""
        ...

    def unregister(self, *, now: float, reason: str) -> None:
        """Record that this process's engine ended, and why."""
        ...

    def dead(self) -> list[DeadEngine]:
        """The engines that died without recording their end."""
        ...

    def is_open(self, engine_id: int) -> bool:
        """Whether this is the engine of another process that has not recorded its end."""
        ...

    def having(self, executions: Sequence[tuple[int, int]]) -> list[RunningElsewhere]:
        """Of (execution id, engine id), those executions whose engine belongs to another process that is alive."""
        ...
