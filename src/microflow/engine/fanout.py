"""Many executions by one thread: mappings, parallel calls and DAG runs.

The calling thread looks after all of them: it takes the next call, starts its attempt in a worker, and waits for
whichever worker has something to say. What can't be looked after so (a manager, a runner that blocks) is carried out by a
thread of the engine's, at most ``width`` of them. A call that must wait for places is parked, at most ``window`` of them,
so that a mapping over 100,000 inputs holds neither threads nor rows for them. Those that failed and are to be tried again are
not counted among these, since they hold up nobody: there may be ``DELAYED`` of them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import msgspec

from ..errors import ExecutionCancelled, StoreError
from ..model.results import ExecutionError, ExecutionResult, ExecutionStatus, combined_status
from ..runners.base import Outcome
from .calls import Call
from .execution import Execution
from .gates import Gate
from .standing import State
from .thread_pool import ThreadPool
from .waiter import Waiter

DELAYED = 4096
"""How many calls of one mapping or DAG run may wait for their next attempt at the same time, without a thread."""


class Source(Protocol):
    """Where the calls come from. Both methods are called by the fan-out's own thread."""

    def next(self) -> tuple[int, Call] | None:
        """The next call that may be made now, with its number; None if there is none now."""
        ...

    def ended(self, number: int, result: ExecutionResult) -> None:
        """That call ended."""
        ...


class FanOut:
    """Carries out all calls of a source; ``run`` returns when all have ended."""

    def __init__(
        self,
        source: Source,
        start: Callable[[Call, Callable[[Execution], None]], Execution],
        threads: ThreadPool,
        transaction: Callable[[], AbstractContextManager[None]],
        *,
        width: int,
        window: int,
        gate: Gate | None = None,
    ) -> None:
        self._source = source
        self._start = start
        self._transaction = transaction
        self._threads = threads
        self._width = width
        self._window = window
        self._gate = gate
        self._held_back: tuple[int, Call] | None = None
        self._numbers: dict[Execution, int] = {}
        self._attempts: dict[Any, Execution] = {}
        self._running = 0
        self._delayed: set[Execution] = set()
        # the only thing that other threads touch: what may go on, or has ended, there
        self._returned: deque[Execution] = deque()
        self._waiter = Waiter()
        self._error: BaseException | None = None

    def run(self) -> None:
        """Carry out all calls. Raises what the source or a call's preparation raised, after what runs has ended.

        Interrupted (Ctrl-C), it ends what runs.
        """
        if self._gate is not None:
            self._gate.watch(self._waiter.wake)
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            self._error = error
            for execution in tuple(self._numbers):
                execution.cancel()
            self._work()  # until that has happened; who interrupts this too does not wait for it
        finally:
            if self._gate is not None:
                self._gate.watch(None)
            self._waiter.close()
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        finished: list[tuple[Execution, Outcome]] = []
        while self._go_on(finished):
            finished = []
            for attempt in self._waiter.wait():
                execution = self._attempts[attempt]
                outcome = execution.receive(attempt)
                if outcome is not None:
                    del self._attempts[attempt]
                    self._waiter.forget(attempt)
                    self._running -= 1
                    finished.append((execution, outcome))

    def _go_on(self, finished: list[tuple[Execution, Outcome]]) -> bool:
        """End what finished, and start what has come back and new calls, as far as the width allows.

        Whether there is anything to wait for.
        """
        while True:
            while self._returned and (self._running < self._width or self._returned[0].state is not State.READY):
                execution = self._returned.popleft()
                self._delayed.discard(execution)
                if execution.state is State.READY:
                    self._launch(execution)
                elif execution.state is State.ENDED:
                    self._ended(execution)
            new = self._take_new(len(finished))
            if not finished and not new:
                return bool(self._numbers) or self._held_back is not None
            self._write(finished, new)
            finished = []

    def _take_new(self, finished: int) -> list[Execution]:
        """The next calls of the source, as many as there is room for; so many have ``finished`` and are still counted."""
        new: list[Execution] = []
        waiting = len(self._numbers) - self._running - finished - min(len(self._delayed), DELAYED)
        while self._error is None and self._running + len(new) < self._width and waiting < self._window:
            try:
                found, self._held_back = self._held_back or self._source.next(), None
                if found is None:
                    break
                if self._gate is not None and not self._gate.lets_through():
                    self._held_back = found  # known to be there, so that a paused run with nothing left to begin ends
                    break
                execution = self._start(found[1], self._when_ready)
                execution.prepare()
            except Exception as error:  # noqa: BLE001 - raised again by run(), once what runs has ended
                self._error = error
                break
            self._numbers[execution] = found[0]
            new.append(execution)
        return new

    def _write(self, finished: list[tuple[Execution, Outcome]], new: list[Execution]) -> None:
        """End some and open others, in one transaction: a commit for each would take longer than all else that is done for them.

        Nobody is told of an end, and nothing is launched, before it is in the store.
        """
        together: list[tuple[Execution, Outcome]] = []
        for execution, outcome in finished:
            if execution.ends_alone(outcome):
                self._is(execution, execution.conclude(outcome))
            else:
                together.append((execution, outcome))
        states: list[tuple[Execution, State]] = []
        try:
            with self._transaction() if len(together) + len(new) > 1 else nullcontext():
                states += [(execution, execution.conclude(outcome)) for execution, outcome in together]
                for execution in new:
                    if (state := self._begin(execution)) is not None:
                        states.append((execution, state))
        except BaseException as error:
            for execution, _ in together:
                execution.retract(error)
            for execution in new:
                execution.retract(error, opened=False)
            for execution in tuple(self._numbers):
                if execution.state is State.ENDED:
                    self._ended(execution)
            if not isinstance(error, StoreError):
                raise
            return
        for execution, state in states:
            self._is(execution, state)

    def _is(self, execution: Execution, state: State) -> None:
        """What is written of an execution: it may be launched, has ended, or waits."""
        if state is State.READY:
            self._launch(execution)
        elif state is State.ENDED:
            self._ended(execution)
        elif execution.waits_for_attempt:  # else its delay is over already, or it has not run yet
            self._delayed.add(execution)

    def _begin(self, execution: Execution) -> State | None:
        """Begin a new call; None if that could not be done, and nothing is left of it."""
        try:
            return execution.begin()
        except BaseException as error:
            execution.abandon()
            del self._numbers[execution]
            if not isinstance(error, Exception):
                raise
            self._error = self._error or error
            return None

    def _launch(self, execution: Execution) -> None:
        self._running += 1
        attempt = execution.launch()
        if attempt is None:
            if not self._threads.try_start(self._carry_out, execution):
                self._carry_out(execution)
        elif isinstance(attempt, State):  # it could not even be started
            self._after(execution, attempt)
        else:
            self._attempts[attempt] = execution
            self._waiter.watch(attempt)

    def _carry_out(self, execution: Execution) -> None:
        """In a thread of the engine's, or here if all are busy: an attempt that blocks."""
        state = execution.attempt()
        self._blocked_ended(execution, state)

    def _blocked_ended(self, execution: Execution, state: State) -> None:
        self._waiter.call(lambda: self._after(execution, state))

    def _after(self, execution: Execution, state: State) -> None:
        """An attempt is over: its execution has ended, or is parked until the next one."""
        self._running -= 1
        self._is(execution, state)

    def _ended(self, execution: Execution) -> None:
        number = self._numbers.pop(execution, None)
        if number is not None:
            self._source.ended(number, execution.result)

    def _when_ready(self, execution: Execution) -> None:
        """In any thread: a parked execution may go on, or has ended while it was parked."""
        self._returned.append(execution)
        self._waiter.wake()


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
        self.results: list[ExecutionResult] = []
        self.counts: Counter[ExecutionStatus] = Counter()
        self.failure: ExecutionError | None = None

    def next(self) -> tuple[int, Call] | None:
        """The next call, numbered in the order of the items."""
        try:
            item = next(self._items)
        except StopIteration:
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
