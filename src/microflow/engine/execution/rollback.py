"""What becomes of an execution that was written together with others, in a transaction that failed."""

from __future__ import annotations

from ...model.results import ExecutionStatus
from ...runners.calling import error_of
from ...store.rows import Ending
from .ending import result_for
from .execution import Execution


def undo_end(execution: Execution, error: BaseException) -> None:
    """The transaction in which it ended, or parked, failed with this: it ends with that, as soon as the store takes it."""
    ending = Ending(status=ExecutionStatus.ERROR, error=error_of(error))
    execution.turn.stop_waiting()
    execution.resources.finish_later(execution.row, ending)
    execution.end_here(result_for(execution.record, ending))


def undo_open(execution: Execution, error: BaseException) -> None:
    """The transaction in which it was opened, or was to be, failed with this: it ends with that, and has no row."""
    record = execution.record
    if record.is_in_store(error):
        undo_end(execution, error)
        return
    execution.turn.stop_waiting()
    execution.resources.live.remove(execution)
    record.opened = None  # its number may be another's by now
    execution.end_here(result_for(record, Ending(status=ExecutionStatus.ERROR, error=error_of(error))))
