"""Flows: a named set of jobs, checked as a whole, found again by name in another process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, TypeVar, Unpack, overload

from .callables import line_of, module_of, place_of
from .errors import (
    CallError,
    DefinitionError,
    DuplicateJobError,
    FlowCheckError,
    OutsideExecutionError,
    WrongArgumentError,
)
from .jobs import (
    Job,
    Manager,
    ManagerArguments,
    P,
    Task,
    TaskArguments,
    is_interactive,
    takes_arguments,
    wrong_argument,
)
from .model.arguments import says_what_it_takes
from .model.graph import cycles
from .model.groups import name_groups
from .model.names import NAME_RULE, is_name
from .model.results import ExecutionResult, Kind
from .model.schedules import Schedule
from .model.stores import url_mistake
from .runtime import Context, Runtime, active_execution, runtime_for
from .scheduling import Scheduled, schedule_mistakes, schedule_notes, scheduled

J = TypeVar("J", bound=Job[Any])


class FlowContext(MutableMapping[str, Any]):
    """``flow.context``: the durable state of the job now running, a mapping of strings to payload values.

    Reads see what the job's earlier executions wrote; a key never written falls back to the last successful output of the job.
    Writes are kept if this execution ends in success or is skipped, and dropped if it fails or is cancelled.
    Outside an execution every use raises ``OutsideExecutionError``.
    """

    @property
    def _current(self) -> Context:
        execution = active_execution.get()
        if execution is None:
            raise OutsideExecutionError(
                "flow.context was used outside any execution; it is the state of the job that runs, so use it inside one."
            )
        return execution.context

    def __getitem__(self, key: str) -> Any:
        return self._current[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._current[key] = value

    def __delitem__(self, key: str) -> None:
        del self._current[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._current)

    def __len__(self) -> int:
        return len(self._current)

    def __repr__(self) -> str:
        execution = active_execution.get()
        return "<flow.context outside any execution>" if execution is None else repr(execution.context)


class Flow:
    """A named set of jobs. Make one with ``create_flow``.

    ``jobs`` maps names to jobs in the order of definition. ``runtime`` is the engine that serves the flow in this process, if any.
    ``is_stand_in``: this only stands for a flow that could not be imported in a worker process. ``version``: the ``CodeVersion``
    that it is of, once it is loaded to be run.
    """

    def __init__(
        self,
        name: str,
        *,
        max_concurrency: int | None = None,
        timezone: str | None = None,
        store: str | None = None,
        module: str | None = None,
    ) -> None:
        if not is_name(name):
            raise DefinitionError(f"create_flow({name!r}): {NAME_RULE}.")
        self.name = name
        self.max_concurrency = max_concurrency
        self.timezone = timezone
        self.store = store
        self.module = module
        self.jobs: dict[str, Job[Any]] = {}
        self._scheduled: dict[int, Scheduled] | None = None
        self.context = FlowContext()
        self.runtime: Runtime | None = None
        self.is_stand_in = False
        self.version: Any = None

    @overload
    def task(self, fn: Callable[P, Any], /) -> Task[P]: ...
    @overload
    def task(self, /, **arguments: Unpack[TaskArguments]) -> Callable[[Callable[P, Any]], Task[P]]: ...
    @takes_arguments(TaskArguments)
    def task(self, fn: Callable[P, Any] | None = None, /, **arguments: Any) -> Any:
        """Make a function a task: it does the work, in a subprocess or another runner.

        Arguments: ``name``, ``schedule``, ``inputs``, ``max_concurrency``, ``run_strategy``, ``time_partitions``,
        ``cat_partitions``, ``partition_filter``, ``max_payload`` (bytes), ``retries``, ``retry_delay`` (seconds), ``timeout``
        (seconds, per attempt), ``cancel_grace`` (seconds that a task gets to clean up before it is killed), ``runner``. Raises
        ``DuplicateJobError`` for a name that the flow has already.
        """
        _check_arguments("task", arguments)
        if fn is not None:
            return self._add(Task(self, fn, **arguments))
        return lambda decorated: self._add(Task(self, decorated, **arguments))

    @overload
    def manager(self, fn: Callable[P, Any], /) -> Manager[P]: ...
    @overload
    def manager(self, /, **arguments: Unpack[ManagerArguments]) -> Callable[[Callable[P, Any]], Manager[P]]: ...
    @takes_arguments(ManagerArguments)
    def manager(self, fn: Callable[P, Any] | None = None, /, **arguments: Any) -> Any:
        """Make a function a manager: it runs in a thread of the main process and calls jobs. Arguments as for ``task``."""
        if "runner" in arguments:
            raise DefinitionError(
                "A manager has no runner: it runs in a thread of the main process. Make it a task, or drop runner=."
            )
        _check_arguments("manager", arguments)
        if fn is not None:
            return self._add(Manager(self, fn, **arguments))
        return lambda decorated: self._add(Manager(self, decorated, **arguments))

    def _add(self, job: J) -> J:
        if not isinstance(job.name, str):
            raise DefinitionError(f"@flow.{job.kind}(name={job.name!r}): {NAME_RULE}.")
        known = self.jobs.get(job.name)
        if known is not None and not (is_interactive() and _same_place(known, job)):
            raise DuplicateJobError(
                f"Flow {self.name!r} has a {known.kind} named {job.name!r} already (line {line_of(known.fn) or '?'} of "
                f"{module_of(known.fn)}); give this {job.kind} another name, as in @flow.{job.kind}(name=…)."
            )
        self.jobs[job.name] = job
        self._scheduled = None
        return job

    def inputs_of(self, job: Job[Any]) -> list[Job[Any]]:
        """The jobs that a job declares as inputs. Raises ``DefinitionError`` for a name the flow does not have."""
        found = []
        for given in job.inputs:
            known = self._input(given)
            if known is None:
                raise DefinitionError(f"{job.kind} {job.name!r}: {self._unknown_input(given)}")
            found.append(known)
        return found

    def _input(self, given: Any) -> Job[Any] | None:
        if isinstance(given, Job):
            return self.jobs.get(given.name) if given.flow is self or given.flow.name == self.name else None
        return self.jobs.get(given) if isinstance(given, str) else None

    def _unknown_input(self, given: Any) -> str:
        if isinstance(given, Job):
            return f"the input {given.name!r} is a job of flow {given.flow.name!r}; inputs are jobs of the same flow."
        if not isinstance(given, str):
            return f"the input {given!r} is neither a job nor the name of one."
        from difflib import get_close_matches

        near = get_close_matches(given, self.jobs, 1)
        return f"the input {given!r} is no job of this flow{f'; did you mean {near[0]!r}?' if near else '.'}"

    def schedules(self) -> list[Scheduled]:
        """Every schedule of the jobs, in the order of definition, with its name and the jobs that have it."""
        return list(self._known_schedules().values())

    def schedule_name(self, schedule: Schedule) -> str:
        """What a schedule of the jobs is called: its name, else that of the first job that has it."""
        return self._known_schedules()[id(schedule)].name

    def _known_schedules(self) -> dict[int, Scheduled]:
        if self._scheduled is None:  # counted once: a list of a thousand jobs asks for each of their names
            self._scheduled = {id(found.schedule): found for found in scheduled(self.jobs)}
        return self._scheduled

    def input_names(self) -> dict[str, list[str]]:
        """For every job the names of the inputs it declares, as far as they are known: the edges of the flow's DAG."""
        return {
            name: [known.name for given in job.inputs if (known := self._input(given)) is not None]
            for name, job in self.jobs.items()
        }

    def check(self) -> None:
        """Raise ``FlowCheckError`` with every mistake of the flow at once; return if there is none.

        Groups that were given no name have one for good from now on: by now their modules have been imported.
        """
        name_groups(self.jobs.values(), self.module)
        if mistakes := list(self._mistakes()):
            raise FlowCheckError(self.name, mistakes)

    def _mistakes(self) -> Iterator[str]:
        limit = self.max_concurrency
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
            yield f"max_concurrency is {limit!r}; it must be a whole number from 1 on, or None for the cores available."
        if self.store is not None and (mistake := url_mistake(self.store)):
            yield f"store is {self.store!r}; {mistake}"
        if self.timezone is not None and (mistake := _zone_mistake(self.timezone)):
            yield mistake
        for job in self.jobs.values():
            yield from job.mistakes()
            yield from self._signature_mistakes(job)
        for path in cycles(self.input_names()):
            yield f"the inputs form a cycle: {' -> '.join(path)}. Drop one of these inputs."
        yield from schedule_mistakes(self.schedules(), self.jobs, self.input_names())

    def notes(self) -> list[str]:
        """What is not a mistake and may surprise, each as one sentence."""
        return list(schedule_notes(self.schedules()))

    def _signature_mistakes(self, job: Job[Any]) -> Iterator[str]:
        where = f"{job.kind} {job.name!r}"
        for given in job.inputs:
            if self._input(given) is None:
                yield f"{where}: {self._unknown_input(given)}"
        parameters = job.parameters
        takes_none = not parameters.names and not parameters.variable
        if job.inputs and not takes_none and not parameters.takes(len(job.inputs)):
            yield (
                f"{where} declares {len(job.inputs)} input{'s' if len(job.inputs) > 1 else ''} and its function takes "
                f"{parameters.describe()}: give it one parameter for each input, or none at all."
            )
        if parameters.keyword is not None:
            yield (
                f"{where}: its parameter {parameters.keyword!r} can only be given by name, and inputs are positional; give it a "
                "default, or drop the *."
            )
        if job.partitions is not None and not takes_none and parameters.required > 1 and not job.inputs:
            yield (
                f"{where} is partitioned and its function requires {parameters.required} inputs; a partition gives it one, a dict "
                "with the keys."
            )

    def run_all(self) -> list[ExecutionResult]:
        """Run every job that declares inputs or is one, each once, as much as possible at the same time; their results."""
        # a stand-in has no jobs; it is met in a task only, where the runtime says that a task can't call any
        return runtime_for(self).run_dag([] if self.is_stand_in else self.dag_jobs())

    def dag_jobs(self) -> list[Job[Any]]:
        """Every job that declares inputs or is one. Raises ``CallError`` if there is none."""
        edges = self.input_names()
        inputs = {name for names in edges.values() for name in names}
        jobs = [job for name, job in self.jobs.items() if edges[name] or name in inputs]
        if not jobs:
            raise CallError(f"Flow {self.name!r} has no job that declares inputs, so there is no DAG to run.")
        return jobs

    def reference(self) -> tuple[str | None, str | None, str]:
        """(module, attribute, name) by which another process finds the flow; the first two are None where it can't be imported."""
        name = self.module or ""
        module = sys.modules.get(name) if self.version is None else self.version.module(name)
        if module is None or self.module == "__main__" or getattr(module, "__spec__", None) is None:
            return None, None, self.name
        attribute = next((name for name, value in vars(module).items() if value is self), None)
        return (self.module if attribute else None), attribute, self.name

    def job_reference(self, job: Job[Any]) -> tuple[Any, ...]:
        """What ``pickle`` keeps of one of the flow's jobs: how to find it, and nothing behind it.

        Where it can't be found by import, its plain function goes with it, since a task may call that.
        """
        reference = self.reference()
        return _referenced_job, (*reference, job.name, job.kind, job.fn if reference[0] is None else None)

    def __reduce__(self) -> tuple[Any, ...]:
        return referenced_flow, self.reference()

    def __repr__(self) -> str:
        return f"<flow {self.name!r} with {len(self.jobs)} jobs>"


@says_what_it_takes("create_flow()", 'create_flow("my_flow", max_concurrency=4)')
def create_flow(
    name: str, *, max_concurrency: int | None = None, timezone: str | None = None, store: str | None = None
) -> Flow:
    """A new flow.

    ``max_concurrency``: how many tasks run at once; default: the cores available to this process. ``timezone``: an IANA name for
    schedules and partitions; default: the machine's own. ``store``: a URL such as ``sqlite:///path``; default: what
    ``MICROFLOW_STORE`` says, else a file under ``.microflow/`` in the working directory.
    """
    module = sys._getframe(2).f_globals.get("__name__")  # 1 is what checks the arguments
    return Flow(name, max_concurrency=max_concurrency, timezone=timezone, store=store, module=module)


def referenced_flow(module: str | None, attribute: str | None, name: str) -> Flow:
    """The flow that a reference names: the imported one, or an empty stand-in where it can't be imported."""
    if module is not None and attribute is not None:
        found = getattr(import_module(module), attribute)
        if isinstance(found, Flow):
            return found
    stand_in = Flow(name)
    stand_in.is_stand_in = True
    return stand_in


def _referenced_job(
    module: str | None, attribute: str | None, flow_name: str, name: str, kind: Kind, fn: Callable[..., Any] | None
) -> Job[Any]:
    flow = referenced_flow(module, attribute, flow_name)
    known = flow.jobs.get(name)
    return known if known is not None else (Task if kind is Kind.TASK else Manager)(flow, fn or _no_function, name=name)


def _no_function(*_: Any) -> None:
    raise AssertionError("a job met by reference is called through its runtime, never directly")


def _check_arguments(kind: str, arguments: Mapping[str, Any]) -> None:
    if mistake := wrong_argument(kind, arguments):
        raise WrongArgumentError(mistake)


def _zone_mistake(zone: Any) -> str | None:
    from .model.schedules import zone_mistake

    return zone_mistake(zone)


def _same_place(known: Job[Any], new: Job[Any]) -> bool:
    return known.made_in == new.made_in == "__main__" and place_of(known.fn) == place_of(new.fn)


def check_all(flows: Mapping[str, Flow]) -> None:
    """Check several flows; raise ``FlowCheckError`` with the mistakes of all."""
    failures = []
    for flow in flows.values():
        try:
            flow.check()
        except FlowCheckError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise FlowCheckError(
            ", ".join(error.flow for error in failures),
            [f"{error.flow}: {mistake}" for error in failures for mistake in error.mistakes],
        )
