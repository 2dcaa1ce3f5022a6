"""Runs over partitions: which cells they take, and the calls they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from ..errors import PartitionError
from ..jobs import Job
from ..model.clock import Clock
from ..model.partitions import Only, Order, PartitionKey, select
from ..runtime import PartitionSelection, batches
from ..store.partitions import PartitionStatuses
from .calls import Call
from .fanout import Calls

if TYPE_CHECKING:
    from .caller import Caller


class PartitionRuns:
    """Plans and carries out runs over partitions."""

    def __init__(self, statuses: PartitionStatuses, clock: Clock) -> None:
        self._statuses = statuses
        self._clock = clock

    def plan(self, job: Job[Any], selection: PartitionSelection) -> list[PartitionKey]:
        """The keys of the cells that a run takes, in its order. Raises ``PartitionError`` for a selection that makes no sense."""
        partitions = job.partitions
        if partitions is None:
            raise PartitionError(
                f"Job {job.name!r} has no partitions; declare time_partitions or cat_partitions, or call it as it is."
            )
        if selection.time_partitions is not None:
            if selection.start is not None or selection.end is not None:
                raise PartitionError("Give either time_partitions, or start and end: not both.")
            axis = partitions.time_axis_of(selection.time_partitions)
        else:
            earliest = self._statuses.earliest(job.flow.name, job.name)
            now = datetime.fromtimestamp(self._clock.now(), UTC)
            axis = partitions.time_axis(selection.start, selection.end, now, earliest)  # type: ignore[assignment]
        categories = partitions.categories(selection.cat_partitions)
        cells = partitions.cells(axis, categories, cast(Order, selection.order))
        statuses = {} if selection.only == "all" else self._statuses.of_job(job.flow.name, job.name)
        return select(cells, statuses, cast(Only, selection.only))

    def run(
        self,
        caller: Caller,
        job: Job[Any],
        keys: Sequence[PartitionKey],
        batch_size: int | None,
        max_concurrency: int | None,
        with_inputs: bool,
        *,
        trigger: str = "partitions",
        ended: Callable[[int], None] | None = None,
        keep: bool = True,
    ) -> Calls:
        """Carry out the job for these cells, one execution for each or for each batch; arguments as for ``Caller.map_calls``."""
        if with_inputs:
            if batch_size is not None:
                raise PartitionError(
                    "with_inputs runs a DAG for each partition, so it can't be combined with batch_size."
                )
            return caller.dag_runs(job, _calls(job, keys, None, trigger), max_concurrency, ended=ended, keep=keep)
        if batch_size is not None and not (job.parameters.names or job.parameters.variable):
            raise PartitionError(f"Job {job.name!r} takes no input, so no batch of partitions can be given to it.")
        return caller.map_calls(job, _calls(job, keys, batch_size, trigger), max_concurrency, ended=ended, keep=keep)


def _calls(job: Job[Any], keys: Sequence[PartitionKey], batch_size: int | None, trigger: str) -> Iterator[Call]:
    if batch_size is None:
        for time_partition, cat_partition in keys:
            yield Call(job=job, trigger=trigger, time_partition=time_partition, cat_partition=cat_partition)
        return
    for batch in batches(keys, batch_size):
        dicts = [{"time_partition": text, "cat_partition": category} for text, category in batch]
        yield Call(job=job, trigger=trigger, inputs=(dicts,))
