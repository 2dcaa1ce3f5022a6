"""What becomes of an attempt, and how an execution ends that never ran: functions of what is known, without effects elsewhere."""

from __future__ import annotations

from typing import Any

from ...errors import (
    ExecutionCancelled,
    ExecutionTimeout,
    InputCountError,
    Interrupted,
    PartitionError,
    PayloadError,
    PayloadTooLarge,
    WorkerDied,
)
from ...jobs import Job
from ...model.payloads import decode
from ...model.results import ExecutionError, ExecutionStatus
from ...runners.base import Outcome, Stop
from ...runners.calling import error_of
from ...store.rows import Ending, Waiting
from ..admission.slots import Limit
from ..partitions.keys import named_afterwards
from .call import Prepared

LASTING = frozenset(kind.__name__ for kind in (PayloadError, PayloadTooLarge, PartitionError, InputCountError))
"""The errors that another attempt can't mend: the same code would make the same mistake again."""

ENDED_IN_STORE = "it was ended in the store"
"""Why an execution counts as cancelled whose row has ended meanwhile, for whatever reason."""


def settle(outcome: Outcome, stop: str | None, job: Job[Any], attempt: int) -> tuple[Ending, bool]:
    """What becomes of an attempt, and whether another one follows: a pure function of how it ended and who asked it to."""
    if stop == "timeout":
        message = f"attempt {attempt} took longer than the timeout of {job.timeout:g} s and was ended"
        ending = Ending(status=ExecutionStatus.ERROR, error=ExecutionError(ExecutionTimeout.__name__, message))
    elif stop is not None:
        ending = stopped_ending(stop, "while it ran")
    else:
        ending = Ending(
            status=outcome.status,
            output=outcome.output,
            error=outcome.error,
            reason=outcome.reason,
            run_key=outcome.run_key,
            time_partition=outcome.time_partition,  # type: ignore[arg-type]  # encoded until _name_partition
            cat_partition=outcome.cat_partition,
            context=outcome.context,
        )
    ending.cpu_seconds, ending.peak_memory = outcome.cpu_seconds, outcome.peak_memory
    failed = ending.status is ExecutionStatus.ERROR and (ending.error is None or ending.error.type not in LASTING)
    return ending, failed and attempt <= job.retries


def stopped_with(outcome: Outcome, stop: Stop, above: Stop | None) -> str | None:
    """Why an attempt was ended, if it was: it was asked to, or its worker died of what was asked of its caller (``above``)."""
    died = outcome.error is not None and outcome.error.type == WorkerDied.__name__
    if stop.reason is None and died and above is not None and above.reason is not None:
        return passed_on(above.reason)
    return stop.reason


def outcome_of(error: Exception, last_words: str) -> Outcome:
    """What an attempt comes to whose runner raised: where a worker died, the last that it wrote is shown."""
    if isinstance(error, WorkerDied):
        message = error_of(error).message
        return Outcome(ExecutionStatus.ERROR, error=ExecutionError(WorkerDied.__name__, message, last_words))
    return Outcome(ExecutionStatus.ERROR, error=error_of(error))


def name_partition(ending: Ending, job: Job[Any], prepared: Prepared) -> None:
    """A partition that the result named afterwards: in its text form, or the error that there is no such partition."""
    if ending.time_partition is None and ending.cat_partition is None:
        return
    named = None if ending.time_partition is None else decode(ending.time_partition)
    given = (prepared.time_partition, prepared.cat_partition)
    try:
        found, ending.partition = named_afterwards(job, given, (named, ending.cat_partition))
    except PartitionError as error:
        ending.status, ending.output, ending.error = ExecutionStatus.ERROR, None, error_of(error)
        ending.time_partition = ending.cat_partition = None
        return
    ending.time_partition, ending.cat_partition = found.text, found.category
    prepared.time_partition, prepared.cat_partition = found.start, found.category


def stopped_ending(stop: str, when: str) -> Ending:
    """How an execution ends that was asked to: by a cancel, or because its engine stops ("interrupted")."""
    if stop == "interrupted":
        message = f"the engine stopped {when}"
        return Ending(status=ExecutionStatus.ERROR, error=ExecutionError(Interrupted.__name__, message))
    return cancelled_ending(f"it was cancelled {when}")


def is_interruption(ending: Ending) -> bool:
    """Whether an execution ends because its engine stops."""
    return ending.error is not None and ending.error.type == Interrupted.__name__


def passed_on(reason: str) -> str:
    """The reason for which those below an execution end, when it is asked to."""
    return "interrupted" if reason == "interrupted" else "cancelled"


def cancelled_ending(reason: str) -> Ending:
    """How an execution ends that was cancelled, for this reason."""
    error = ExecutionError(ExecutionCancelled.__name__, reason)
    return Ending(status=ExecutionStatus.CANCELLED, error=error, reason=reason)


def upstream_ending(prepared: Prepared, job: str) -> Ending:
    """How an execution of ``job`` ends that does not run because of an input."""
    culprit = prepared.culprit
    known = culprit.job if culprit is not None else None
    name = f"the input of job {known!r}" if known else f"the input {prepared.culprit_path}"
    if prepared.verdict.status is ExecutionStatus.SKIPPED:
        because = f": {culprit.reason}" if culprit is not None and culprit.reason else ""
        return Ending(status=ExecutionStatus.SKIPPED, reason=f"{name} was skipped{because}")
    status = culprit.status if culprit is not None else "error"
    why = f": {culprit.error.type}: {culprit.error.message}" if culprit is not None and culprit.error else ""
    message = f"{name[0].upper()}{name[1:]} ended as {status}, so {job!r} did not run{why}"
    return Ending(status=ExecutionStatus.ERROR, error=ExecutionError("UpstreamFailed", message))


def waiting_at(limit: Limit | None, now: float) -> Waiting:
    """Why an execution waits for a slot in this limit; None: in one that is not known."""
    if limit is None:
        return Waiting("limit", "waits for a slot", now)
    if limit.reason == "run_key":
        return Waiting("run_key", f"waits for the execution that runs with run key {limit.value!r}", now)
    if limit.reason == "schedule":
        return Waiting("schedule", f"waits for the previous run of schedule {limit.name!r}", now)
    return Waiting("limit", f"waits for a slot: {limit.describe()} is reached", now)


def waiting_for_retry(job: Job[Any], attempt: int, failed: Ending, now: float, delay: float) -> Waiting:
    """Why an execution waits whose attempt of this number failed: the next one is in ``delay`` seconds."""
    reason = failed.error.type if failed.error else str(failed.status)
    message = f"attempt {attempt} of {job.retries + 1} failed ({reason}); the next one is in {delay:g} s"
    return Waiting("retry", message, now, now + delay)
