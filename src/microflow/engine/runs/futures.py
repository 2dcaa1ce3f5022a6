"""The future of an execution: what ``job.submit`` returns."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from ...model.results import ExecutionResult

if TYPE_CHECKING:
    from ..execution.ending import Closing


class ExecutionFuture(Future[ExecutionResult]):
    """An execution's result when it ends. It runs from the beginning, and is never in the state ``cancelled`` itself.

    ``cancel`` cancels the execution, queued or running; the result is then one with status ``cancelled``, as that of a call is,
    which does not raise either. So ``asyncio.wrap_future`` hands a cancel on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()
        self._execution: Closing | None = None
        self.add_done_callback(ExecutionFuture._let_go)

    def stand_for(self, execution: Closing) -> None:
        """Be the future of this execution, until it ends."""
        self._execution = execution

    def cancel(self) -> bool:
        """Ask the execution, and everything below it, to end; False if it had ended.

        What has not begun ends at once. What can't be ended from outside (a manager, a task in a thread) ends when it calls
        something or returns.
        """
        execution = self._execution
        return execution is not None and not self.done() and execution.cancel()

    @staticmethod
    def _let_go(future: Future[ExecutionResult]) -> None:
        # who keeps the results of thousands keeps no more of their executions than that
        assert isinstance(future, ExecutionFuture)
        future._execution = None
