"""A call of a job before it runs: its inputs checked and encoded once, and what they say about whether and where it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from ...errors import ConflictError, PayloadError
from ...jobs import Job
from ...model.payloads import check_result, decode, encode_inputs, key_text
from ...model.results import (
    ExecutionError,
    ExecutionResult,
    ExecutionStatus,
    Kind,
    RunStrategy,
    Trigger,
    Verdict,
    decide,
)
from ...runners.base import InputStatus, Request
from ...store import Executions
from ...store.rows import Claim, Ending, Opened, Opening, StoredKey, Waiting
from ..admission.slots import Limit
from ..partitions.keys import Planned, run_keyed, time_window, with_keys
from .pausing import PauseSwitch


class Call(msgspec.Struct, kw_only=True):
    """A call as it was made. ``position`` counts its parent's calls, and is given when the call is made.

    ``body`` and ``kind`` are set for runs that have no function of the user's (a DAG run, a mapping): ``job`` is then their target.
    ``upstream`` are the results of declared inputs, which decide whether the job runs also where its function takes none of them;
    None outside a DAG run.
    ``limits`` are those that this call is under besides its job's. ``claim`` is part of the transaction that opens the execution;
    ``blocked_by_other_engine`` is called in the transaction in which the execution starts; it returns why the execution must wait
    for one of another engine, or None.
    ``planned`` is the partition of a run that was planned. ``pause_switch`` is that of a run over many inputs, which can be paused.
    ``opened`` is the queued row that it already has: an engine that ended has left it, and this one resumes it.
    """

    job: Job[Any]
    inputs: tuple[Any, ...] = ()
    trigger: Trigger = Trigger.CALL
    position: int = 0
    force: bool = False
    scheduled_at: float | None = None
    time_partition: str | date | datetime | None = None
    cat_partition: str | None = None
    planned: Planned | None = None
    options: bytes | None = None
    kind: Kind | None = None
    body: Callable[..., Any] | None = None
    upstream: tuple[ExecutionResult, ...] | None = None
    limits: tuple[Limit, ...] = ()
    claim: Claim | None = None
    blocked_by_other_engine: Callable[[float], Waiting | None] | None = None
    pause_switch: PauseSwitch | None = None
    opened: Opened | None = None


class Prepared(msgspec.Struct, kw_only=True):
    """A call that may run: what the row and the worker's frame hold of it.

    ``partitions`` are those that the execution stands for; the other three are the one that the caller named (its time
    partition as the job sees it, and as text).
    """

    inputs: bytes
    first: Mapping[str, Any]
    verdict: Verdict
    culprit: ExecutionResult | None = None
    culprit_path: str = ""
    statuses: list[Any] | None = None
    run_key: str | None = None
    partitions: Sequence[StoredKey] = ()
    time_partition: datetime | None = None
    time_text: str | None = None
    cat_partition: str | None = None


def prepare(call: Call) -> Prepared:
    """Check the inputs, encode them once, and decide by the run strategy.

    Raises ``InputCountError``, ``PayloadError``, ``PayloadTooLarge`` or ``PartitionError``; nothing has happened then.
    """
    job = call.job
    inputs = call.inputs
    if call.body is None:
        keyed = with_keys(job, call.inputs, call.time_partition, call.cat_partition, call.planned)
        inputs = keyed.inputs
        job.check_count(inputs)
    else:
        keyed = run_keyed(job, call.time_partition, call.cat_partition)
    has_results = False
    for value in inputs:
        if type(value) is not dict and _holds_result(value):
            has_results = True
    statuses: list[Any] | None = None
    results: list[ExecutionResult | None] = []
    if has_results:
        plain, statuses, results = _without_results(inputs, job)
        encoded = encode_inputs(
            plain, job=job.name, limit=job.max_payload, may_lack=[_may_lack(known) for known in statuses]
        )
    else:
        plain = list(inputs)
        encoded = keyed.encoded or encode_inputs(plain, job=job.name, limit=job.max_payload)
    if call.upstream is not None:
        results = list(call.upstream)
    verdict = _RUN
    if results:
        statuses_seen = [ExecutionStatus.SUCCESS if result is None else result.status for result in results]
        verdict = decide(RunStrategy(job.run_strategy), statuses_seen)
    first = plain[0] if plain and (type(plain[0]) is dict or isinstance(plain[0], Mapping)) else {}
    return Prepared(
        inputs=encoded,
        first=first,
        verdict=verdict,
        culprit=None if verdict.run else results[verdict.culprit],
        culprit_path="" if verdict.run else _path_of(verdict.culprit, call.upstream or inputs),
        statuses=statuses,
        run_key=_run_key(first, job.name),
        partitions=keyed.keys,
        time_partition=keyed.time_partition,
        time_text=keyed.text,
        cat_partition=keyed.cat_partition,
    )


def inputs_again(execution_id: int, encoded: bytes) -> list[Any]:
    """The inputs of an execution, for another one like it.

    Raises ``ConflictError`` if one was a result without data, or if they can't be read any more.
    """
    try:
        inputs: list[Any] = decode(encoded)
    except PayloadError as error:
        raise ConflictError(
            f"Execution {execution_id} can't be run again, since its inputs can't be read any more. {error}"
        ) from None
    if any(value is None or (isinstance(value, list) and None in value) for value in inputs):
        raise ConflictError(
            f"Execution {execution_id} was given the result of one that ended without data, and what became of that is known "
            "to its caller alone. Retry the execution that called both."
        )
    return inputs


def refused() -> Prepared:
    """What the row holds of a call that ``prepare`` refused, and that has one all the same."""
    return Prepared(inputs=b"[]", first={}, verdict=_RUN)


_RUN = Verdict(None)

UNPREPARED = refused()
"""What is known of a call before it is prepared."""


def _path_of(index: int, inputs: tuple[Any, ...]) -> str:
    """The path of the result of this number in the inputs, counted as ``_without_results`` does."""
    for number, value in enumerate(inputs):
        is_list = isinstance(value, list) and _holds_result(value)
        count = len(value) if is_list else 1
        if index < count:
            return f"inputs[{number}][{index}]" if is_list else f"inputs[{number}]"
        index -= count
    raise AssertionError("the strategy named an input that there is not")


def _holds_result(value: Any) -> bool:
    return isinstance(value, ExecutionResult) or (
        isinstance(value, list) and any(isinstance(item, ExecutionResult) for item in value)
    )


def _without_results(
    inputs: tuple[Any, ...], job: Job[Any]
) -> tuple[list[Any], list[Any], list[ExecutionResult | None]]:
    """The plain data of the inputs, the status of each, and all results in them in order (None for plain data)."""
    plain: list[Any] = []
    statuses: list[Any] = []
    results: list[ExecutionResult | None] = []
    for index, value in enumerate(inputs):
        if isinstance(value, ExecutionResult):
            plain.append(value.output)
            statuses.append(_status(value, job, f"inputs[{index}]"))
            results.append(value)
        elif isinstance(value, list) and _holds_result(value):
            items: list[Any] = []
            known: list[InputStatus | None] = []
            for number, item in enumerate(value):
                output = item.output if isinstance(item, ExecutionResult) else item
                if isinstance(output, list):
                    items.extend(output)
                else:
                    items.append(output)
                path = f"inputs[{index}][{number}]"
                known.append(_status(item, job, path, in_list=True) if isinstance(item, ExecutionResult) else None)
                results.append(item if isinstance(item, ExecutionResult) else None)
            plain.append(items)
            statuses.append(known)
        else:
            plain.append(value)
            statuses.append(None)
            results.append(None)
    return plain, statuses, results


def _status(result: ExecutionResult, job: Job[Any], path: str, in_list: bool = False) -> InputStatus:
    run_key, reason, error = result.run_key, result.reason, result.error
    if result.execution_id is None:  # not the result of a call: somebody's code has made it
        check_result(result, job=job.name, place=path, limit=job.max_payload)
        run_key = None if run_key is None else key_text(run_key)
        reason = None if reason is None else _unicode(reason)
        if error is not None:
            error = ExecutionError(*(_unicode(str(text)) for text in (error.type, error.message, error.traceback)))
    items = len(result.output) if in_list and isinstance(result.output, list) else -1
    return InputStatus(str(result.status), result.job, result.execution_id, reason, run_key, error, items)


def _unicode(text: str) -> str:
    """Text for people that a frame can carry: what is not valid Unicode is escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


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
            f'Job {job!r}: inputs[0]["run_key"] is {value!r}; a run key is a string that is not empty (or a whole number).',
            path='inputs[0]["run_key"]',
        )
    return key_text(value)


def earlier_success(executions: Executions, job: Job[Any], run_key: str | None) -> Ending | None:
    """How an execution ends at once because its job succeeded with this run key before; None if it did not."""
    found = executions.success_with_key(job.flow.name, job.name, run_key) if run_key is not None else None
    if found is None:
        return None
    reason = f"run key {run_key!r} succeeded before, in execution {found[0]}"
    return Ending(status=ExecutionStatus.SKIPPED, output=found[1], reason=reason)


def new_execution(call: Call, prepared: Prepared, waiting: Waiting | None, parent_id: int, root_id: int) -> Opening:
    """The row of a call that is about to be opened; ``parent_id`` and ``root_id`` are 0 for a root."""
    return Opening(
        flow=call.job.flow.name,
        job=call.job.name,
        kind=call.kind or call.job.kind,
        trigger=call.trigger,
        inputs=prepared.inputs,
        parent_id=parent_id or None,
        root_id=root_id or None,
        position=call.position,
        run_key=prepared.run_key,
        time_partition=prepared.time_text,
        cat_partition=prepared.cat_partition,
        scheduled_at=call.scheduled_at,
        waiting=waiting,
        options=call.options,
        partitions=prepared.partitions,
    )


def request_of(call: Call, prepared: Prepared, execution_id: int, attempt: int) -> Request:
    """What a runner is asked to carry out."""
    job = call.job
    period = None if call.planned is None else call.planned.period
    return Request(
        execution_id=execution_id,
        flow=job.flow.name,
        job=job.name,
        inputs=prepared.inputs,
        max_payload=job.max_payload,
        attempt=attempt,
        run_key=prepared.run_key,
        scheduled_at=call.scheduled_at,
        cat_partition=prepared.cat_partition,
        time_window=time_window(job, prepared.time_partition) if period is None else period.window,
        statuses=prepared.statuses,
    )


def unreadable_output(error: PayloadError, reason: str | None) -> ExecutionError:
    """What is said of an execution whose output, of an earlier version or damaged, can't be read."""
    because = f" ({reason})" if reason else ""
    message = f"The output that the store holds can't be read{because}. {error} Run the job again, with force if it has a run key."
    return ExecutionError(PayloadError.__name__, message)


def result_of(
    ending: Any,
    *,
    job: str,
    execution_id: int | None,
    time_partition: datetime | None,
    cat_partition: str | None,
    run_key: str | None,
) -> ExecutionResult:
    """The result that a caller gets of an execution that ended so; an error, if its output can't be read (any more)."""
    output, status, error = None, ending.status, ending.error
    try:
        output = None if ending.output is None else decode(ending.output)
    except PayloadError as unreadable:
        status, error = ExecutionStatus.ERROR, unreadable_output(unreadable, ending.reason)
    return ExecutionResult(
        output,
        status=status,
        error=error,
        reason=ending.reason,
        run_key=ending.run_key or run_key,
        time_partition=time_partition,
        cat_partition=cat_partition,
        job=job,
        execution_id=execution_id,
    )
