"""The end of an execution: its row is closed, whatever fails on the way, and then what it holds is given back."""

from __future__ import annotations

import logging
from functools import partial

import msgspec

from ...errors import StoreError
from ...model.results import ExecutionResult, ExecutionStatus
from ...runners.calling import error_of
from ...store.rows import Ending, Opened
from .call import result_of
from .live import Live, LiveExecution
from .record import Record
from .settling import is_interruption, name_partition, stopped_ending
from .turn import Turn

logger = logging.getLogger("microflow")


def close(record: Record, ending: Ending) -> ExecutionResult:
    """Close the row; the result that the execution's caller gets. Raises no ``Exception``.

    1. The ending is completed with what else is known, and the output is read as the caller gets it. 2. The row is closed. When a
    server stops, ``sign_off`` does that, or leaves the row to the next server. 3. If either fails, that becomes the error that the
    execution ends with.
    """
    try:
        result = _complete(record, ending)
        if result.status is not ending.status:  # its output can't be read
            ending = Ending(status=result.status, error=result.error, reason=ending.reason)
        _write(record, ending)
        return result
    except Exception as error:  # noqa: BLE001 - whatever it is, the execution ends
        return result_for(record, _close_broken(record, error))


def result_for(record: Record, ending: Ending) -> ExecutionResult:
    """The result of an execution that ended so. Raises no ``Exception``."""
    try:
        return _result_of(record, ending)
    except Exception as error:
        logger.exception("The result of execution %s can't be made.", record.id)
        job, number = record.call.job.name, record.id or None
        return ExecutionResult(status=ExecutionStatus.ERROR, error=error_of(error), job=job, execution_id=number)


def let_go(turn: Turn, live: Live, execution: LiveExecution) -> None:
    """Give back the slots of an execution that has ended, and forget it. Raises no ``Exception``.

    If anything fails, or is interrupted, all of it is done again, which changes nothing where it was done.
    """
    try:
        turn.release()
        live.remove(execution)
    except BaseException as error:
        if isinstance(error, Exception):
            logger.error("Execution %s ended, and could not let go of what it holds.", execution.id, exc_info=error)
        for again in (turn.release, partial(live.remove, execution)):
            try:
                again()
            except Exception:
                logger.exception("Execution %s still could not let go of what it holds.", execution.id)
        if not isinstance(error, Exception):
            raise


def _complete(record: Record, ending: Ending) -> ExecutionResult:
    """Put into an ending what is known besides how the attempt ended; the result of it."""
    prepared, observation = record.prepared, record.observation
    name_partition(ending, record.call.job, prepared)
    if observation.progress_made is not None:
        ending.progress = msgspec.json.encode(observation.progress_made._asdict())
    ending.run_key = ending.run_key or prepared.run_key
    observation.close()
    if observation.log_failure is not None:
        ending.reason = ending.reason or observation.log_failure
    return _result_of(record, ending)


def _write(record: Record, ending: Ending) -> None:
    resources, row = record.resources, record.row()
    if resources.leaves and is_interruption(ending):
        resources.left[row.id] = (row, ending)
        return
    if record.call.body is not None and record.call.opened is not None:
        _end_unfinished(record, row)
    resources.executions.finish(row, ending, resources.clock.now())


def _end_unfinished(record: Record, run: Opened) -> None:
    """End the calls that another engine left of a run, and that the run, which ends, has not resumed."""
    executions, clock = record.resources.executions, record.resources.clock
    ending = stopped_ending(record.observation.stop.reason or "interrupted", "before it ran")
    for opened, _ in executions.unfinished_calls(run):
        _end_unfinished(record, opened)
        executions.finish(opened, ending, clock.now())


def _close_broken(record: Record, error: Exception) -> Ending:
    """Close the row of an execution whose end failed, with that error and nothing else, since anything else may be what failed."""
    resources, row = record.resources, record.row()
    ending = Ending(status=ExecutionStatus.ERROR, error=error_of(error))
    if isinstance(error, StoreError):
        resources.finish_later(row, ending)
        return ending
    logger.error("The end of execution %s of %s.%s failed.", *row[:3], exc_info=error)
    try:
        record.observation.close()
    except Exception:
        logger.exception("The log of execution %s can't be closed.", row.id)
    try:
        resources.executions.finish(row, ending, resources.clock.now())
    except Exception:  # noqa: BLE001 - it is tried until it succeeds
        resources.finish_later(row, ending)
    return ending


def _result_of(record: Record, ending: Ending) -> ExecutionResult:
    prepared = record.prepared
    return result_of(
        ending,
        job=record.call.job.name,
        execution_id=record.id or None,
        time_partition=prepared.time_partition,
        cat_partition=prepared.cat_partition,
        run_key=prepared.run_key,
    )
