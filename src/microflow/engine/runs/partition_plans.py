"""Runs over partitions: which cells they take, and the calls they make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast, get_args

from ...errors import ConflictError, PartitionError
from ...jobs import Job
from ...model.partitions import Cells, Only, Order, PartitionKey, Partitions, count_taken
from ...model.payloads import decode
from ...model.results import Kind, Trigger
from ...runtime import PartitionArea, PartitionSelection, batches
from ...store import LastCall
from ...store.options import Options, read_options
from ...store.rows import StoredKey
from ..admission.limits import Limits
from ..execution.call import Call, prepare
from ..partitions.grids import Grid, PartitionGrids, partitions_of
from ..partitions.keys import Planned, period_of
from .dag import closure_of


class PartitionPlan(NamedTuple):
    """A run over partitions that may start: everything has been checked, and nothing has happened."""

    job: Job[Any]
    cells: Cells
    grid: Grid
    batch_size: int | None
    max_concurrency: int | None
    with_inputs: bool
    counted: bool
    again: int | None

    @property
    def executions(self) -> int:
        """How many executions the run makes."""
        return -(-len(self.cells) // self.batch_size) if self.batch_size else len(self.cells)


class Estimate(NamedTuple):
    """How many partitions and executions a run is, and how many at once; seconds for each partition and in all, if known.

    ``counts`` says for each value of ``only`` how many partitions it would take, if the statuses were read.
    """

    partitions: int
    executions: int
    concurrency: int
    seconds_each: float | None
    seconds: float | None
    counts: dict[str, int] | None


class PartitionRuns:
    """Plans runs over partitions: what they take of ``grids``, and how long they are likely to take."""

    def __init__(self, grids: PartitionGrids, limits: Limits) -> None:
        self._grids = grids
        self._statuses = grids.statuses
        self._limits = limits

    def plan(
        self,
        job: Job[Any],
        selection: PartitionSelection,
        batch_size: int | None = None,
        max_concurrency: int | None = None,
        with_inputs: bool = False,
        *,
        again: int | None = None,
        behind: StoredKey | None = None,
        counted: bool = False,
    ) -> PartitionPlan:
        """The cells that a run takes, and how it takes them.

        ``again``: of what this earlier run took, what did not succeed. ``behind``: only what comes after this cell.
        ``counted``: read the statuses in any case.

        Raises ``PartitionError`` for a selection that makes no sense, and whatever would be wrong with the first of the calls:
        ``InputCountError``, ``PayloadTooLarge`` (a batch).
        """
        if with_inputs and batch_size is not None:
            raise PartitionError("with_inputs runs a DAG for each partition, so it can't be combined with batch_size.")
        counted = counted or selection.only != "all"
        grid = self._grids.selected(job, selection, counted)
        if again is not None:
            grid = grid.without(self._left_out(job, selection, again))
        if behind is not None:
            grid = grid.behind(behind, selection.order)
        cells = _cells(grid, selection, is_again=again is not None)
        plan = PartitionPlan(job, cells, grid, batch_size, max_concurrency, with_inputs, counted, again)
        if with_inputs:
            _check_closure(plan)
        else:
            _check_first_call(plan)
        return plan

    def _left_out(self, job: Job[Any], selection: PartitionSelection, earlier: int) -> list[StoredKey]:
        """The cells that a retry of an ``earlier`` run leaves out: those that have succeeded since.

        A run over missing cells did not take the cells that had failed before it: its retry leaves these out.
        """
        read = self._statuses.failed_before if selection.only == "missing" else self._statuses.succeeded_after
        return read(job.flow.name, job.name, earlier)

    def again(
        self, job: Job[Any], execution_id: int, options: str | bytes | None
    ) -> tuple[PartitionPlan, PartitionSelection]:
        """What of an earlier run has not succeeded, in the same order, batches and bounds. Raises ``ConflictError`` if all has.

        Of one that was such a run itself: of the first one.
        """
        asked = read_options(options)
        selection = _selection(asked)
        plan = self.plan(job, selection, *_bounds(asked), again=asked.again or execution_id)
        if not len(plan.cells):
            raise ConflictError(f"Everything that execution {execution_id} was to run has succeeded.")
        return plan, selection

    def rest(self, job: Job[Any], last: LastCall | None, options: str | None) -> PartitionPlan:
        """What a run has not come to by now, whose calls are in the order of the plan: the cells after those of the last one.

        Raises ``PartitionError`` if the partitions are others by now.
        """
        partitions = partitions_of(job)
        behind = None
        if last is not None:
            text, category = partitions.key(*_last_key(last))
            behind = text or "", category or ""
        asked = read_options(options)
        return self.plan(job, _selection(asked), *_bounds(asked), again=asked.again, behind=behind)

    def estimate(self, plan: PartitionPlan) -> Estimate:
        """How much a run is, and how long it is likely to take."""
        job = plan.job
        capacity = self._limits.capacity(job)
        concurrency = max(1, min(capacity, plan.max_concurrency or capacity, plan.executions))
        kind = Kind.DAG if plan.with_inputs else job.kind
        each = self._statuses.seconds_each(job.flow.name, job.name, kind)
        seconds = None if each is None else each * len(plan.cells) / concurrency
        lines = plan.grid.lines if plan.counted else None
        counts = None if lines is None else {only: count_taken(lines, only) for only in get_args(Only)}
        return Estimate(len(plan.cells), plan.executions, concurrency, each, seconds, counts)


def _cells(grid: Grid, selection: PartitionSelection, *, is_again: bool) -> Cells:
    """The cells that a run takes of a grid. By now, the cells that a run over missing ones took may have failed."""
    only = "missing_or_failed" if is_again and selection.only == "missing" else selection.only
    return Cells(grid.times, grid.cats, grid.lines, cast(Only, only), cast(Order, selection.order))


def _bounds(asked: Options) -> tuple[int | None, int | None, bool]:
    """Size of the batches, how many at once, and whether with the inputs."""
    return asked.batch_size, asked.max_concurrency, asked.with_inputs


def _selection(asked: Options) -> PartitionSelection:
    """Which partitions were meant."""
    areas = None if asked.areas is None else [PartitionArea(*area) for area in asked.areas]
    return PartitionSelection(
        asked.time_partitions, asked.cat_partitions, asked.start, asked.end, asked.only, asked.order, areas
    )


def _last_key(call: LastCall) -> tuple[Any, str | None]:
    """The last cell that a call is for: what it was given says so, where its result may have named another one."""
    inputs = decode(call.inputs)
    first = inputs[0] if inputs else None
    keys = first[-1] if isinstance(first, list) else first
    if keys is None and (cell := read_options(call.options).cell) is not None:
        return cell
    return (
        (call.time_partition, call.cat_partition) if keys is None else (keys["time_partition"], keys["cat_partition"])
    )


def encode_options(plan: PartitionPlan, selection: PartitionSelection) -> bytes | None:
    """What the store keeps of a plan, for another try."""
    texts = [] if plan.grid.axis is None else plan.grid.axis.texts
    is_range = selection.time_partitions is None and selection.areas is None
    return Options(
        time_partitions=None if selection.time_partitions is None else texts,
        cat_partitions=None if selection.cat_partitions is None else [str(name) for name in plan.grid.cats],
        start=texts[0] if is_range and texts else None,
        end=texts[-1] if is_range and texts else None,
        only=selection.only,
        order=selection.order,
        batch_size=plan.batch_size,
        max_concurrency=plan.max_concurrency,
        with_inputs=plan.with_inputs,
        areas=_areas_of(plan, selection),
        again=plan.again,
    ).encode()


def _areas_of(plan: PartitionPlan, selection: PartitionSelection) -> list[Any] | None:
    """The areas as texts, with the ends that they had when the plan was made."""
    if selection.areas is None:
        return None
    time, axis = partitions_of(plan.job).time, plan.grid.axis

    def text(given: Any, otherwise: int) -> str | None:
        if time is None or axis is None or not len(axis):
            return None
        return axis.texts[otherwise] if given is None else time.text(given)

    return [
        (text(area.start, 0), text(area.end, -1), None if area.cat_partitions is None else list(area.cat_partitions))
        for area in selection.areas
    ]


def check_closure_key(job: Job[Any], time_partition: Any, cat_partition: str | None) -> PartitionKey:
    """The key, in text, that a DAG run hands to every partitioned job of it; checked with all of them.

    Raises ``PartitionError`` if one of them does not have that partition, or none of them the dimension.
    """
    partitioned = [known for known in [job, *closure_of(job)] if known.partitions is not None]
    timed = next((known.partitions.time for known in partitioned if known.partitions and known.partitions.time), None)
    named = [
        ("time_partition", time_partition, timed is not None),
        ("cat_partition", cat_partition, any(known.partitions and known.partitions.cat for known in partitioned)),
    ]
    for argument, value, is_known in named:
        if value is not None and not is_known:
            raise PartitionError(
                f"{argument} {value!r} was given, and neither job {job.name!r} nor any of its declared inputs has that dimension."
            )
    text = timed.text(time_partition) if timed is not None and time_partition is not None else None
    for known in partitioned:
        _check_key(known, text, cat_partition)
    return text, cat_partition


def _check_key(job: Job[Any], text: Any, category: str | None) -> None:
    """Raise ``PartitionError`` unless a job has this partition, as far as it has the dimensions at all."""
    partitions = job.partitions
    assert partitions is not None
    partitions.check(text if partitions.time is not None else None, category if partitions.cat is not None else None)


def _check_closure(plan: PartitionPlan) -> None:
    for job in closure_of(plan.job):
        if job.partitions is None or job is plan.job:
            continue
        if job.partitions.filter is not None:
            for text, category in plan.cells:
                _check_key(job, text, category)
        else:  # the dimensions are independent, so each value is looked at once
            _check_dimensions(job.partitions, plan.cells)


def _check_dimensions(partitions: Partitions, cells: Cells) -> None:
    texts, categories = dict.fromkeys(text for text, _ in cells), dict.fromkeys(category for _, category in cells)
    if partitions.time is not None:
        for text in texts:
            partitions.check(text, None)
    if partitions.cat is not None:
        for category in categories:
            partitions.check(None, category)


def _check_first_call(plan: PartitionPlan) -> None:
    """Raise what would be raised when the call is made that is most likely to be wrong: the first, or the largest batch."""
    if plan.batch_size is None:
        text, category = next(iter(plan.cells), (None, None))
        first = Call(job=plan.job, time_partition=text, cat_partition=category) if len(plan.cells) else None
    else:
        if not (plan.job.parameters.names or plan.job.parameters.variable):
            raise PartitionError(f"Job {plan.job.name!r} takes no input, so no batch of partitions can be given to it.")
        keys = max(batches(plan.cells, plan.batch_size), key=_size, default=None)
        first = None if keys is None else _batch_call(plan.job, keys, Trigger.PARTITIONS)
    if first is not None:
        prepare(first)


def _size(keys: Sequence[PartitionKey]) -> int:
    return sum(len(text or "") + len(category or "") for text, category in keys)


def calls_of(plan: PartitionPlan, trigger: Trigger) -> Iterator[Call]:
    job = plan.job
    if plan.batch_size is not None:
        for keys in batches(plan.cells, plan.batch_size):
            yield _batch_call(job, keys, trigger)
        return
    cats, axis = plan.grid.cats, plan.grid.axis
    if plan.with_inputs:
        for text, category in plan.cells:
            yield Call(job=job, trigger=trigger, time_partition=text, cat_partition=category)
        return
    period, last = None, -1
    tells = bool(job.parameters.names or job.parameters.variable)  # what it is handed says which cell it is for
    for column, row in plan.cells.positions():
        if axis is not None and column != last:
            period, last = period_of(axis.starts[column], axis.end(column), axis.texts[column]), column
        call = Call(job=job, trigger=trigger, planned=Planned(period, cats[row]))
        if not tells:
            call.options = Options(cell=(plan.grid.times[column], cats[row])).encode()
        yield call


def _batch_call(job: Job[Any], keys: Sequence[PartitionKey], trigger: Trigger) -> Call:
    dicts = [{"time_partition": text, "cat_partition": category} for text, category in keys]
    return Call(job=job, trigger=trigger, inputs=(dicts,))
