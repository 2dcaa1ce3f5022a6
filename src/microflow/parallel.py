"""Functions for code that calls jobs: several at once, over many inputs, as a DAG, over partitions.

Each checks what it is given and hands it to the current runtime, or to that of the job's flow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Literal

from .errors import CallError, OutsideExecutionError
from .model.payloads import described
from .model.results import ExecutionResult
from .runtime import BoundJob, PartitionSelection, active_execution, active_runtime, batches, runtime_for


def run_parallel(*calls: Any) -> list[ExecutionResult]:
    """Run several calls at the same time; each is a job, or a tuple ``(job, *inputs)``.

    Returns the results in the order given, when all have ended; a failed one does not stop the others.
    Raises ``CallError`` if something is no call, before anything runs.
    """
    checked = [_as_call(call, index) for index, call in enumerate(calls)]
    return runtime_for(checked[0][0].flow).run_parallel(checked) if checked else []


def map_parallel(
    job: BoundJob, inputs: Iterable[Any], *, batch_size: int | None = None, max_concurrency: int | None = None
) -> list[ExecutionResult]:
    """Run one job over many inputs, as many at the same time as its limits allow.

    ``inputs``: any iterable, read as it is needed; an item is the first input, a tuple is several positional inputs.
    ``batch_size``: one execution gets a list of up to so many items as its first input. ``max_concurrency`` bounds this mapping.
    Returns the results in order, one for each execution, when all have ended; a failed one does not stop the others.
    """
    _check_job(job, "map_parallel")
    _check_count("batch_size", batch_size)
    _check_count("max_concurrency", max_concurrency)
    if isinstance(inputs, ExecutionResult):
        inputs = inputs.data
    if isinstance(inputs, (str, bytes, dict)) or not isinstance(inputs, Iterable):
        raise CallError(f"map_parallel: inputs is {described(inputs)}; give a list (or any iterable) of inputs.")
    if batch_size is None:
        return runtime_for(job.flow).map_parallel(job, inputs, max_concurrency)
    return runtime_for(job.flow).map_parallel(job, batches(inputs, batch_size), max_concurrency)


def run_dag(*jobs: BoundJob) -> Any:
    """Run jobs with everything they declare as ``inputs``, each once, as much as possible at the same time.

    Returns one result for one job, a list of them for several. Raises ``CallError`` without jobs, or with jobs of several flows.
    """
    if not jobs:
        raise CallError("run_dag() was called without a job; name the jobs to run, as in run_dag(report).")
    for job in jobs:
        _check_job(job, "run_dag")
        if job.flow is not jobs[0].flow:
            raise CallError(
                f"run_dag: {jobs[0].name!r} belongs to flow {jobs[0].flow.name!r} and {job.name!r} to {job.flow.name!r}; "
                "one DAG run is of one flow."
            )
    results = runtime_for(jobs[0].flow).run_dag(jobs)
    return results[0] if len(jobs) == 1 else results


def run_all(*jobs: BoundJob) -> Any:
    """Run every job of the current flow that declares inputs or is one; with jobs, the same as ``run_dag``.

    Raises ``OutsideExecutionError`` without jobs outside an execution: there, ``flow.run_all()`` says which flow is meant.
    """
    if jobs:
        return run_dag(*jobs)
    execution, runtime = active_execution.get(), active_runtime.get()
    if execution is None or runtime is None:
        raise OutsideExecutionError(
            "run_all() was called outside any execution; call flow.run_all(), or name the jobs."
        )
    return runtime.run_dag(())


def map_partitions(
    job: BoundJob,
    *,
    time_partitions: Sequence[str | date | datetime] | None = None,
    cat_partitions: Sequence[str] | None = None,
    start: str | date | datetime | None = None,
    end: str | date | datetime | None = None,
    only: Literal["all", "missing", "failed", "missing_or_failed"] = "all",
    order: Literal["asc", "desc"] = "asc",
    batch_size: int | None = None,
    max_concurrency: int | None = None,
    with_inputs: bool = False,
) -> list[ExecutionResult]:
    """Run a partitioned job over its partitions: by default every one that exists up to now.

    ``start`` and ``end`` are partitions, both included; ``only`` picks by status; ``order`` says which end of time goes first.
    ``batch_size``: one execution gets a list of so many dicts. ``with_inputs``: each is a DAG run in which every partitioned job
    gets the keys. Returns the results in order. Raises ``PartitionError`` for a partition that does not exist.
    """
    _check_job(job, "map_partitions")
    _check_count("batch_size", batch_size)
    _check_count("max_concurrency", max_concurrency)
    selection = PartitionSelection(time_partitions, cat_partitions, start, end, only, order)
    return runtime_for(job.flow).map_partitions(job, selection, batch_size, max_concurrency, with_inputs)


def _is_job(value: Any) -> bool:
    # jobs.py stands above this module; what makes a job here is that it has a flow and can be called
    return callable(value) and hasattr(value, "flow") and hasattr(value, "submit")


def _check_job(value: Any, function: str) -> None:
    if not _is_job(value):
        raise CallError(
            f"{function}: {value!r} is no job. Give a function decorated with @flow.task or @flow.manager, not its result."
        )


def _as_call(call: Any, index: int) -> tuple[Any, tuple[Any, ...]]:
    if _is_job(call):
        return call, ()
    if isinstance(call, tuple) and call and _is_job(call[0]):
        return call[0], call[1:]
    raise CallError(
        f"run_parallel: argument {index + 1} is {call!r}; each must be a job or a tuple (job, *inputs), "
        "as in run_parallel(a, (b, {'x': 1}))."
    )


def _check_count(name: str, value: Any) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise CallError(f"{name} is {value!r}; it must be a whole number from 1 on, or None.")
