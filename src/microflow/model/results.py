"""Statuses, kinds and triggers, the result of an execution, and what a job's run strategy makes of its inputs' statuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any, NamedTuple, Never

import msgspec

from ..errors import ExecutionFailed, ExecutionSkipped, PayloadError


class ExecutionStatus(StrEnum):
    """Where an execution stands; the last four are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    SKIPPED = "skipped"
    ERROR = "error"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether an execution with this status has ended."""
        return self not in _UNFINISHED


_UNFINISHED = frozenset({ExecutionStatus.QUEUED, ExecutionStatus.RUNNING})


class Trigger(StrEnum):
    """What started an execution."""

    SCHEDULE = "schedule"
    WEB = "web"
    API = "api"
    CLI = "cli"
    PYTHON = "python"
    CALL = "call"
    RETRY = "retry"
    MAP = "map"
    PARTITIONS = "partitions"


class Kind(StrEnum):
    """What an execution is of: a job's function, or a run that only calls jobs (a DAG run, a mapping, a run over partitions)."""

    TASK = "task"
    MANAGER = "manager"
    DAG = "dag"
    MAP = "map"
    PARTITIONS = "partitions"

    @property
    def has_code(self) -> bool:
        """Whether such an execution runs a function of the user's; the others only call jobs."""
        return self in _HAVE_CODE


_HAVE_CODE = frozenset({Kind.TASK, Kind.MANAGER})


class ExecutionError(msgspec.Struct, frozen=True):
    """Why an execution failed: the exception's ``type`` name, its ``message``, and the ``traceback`` as text ("" if none)."""

    type: str
    message: str
    traceback: str = ""


class ExecutionResult:
    """The end of one execution: returned by calls of jobs, and returned by a job to say more than a dict can.

    It reads like its output (a mapping, or a sequence of mappings). Reading the data of a result that has none raises
    ``ExecutionFailed`` or ``ExecutionSkipped``. ``bool(result)`` is "the status is success"; ``result == other`` compares the
    outputs, with a plain dict or list or with another result (whose status must be the same).
    """

    __slots__ = (
        "cat_partition",
        "error",
        "execution_id",
        "job",
        "output",
        "reason",
        "run_key",
        "status",
        "time_partition",
    )

    def __init__(
        self,
        output: dict[str, Any] | list[dict[str, Any]] | None = None,
        *misplaced: Never,
        status: ExecutionStatus | str = ExecutionStatus.SUCCESS,
        run_key: str | None = None,
        time_partition: datetime | date | str | None = None,
        cat_partition: str | None = None,
        error: ExecutionError | None = None,
        job: str | None = None,
        execution_id: int | None = None,
        reason: str | None = None,
    ) -> None:
        try:
            self.status = status if type(status) is ExecutionStatus else ExecutionStatus(status)
        except ValueError:
            allowed = ", ".join(repr(str(known)) for known in ExecutionStatus if known.final)
            raise ValueError(f"status is {status!r}; it must be one of {allowed}.") from None
        if misplaced or isinstance(output, str):
            _refuse_status(output, misplaced)
        if isinstance(output, ExecutionResult):
            output = output.output
        self.output = output
        self.error = error
        self.run_key = run_key
        self.time_partition = time_partition
        self.cat_partition = cat_partition
        self.job = job
        self.execution_id = execution_id
        self.reason = reason

    @property
    def data(self) -> Any:
        """The output; raises ``ExecutionFailed`` or ``ExecutionSkipped`` where there is none."""
        if self.status is ExecutionStatus.SUCCESS or (
            self.status is ExecutionStatus.SKIPPED and self.output is not None
        ):
            return {} if self.output is None else self.output
        name = f"Job {self.job!r}" if self.job else "The job"
        if self.status is ExecutionStatus.SKIPPED:
            raise ExecutionSkipped(f"{name} was skipped, so its result holds no data{_because(self.reason)}.")
        if self.error is None:
            raise ExecutionFailed(f"{name} ended as {self.status}, so its result holds no data{_because(self.reason)}.")
        failed = ExecutionFailed(f"{name} failed: {self.error.type}: {self.error.message}")
        if self.error.traceback:
            failed.add_note(f"The traceback in the job:\n{self.error.traceback.rstrip()}")
        raise failed

    def __bool__(self) -> bool:
        return self.status is ExecutionStatus.SUCCESS

    def __getitem__(self, key: Any) -> Any:
        return self.data[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __contains__(self, key: object) -> bool:
        return key in self.data

    def copy(self) -> Any:
        """A copy of the output, a plain dict or list, which may be changed; its values are not copied."""
        return self.data.copy()

    def get(self, key: str, default: Any = None) -> Any:
        """The output's value of ``key``, or ``default``."""
        return self.data.get(key, default)

    def keys(self) -> Any:
        """The keys of an output that is a dict."""
        return self.data.keys()

    def values(self) -> Any:
        """The values of an output that is a dict."""
        return self.data.values()

    def items(self) -> Any:
        """The pairs of an output that is a dict."""
        return self.data.items()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ExecutionResult):
            return self.status is other.status and self.output == other.output
        if isinstance(other, (dict, list)):
            return self.output == other
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # equal to a dict, so no more hashable than one

    def __repr__(self) -> str:
        parts = [repr(self.output), f"status={str(self.status)!r}"]
        parts += [
            f"{name}={value!r}" for name in ("job", "reason", "run_key") if (value := getattr(self, name)) is not None
        ]
        if self.error is not None:
            parts.append(f"error={self.error.type}: {self.error.message}")
        return f"ExecutionResult({', '.join(parts)})"


def _refuse_status(output: Any, misplaced: Sequence[Any]) -> None:
    """Raise ``PayloadError`` where a status stands in the place of the output, or more is given by position than the output."""
    word = str(output).lower()
    is_status = isinstance(output, str) and word in list(ExecutionStatus)
    if is_status:
        rest = "…, " if misplaced else ""
        shown = f"ExecutionStatus.{output.name}" if isinstance(output, ExecutionStatus) else repr(output)
        raise PayloadError(
            f"ExecutionResult({shown}): the first argument is the output, and this is a status: "
            f"write ExecutionResult({rest}status={word!r})."
        )
    if misplaced:
        raise PayloadError(
            f"ExecutionResult takes the output by position and all else by name, and was given {1 + len(misplaced)} values: "
            "write ExecutionResult({…}, status='success', run_key=…)."
        )


def _because(reason: str | None) -> str:
    return f": {reason.rstrip('.')}" if reason else ""


class RunStrategy(StrEnum):
    """When a job runs, given the statuses of its inputs."""

    ANY_SUCCESS_NO_ERROR = "any_success_no_error"
    ANY_SUCCESS = "any_success"
    ALL_SUCCESS = "all_success"
    ALWAYS = "always"


class Verdict(NamedTuple):
    """What a run strategy says: ``run``, or end at once as ``skipped`` or ``error`` because of the input at ``culprit``."""

    status: ExecutionStatus | None
    culprit: int = -1

    @property
    def run(self) -> bool:
        """Whether the job runs."""
        return self.status is None


_RUN = Verdict(None)


def decide(strategy: RunStrategy, statuses: Sequence[ExecutionStatus]) -> Verdict:
    """Whether a job runs, given the status of every input that is a result and of every item of a list of results.

    A plain dict counts as success; a cancelled input counts as an error; no inputs at all means run.
    """
    if not statuses or strategy is RunStrategy.ALWAYS:
        return _RUN
    succeeded = ExecutionStatus.SUCCESS in statuses
    failed = next((index for index, status in enumerate(statuses) if status in _FAILURES), -1)
    if strategy is RunStrategy.ANY_SUCCESS_NO_ERROR:
        runs = succeeded and failed < 0
    elif strategy is RunStrategy.ANY_SUCCESS:
        runs = succeeded
    else:
        runs = all(status is ExecutionStatus.SUCCESS for status in statuses)
    if runs:
        return _RUN
    if failed >= 0:
        return Verdict(ExecutionStatus.ERROR, failed)
    return Verdict(
        ExecutionStatus.SKIPPED, next(i for i, status in enumerate(statuses) if status is not ExecutionStatus.SUCCESS)
    )


_FAILURES = frozenset({ExecutionStatus.ERROR, ExecutionStatus.CANCELLED})


def combined_status(statuses: Iterable[ExecutionStatus]) -> ExecutionStatus:
    """The status of a list of results: error if any is (a cancelled one counts), else success if any is, else skipped.

    An empty list is a success: there was nothing to do, and it was done.
    """
    seen = set(statuses)
    if seen & _FAILURES:
        return ExecutionStatus.ERROR
    return ExecutionStatus.SUCCESS if ExecutionStatus.SUCCESS in seen or not seen else ExecutionStatus.SKIPPED
