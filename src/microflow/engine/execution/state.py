"""Where a live execution stands: what it was called for, what is known of it by now, and what others may ask of it."""

from __future__ import annotations

import threading
from enum import Enum
from typing import Any

from ...jobs import Job
from ...model.results import ExecutionResult
from ...runners.base import Outcome, Stop
from ...store.rows import HAVE_CODE, Opened
from ..admission.slots import Limit, SlotRequest
from .call import Call, Prepared
from .observation import Observation
from .resources import Resources


class State(Enum):
    """Where a live execution is: about to be told whether it may run, allowed to, running, waiting until it may, or ended.

    One in line has been handed to a worker that runs others first.
    """

    NEW = "new"
    READY = "ready"
    RUNNING = "running"
    PARKED = "parked"
    IN_CHUNK = "in chunk"
    ENDED = "ended"


class Standing:
    """A live execution, as others see it. ``children`` are those live ones that it called."""

    def __init__(self, resources: Resources, call: Call, parent: Standing | None) -> None:
        self.call: Call = call
        if call.scheduled_at is None and parent is not None:
            call.scheduled_at = parent.call.scheduled_at  # whatever a tick's run calls is of that tick
        self.job: Job[Any] = call.job
        self.kind = call.kind or call.job.kind
        self.parent = parent
        self.observation = Observation(resources, self._row)
        self.children: set[Any] = set()
        self.state = State.NEW
        self.attempt_number = 1
        self._resources = resources
        self._lock = threading.Lock()
        self._opened: Opened | None = None
        self._prepared: Prepared | None = None
        self._place: SlotRequest | None = None
        self._timer: Any = None
        self._result: ExecutionResult | None = None
        self._positions = 0
        self._positions_lock = threading.Lock()

    @property
    def id(self) -> int:
        """The execution's number; 0 before its row is open."""
        return self._opened.id if self._opened is not None else 0

    @property
    def stop(self) -> Stop:
        """What asks the attempt that runs now to end."""
        return self.observation.stop

    @property
    def row(self) -> Opened:
        """Its row, which is open."""
        return self._row()

    def _row(self) -> Opened:
        assert self._opened is not None, "its row is not open yet"
        return self._opened

    @property
    def result(self) -> ExecutionResult:
        """How it ended; asked only once it has."""
        assert self._result is not None, "the execution has not ended"
        return self._result

    @property
    def waits_at(self) -> Limit | None:
        """The limit at which it is parked."""
        return self._place.parked_at if self._place is not None else None

    @property
    def root_id(self) -> int:
        """The number of the execution at the top of the tree."""
        return self._opened.root_id if self._opened is not None else 0

    @property
    def outlives_engine(self) -> bool:
        """Whether the next server resumes it: a root, or a member of a run. What a manager called ends with its engine."""
        above = self.parent
        while above is not None and above.kind not in HAVE_CODE:
            above = above.parent
        return above is None

    @property
    def waits_for_attempt(self) -> bool:
        """Whether an attempt failed, and the next one has not begun."""
        return self.state is State.PARKED and self.row.started_at is not None

    def ends_alone(self, outcome: Outcome) -> bool:
        """Whether its end can't be written together with others: who has its run key next must find it when the places are free,
        and to tell a partition named afterwards runs code of the user's.
        """
        assert self._prepared is not None
        named = (self._prepared.run_key, outcome.run_key, outcome.cat_partition, outcome.time_partition)
        return any(name is not None for name in named)

    def next_positions(self, count: int = 1) -> int:
        """The first of so many new positions among this execution's calls."""
        with self._positions_lock:
            first = self._positions
            self._positions += count
        return first

    def places_above(self) -> list[SlotRequest]:
        """The places that those hold for whom this is done: whoever called it, and so on to the top."""
        places = []
        above = self.parent
        while above is not None:
            if above._place is not None and above._place.limits:
                places.append(above._place)
            above = above.parent
        return places
