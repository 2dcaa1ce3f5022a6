"""Calling a job's function, and what came of it as an ``Outcome``: the same in a worker process and in a thread."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any

from ..errors import ExecutionCancelled, ExecutionSkipped, MicroflowError, PayloadError, Skip
from ..model.clock import utc
from ..model.payloads import check_result, decode, encode_output, encode_value, key_text, plain_text
from ..model.results import ExecutionError, ExecutionResult, ExecutionStatus, combined_status
from ..runtime import Context, CurrentExecution, Progress, active_execution
from .base import InputStatus, Outcome, Request

_TEXT_LIMIT = 64 * 1024
"""Characters kept of an error's message and of its traceback."""

PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
"""The folder that our own frames are in."""


def current_execution_for(
    request: Request,
    data: list[Any],
    load_context: Callable[[], tuple[dict[str, Any], dict[str, Any]]],
    report: Callable[[Progress], None],
) -> CurrentExecution:
    """What the job's code sees of the attempt; ``data`` are its decoded inputs."""
    window = None if request.time_window is None else tuple(decode(request.time_window))
    return CurrentExecution(
        id=request.execution_id,
        flow=request.flow,
        job=request.job,
        context=Context(request.job, load_context, request.max_payload),
        report=report,
        inputs=_with_statuses(data, request.statuses),
        attempt=request.attempt,
        run_key=request.run_key,
        scheduled_at=None if request.scheduled_at is None else utc(request.scheduled_at),
        time_partition=None if window is None else window[0],
        cat_partition=request.cat_partition,
        time_window=window,
    )


def _with_statuses(data: list[Any], statuses: Any) -> tuple[Any, ...]:
    if statuses is None:
        return tuple(data)
    return tuple(_with_status(value, status) for value, status in zip(data, statuses, strict=True))


def _with_status(value: Any, status: Any) -> Any:
    if isinstance(status, list):
        items = iter(value)
        return [
            _with_status([next(items) for _ in range(known.items)], known)
            if known is not None and known.items >= 0
            else _with_status(next(items), known)
            for known in status
        ]
    if not isinstance(status, InputStatus):
        return value
    return ExecutionResult(
        value,
        status=status.status,
        run_key=status.run_key,
        error=status.error,
        job=status.job,
        execution_id=status.execution_id,
        reason=status.reason,
    )


def call(
    fn: Callable[..., Any],
    data: list[Any],
    execution: CurrentExecution,
    max_payload: int,
    awaiting: Callable[[], None] = lambda: None,
) -> Outcome:
    """Call the function with its inputs and tell how it ended; every exception of the job's becomes an outcome.

    ``awaiting`` is called in the asyncio task that awaits what an ``async def`` returned. ``SystemExit`` and
    ``KeyboardInterrupt`` are raised on, since what they mean depends on whose process this is.
    """
    token = active_execution.set(execution)
    try:
        returned = fn(*data)
        if hasattr(returned, "__await__"):
            returned = _awaited(returned, awaiting)
        outcome = outcome_of(returned, execution.job, max_payload)
    except Skip as skip:
        outcome = Outcome(ExecutionStatus.SKIPPED, reason=_shortened(skip.reason) or None)
    except ExecutionSkipped as skipped:
        outcome = Outcome(ExecutionStatus.SKIPPED, reason=_shortened(str(skipped)))
    except ExecutionCancelled as cancelled:
        outcome = Outcome(ExecutionStatus.CANCELLED, error=error_of(cancelled, _outer_frames(cancelled)))
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a job raises is its outcome, never this process's end
        outcome = Outcome(ExecutionStatus.ERROR, error=error_of(error, _outer_frames(error)))
    finally:
        active_execution.reset(token)
        execution.context.close()
    if outcome.status in (ExecutionStatus.SUCCESS, ExecutionStatus.SKIPPED):
        try:
            outcome.context = execution.context.changes()
        except PayloadError as error:
            return Outcome(ExecutionStatus.ERROR, error=error_of(error))
    return outcome


def _awaited(returned: Any, awaiting: Callable[[], None]) -> Any:
    import asyncio
    from concurrent.futures import ThreadPoolExecutor
    from contextvars import copy_context

    async def wait() -> Any:
        awaiting()
        return await returned

    if not _loop_runs_here():
        return asyncio.run(wait())
    # a notebook's cell or another manager's coroutine made this call, and its loop waits for the answer: this one needs a thread
    with ThreadPoolExecutor(1, thread_name_prefix="microflow-coroutine") as executor:
        return executor.submit(copy_context().run, lambda: asyncio.run(wait())).result()


def _loop_runs_here() -> bool:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def outcome_of(returned: Any, job: str, max_payload: int) -> Outcome:
    """What a job's return value says. Raises ``PayloadError`` for what no job may return."""
    if returned is None:
        return Outcome(ExecutionStatus.SKIPPED, reason=f"{job} returned nothing")
    if isinstance(returned, ExecutionResult):
        return _outcome_of_result(returned, job, max_payload)
    if isinstance(returned, list) and any(isinstance(item, ExecutionResult) for item in returned):
        return _outcome_of_list(returned, job, max_payload)
    return Outcome(ExecutionStatus.SUCCESS, encode_output(returned, job=job, limit=max_payload))


def _outcome_of_result(result: ExecutionResult, job: str, max_payload: int) -> Outcome:
    if not result.status.final:
        raise MicroflowError(
            f"Job {job!r} returned an ExecutionResult with status {str(result.status)!r}; a job ends as 'success', 'skipped', "
            "'error' or 'cancelled'."
        )
    check_result(result, job=job, place="the result that it returned", limit=max_payload)
    partition = result.time_partition
    reason = None if result.reason is None else _shortened(result.reason)
    error = result.error
    if error is not None:
        error = ExecutionError(*(_shortened(str(text)) for text in (error.type, error.message, error.traceback)))
    elif result.status is ExecutionStatus.ERROR:
        error = ExecutionError("ExecutionFailed", reason or f"{job} returned a result with status 'error'")
    return Outcome(
        result.status,
        None
        if result.output is None
        else encode_output(result.output, job=job, limit=max_payload, may_lack=result.job is not None),
        error,
        reason,
        # a result that was handed on keeps its own job's run key and partition to itself
        None if result.run_key is None or result.job else key_text(result.run_key),
        None if partition is None or result.job else encode_value(partition, job=job, place="time_partition"),
        None if result.cat_partition is None or result.job else plain_text(result.cat_partition),
    )


def _outcome_of_list(items: list[Any], job: str, max_payload: int) -> Outcome:
    results = [item for item in items if isinstance(item, ExecutionResult)]
    for index, item in enumerate(items):
        if isinstance(item, ExecutionResult):
            check_result(item, job=job, place=f"the result output[{index}]", limit=max_payload)
    plain_success = [ExecutionStatus.SUCCESS] * (len(items) - len(results))
    status = combined_status([*(result.status for result in results), *plain_success])
    output: list[Any] = []
    for item in items:
        value = item.output if isinstance(item, ExecutionResult) else item
        output.extend(value if isinstance(value, list) else [value])  # a batch's output is a list of its own
    failed = [result for result in results if result.status in (ExecutionStatus.ERROR, ExecutionStatus.CANCELLED)]
    error = None
    if failed:
        first = failed[0]
        why = f"{first.error.type}: {first.error.message}" if first.error else f"it ended as {first.status}"
        error = ExecutionError(
            "ExecutionFailed", f"{len(failed)} of {len(items)} results failed; the first, of job {first.job!r}: {why}"
        )
    skipped = f"all {len(items)} results were skipped" if status is ExecutionStatus.SKIPPED else None
    return Outcome(status, encode_output(output, job=job, limit=max_payload, may_lack=True), error, skipped)


def error_of(error: BaseException, skip_frames: int = 0) -> ExecutionError:
    """An exception as what is recorded of it, however badly it behaves; ``skip_frames`` outermost frames are not the job's."""
    kind = type(error)
    try:
        message = str(error)
    except BaseException as broken:  # noqa: BLE001 - a job's exception may do anything, also here
        message = f"(its message can't be read: __str__ raised {type(broken).__name__})"
    frames = error.__traceback__
    for _ in range(skip_frames):
        frames = frames.tb_next if frames is not None else None
    try:
        text = "".join(traceback.format_exception(kind, error, frames))
    except BaseException as broken:  # noqa: BLE001 - as above
        text = f"(the traceback can't be shown: formatting it raised {type(broken).__name__})"
    return ExecutionError(_shortened(kind.__name__), _shortened(message), _shortened(text))


def exit_code_of(error: SystemExit) -> str:
    """What a job that called ``sys.exit`` gave it, in words."""
    if error.code is None:
        return "exit code 0"
    return f"exit code {error.code}" if isinstance(error.code, int) else f"exit code 1, saying {error.code!r}"


def _outer_frames(error: BaseException) -> int:
    """How many of an error's outermost frames are not the job's: up to its function, or all where the function had returned.

    Between this module's own frames stand those of the loop that runs a coroutine.
    """
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    first = max((place for place, file in enumerate(files) if file == call.__code__.co_filename), default=-1) + 1
    return first if any(not file.startswith(PACKAGE) for file in files[first:]) else len(files)


def _shortened(text: str) -> str:
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= _TEXT_LIMIT:
        return text
    half = _TEXT_LIMIT // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"
