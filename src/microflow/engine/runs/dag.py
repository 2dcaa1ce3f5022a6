"""A DAG run as a source of calls: each job the moment its own inputs have ended, not when a "level" has."""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from ...errors import DefinitionError, InputCountError
from ...jobs import Job
from ...model.graph import Readiness, closure
from ...model.results import ExecutionError, ExecutionResult, ExecutionStatus, combined_status
from ...runners.base import Outcome
from ...runners.calling import outcome_of
from ...store.rows import Opened
from ..execution.call import Call


class ResumedDag(NamedTuple):
    """The calls that a DAG run made before it was interrupted, by the names of the jobs.

    ``results``: those of the calls that have ended; ``opened``: the rows of the others, which are queued.
    """

    results: Mapping[str, ExecutionResult] = {}
    opened: Mapping[str, Opened] = {}


NEW_RUN = ResumedDag()
"""A new run, which has made no calls."""


class DagRun:
    """The closure of some targets, each job once. ``template`` is what every call of the run has in common.

    ``reserve`` gives the first of so many new positions among the caller's calls: a job's is that of its place in the run.
    Raises ``DefinitionError`` if what is ``resumed`` is another run than the one that the jobs declare now.
    """

    def __init__(
        self,
        targets: Sequence[Job[Any]],
        template: Call,
        reserve: Callable[[int], int],
        resumed: ResumedDag = NEW_RUN,
    ) -> None:
        self._flow = targets[0].flow
        self._template = template
        self.edges = _edges(targets)
        self.nodes = closure([job.name for job in targets], self.edges)
        _check_calls(resumed, self.edges)
        self._position = reserve(len(self.nodes))
        self._readiness = Readiness(self.nodes, self.edges)
        self._order = {name: index for index, name in enumerate(self.nodes)}
        self._opened = resumed.opened
        self.results: dict[str, ExecutionResult] = dict(resumed.results)
        ready = self._readiness.ready()
        for name in self.nodes:  # inputs come before what needs them
            if name in self.results:
                ready += self._readiness.done(name)
        self._ready = deque(name for name in ready if name not in self.results)

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
            self._template,
            job=job,
            inputs=() if takes_none else results,
            upstream=results,
            position=position,
            opened=self._opened.get(job.name),
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


def closure_of(job: Job[Any]) -> list[Job[Any]]:
    """A job with everything it declares as inputs, and what they declare; what others need comes first."""
    return [job.flow.jobs[name] for name in closure([job.name], _edges([job]))]


def _edges(targets: Sequence[Job[Any]]) -> dict[str, list[str]]:
    """The declared inputs of the targets and of all they need.

    Raises ``DefinitionError`` for an unknown one, ``InputCountError`` for a job that the run gives too little.
    """
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
    for name, names in edges.items():
        _check_fed(flow.jobs[name], names)
    return edges


def check_resumed(targets: Sequence[Job[Any]], resumed: ResumedDag) -> None:
    """Raise what ``DagRun`` would: ``DefinitionError`` or ``InputCountError`` if the run can't be resumed."""
    _check_calls(resumed, _edges(targets))


def _check_calls(resumed: ResumedDag, edges: Mapping[str, Sequence[str]]) -> None:
    """Raise ``DefinitionError`` unless every call made before is part of the run, and had its inputs."""
    for name in (*resumed.results, *resumed.opened):
        if name not in edges:
            raise DefinitionError(f"it has run job {name!r}, which is no part of it any more.")
        lacking = next((known for known in edges[name] if known not in resumed.results), None)
        if lacking is not None:
            raise DefinitionError(f"it has run job {name!r} without job {lacking!r}, which is an input of it by now.")


def _check_fed(job: Job[Any], inputs: Sequence[str]) -> None:
    """Raise ``InputCountError`` if a run gives a job's function too little: it requires an input, and the job declares none."""
    parameters = job.parameters
    if parameters.required and not inputs and job.partitions is None:
        raise InputCountError(
            f"{job.name}({', '.join(parameters.names)}) takes {parameters.describe()} input{'s' * (parameters.required > 1)}, and "
            "declares none, so a run with inputs gives it nothing: declare inputs, give its parameters defaults, or call it with "
            "inputs of your own."
        )


def outcome_of_run(results: Sequence[ExecutionResult]) -> Outcome:
    """How a DAG run ends: as its target does; of several targets, as a list of results, with how many ended with which status."""
    if len(results) == 1:
        return outcome_of(results[0], results[0].job or "", sys.maxsize)  # the target has measured its output
    counts = Counter(str(result.status) for result in results)
    status = combined_status([result.status for result in results])
    output = msgspec.json.encode(dict(sorted(counts.items())))
    failed = [result for result in results if result.status in (ExecutionStatus.ERROR, ExecutionStatus.CANCELLED)]
    if not failed:
        reason = f"all {len(results)} jobs were skipped" if status is ExecutionStatus.SKIPPED else None
        return Outcome(status, output, reason=reason)
    first = failed[0]
    why = f"{first.error.type}: {first.error.message}" if first.error else f"it ended as {first.status}"
    message = f"{len(failed)} of {len(results)} jobs failed; the first, {first.job!r}: {why}"
    return Outcome(status, output, ExecutionError("ExecutionFailed", message))
