"""What a running job may know and do: the current runtime and the current execution.

There are two context variables and no other state. A runtime is what carries out calls: the engine in the main process, a refusal
inside a task. A call made where there is no runtime is carried out by the one its flow is bound to, or else by a local one.
"""

from __future__ import annotations

import contextvars
from _thread import allocate_lock
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from datetime import date, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .errors import OutsideExecutionError
from .model.payloads import DEFAULT_MAX_PAYLOAD, described, encode_value, plain_text
from .model.progress import Progress as Progress  # what reports it imports it from here
from .model.progress import progress_of
from .model.results import ExecutionResult

if TYPE_CHECKING:
    import logging
    import threading
    from concurrent.futures import Future

_LOCAL = "microflow.engine.local"
"""The module that starts a runtime for a call outside any execution: named, not imported, since it lives floors above."""


class BoundFlow(Protocol):
    """What this module knows of a flow."""

    name: str
    runtime: Runtime | None


class BoundJob(Protocol):
    """What this module knows of a job."""

    name: str
    flow: Any


class PartitionArea(NamedTuple):
    """A rectangle of partitions: a stretch of time (None: from the first on, up to now) and categories (None: all)."""

    start: str | date | datetime | None = None
    end: str | date | datetime | None = None
    cat_partitions: Sequence[str] | None = None


class PartitionSelection(NamedTuple):
    """The arguments of ``map_partitions`` that say which partitions: what the caller gave, not yet checked.

    ``areas`` is what a person picked from a picture, instead of a range and categories: all that is in one of them.
    """

    time_partitions: Sequence[str | date | datetime] | None = None
    cat_partitions: Sequence[str] | None = None
    start: str | date | datetime | None = None
    end: str | date | datetime | None = None
    only: str = "all"
    order: str = "asc"
    areas: Sequence[PartitionArea] | None = None


class Runtime(Protocol):
    """What carries out calls of jobs. Every method blocks until the end, except ``submit``."""

    def call(self, job: Any, inputs: tuple[Any, ...]) -> ExecutionResult:
        """Execute one job."""
        ...

    def submit(self, job: Any, inputs: tuple[Any, ...]) -> Future[ExecutionResult]:
        """Start the execution of one job."""
        ...

    def run_parallel(self, calls: Sequence[tuple[Any, tuple[Any, ...]]]) -> list[ExecutionResult]:
        """Execute several jobs at the same time; results in the order given."""
        ...

    def map_parallel(self, job: Any, inputs: Iterable[Any], max_concurrency: int | None) -> list[ExecutionResult]:
        """Execute one job over many inputs (a tuple is several positional ones); results in the order given."""
        ...

    def run_dag(self, jobs: Sequence[Any]) -> list[ExecutionResult]:
        """Execute jobs with their declared inputs; results of ``jobs``."""
        ...

    def map_partitions(
        self,
        job: Any,
        selection: PartitionSelection,
        batch_size: int | None,
        max_concurrency: int | None,
        with_inputs: bool,
    ) -> list[ExecutionResult]:
        """Execute a partitioned job over partitions."""
        ...


class Context(MutableMapping[str, Any]):
    """The durable state of one job, as one of its executions sees it; ``flow.context`` stands for the current one.

    What earlier executions wrote is loaded at the first look. A key never written falls back to the last successful output.
    ``limit``: bytes that one encoded value may take.
    """

    def __init__(
        self, job: str, load: Callable[[], tuple[dict[str, Any], dict[str, Any]]], limit: int = DEFAULT_MAX_PAYLOAD
    ) -> None:
        self._job = job
        self._load = load
        self._limit = limit
        self._known: dict[str, Any] | None = None
        self._loaded: dict[str, bytes] = {}
        self._written: set[str] = set()
        self._lock = allocate_lock()
        self.closed = False

    def close(self) -> None:
        """The execution has ended: a thread that it left running can neither read nor write any more."""
        with self._lock:
            self.closed = True

    def _values(self) -> dict[str, Any]:
        if self._known is None or self.closed:
            with self._lock:  # threads of the job may look at the same time
                if self.closed:
                    raise OutsideExecutionError(
                        f"flow.context was used in a thread that an execution of {self._job!r} left running when it ended; wait "
                        "for the thread before the function returns."
                    )
                if self._known is None:
                    self._known = self._loaded_values()
        return self._known

    def _loaded_values(self) -> dict[str, Any]:
        written, last_output = self._load()
        known = {**last_output, **written}
        # what can be changed in place is compared at the end
        self._loaded = {
            key: self._encoded(key, value) for key, value in known.items() if isinstance(value, (dict, list))
        }
        return known

    def _encoded(self, key: str, value: Any, limit: int | None = None) -> bytes:
        return encode_value(value, job=self._job, place=f"flow.context[{key!r}]", limit=limit)

    def changes(self) -> dict[str, bytes | None]:
        """What this execution wrote, deleted (None), or changed in place, encoded; whoever ends it keeps or drops that.

        Raises ``PayloadError`` for a value that became none that a payload may hold.
        """
        if self._known is None:
            return {}
        found: dict[str, bytes | None] = {}
        for key, value in list(self._known.items()):  # a thread of the job's may still write
            if key in self._written or (key in self._loaded and self._encoded(key, value) != self._loaded[key]):
                found[key] = self._encoded(key, value, self._limit)
        return {**found, **{key: None for key in self._written if key not in found}}

    def __getitem__(self, key: str) -> Any:
        return self._values()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"flow.context keys are strings, and {key!r} is {described(key)}. Use str(key).")
        self._encoded(key, value, self._limit)  # so that what is wrong with it is raised here
        encode_value(key, job=self._job, place="a key of flow.context")  # text that is no Unicode can't be kept
        key = plain_text(key)
        self._values()[key] = value
        self._written.add(key)

    def __delitem__(self, key: str) -> None:
        del self._values()[key]
        self._written.add(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def __repr__(self) -> str:
        return f"flow.context({self._values()!r})"


class CurrentExecution:
    """The execution that is now running, as its own code sees it.

    ``inputs`` are the inputs with their statuses (``ExecutionResult``) where they were results of other jobs, else as given.
    ``time_partition`` is an aware datetime, ``time_window`` the start and the end of that period, ``scheduled_at`` the tick.
    """

    __slots__ = (
        "_misreported",
        "attempt",
        "cat_partition",
        "context",
        "flow",
        "id",
        "inputs",
        "job",
        "output",
        "report",
        "run_key",
        "scheduled_at",
        "time_partition",
        "time_window",
    )

    def __init__(
        self,
        *,
        id: int,  # noqa: A002 - the field is called id everywhere else
        flow: str,
        job: str,
        context: Context,
        report: Callable[[Progress], None],
        inputs: tuple[Any, ...] = (),
        attempt: int = 1,
        run_key: str | None = None,
        scheduled_at: datetime | None = None,
        time_partition: datetime | None = None,
        cat_partition: str | None = None,
        time_window: tuple[datetime, datetime] | None = None,
    ) -> None:
        self.id = id
        self.flow = flow
        self.job = job
        self.context = context
        self.report = report
        self.output: Any = (
            None  # where its prints go, for a job in a thread; a worker process has descriptors of its own
        )
        self.inputs = inputs
        self.attempt = attempt
        self.run_key = run_key
        self.scheduled_at = scheduled_at
        self.time_partition = time_partition
        self.cat_partition = cat_partition
        self.time_window = time_window
        self._misreported = False

    @property
    def logger(self) -> logging.Logger:
        """A logger of the standard library, named after the flow and the job; its records are in the execution's log."""
        import logging  # late, as everything that a flow's definition does not need

        return logging.getLogger(f"{self.flow}.{self.job}")

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far this execution is: ``done`` of ``total``, with a ``message``; shown live by the web app and the CLI.

        Numbers are of any kind that converts to a float, such as numpy's. A report that can't be shown ends no job: the first one
        is a warning in the execution's log.
        """
        if self.context.closed:
            return  # a thread that the job left running reports it, and nobody watches any more
        try:
            told = progress_of(done, total, message)
        except Exception as error:  # noqa: BLE001 - a message of a user's own class may raise anything
            if not self._misreported:
                self._misreported = True
                self.logger.warning("A report of progress is not shown: %s.", error)
            return
        self.report(told)

    def __repr__(self) -> str:
        return f"<CurrentExecution {self.id} of {self.flow}.{self.job}, attempt {self.attempt}>"


active_runtime: contextvars.ContextVar[Runtime | None] = contextvars.ContextVar("microflow_runtime", default=None)
active_execution: contextvars.ContextVar[CurrentExecution | None] = contextvars.ContextVar(
    "microflow_execution", default=None
)
_outside: Runtime | None = None  # see carry_out_outside


def start_thread(target: Callable[[], None], name: str) -> threading.Thread:
    """Start a daemon thread of Microflow's own: it belongs to no execution, whoever starts it. Raises ``RuntimeError``."""
    import threading

    thread = threading.Thread(target=target, name=name, daemon=True)
    contextvars.Context().run(thread.start)
    return thread


def runtime_for(flow: BoundFlow) -> Runtime:
    """The runtime that carries out a call of one of this flow's jobs here; a local one is started if there is none."""
    runtime = active_runtime.get() or flow.runtime or _outside
    if runtime is None:
        runtime = import_module(_LOCAL).start(flow)
    return runtime


def carry_out_outside(runtime: Runtime) -> None:
    """From now on, this runtime carries out the calls of this process that no execution makes, and no local one is started.

    A worker process refuses them so. Threads that Python did not start have an empty context, so the context variables are not
    enough there.
    """
    global _outside
    _outside = runtime


def current_execution() -> CurrentExecution:
    """The execution that is now running. Raises ``OutsideExecutionError`` where there is none."""
    execution = active_execution.get()
    if execution is None:
        raise OutsideExecutionError(
            "current_execution() was called outside any execution; it has an answer only while a task or a manager is running."
        )
    return execution


def batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """The items in lists of ``size``, the last one shorter."""
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
