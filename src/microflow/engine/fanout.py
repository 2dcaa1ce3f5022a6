"""Many executions by a bounded number of threads: mappings, parallel calls and DAG runs.

The threads pull: each takes what is ready, or else the next call from the source, and carries it out. A call that must wait is
parked without a thread, at most ``window`` of them, so that a mapping over 100,000 inputs holds neither threads nor rows for them.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Any, Protocol

import msgspec

from ..errors import ExecutionCancelled
from ..model.results import ExecutionError, ExecutionResult, ExecutionStatus, combined_status
from ..runners.base import Outcome
from .calls import Call
from .execution import Execution, State


class Source(Protocol):
    """Where the calls come from. Both methods are called under the fan-out's lock."""

    def next(self) -> tuple[int, Call] | None:
        """The next call that may be made now, with its number; None if there is none now."""
        ...

    def ended(self, number: int, result: ExecutionResult) -> None:
        """That call ended."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether no call will ever come any more, whatever ends."""
        ...


class FanOut:
    """Carries out all calls of a source; ``run`` returns when all have ended."""

    def __init__(
        self,
        source: Source,
        start: Callable[[Call, Callable[[Execution], None]], Execution],
        executor: Executor,
        *,
        width: int,
        window: int,
    ) -> None:
        self._source = source
        self._start = start
        self._executor = executor
        self._width = width
        self._window = max(window, width)
        self._changed = threading.Condition()
        self._ready: deque[Execution] = deque()
        self._numbers: dict[Execution, int] = {}
        self._running = 0
        self._helpers = 0
        self._error: BaseException | None = None

    def run(self) -> None:
        """Carry out all calls. Raises what the source or a call's preparation raised, after what runs has ended."""
        self._work(helper=False)
        with self._changed:
            # helpers still in _work leave by themselves, but what they raised belongs to this call
            while self._helpers:
                self._changed.wait()
        if self._error is not None:
            raise self._error

    def _work(self, helper: bool = True) -> None:
        try:
            while (task := self._take()) is not None:
                self._carry_out(*task)
        finally:
            if helper:
                with self._changed:
                    self._helpers -= 1
                    self._changed.notify_all()

    def _take(self) -> tuple[Execution | None, tuple[int, Call] | None] | None:
        """What to do next: a parked execution that may go on, or a new call; None when all has ended or is in other hands."""
        with self._changed:
            while True:
                if self._ready:
                    self._running += 1
                    return self._ready.popleft(), None
                if self._error is None and self._running < self._width and len(self._numbers) < self._window + self._running:
                    try:
                        found = self._source.next()
                    except BaseException as error:  # noqa: BLE001 - raised again by run(), once what runs has ended
                        self._error = error
                        continue
                    if found is not None:
                        self._running += 1
                        self._call_for_help()
                        return None, found
                done = self._error is not None or self._source.exhausted
                if done and not self._numbers and not self._running:
                    self._changed.notify_all()
                    return None
                self._changed.wait()

    def _call_for_help(self) -> None:
        """One thread more, as long as the width allows; the source may have something for it."""
        if self._helpers + 1 < self._width and not self._source.exhausted:
            self._helpers += 1
            try:
                self._executor.submit(self._work)
            except RuntimeError:  # the engine is being closed: this thread does what is left
                self._helpers -= 1

    def _carry_out(self, execution: Execution | None, found: tuple[int, Call] | None) -> None:
        state = State.READY
        number = -1
        try:
            if found is not None:
                number, call = found
                execution = self._start(call, self._when_ready)
                with self._changed:
                    self._numbers[execution] = number
                state = execution.begin()
            assert execution is not None
            if state is State.READY and execution.state is State.READY:
                state = execution.attempt()
            elif execution.state is State.ENDED:
                state = State.ENDED
        except BaseException as error:  # noqa: BLE001 - raised again by run(), once what runs has ended
            with self._changed:
                if execution is not None:
                    self._numbers.pop(execution, None)
                self._error = self._error or error
                self._running -= 1
                self._changed.notify_all()
            return
        with self._changed:
            self._running -= 1
            if state is State.ENDED and execution in self._numbers:
                self._source.ended(self._numbers.pop(execution), execution.result)
            if self._ready or self._running < self._width:
                self._changed.notify_all()

    def _when_ready(self, execution: Execution) -> None:
        """A parked execution may go on, or has ended while it was parked."""
        with self._changed:
            if execution.state is State.ENDED:
                number = self._numbers.pop(execution, None)
                if number is not None:
                    self._source.ended(number, execution.result)
            else:
                self._ready.append(execution)
            self._changed.notify_all()


class Calls:
    """A source that reads calls from an iterator as they are needed.

    ``results`` has the results in order if they are kept; ``counts`` how many ended with each status; ``failure`` an error of one.
    ``ended`` is told how many have ended.
    """

    def __init__(
        self,
        make: Callable[[int, Any], Call],
        items: Iterable[Any],
        ended: Callable[[int], None] | None = None,
        keep: bool = True,
    ) -> None:
        self._make = make
        self._items = iter(items)
        self._number = 0
        self._after = ended
        self._keep = keep
        self._early: dict[int, ExecutionResult] = {}
        self.exhausted = False
        self.results: list[ExecutionResult] = []
        self.counts: Counter[ExecutionStatus] = Counter()
        self.failure: ExecutionError | None = None

    def next(self) -> tuple[int, Call] | None:
        """The next call, numbered in the order of the items."""
        try:
            item = next(self._items)
        except StopIteration:
            self.exhausted = True
            return None
        number = self._number
        self._number += 1
        return number, self._make(number, item)

    def ended(self, number: int, result: ExecutionResult) -> None:
        """Keep the result in its place, and count it."""
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


def refuse_cancelled(execution: Execution | None) -> None:
    """Raise ``ExecutionCancelled`` if the execution whose code this is was asked to end."""
    if execution is not None and execution.stop.reason is not None:
        raise ExecutionCancelled(f"Execution {execution.id} of {execution.job.name!r} was cancelled.")
