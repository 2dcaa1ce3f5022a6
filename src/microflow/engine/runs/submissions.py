"""The calls that people and programs ask an engine for, from outside any execution."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ...errors import CallError
from ...jobs import Job
from ...model.results import Kind, Trigger
from ...runtime import PartitionSelection
from ...store.options import Options
from ..execution.call import Call
from ..execution.pausing import PauseSwitch
from .caller import dag_call, partitions_body
from .partition_plans import PartitionPlan, check_closure_key, encode_options


def job_call(
    job: Job[Any],
    inputs: Sequence[Any],
    trigger: Trigger,
    *,
    force: bool,
    time_partition: Any,
    cat_partition: str | None,
    at: datetime | None,
) -> Call:
    """A call of a job. ``at`` (aware): the tick that the job sees as its ``scheduled_at``, though no schedule runs it."""
    return Call(
        job=job,
        inputs=tuple(inputs),
        trigger=trigger,
        force=force,
        scheduled_at=None if at is None else at.timestamp(),
        time_partition=time_partition,
        cat_partition=cat_partition,
        options=Options(force=force).encode(),
    )


def with_inputs(call: Call) -> Call:
    """A DAG run of a call's job, in whose jobs the call's partition and ``force`` are the same.

    Raises ``CallError`` if the call has inputs of its own, ``PartitionError`` if a job of the run does not have that partition.
    """
    job = call.job
    if call.inputs:
        raise CallError(
            f"Job {job.name!r} was to run with its inputs and was given inputs too; its declared inputs are what it gets."
        )
    time, cat = check_closure_key(job, call.time_partition, call.cat_partition)
    template = Call(job=job, force=call.force, time_partition=time, cat_partition=cat)
    options = Options(with_inputs=True, force=call.force).encode()
    return dag_call([job], template, trigger=call.trigger, options=options, scheduled_at=call.scheduled_at)


def partitions_call(plan: PartitionPlan, selection: PartitionSelection, trigger: Trigger) -> Call:
    """A run over partitions; ``selection`` is what its plan was made of."""
    return Call(
        job=plan.job,
        trigger=trigger,
        kind=Kind.PARTITIONS,
        body=partitions_body(plan),
        options=encode_options(plan, selection),
        pause_switch=PauseSwitch(),
    )
