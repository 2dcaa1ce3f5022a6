"""A store that is open: its parts, put together from what one kind of store provides."""

from __future__ import annotations

from collections.abc import Callable

from ..model.events import EventBus
from .database import Database, Readable
from .engines import EngineHistory, Engines
from .executions import Executions
from .logs import LogReader, Logs
from .mappings import MappingInputs
from .partitions import PartitionStatuses
from .reading import Reading
from .resumed_runs import ResumedRuns
from .retention import Retention
from .schedules import ScheduleHistory, Schedules


class StoreView:
    """A store that is looked at. Its parts can be used from every thread, and raise ``StoreError`` if it can't be read.

    ``label`` names the store for people. ``reading``: executions, lists of them and trees. ``partitions``: what became of
    partitions. ``schedules``: schedules and their ticks. ``engines``: whether a server runs. ``logs``: what executions printed.
    """

    engines: EngineHistory
    schedules: ScheduleHistory
    logs: LogReader

    def __init__(
        self, label: str, database: Readable, engines: EngineHistory, logs: LogReader, close: Callable[[], None]
    ) -> None:
        self.label = label
        self.engines = engines
        self.logs = logs
        self.reading = Reading(database)
        self.partitions = PartitionStatuses(database)
        self.schedules = ScheduleHistory(database)
        self._close = close

    def close(self) -> None:
        """Let go of everything that the store holds. The parts raise ``StoreError`` afterwards. Calling it twice is fine."""
        self._close()


class Store(StoreView):
    """A store that is written to, by one engine or command of this process.

    It has the parts of a ``StoreView`` and more. ``executions``: their lives are written. ``mappings``: their inputs are kept.
    ``runs``: what runs have called by now. ``retention``: old history is deleted. ``engines`` also records engines and knows which
    of the others are alive; ``schedules`` and ``logs`` also write. Each change is published on ``events`` once it can be read.

    ``database`` is what the parts are made of. Nothing but the store itself uses it; tests and benchmarks look into it.
    """

    engines: Engines
    schedules: Schedules
    logs: Logs

    def __init__(
        self,
        label: str,
        database: Database,
        engines: Engines,
        logs: Logs,
        events: EventBus,
        close: Callable[[], None],
    ) -> None:
        super().__init__(label, database, engines, logs, close)
        self.database = database
        self.events = events
        self.executions = Executions(database, engines, events)
        self.schedules = Schedules(database, engines, events)
        self.mappings = MappingInputs(database)
        self.runs = ResumedRuns(database)
        self.retention = Retention(database, logs, self.mappings)
