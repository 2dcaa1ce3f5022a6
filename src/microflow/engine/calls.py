"""A call of a job before it runs: its inputs checked and encoded once, and what they say about whether and where it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from ..errors import PartitionError, PayloadError
from ..jobs import Job
from ..model.payloads import decode, encode_inputs, encode_value
from ..model.results import ExecutionResult, ExecutionStatus, RunStrategy, Verdict, decide
from ..runners.base import InputStatus
from ..store.executions import Claim, PartitionKey
from .admission import Limit


class Call(msgspec.Struct, kw_only=True):
    """A call as it was made. ``position`` is its place among its parent's calls, given when the call is made.

    ``body`` and ``kind`` are set for runs that have no function of the user's (a DAG run, a mapping): ``job`` is then their target.
    ``upstream`` are the results of declared inputs, which decide whether the job runs also where its function takes none of them.
    ``limits`` are those that this call is under besides its job's. ``claim`` is part of the transaction that opens the execution.
    """

    job: Job[Any]
    inputs: tuple[Any, ...] = ()
    trigger: str = "call"
    position: int = 0
    force: bool = False
    scheduled_at: float | None = None
    time_partition: str | date | datetime | None = None
    cat_partition: str | None = None
    options: bytes | None = None
    kind: str = ""
    body: Callable[..., Any] | None = None
    upstream: tuple[ExecutionResult, ...] | None = None
    limits: tuple[Limit, ...] = ()
    claim: Claim | None = None


class Prepared(msgspec.Struct, kw_only=True):
    """A call that may run: what the row and the worker's frame hold of it."""

    inputs: bytes
    first: Mapping[str, Any]
    verdict: Verdict
    culprit: ExecutionResult | None = None
    statuses: list[Any] | None = None
    run_key: str | None = None
    partitions: Sequence[PartitionKey] = ()
    time_partition: datetime | None = None
    cat_partition: str | None = None


def prepare(call: Call) -> Prepared:
    """Check the inputs, encode them once, and decide by the run strategy.

    Raises ``InputCountError``, ``PayloadError``, ``PayloadTooLarge`` or ``PartitionError``; nothing has happened then.
    """
    job = call.job
    inputs = call.inputs
    partitions: list[PartitionKey] = []
    moments: tuple[datetime | None, str | None] = (None, None)
    if job.partitions is not None and call.body is None:
        inputs, partitions, moments = _with_partitions(call)
    elif call.body is None and (call.time_partition is not None or call.cat_partition is not None):
        raise PartitionError(
            f"Job {job.name!r} has no partitions; declare time_partitions or cat_partitions, or name none."
        )
    if call.body is None:
        job.check_count(inputs)
    has_results = False
    for value in inputs:
        if type(value) is not dict and _holds_result(value):
            has_results = True
    statuses: list[Any] | None = None
    results: list[ExecutionResult | None] = []
    if has_results:
        plain, statuses, results = _without_results(inputs)
        encoded = encode_inputs(
            plain, job=job.name, limit=job.max_payload, may_lack=[_may_lack(known) for known in statuses]
        )
    else:
        plain = list(inputs)
        encoded = encode_inputs(plain, job=job.name, limit=job.max_payload)
    if call.upstream is not None:
        results = list(call.upstream)
    verdict = _RUN
    if results:
        statuses_seen = [ExecutionStatus.SUCCESS if result is None else result.status for result in results]
        verdict = decide(RunStrategy(job.run_strategy), statuses_seen)
    first = plain[0] if plain and isinstance(plain[0], Mapping) else {}
    return Prepared(
        inputs=encoded,
        first=first,
        verdict=verdict,
        culprit=None if verdict.run else results[verdict.culprit],
        statuses=statuses,
        run_key=_run_key(first, job.name),
        partitions=partitions,
        time_partition=moments[0],
        cat_partition=moments[1],
    )


_RUN = Verdict(None)


def _holds_result(value: Any) -> bool:
    return isinstance(value, ExecutionResult) or (
        isinstance(value, list) and any(isinstance(item, ExecutionResult) for item in value)
    )


def _without_results(inputs: tuple[Any, ...]) -> tuple[list[Any], list[Any], list[ExecutionResult | None]]:
    """The plain data of the inputs, the status of each, and all results in them in order (None for plain data)."""
    plain: list[Any] = []
    statuses: list[Any] = []
    results: list[ExecutionResult | None] = []
    for value in inputs:
        if isinstance(value, ExecutionResult):
            plain.append(value.output)
            statuses.append(_status(value))
            results.append(value)
        elif isinstance(value, list) and _holds_result(value):
            items: list[Any] = []
            known: list[InputStatus | None] = []
            for item in value:
                output = item.output if isinstance(item, ExecutionResult) else item
                if isinstance(output, list):
                    items.extend(output)
                else:
                    items.append(output)
                known.append(_status(item, in_list=True) if isinstance(item, ExecutionResult) else None)
                results.append(item if isinstance(item, ExecutionResult) else None)
            plain.append(items)
            statuses.append(known)
        else:
            plain.append(value)
            statuses.append(None)
            results.append(None)
    return plain, statuses, results


def _status(result: ExecutionResult, in_list: bool = False) -> InputStatus:
    items = len(result.output) if in_list and isinstance(result.output, list) else -1
    return InputStatus(
        str(result.status), result.job, result.execution_id, result.reason, result.run_key, result.error, items
    )


def _may_lack(status: Any) -> Any:
    """For each item of an input whether it may be None: it stands for a result that may hold no data."""
    if not isinstance(status, list):
        return status is not None
    allowed: list[bool] = []
    for known in status:
        allowed.extend([known is not None] * (1 if known is None or known.items < 0 else known.items))
    return allowed


def _run_key(first: Mapping[str, Any], job: str) -> str | None:
    value = first.get("run_key")
    if value is None:
        return None
    if not isinstance(value, (str, int)) or isinstance(value, bool) or value == "":
        raise PayloadError(
            f'Job {job!r}: inputs[0]["run_key"] is {value!r}; a run key is a string that is not empty (or a whole number).'
        )
    return str(value)


def _with_partitions(call: Call) -> tuple[tuple[Any, ...], list[PartitionKey], tuple[datetime | None, str | None]]:
    """The inputs of a partitioned job with both keys in the first one (in each of its dicts, for a batch), checked.

    What the caller gave apart from the inputs (the API, a DAG run over partitions) goes before what stands in them.
    """
    job = call.job
    assert job.partitions is not None
    inputs = list(call.inputs)
    if not inputs:
        if not job.parameters.names and not job.parameters.variable:
            key, moments = _checked(job, call.time_partition, call.cat_partition)
            return (), [key] if key else [], moments
        inputs = [{}]
    first = inputs[0].output if isinstance(inputs[0], ExecutionResult) else inputs[0]
    if isinstance(first, list):
        keys: list[PartitionKey] = []
        batch = []
        for item in first:
            if not isinstance(item, Mapping):
                return call.inputs, [], (None, None)  # encode_inputs says what is wrong with it
            key, (start, category) = _checked(
                job,
                item.get("time_partition", call.time_partition),
                item.get("cat_partition", call.cat_partition),
            )
            keys += [key] if key else []
            batch.append({**item, "time_partition": start, "cat_partition": category})
        return (batch, *inputs[1:]), keys, (None, None)
    if not isinstance(first, Mapping) and first is not None:
        return call.inputs, [], (None, None)
    given = first or {}
    time_partition = call.time_partition if call.time_partition is not None else given.get("time_partition")
    cat_partition = call.cat_partition if call.cat_partition is not None else given.get("cat_partition")
    key, (start, category) = _checked(job, time_partition, cat_partition)
    data = {**given, "time_partition": start, "cat_partition": category}
    if isinstance(inputs[0], ExecutionResult):
        known = inputs[0]
        inputs[0] = ExecutionResult(
            data if known.output is not None else None,
            status=known.status,
            error=known.error,
            job=known.job,
            execution_id=known.execution_id,
            reason=known.reason,
            run_key=known.run_key,
        )
    else:
        inputs[0] = data
    return tuple(inputs), [key] if key else [], (start, category)


def _checked(
    job: Job[Any], time_partition: Any, cat_partition: Any
) -> tuple[PartitionKey | None, tuple[datetime | None, str | None]]:
    """The key under which the store knows a partition (None if the caller named none), and its two values as the job sees them."""
    assert job.partitions is not None
    if time_partition is None and cat_partition is None:
        return None, (None, None)
    start, category = job.partitions.check(time_partition, cat_partition)
    return partition_key(job, start, category), (start, category)


def partition_key(job: Job[Any], start: datetime | None, category: str | None) -> PartitionKey | None:
    """The key of a partition in the store; None unless every dimension of the job has its value."""
    partitions = job.partitions
    assert partitions is not None
    if (partitions.time is not None and start is None) or (partitions.cat is not None and category is None):
        return None
    text = partitions.time.text(start) if partitions.time is not None and start is not None else ""
    return text, category or ""


def time_window(job: Job[Any], start: datetime | None) -> bytes | None:
    """The start and the end of a time partition, encoded as a worker's frame holds them."""
    if start is None or job.partitions is None or job.partitions.time is None:
        return None
    return encode_value(list(job.partitions.time.window(start)), job=job.name, place="time_window")


def result_of(
    ending: Any,
    *,
    job: str,
    execution_id: int,
    time_partition: datetime | None,
    cat_partition: str | None,
    run_key: str | None,
) -> ExecutionResult:
    """The result that a caller gets of an execution that ended so."""
    return ExecutionResult(
        None if ending.output is None else decode(ending.output),
        status=ending.status,
        error=ending.error,
        reason=ending.reason,
        run_key=ending.run_key or run_key,
        time_partition=time_partition,
        cat_partition=ending.cat_partition or cat_partition,
        job=job,
        execution_id=execution_id,
    )
