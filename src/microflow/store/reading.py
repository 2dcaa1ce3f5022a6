"""What pages, API and command line look at: executions, lists of them, trees, counts, timelines.

Lists are newest first, which is the order of the ids backwards. A list takes the one index that leaves least to look through (a
parent's children, a tree, a run key or partition, an open status, a job, what no execution called) and checks the other conditions
on the way, so that it stays quick with millions of executions. Moments become ids by bisection, since ids ascend with the time of
queueing.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import msgspec

from ..errors import UnknownNameError
from ..model.clock import utc
from ..model.results import ExecutionStatus, Kind, Trigger
from .database import Readable
from .filters import Filters, cursor_before, read_cursor
from .options import schedule_of
from .views import (
    AttemptView,
    Bucket,
    ExecutionCounts,
    ExecutionDuration,
    ExecutionView,
    Newest,
    Page,
    Remark,
    Tree,
    TreeNode,
    attempt_view,
    error_view,
    execution_view,
    newest_view,
    tree_node,
)

MAXIMUM_NODES = 5_000
"""How many executions of a tree are shown at most."""

MAXIMUM_DEPTH = 100
"""How many levels of calls below its top a tree shows at most: few readers of JSON accept a nesting of a thousand levels."""

_SHOWN_TO = 1e-6
"""Seconds to which times are shown. They are stored finer, and what is shown as a moment counts as that moment."""

_IN_INDEX = frozenset(ExecutionStatus) - {ExecutionStatus.SUCCESS, ExecutionStatus.SKIPPED}
"""Statuses that have an index of their own: the few executions that have not ended well."""

_OUTSIDE = frozenset(Trigger) - {Trigger.CALL, Trigger.MAP, Trigger.PARTITIONS}
"""Triggers of what no other execution called."""

_CHECKED = ("trigger", "run_key", "time_partition")

Conditions = dict[str, dict[str, Any]]
"""The names of conditions, each with its values."""

_NO_FILTERS = Filters()


class Reading:
    """Looks at a store and never changes it; usable from every thread.

    Every method raises ``StoreError`` if the store can't be read.
    """

    def __init__(self, database: Readable) -> None:
        self._database = database

    def check(self) -> None:
        """Return if the store can be read."""
        self._database.read("first_id")

    def execution(self, id: int) -> ExecutionView:  # noqa: A002 - the field is called id everywhere else
        """One execution, with its failed attempts. Raises ``UnknownNameError`` if there is none of this id."""
        rows = self._database.read("execution", {"id": id})
        if not rows:
            raise _no_execution(id)
        return msgspec.structs.replace(execution_view(rows[0]), attempts=tuple(self.attempts(id)))

    def attempts(self, id: int) -> list[AttemptView]:  # noqa: A002
        """The failed attempts of an execution before its last one, oldest first."""
        return [attempt_view(row) for row in self._database.read("attempts", {"id": id})]

    def executions(
        self, filters: Filters = _NO_FILTERS, limit: int = 50, cursor: str | None = None, *, brief: bool = False
    ) -> Page:
        """A page of at most ``limit`` executions, newest first; ``cursor`` is the ``next`` of the page before.

        ``brief``: without outputs, and of long inputs with the beginning alone, which need not be valid JSON then.
        Raises ``ValueError`` for a cursor that no page gave.
        """
        before = None if cursor is None else read_cursor(cursor)
        ids = self._ids(filters, limit + 1, before)
        wanted = "listed_execution" if brief else "execution"
        rows = [row for id_ in ids[:limit] for row in self._database.read(wanted, {"id": id_})]
        return Page([execution_view(row) for row in rows], cursor_before(ids[limit - 1]) if len(ids) > limit else None)

    def partition_runs(self, flow: str, job: str, limit: int = 10) -> list[ExecutionView]:
        """The newest runs over partitions of a job, newest first."""
        ids = self._database.read("partition_runs", {"flow": flow, "job": job, "limit": limit})
        return [execution_view(row) for (id_,) in ids for row in self._database.read("execution", {"id": id_})]

    def tree(self, id: int, limit: int = MAXIMUM_NODES) -> Tree:  # noqa: A002
        """An execution and everything below it, nested, children in the order of their parent's calls.

        Of a tree with more than ``limit`` executions, or more than ``MAXIMUM_DEPTH`` levels, the upper ones are given, and it is
        marked as truncated.
        Raises ``UnknownNameError`` if there is no execution of this id.
        """
        rows = self._database.read("node", {"id": id})
        root = self._root_of(id)
        if not rows or root is None:
            raise _no_execution(id)
        top = tree_node(rows[0])
        count, truncated, is_deep = 1, False, False
        callers = deque([(top, 0)])
        while callers and not truncated:
            caller, depth = callers.popleft()
            if depth == MAXIMUM_DEPTH:
                values = {"root": root, "parent": caller.id, "limit": 1}
                is_deep = is_deep or bool(self._database.read("child_nodes", values))
                continue
            # by ids, which the index has in order, so that a mapping of a hundred thousand is not sorted to show its start
            values = {"root": root, "parent": caller.id, "limit": limit - count + 1}
            children = [tree_node(row) for row in self._database.read("child_nodes", values)]
            truncated = count + len(children) > limit
            del children[limit - count :]
            caller.children += sorted(children, key=lambda node: (node.position, node.id))
            callers.extend(
                (child, depth + 1) for child in caller.children if child.kind != Kind.TASK
            )  # a task calls nothing
            count += len(children)
        return Tree(top, count, truncated or is_deep)

    def noteworthy(self, parent: TreeNode, limit: int = 50) -> list[TreeNode]:
        """What a ``parent`` called that its truncated tree lacks, and that runs or has failed: at most so many of each."""
        after = max((child.id for child in parent.children), default=parent.id)
        values = {"parent": parent.id, "after": after, "limit": limit}
        statuses = (ExecutionStatus.RUNNING, ExecutionStatus.ERROR)
        rows = [
            row for status in statuses for row in self._database.read("noteworthy_nodes", {**values, "status": status})
        ]
        return sorted(map(tree_node, rows), key=lambda node: (node.position, node.id))

    def remarks(self, ids: Iterable[int]) -> dict[int, Remark]:
        """What is shown of executions beside a tree; executions that are gone are left out."""
        rows = (row for id_ in ids for row in self._database.read("remark", {"id": id_}))
        return {
            id_: Remark(error_view(error), msgspec.Raw(inputs.encode("utf-8", "replace")))
            for id_, error, inputs in rows
        }

    def schedule(self, id: int) -> str:  # noqa: A002
        """The name of the schedule whose run an execution is; "" if it is not a schedule's run."""
        rows = self._database.read("options", {"id": id})
        return schedule_of(rows[0][0]) if rows else ""

    def counts(self, failed_since: datetime) -> ExecutionCounts:
        """How many executions run and wait now, and how many that were queued since a moment have failed."""
        from_id = self._first_id_from(failed_since.timestamp())
        return ExecutionCounts(
            self._count(ExecutionStatus.RUNNING),
            self._count(ExecutionStatus.QUEUED),
            self._count(ExecutionStatus.ERROR, from_id) + self._count(ExecutionStatus.CANCELLED, from_id),
        )

    def timeline(self, since: datetime, until: datetime, buckets: int) -> list[Bucket]:
        """So many equal stretches of time, each with the count by status of the executions queued in it that no
        execution called.
        """
        step: timedelta = (until - since) / buckets
        edges = [since + step * number for number in range(buckets)] + [until]
        ids = self._first_ids_from([edge.timestamp() for edge in edges])
        return [
            Bucket(start, end, self._top_level_statuses(first, before))
            for start, end, first, before in zip(edges, edges[1:], ids, ids[1:], strict=False)
        ]

    def durations(self, flow: str, job: str, limit: int = 50) -> list[ExecutionDuration]:
        """How long the newest executions of a job took that ran and ended, newest first."""
        rows = self._database.read("durations", {"flow": flow, "job": job, "limit": limit})
        return [
            ExecutionDuration(id_, ExecutionStatus(status), utc(started), max(ended - started, 0.0))
            for id_, status, started, ended in rows
        ]

    def newest(self, flow: str, job: str) -> Newest | None:
        """The newest execution of a job itself; runs over its inputs or partitions are executions of others."""
        rows = self._database.read("newest_of_job", {"flow": flow, "job": job})
        return newest_view(rows[0]) if rows else None

    def _ids(self, filters: Filters, limit: int, before: int | None) -> list[int]:
        """The newest ids that the filters let through, merged from the sources that the chosen index has."""
        conditions: Conditions = {}
        if before is not None:
            conditions["if_before"] = {"before": before}
        for name in _CHECKED:
            if (value := getattr(filters, name)) is not None:
                conditions[f"if_{name}"] = {name: value}
        if filters.since is not None:
            since = filters.since.timestamp() - _SHOWN_TO
            conditions["if_from"] = {"from_id": self._first_id_from(since)}
            conditions["if_since"] = {"since": since}
        if filters.until is not None:
            until = filters.until.timestamp() + _SHOWN_TO
            conditions["if_to"] = {"to_id": self._first_id_from(until, after=True)}
            conditions["if_until"] = {"until": until}
        found = [self._source({**conditions, **source}, limit) for source in self._sources(filters)]
        if len(found) == 1:
            return found[0]
        return list(islice(heapq.merge(*found, reverse=True), limit))

    def _sources(self, filters: Filters) -> Iterator[Conditions]:
        """The conditions that choose the index: one set for each stretch of it that has to be looked through."""
        checks, some = _checks(filters), _any_of(filters.status)
        if filters.parent is not None:
            if (root := self._root_of(filters.parent)) is not None:
                below = {} if filters.root in (None, root) else {"if_root": {"root": filters.root}}
                yield {"if_parent": {"root": root, "parent": filters.parent}, **below, **checks, **some}
        elif filters.root is not None:
            yield {"if_root": {"root": filters.root}, **checks, **some}
        elif filters.run_key is not None or filters.time_partition is not None:
            yield {
                **checks,
                **some,
            }  # few executions have these; they have an index, and are among the conditions already
        elif filters.status and _IN_INDEX.issuperset(filters.status):
            for status in dict.fromkeys(filters.status):
                yield {"if_open_status": {"status": str(status)}, **checks}
        elif filters.cat_partition is not None:
            yield {"if_cat_partition": {}, **checks, **some}
        elif "if_checked_top_level" in checks and filters.job is None:
            yield {"if_top_level": {}, **checks, **some}
        elif filters.flow is not None or filters.job is not None:
            for flow, job in self._jobs(filters.flow, filters.job):
                yield {"if_job": {"flow": flow, "job": job}, **checks, **some}
        else:
            yield some

    def _source(self, conditions: Conditions, limit: int) -> list[int]:
        values: dict[str, Any] = {"limit": limit}
        for own in conditions.values():
            values |= own
        return [row[0] for row in self._database.read_newest("execution_ids", tuple(conditions), values)]

    def _jobs(self, flow: str | None, job: str | None) -> Iterator[tuple[str, str]]:
        """(flow, job) of what has executions, found by jumping from one to the next in the index."""
        flows = [flow] if flow is not None else self._flows()
        for name in flows:
            if job is not None:
                yield name, job
                continue
            rows = self._database.read("next_job", {"flow": name, "job": ""})
            while rows:
                yield name, rows[0][0]
                rows = self._database.read("next_job", {"flow": name, "job": rows[0][0]})

    def _flows(self) -> Iterator[str]:
        rows = self._database.read("next_flow", {"flow": ""})
        while rows:
            yield rows[0][0]
            rows = self._database.read("next_flow", {"flow": rows[0][0]})

    def _root_of(self, id: int) -> int | None:  # noqa: A002
        rows = self._database.read("root_of", {"id": id})
        return rows[0][0] if rows else None

    def _count(self, status: ExecutionStatus, from_id: int = 0) -> int:
        count: int = self._database.read("count_open", {"status": str(status), "from_id": from_id})[0][0]
        return count

    def _top_level_statuses(self, from_id: int, before: int) -> dict[str, int]:
        if from_id >= before:
            return {}
        return dict(self._database.read("top_level_statuses", {"from_id": from_id, "before": before}))

    def _first_ids_from(self, moments: Sequence[float]) -> list[int]:
        """The first ids queued at moments, which ascend; the middle one first, since the others lie on either side of it."""
        ids = [0] * len(moments)

        def find(begin: int, end: int, low: int, high: int) -> None:
            if begin < end:
                middle = (begin + end) // 2
                ids[middle] = self._bisect(moments[middle], low, high)
                find(begin, middle, low, ids[middle])
                find(middle + 1, end, ids[middle], high)

        find(0, len(moments), *self._id_bounds())
        return ids

    def _first_id_from(self, moment: float, after: bool = False) -> int:
        """The first id queued at a moment or later (``after``: later than it); one past the last if there is none.

        Threads that open executions at once may get ids a moment out of order, so lists check the times as well.
        """
        return self._bisect(moment, *self._id_bounds(), after=after)

    def _id_bounds(self) -> tuple[int, int]:
        """The first id, and one past the last."""
        first, last = self._database.read("first_id"), self._database.read("last_id")
        return (first[0][0], last[0][0] + 1) if first and last else (1, 1)

    def _bisect(self, moment: float, low: int, high: int, after: bool = False) -> int:
        while low < high:
            middle = (low + high) // 2
            rows = self._database.read("queued_at_from", {"id": middle})
            # ids have gaps where history was deleted, so the row found may lie behind the middle
            if not rows or rows[0][1] > moment or (rows[0][1] == moment and not after):
                high = middle
            else:
                low = rows[0][0] + 1
        return low


def _checks(filters: Filters) -> Conditions:
    """The conditions that are checked on the way, whichever index is chosen."""
    checks: Conditions = {
        f"if_checked_{name}": {name: value}
        for name in ("flow", "job", "cat_partition")
        if (value := getattr(filters, name)) is not None
    }
    if filters.top_level or filters.trigger in _OUTSIDE:
        checks["if_checked_top_level"] = {}
    return checks


def _any_of(given: Sequence[ExecutionStatus]) -> Conditions:
    """The condition that the status is one of these; none if all are meant. It has as many values as there are statuses."""
    statuses = tuple(dict.fromkeys(given))
    if not statuses:
        return {}
    return {"if_status": {f"status_{i}": str(statuses[min(i, len(statuses)) - 1]) for i in range(1, 7)}}


def _no_execution(id_: int) -> UnknownNameError:
    return UnknownNameError(f"There is no execution {id_}; it may have been deleted with old history.")
