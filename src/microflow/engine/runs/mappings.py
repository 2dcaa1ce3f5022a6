"""Mappings that are executions of their own: the calls they make, and where the inputs of these come from.

A server keeps the inputs in the store until the mapping has ended, so that the next server can resume it. A script keeps them in
memory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import msgspec

from ...errors import DefinitionError, StoreError
from ...jobs import Job
from ...model.payloads import decode
from ...model.results import Kind, Trigger
from ...runners.base import Outcome
from ...runtime import batches
from ...store import Executions, MappingInputs
from ...store.options import Options, read_options
from ...store.rows import Claim, Opened, Waiting
from ..execution.call import Call, prepare
from ..execution.pausing import PauseSwitch
from .sources import NEW_MAPPING, ResumedCalls

if TYPE_CHECKING:
    from .caller import Caller

logger = logging.getLogger("microflow")

_PAUSE = 0.01
"""Seconds between two deletions of a few blocks of inputs."""


class Mappings:
    """Makes the calls that are mappings. ``keeps_inputs``: in the store, for the next server."""

    def __init__(
        self,
        inputs: MappingInputs,
        executions: Executions,
        later: Callable[[float, Callable[[], None]], Any],
        *,
        keeps_inputs: bool,
    ) -> None:
        self._inputs = inputs
        self._executions = executions
        self._later = later
        self._keeps_inputs = keeps_inputs

    def call(
        self,
        job: Job[Any],
        inputs: Sequence[Any],
        trigger: Trigger,
        batch_size: int | None,
        max_concurrency: int | None,
    ) -> Call:
        """A new mapping. Its inputs are checked first, and stored if they are kept.

        Raises ``PayloadError``, ``InputCountError``, ``PartitionError``, ``StoreError``; nothing has happened then.
        """
        items: Iterable[Any] = inputs if batch_size is None else batches(inputs, batch_size)
        calls: Iterable[Call] = (_member(job, item if isinstance(item, tuple) else (item,)) for item in items)
        claim: Claim | None = None
        if self._keeps_inputs:
            mapping = self._inputs.store((prepare(call).inputs for call in calls), self._executions.engine_id)
            calls, size = self._calls(job, self._inputs.read(mapping)), mapping.size

            def claim(execution_id: int, _: Waiting | None) -> None:
                self._inputs.begin(mapping, execution_id)
        else:
            calls = list(calls)
            size = len(calls)
            for call in calls:
                prepare(call)  # so that nothing runs if one of them can't
        return Call(
            job=job,
            trigger=trigger,
            kind=Kind.MAP,
            body=_body(job, calls, size, max_concurrency),
            options=Options(batch_size=batch_size, max_concurrency=max_concurrency).encode(),
            pause_switch=PauseSwitch(),
            claim=claim,
        )

    def rest(
        self, job: Job[Any], run: Opened, options: str | None, resumed: ResumedCalls
    ) -> Callable[[Caller], Outcome]:
        """The body of an earlier server's mapping, with the calls that are left; ``resumed``: those it has made.

        Raises ``DefinitionError`` if its inputs are not in the store, and as ``call`` does if the job no longer takes them.
        """
        mapping = self._inputs.find(run.id)
        if mapping is None:
            raise DefinitionError("its inputs are not in the store.")
        for call in self._calls(job, self._inputs.read(mapping, resumed.position)):
            prepare(call)  # as at the first time
        asked = read_options(options)
        calls = self._calls(job, self._inputs.read(mapping, resumed.position))
        return _body(job, calls, mapping.size, asked.max_concurrency, resumed)

    def _calls(self, job: Job[Any], inputs: Iterable[msgspec.Raw]) -> Iterator[Call]:
        return (_member(job, tuple(decode(bytes(encoded)))) for encoded in inputs)

    def forget(self, _: Future[Any] | None = None) -> None:
        """Begin to delete the inputs of mappings that have ended, a few at a time."""
        if self._keeps_inputs:
            self._later(_PAUSE, self._delete)

    def _delete(self) -> None:
        try:
            if self._inputs.delete_ended():
                self._later(_PAUSE, self._delete)
        except StoreError as error:
            logger.error("The inputs of mappings that have ended can't be deleted now: %s", error)


def _member(job: Job[Any], inputs: tuple[Any, ...]) -> Call:
    return Call(job=job, inputs=inputs, trigger=Trigger.MAP)


def _body(
    job: Job[Any], calls: Iterable[Call], size: int, max_concurrency: int | None, resumed: ResumedCalls = NEW_MAPPING
) -> Callable[[Caller], Outcome]:
    done = sum(resumed.counts.values())

    def carry_out(caller: Caller) -> Outcome:
        ended = caller.reporter(size, done)
        return caller.map_calls(job, calls, max_concurrency, ended=ended, keep=False, resumed=resumed).summary(job.name)

    return carry_out
