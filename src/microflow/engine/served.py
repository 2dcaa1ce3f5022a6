"""What an engine serves: flows by their names, which a reload replaces as a whole while the engine runs.

An execution that has started or is queued keeps its job. So several versions of the code may be at work at the same time. They
share what is found by names: limits, run keys, the runs of schedules.
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
from ..model.events import Event
from ..versions import CodeVersion
from .changes import Changes, changes
from .execution.dispatch import Dispatch
from .execution.resources import Resources
from .names import by_name, named, store_of
from .recovery.resume import Resumption
from .runs.caller import Caller
from .schedules.runs import ScheduleRuns, served_schedules
from .schedules.scheduler import Scheduler

LET_GO = 30.0
"""Seconds between two looks whether anything of a version that was replaced still runs."""


class Served:
    """The flows that an engine serves, and the URL of the store that they share.

    ``store``: the URL; None: that of the flows. ``replacements``: how often other definitions have replaced the first ones.
    ``lock``: held while flows are replaced, and while the engine stops.
    Raises ``DefinitionError``, ``FlowCheckError`` for flows that can't be served.
    """

    def __init__(self, flows: Sequence[Flow], store: str | None) -> None:
        self.flows = _checked(flows)
        self.store = store or store_of(flows)
        self.replacements = 0
        self.lock = threading.Lock()
        self._names_store = store is not None
        self._runtime: Caller | None = None
        self._bound: WeakSet[Flow] = WeakSet()  # replaced flows too, as long as something of them lives

    def bind(self, runtime: Caller) -> None:
        """From now on, ``runtime`` carries out the calls of these flows' jobs that are made outside any execution."""
        self._runtime = runtime
        for flow in self.flows.values():
            flow.runtime = runtime
            self._bound.add(flow)

    def unbind(self) -> None:
        """Undo ``bind`` for every flow that was ever served."""
        for flow in self._bound:
            if flow.runtime is self._runtime:
                flow.runtime = None

    def flow(self, name: str) -> Flow:
        """The flow of this name. Raises ``UnknownNameError``."""
        found: Flow = named(self.flows, name, "flow", "this engine")
        return found

    def job(self, flow: str, job: str) -> Job[Any]:
        """The job of these names. Raises ``UnknownNameError``."""
        found: Job[Any] = named(self.flow(flow).jobs, job, "job", f"flow {flow!r}")
        return found

    def check(self, flows: Sequence[Flow]) -> Mapping[str, Flow]:
        """The flows by their names, if they can replace those that are served.

        Raises ``DefinitionError``, ``FlowCheckError`` if they can't.
        """
        new = _checked(flows)
        if not self._names_store and any(flow.store not in (None, self.store) for flow in flows):
            raise DefinitionError(
                f"The flows name the store {store_of(flows)} now, and this server has {self.store}; start it again to use the "
                "other one."
            )
        return new

    def replace(self, new: Mapping[str, Flow]) -> None:
        """Serve these flows instead. ``bind`` has been called."""
        assert self._runtime is not None
        self.flows = new
        self.replacements += 1
        self.bind(self._runtime)

    @property
    def version(self) -> CodeVersion | None:
        """The version of the code that is served; None if the flows were not loaded from files."""
        found: CodeVersion | None = next((flow.version for flow in self.flows.values() if flow.version), None)
        return found

    def changed_files(self) -> list[Path]:
        """The files of modules that hold something else than what was imported, or are gone; sorted.

        Files outside the flows' folders are watched from the first call on.
        """
        versions = {id(flow.version): flow.version for flow in self.flows.values() if flow.version is not None}
        return sorted({file for version in versions.values() for file in version.changed()})


class Reloading:
    """Replaces the flows that an engine serves."""

    def __init__(
        self,
        served: Served,
        resources: Resources,
        scheduler: Scheduler,
        schedule_runs: ScheduleRuns,
        resumption: Resumption,
        dispatch: Dispatch,
    ) -> None:
        self._served = served
        self._resources = resources
        self._scheduler = scheduler
        self._schedule_runs = schedule_runs
        self._resumption = resumption
        self._dispatch = dispatch
        self._reload_lock = threading.Lock()

    def serve(self, flows: Sequence[Flow]) -> None:
        """Serve other flows from the next top-level execution on. Executions that have started or are queued keep their jobs.

        1. The flows are checked. 2. Their schedules are compared with the store, as when a server starts. 3. Everything that finds
        flows, jobs, schedules and limits by name gets the new ones. Raises ``DefinitionError``, ``FlowCheckError``, ``StoreError``,
        and ``ConflictError`` when the engine stops; then everything is served as before.
        """
        new = self._served.check(flows)
        schedules = served_schedules(new.values())

        def replace() -> None:
            self._resources.limits.define(new.values())
            self._schedule_runs.serve(schedules)
            self._resumption.serve(new, schedules)
            self._served.replace(new)

        with self._served.lock:
            self._resources.refuse_if_stopping(None)
            self._scheduler.serve(new, schedules, replace)
        self._let_go()
        self._resources.events.publish(Event("code"))

    def _let_go(self) -> None:
        """Let go of what only replaced flows need, once nothing of them runs any more."""
        served = self._served.flows.values()
        flows = {*served, *(execution.job.flow for execution in self._resources.live.all())}
        self._dispatch.keep(flows)
        if len(flows) > len(served) and not self._resources.stopping:
            self._resources.timers.later(LET_GO, self._let_go)

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
        before, files, version = self._served.flows, self._served.changed_files(), self._served.version
        if version is None or version.directory is None:
            raise ConflictError(
                "The code of these flows can't be loaded again, since the program that serves them made them itself. Start it "
                "again instead."
            )
        load_anew(version, lambda new: self.serve(new.flows))
        own = [file for file in files if version.own.hold(str(file))]
        others = [file for file in files if file not in own]
        return changes(before, self._served.flows, map(shown, own), map(shown, others))


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
