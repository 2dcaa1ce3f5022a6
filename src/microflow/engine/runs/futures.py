"""The future of an execution: what ``job.submit`` returns."""

from __future__ import annotations

from concurrent.futures import Future

from ...model.results import ExecutionResult
from ..execution.live import LiveExecution


class ExecutionFuture(Future[ExecutionResult]):
    """An execution's result when it ends. It counts as running from the start, and is never in the state ``cancelled`` itself.

    ``cancel`` cancels the execution, queued or running; its result then has the status ``cancelled``. Like a call, it does not
    raise. So ``asyncio.wrap_future`` passes a cancel on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()
        self._execution: LiveExecution | None = None
        self.add_done_callback(ExecutionFuture._let_go)

    def stand_for(self, execution: LiveExecution) -> None:
        """Be the future of this execution, until it ends."""
        self._execution = execution

    def cancel(self) -> bool:
        """Ask the execution, and everything below it, to end; False if it had ended.

        An execution that has not started ends at once. One that can't be ended from outside (a manager, a task in a thread) ends
        when it calls something or returns.
        """
        execution = self._execution
        return execution is not None and not self.done() and execution.cancel()

    @staticmethod
    def _let_go(future: Future[ExecutionResult]) -> None:
        # who keeps the results of thousands keeps no more of their executions than that
        assert isinstance(future, ExecutionFuture)
        future._execution = None
