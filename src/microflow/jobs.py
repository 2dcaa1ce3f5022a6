"""Jobs: tasks and managers, and what their decorators' arguments mean."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cached_property, update_wrapper
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, ParamSpec, TypedDict, TypeVar

from .callables import calling_module, code_of, description_of, name_of
from .errors import DefinitionError, InputCountError
from .model.arguments import unknown_argument
from .model.groups import ConcurrencyGroup
from .model.names import NAME_RULE, is_name
from .model.partitions import Partitions, TimePartitions
from .model.payloads import DEFAULT_MAX_PAYLOAD
from .model.results import ExecutionResult, Kind, RunStrategy
from .model.schedules import Schedule
from .runtime import runtime_for

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])

RUNNERS = ("process", "fresh", "thread")
"""The names that a task may give as its ``runner``."""

DEFAULT_RUNNER = "process"
"""The name of the runner of a task that gives none."""

DEFAULT_RETRY_DELAY = 1.0

DEFAULT_CANCEL_GRACE = 5.0
"""Seconds."""


class Backoff:
    """Delays that grow: ``initial`` seconds, times ``factor`` after each failure, at most ``maximum`` seconds.

    ``jitter`` (0 to 1) is the part of a delay that is random, so that jobs that failed together do not return together.
    """

    def __init__(self, initial: float = 1.0, factor: float = 2.0, maximum: float = 300.0, jitter: float = 0.1) -> None:
        is_plain = all(map(_is_seconds, (initial, factor, jitter)))  # finite numbers, none of them negative
        is_bounded = _is_seconds(maximum) or maximum == float("inf")
        if not (is_plain and is_bounded) or factor < 1 or maximum < initial or jitter > 1:
            raise DefinitionError(
                f"Backoff(initial={initial!r}, factor={factor!r}, maximum={maximum!r}, jitter={jitter!r}): needs "
                "initial >= 0, factor >= 1, maximum >= initial, and jitter from 0 to 1."
            )
        self.initial = initial
        self.factor = factor
        self.maximum = maximum
        self.jitter = jitter

    def delay(self, attempt: int, chance: Callable[[], float] | None = None) -> float:
        """Seconds to wait after attempt number ``attempt`` (from 1 on) failed; ``chance`` gives a number from 0 to 1."""
        try:
            whole = min(self.initial * self.factor ** (attempt - 1), self.maximum)
        except OverflowError:
            whole = self.maximum
        if chance is None:
            from random import random

            chance = random
        return whole * (1 - self.jitter * chance())

    def __repr__(self) -> str:
        return f"Backoff({self.initial}, {self.factor}, {self.maximum}, {self.jitter})"


class Parameters(NamedTuple):
    """The positional parameters of a job's function: their names, how many are required, whether it takes any number.

    ``keyword`` is one that it requires by name, which no call of a job can give.
    """

    names: tuple[str, ...]
    required: int
    variable: bool
    keyword: str | None = None

    def takes(self, count: int) -> bool:
        """Whether a call with so many inputs fits."""
        return count >= self.required and (self.variable or count <= len(self.names))

    def describe(self) -> str:
        """How many inputs a call takes, in words."""
        if self.variable:
            return f"at least {self.required}" if self.required else "any number of"
        if self.required == len(self.names):
            return str(self.required) if self.required else "no"
        return f"{self.required} to {len(self.names)}"


class ManagerArguments(TypedDict, total=False):
    """What ``@flow.manager`` takes; ``Job`` has the defaults."""

    name: str | None
    schedule: Schedule | str | Sequence[Schedule | str] | None
    inputs: Sequence[Job[Any] | str] | None
    max_concurrency: int | ConcurrencyGroup | Sequence[ConcurrencyGroup] | None
    run_strategy: RunStrategy | str
    time_partitions: TimePartitions | str | None
    cat_partitions: Sequence[str] | None
    partition_filter: Callable[..., bool] | None
    max_payload: int
    retries: int
    retry_delay: float | Sequence[float] | Backoff
    timeout: float | None
    cancel_grace: float


class TaskArguments(ManagerArguments, total=False):
    """What ``@flow.task`` takes: the same and ``runner``, which is "process", "fresh", "thread" or a ``Runner``."""

    runner: Any


class Job(Generic[P]):
    """A decorated function: what runs, how often at once, when, over which partitions, and what becomes of a failure.

    ``fn`` is the plain function, for unit tests; ``made_in`` the module that made it a job; ``schedules`` are those that it was
    given. Calling the job executes it; ``submit`` does so in the background.
    """

    kind: ClassVar[Kind]

    def __init__(
        self,
        flow: Any,
        fn: Callable[P, Any],
        *,
        name: str | None = None,
        schedule: Schedule | str | Sequence[Schedule | str] | None = None,
        inputs: Sequence[Job[Any] | str] | None = None,
        max_concurrency: int | ConcurrencyGroup | Sequence[ConcurrencyGroup] | None = None,
        run_strategy: RunStrategy | str = RunStrategy.ANY_SUCCESS_NO_ERROR,
        time_partitions: Any = None,
        cat_partitions: Sequence[str] | None = None,
        partition_filter: Callable[..., bool] | None = None,
        max_payload: int = DEFAULT_MAX_PAYLOAD,
        retries: int = 0,
        retry_delay: float | Sequence[float] | Backoff = DEFAULT_RETRY_DELAY,
        timeout: float | None = None,
        cancel_grace: float = DEFAULT_CANCEL_GRACE,
        runner: Any = None,
    ) -> None:
        if not callable(fn):
            raise DefinitionError(f"@flow.{self.kind} decorates a function, and got {fn!r}.")
        self.flow = flow
        self.fn = fn
        self.made_in = calling_module()
        self.name: str = name if name is not None else name_of(fn)
        self.inputs = _as_inputs(inputs)
        self.limits = _as_limits(max_concurrency, self.name)
        self.run_strategy = run_strategy
        self.partitions = (
            Partitions(self.name, time_partitions, cat_partitions, partition_filter, getattr(flow, "timezone", None))
            if time_partitions is not None or cat_partitions is not None or partition_filter is not None
            else None
        )
        self.max_payload = max_payload
        self.retries = retries
        self.retry_delay = retry_delay
        self.timeout = timeout
        self.cancel_grace = cancel_grace
        self.runner = runner
        if schedule is None and isinstance(default := _schedule_default(fn), str):
            schedule = default
        self.schedules = _as_schedules(schedule)
        update_wrapper(self, fn, updated=())  # attributes that others gave the function are not the job's

    @property
    def description(self) -> str:
        """The function's docstring, cleaned of its indentation; "" if there is none."""
        return description_of(self.fn)

    @property
    def qualified_name(self) -> str:
        """``flow.job``."""
        return f"{self.flow.name}.{self.name}"

    @cached_property
    def parameters(self) -> Parameters:
        """The positional parameters of the function. A parameter ``schedule`` with a string default is no input."""
        import inspect

        try:
            every = inspect.signature(self.fn).parameters.values()
        except (ValueError, TypeError):  # what is built in need not tell; then it takes any number
            return Parameters((), 0, True, None)
        positional = [
            parameter
            for parameter in every
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
            and not (parameter.name == "schedule" and isinstance(parameter.default, str))
        ]
        return Parameters(
            tuple(parameter.name for parameter in positional),
            sum(parameter.default is parameter.empty for parameter in positional),
            any(parameter.kind is parameter.VAR_POSITIONAL for parameter in every),
            next((p.name for p in every if p.kind is p.KEYWORD_ONLY and p.default is p.empty), None),
        )

    def check_count(self, inputs: tuple[Any, ...]) -> None:
        """Raise ``InputCountError`` (a ``TypeError``) unless the function takes so many inputs."""
        if self.parameters.takes(len(inputs)):
            return
        names = ", ".join(self.parameters.names)
        takes = self.parameters.describe()
        raise InputCountError(
            f"{self.name}({names}) takes {takes} input{'' if takes == '1' else 's'}, and {len(inputs)} "
            f"{'was' if len(inputs) == 1 else 'were'} given."
        )

    def delay_after(self, attempt: int) -> float:
        """Seconds to wait after attempt number ``attempt`` (from 1 on) failed; a list's last delay is used again."""
        if isinstance(self.retry_delay, Backoff):
            return self.retry_delay.delay(attempt)
        if isinstance(self.retry_delay, Sequence):
            return float(self.retry_delay[min(attempt, len(self.retry_delay)) - 1]) if self.retry_delay else 0.0
        return float(self.retry_delay)

    def mistakes(self) -> list[str]:
        """What is wrong with the arguments of the decorator, each as one sentence.

        What is wrong with a schedule is not among them, since other jobs may have the same: ``Flow.check`` says it once.
        """
        return list(self._argument_mistakes())

    def _argument_mistakes(self) -> Iterable[str]:
        where = f"{self.kind} {self.name!r}"
        if not is_name(self.name):
            yield f"{self.kind} {self.name!r}: {NAME_RULE}."
        for index, schedule in enumerate(self.schedules):
            if not isinstance(schedule, Schedule):
                yield f"{where}: schedule is {schedule!r}; give a crontab string or a Schedule. Several go into a list."
            elif any(schedule is other for other in self.schedules[:index]):
                yield f"{where}: schedule has {schedule!r} twice; give it once."
        if not isinstance(self.run_strategy, str) or self.run_strategy not in list(RunStrategy):
            allowed = ", ".join(repr(str(known)) for known in RunStrategy)
            yield f"{where}: run_strategy is {self.run_strategy!r}; it must be one of {allowed}."
        for limit in self.limits:
            if not isinstance(limit, ConcurrencyGroup):
                yield (
                    f"{where}: max_concurrency has {limit!r}; give a whole number from 1 on, a ConcurrencyGroup, or a list of them."
                )
        if not _is_count(self.retries, 0):
            yield f"{where}: retries is {self.retries!r}; it must be a whole number from 0 on."
        delays = self.retry_delay if isinstance(self.retry_delay, Sequence) else [self.retry_delay]
        if not isinstance(self.retry_delay, Backoff) and not all(_is_seconds(delay) for delay in delays):
            yield f"{where}: retry_delay is {self.retry_delay!r}; give seconds, a list of seconds, or a Backoff."
        if self.timeout is not None and not (_is_seconds(self.timeout) and self.timeout > 0):
            yield f"{where}: timeout is {self.timeout!r}; it must be a number of seconds above 0, or None."
        if not _is_seconds(self.cancel_grace):
            yield f"{where}: cancel_grace is {self.cancel_grace!r}; it must be a number of seconds from 0 on."
        if not _is_count(self.max_payload, 1):
            yield f"{where}: max_payload is {self.max_payload!r}; it must be a number of bytes from 1 on."
        if self.runner not in (None, *RUNNERS) and not callable(getattr(self.runner, "run", None)):
            yield f"{where}: runner is {self.runner!r}; give 'process', 'fresh', 'thread', or an object with the methods of Runner."
        if self.partitions is not None:
            yield from (f"{where}: {mistake}" for mistake in self.partitions.mistakes())

    def __call__(self, *inputs: P.args, **named: P.kwargs) -> ExecutionResult:
        """Execute the job with these inputs and wait for the end.

        Does not raise when the job failed or was skipped: the status is the result's. Raises ``PayloadError`` for inputs that no
        payload can hold, ``InputCountError`` for a wrong number of them, ``JobCallInTaskError`` inside a task.
        """
        if named:
            raise self._named_inputs(named)
        return runtime_for(self.flow).call(self, inputs)

    def submit(self, *inputs: P.args, **named: P.kwargs) -> Future[ExecutionResult]:
        """Start the job with these inputs and return at once; errors as for a call.

        ``cancel`` of the future cancels the execution, queued or running, and its result then has the status ``cancelled``.
        ``await asyncio.wrap_future(job.submit(…))`` waits for it in a coroutine; cancelling that cancels the execution too.
        """
        if named:
            raise self._named_inputs(named)
        return runtime_for(self.flow).submit(self, inputs)

    def _named_inputs(self, named: dict[str, Any]) -> InputCountError:
        return InputCountError(
            f"{self.name}() was given {', '.join(f'{name}=…' for name in named)}; inputs are positional: write {self.name}(…)."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # a job met on the way to another process travels as a reference, never with the flow behind it
        reference: tuple[Any, ...] = self.flow.job_reference(self)
        return reference

    def __repr__(self) -> str:
        return f"<{self.kind} {self.qualified_name}>"


def wrong_argument(kind: str, arguments: Iterable[str]) -> str | None:
    """What is wrong with the names of a decorator's arguments, in words; None if it has them all."""
    known = Job.__init__.__kwdefaults__ or {}
    unknown = next((name for name in arguments if name not in known), None)
    return None if unknown is None else unknown_argument(f"@flow.{kind}", unknown, known)


def takes_arguments(arguments: type[ManagerArguments]) -> Callable[[F], F]:
    """Give a decorator's function, written with ``**arguments``, the signature that names them with their defaults."""
    import inspect

    known = inspect.signature(Job.__init__).parameters
    named = [known[name] for name in known if name in arguments.__annotations__]

    def sign(function: F) -> F:
        own = [
            given for given in inspect.signature(function).parameters.values() if given.kind is not given.VAR_KEYWORD
        ]
        function.__signature__ = inspect.Signature([*own, *named])  # type: ignore[attr-defined]
        return function

    return sign


class Task(Job[P]):
    """A job that does the work, in a subprocess or another runner."""

    kind = Kind.TASK


class Manager(Job[P]):
    """A job that runs in a thread of the main process and calls other jobs."""

    kind = Kind.MANAGER


def _as_inputs(value: Any) -> tuple[Any, ...]:
    """The declared inputs of a job; what is no list is kept as one input, for ``Flow.check`` to report if it is none."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _as_schedules(value: Any) -> tuple[Any, ...]:
    """The schedules of a job; what is none is kept as it is, for ``mistakes`` to report."""
    if value is None:
        return ()
    given = value if isinstance(value, (list, tuple)) else [value]
    return tuple(Schedule(schedule) if isinstance(schedule, str) else schedule for schedule in given)


def _as_limits(value: Any, job: str) -> tuple[Any, ...]:
    """The groups of a job; what is none is kept as it is, for ``mistakes`` to report."""
    if value is None:
        return ()
    groups: list[Any] = []
    for given in value if isinstance(value, (list, tuple)) else [value]:
        group = ConcurrencyGroup(given, name=job) if _is_count(given, 1) else given
        if isinstance(group, ConcurrencyGroup):
            group.join(job)
        if not any(group is known for known in groups):
            groups.append(group)
    return tuple(groups)


def _schedule_default(fn: Callable[..., Any]) -> Any:
    """The default of a parameter named ``schedule``: no payload can be a string, so it is meant for the decorator."""
    code = code_of(fn)
    if code is None or "schedule" not in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        return None
    import inspect

    parameter = inspect.signature(fn).parameters.get("schedule")  # a decorator may have taken it away
    return None if parameter is None else parameter.default


def _is_count(value: Any, minimum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum


def _is_seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")


def is_interactive() -> bool:
    """Whether this process is a notebook or a prompt, where a cell that defines a job is run again and again."""
    return hasattr(sys, "ps1")
