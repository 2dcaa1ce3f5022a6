"""A DAG run as a source of calls: each job the moment its own inputs have ended, not when a "level" has."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ..errors import DefinitionError
from ..jobs import Job
from ..model.graph import Readiness, closure
from ..model.results import ExecutionResult
from .calls import Call


class DagRun:
    """The closure of some targets, each job once. ``template`` is what every call of the run has in common.

    ``reserve`` gives the first of so many new positions among the caller's calls: a job's is that of its place in the run.
    """

    def __init__(self, targets: Sequence[Job[Any]], template: Call, reserve: Callable[[int], int]) -> None:
        self._flow = targets[0].flow
        self._template = template
        self.edges = _edges(targets)
        self.nodes = closure([job.name for job in targets], self.edges)
        self._position = reserve(len(self.nodes))
        self._readiness = Readiness(self.nodes, self.edges)
        self._ready = deque(self._readiness.ready())
        self._order = {name: index for index, name in enumerate(self.nodes)}
        self.results: dict[str, ExecutionResult] = {}

    def next(self) -> tuple[int, Call] | None:
        """The next job whose inputs have all ended."""
        if not self._ready:
            return None
        name = self._ready.popleft()
        job = self._flow.jobs[name]
        results = tuple(self.results[known] for known in self.edges[name])
        number = self._order[name]
        return number, self._call(job, results, self._position + number)

    def _call(self, job: Job[Any], results: tuple[ExecutionResult, ...], position: int) -> Call:
        takes_none = not job.parameters.names and not job.parameters.variable
        call = msgspec.structs.replace(
            self._template, job=job, inputs=() if takes_none else results, upstream=results or None, position=position
        )
        if job.partitions is None:
            call.time_partition = call.cat_partition = None
        else:
            # a job gets the keys of the dimensions it has
            call.time_partition = call.time_partition if job.partitions.time is not None else None
            call.cat_partition = call.cat_partition if job.partitions.cat is not None else None
        return call

    def ended(self, number: int, result: ExecutionResult) -> None:
        """A job ended: what waited only for it is ready."""
        name = self.nodes[number]
        self.results[name] = result
        self._ready.extend(self._readiness.done(name))


def _edges(targets: Sequence[Job[Any]]) -> dict[str, list[str]]:
    """The declared inputs of the targets and of all they need. Raises ``DefinitionError`` for an unknown one."""
    flow = targets[0].flow
    edges: dict[str, list[str]] = {}
    rest = list(targets)
    while rest:
        job = rest.pop()
        if job.name not in edges:
            if flow.jobs.get(job.name) is None:
                raise DefinitionError(f"{job.name!r} is no job of flow {flow.name!r} any more.")
            inputs = flow.inputs_of(job)
            edges[job.name] = [known.name for known in inputs]
            rest += inputs
    return edges
