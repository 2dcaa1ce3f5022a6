"""What an engine serves: flows by their names, replaced as a whole while it runs.

Whoever has begun or queued an execution keeps the job that it was of. So several versions of the code are at work at the same time,
and share what is found by names: limits, run keys, the runs of schedules.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakSet

from ..errors import ConflictError, DefinitionError
from ..flow import Flow, check_all
from ..jobs import Job
from ..loading import load_anew, shown
from ..model.events import Event, EventBus
from ..versions import CodeVersion
from .background.timers import Timers
from .changes import Changes, changes
from .execution.dispatch import Dispatch
from .execution.resources import Resources
from .names import by_name, named, store_of
from .recovery.resume import Succession
from .runs.caller import Caller
from .schedules.runs import Key, ScheduleRuns, ServedSchedule, served_schedules
from .schedules.scheduler import Scheduler

LET_GO = 30.0
"""Seconds between two looks whether anything of a version that was replaced still runs."""


class Served:
    """An engine, as far as it knows flows.

    ``store``: the URL of its store; default: that of the flows. ``reloads``: how often other definitions took the place of the
    first ones. Raises ``DefinitionError``, ``FlowCheckError`` for flows that it
    can't serve.
    """

    scheduler: Scheduler
    _resources: Resources
    _outside: Caller
    _schedule_runs: ScheduleRuns
    _succession: Succession
    _dispatch: Dispatch
    _timers: Timers

    def __init__(self, flows: Sequence[Flow], store: str | None) -> None:
        self.events = EventBus()
        self.flows = _checked(flows)
        self._named_store = store
        self._url = store or store_of(flows)
        self._bound: WeakSet[Flow] = WeakSet()  # those that were replaced too, as long as something of them lives
        self._stop_lock = threading.Lock()
        self._reload_lock = threading.Lock()
        self.reloads = 0

    def _bind(self) -> None:
        """Calls outside any execution are carried out by this engine."""
        for flow in self.flows.values():
            flow.runtime = self._outside
            self._bound.add(flow)

    @property
    def _version(self) -> CodeVersion | None:
        found: CodeVersion | None = next((flow.version for flow in self.flows.values() if flow.version), None)
        return found

    def _unbind(self) -> None:
        for flow in self._bound:
            if flow.runtime is self._outside:
                flow.runtime = None

    def flow(self, name: str) -> Flow:
        """The flow of this name. Raises ``UnknownNameError``."""
        found: Flow = named(self.flows, name, "flow", "this engine")
        return found

    def job(self, flow: str, job: str) -> Job[Any]:
        """The job of these names. Raises ``UnknownNameError``."""
        found: Job[Any] = named(self.flow(flow).jobs, job, "job", f"flow {flow!r}")
        return found

    @property
    def schedules(self) -> Mapping[Key, ServedSchedule]:
        """The schedules of the flows, by (flow, schedule), in the order of definition."""
        return self.scheduler.served

    def schedule(self, flow: str, name: str) -> ServedSchedule:
        """The schedule of these names. Raises ``UnknownNameError``."""
        return self.scheduler.find(flow, name)

    def serve(self, flows: Sequence[Flow]) -> None:
        """Serve other flows instead, from the next top-level execution on; what was begun or queued before keeps its jobs.

        1. The flows are checked. 2. Their schedules are compared with the store, as when a server starts. 3. Everything that names
        flows, jobs, schedules and limits is replaced. Raises ``DefinitionError``, ``FlowCheckError``, ``StoreError``, and
        ``ConflictError`` when the engine stops; then everything is served as before.
        """
        new = _checked(flows)
        if self._named_store is None and any(flow.store not in (None, self._url) for flow in flows):
            raise DefinitionError(
                f"The flows name the store {store_of(flows)} now, and this server has {self._url}; start it again to use the other "
                "one."
            )
        served = served_schedules(new.values())

        def replace() -> None:
            self._resources.limits.define(new.values())
            self._schedule_runs.serve(served)
            self._succession.serve(new, served)
            self.flows = new
            self.reloads += 1
            self._bind()

        with self._stop_lock:
            self._resources.refuse_if_stopping(None)
            self.scheduler.serve(new, served, replace)
        self._let_go()
        self.events.publish(Event("code"))

    def _let_go(self) -> None:
        """Let go of what only replaced flows need, once nothing of them runs any more."""
        flows = {*self.flows.values(), *(execution.job.flow for execution in self._resources.live.all())}
        self._dispatch.keep(flows)
        if len(flows) > len(self.flows) and not self._resources.stopping:
            self._timers.later(LET_GO, self._let_go)

    def reload(self) -> Changes:
        """Load the flows' code again from their files, and serve it as ``serve`` says; what changed.

        One reload at a time. Raises ``LoadError`` if the code can't be loaded, ``ConflictError`` if it was not loaded from a file,
        and what ``serve`` raises; then everything is served as before.
        """
        with self._reload_lock:
            found = self._reload()
            _collect()
            return found

    def _reload(self) -> Changes:
        self._resources.refuse_if_stopping(None)
        before, files = self.flows, self.changed_files()
        version = self._version
        if version is None or version.directory is None:
            raise ConflictError(
                "The code of these flows can't be loaded again, since the program that serves them made them itself. Start it "
                "again instead."
            )
        load_anew(version, lambda new: self.serve(new.flows))
        own = [file for file in files if version.own.hold(str(file))]
        others = [file for file in files if file not in own]
        return changes(before, self.flows, map(shown, own), map(shown, others))

    def changed_files(self) -> list[Path]:
        """The files of modules that hold something else than what was imported, or are gone; sorted.

        Those outside the flows' folders are known from the first call on.
        """
        versions = {id(flow.version): flow.version for flow in self.flows.values() if flow.version is not None}
        return sorted({file for version in versions.values() for file in version.changed()})


def _collect() -> None:
    """Free the versions of the code that nothing uses. A server has its objects frozen, which keeps them from being collected."""
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    gc.collect()
    if frozen:
        gc.freeze()


def _checked(flows: Sequence[Flow]) -> Mapping[str, Flow]:
    found = by_name(flows)
    check_all(found)
    return found
