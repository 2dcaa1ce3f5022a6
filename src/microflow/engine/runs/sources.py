"""Where the calls of a fan-out come from, and what becomes of them as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, Protocol

import msgspec

from ...errors import ExecutionCancelled
from ...model.results import ExecutionError, ExecutionResult, ExecutionStatus, combined_status
from ...runners.base import Outcome
from ..execution.call import Call
from ..execution.live import LiveExecution


class Source(Protocol):
    """Where the calls come from. Both methods are called by the fan-out's own thread."""

    def next(self) -> tuple[int, Call] | None:
        """The next call that may be made now, with its number; None if there is none until one of them has ended."""
        ...

    def ended(self, number: int, result: ExecutionResult) -> None:
        """That call ended."""
        ...


class ResumedCalls(NamedTuple):
    """The calls that a mapping made before it was interrupted.

    ``counts`` says how many have ended with each status, ``failure`` is an error of one; ``position`` is that of the first call
    that has not been made; ``unfinished`` are those that are queued.
    """

    counts: Mapping[ExecutionStatus, int] = {}
    failure: ExecutionError | None = None
    position: int = 0
    unfinished: Sequence[Call] = ()


NEW_MAPPING = ResumedCalls()
"""A new mapping, which has made no calls."""


class Calls:
    """A source that reads calls from an iterator as they are needed.

    ``results`` has the results in order if they are kept; ``counts`` how many ended with each status; ``failure`` an error of one:
    of all calls, including those that were made before it was ``resumed``. ``ended`` is told how many have ended.
    """

    def __init__(
        self,
        make: Callable[[Any], Call],
        items: Iterable[Any],
        ended: Callable[[int], None] | None = None,
        keep: bool = True,
        resumed: ResumedCalls = NEW_MAPPING,
    ) -> None:
        self._make = make
        self._items = chain(resumed.unfinished, items)
        self._number = 0
        self._after = ended
        self._keep = keep
        self._early: dict[int, ExecutionResult] = {}
        self.results: list[ExecutionResult] = []
        self.counts: Counter[ExecutionStatus] = Counter(resumed.counts)
        self.failure: ExecutionError | None = resumed.failure

    def next(self) -> tuple[int, Call] | None:
        """The next call, numbered in the order of the items."""
        try:
            item = next(self._items)
        except StopIteration:
            return None
        number = self._number
        self._number += 1
        return number, self._make(item)

    def ended(self, number: int, result: ExecutionResult) -> None:
        """Keep the result in the order of the items, and count it."""
        self.counts[result.status] += 1
        self.failure = self.failure or result.error
        if self._keep:
            self._early[number] = result
            while (found := self._early.pop(len(self.results), None)) is not None:
                self.results.append(found)
        if self._after is not None:
            self._after(self.counts.total())

    def summary(self, job: str) -> Outcome:
        """The outcome of the run as a whole: the status of a list of results, and how many ended with which."""
        output = msgspec.json.encode({str(status): count for status, count in sorted(self.counts.items())})
        status = combined_status(self.counts)
        if status is not ExecutionStatus.ERROR:
            return Outcome(status, output)
        failed = self.counts[ExecutionStatus.ERROR] + self.counts[ExecutionStatus.CANCELLED]
        why = f"; one of them: {self.failure.type}: {self.failure.message}" if self.failure else ""
        message = f"{failed} of {self.counts.total()} executions of {job!r} failed{why}"
        return Outcome(status, output, ExecutionError("ExecutionFailed", message))


def refuse_cancelled(execution: LiveExecution | None) -> None:
    """Raise ``ExecutionCancelled`` if the execution whose code this is was asked to end."""
    if execution is not None and execution.stop.reason is not None:
        raise ExecutionCancelled(f"Execution {execution.id} of {execution.job.name!r} was cancelled.")
