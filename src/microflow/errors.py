"""Every error that Microflow raises or records.

::

    MicroflowError
    ├── DefinitionError            a mistake in a flow, found when it is written or checked
    │   ├── WrongArgumentError     (a TypeError too)
    │   ├── DuplicateJobError
    │   ├── ScheduleError          (a ValueError too)
    │   └── FlowCheckError         every mistake of a flow at once
    ├── LoadError                  a flow that can't be found or imported
    ├── CallError                  a call that can't be made where it stands
    │   ├── JobCallInTaskError
    │   ├── OutsideExecutionError
    │   └── InputCountError        (a TypeError too)
    ├── PayloadError               (a TypeError too) a value that no payload can hold
    │   └── PayloadTooLarge
    ├── PartitionError             (a ValueError too)
    ├── Skip                       raised by a job to end as skipped
    ├── ExecutionFailed            reading a result that failed
    ├── ExecutionSkipped           reading a result that was skipped
    ├── ExecutionCancelled         the execution was cancelled
    ├── EndedFromOutside           recorded on executions; no job raises these
    │   ├── UpstreamFailed
    │   ├── WorkerDied
    │   ├── ExecutionTimeout
    │   ├── Interrupted
    │   └── DeadlockError
    ├── StoreError
    │   ├── StoreUnavailable
    │   │   └── StoreMissing
    │   ├── StoreLocked
    │   ├── StoreTooNew
    │   └── StoreTooOld
    ├── UnknownNameError           (a LookupError too) no such flow, job, execution, schedule
    ├── ConflictError              the thing is not in a state that allows it
    └── ServerError                the server can't start

    TaskStopped                    (a BaseException) raised in a task that is about to be killed

The docstring of a class is its default message. A message says what was given, what is allowed and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence


class MicroflowError(Exception):
    """Something went wrong in Microflow."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message if message is not None else self.default_message())

    @classmethod
    def default_message(cls) -> str:
        """The class's docstring on one line."""
        return " ".join((cls.__doc__ or cls.__name__).split())


class DefinitionError(MicroflowError):
    """The flow is not defined correctly."""


class WrongArgumentError(DefinitionError, TypeError):
    """The function has no such argument, or lacks one."""


class DuplicateJobError(DefinitionError):
    """Two jobs of one flow have the same name; give one of them another with name=."""


class ScheduleError(DefinitionError, ValueError):
    """The schedule is not valid."""


class FlowCheckError(DefinitionError):
    """The flow has mistakes.

    ``mistakes`` holds each as one sentence; the message lists them all.
    """

    def __init__(self, flow: str, mistakes: Sequence[str]) -> None:
        self.flow = flow
        self.mistakes = tuple(mistakes)
        count = "1 mistake" if len(self.mistakes) == 1 else f"{len(self.mistakes)} mistakes"
        super().__init__("\n".join([f"Flow {flow!r} has {count}:", *(f"  - {mistake}" for mistake in self.mistakes)]))


class LoadError(MicroflowError):
    """The flow can't be loaded; name it as module:flow or path.py:flow."""


class CallError(MicroflowError):
    """This call can't be made here."""


class JobCallInTaskError(CallError):
    """A task can't call a job; make the caller a manager (@flow.manager), which may call tasks and managers."""


class OutsideExecutionError(CallError):
    """There is no execution here; this can be used only while a task or a manager is running."""


class InputCountError(CallError, TypeError):
    """The job takes another number of inputs."""


class PayloadError(MicroflowError, TypeError):
    """Inputs and outputs are dicts or lists of dicts of JSON values, datetimes and dates.

    ``path``: where the wrong value stands, such as ``inputs[0]["n"]``; "" if the error is not about one value.
    """

    def __init__(self, message: str = "", *, path: str = "") -> None:
        self.path = path
        super().__init__(message)


class PayloadTooLarge(PayloadError):
    """The payload is over the job's limit; hand over a key to the data, not the data, or raise max_payload."""


class PartitionError(MicroflowError, ValueError):
    """There is no such partition.

    ``time_partition``, ``cat_partition``: the given value that is wrong, if the error is about one value of that dimension.
    """

    def __init__(self, message: str = "", *, time_partition: object = None, cat_partition: object = None) -> None:
        self.time_partition = time_partition
        self.cat_partition = cat_partition
        super().__init__(message)


class Skip(MicroflowError):
    """Raised by a job to end its execution as skipped: ``raise Skip("no new files")``."""

    def __init__(self, reason: str = "") -> None:
        self.reason = str(reason)
        super().__init__(self.reason)


class ExecutionFailed(MicroflowError):
    """The execution failed, so its result holds no data."""


class ExecutionSkipped(MicroflowError):
    """The execution was skipped, so its result holds no data."""


class ExecutionCancelled(MicroflowError):
    """The execution was cancelled."""


class EndedFromOutside(MicroflowError):
    """The execution was ended by something other than its own code."""


class UpstreamFailed(EndedFromOutside):
    """An input failed, so the job did not run."""


class WorkerDied(EndedFromOutside):
    """The worker process ended while it ran the task."""


class ExecutionTimeout(EndedFromOutside):
    """The attempt took longer than the job's timeout and was ended."""


class Interrupted(EndedFromOutside):
    """The engine that ran this execution ended before the execution did."""


class DeadlockError(EndedFromOutside):
    """The call waits for places that only its own callers hold, or others that wait for them, so it would wait for ever."""


class TaskStopped(BaseException):
    """Raised in the function of a task that is about to be killed, so that its ``finally`` blocks run.

    The task has ``cancel_grace`` seconds to clean up and return. Catching it changes nothing: the execution ends as cancelled,
    timed out or interrupted. It is not an ``Exception``, so that ``except Exception`` does not swallow it.
    """


class StoreError(MicroflowError):
    """The store failed."""


class StoreUnavailable(StoreError):
    """The store can't be opened."""


class StoreMissing(StoreUnavailable):
    """There is no such store: nothing has been executed with it yet."""


class StoreLocked(StoreError):
    """Another server runs on this store; stop it, or give this one another store with --store."""


class StoreTooNew(StoreError):
    """The store was written by a newer version of Microflow; upgrade Microflow, or use another store."""


class StoreTooOld(StoreError):
    """The store was written by an older version of Microflow and can't be looked at as it is; serve it, or run a job on it."""


class UnknownNameError(MicroflowError, LookupError):
    """There is nothing of this name."""


class ConflictError(MicroflowError):
    """The thing is not in a state that allows this."""


class ServerError(MicroflowError):
    """The server can't start."""
