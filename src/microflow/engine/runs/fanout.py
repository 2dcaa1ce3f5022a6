"""Many executions by one thread: mappings, parallel calls and DAG runs.

The calling thread looks after all of them: it takes the next call, starts its attempt in a worker, and waits for
whichever worker has something to say. What can't be looked after so (a manager, a runner that blocks) is carried out by a
thread of the engine's, at most ``width`` of them. A call that must wait for places is parked, at most ``window`` of them,
so that a mapping over 100,000 inputs holds neither threads nor rows for them. Those that failed and are to be tried again are
not counted among these, since they hold up nobody: there may be ``DELAYED`` of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import chain

from ...errors import StoreError
from ...runners.base import Outcome, Started
from ...runners.cpython import let_go
from ..background.thread_pool import ThreadPool
from ..execution.call import Call
from ..execution.chunk import ChunkedExecution
from ..execution.pausing import PauseSwitch
from ..execution.state import State
from .chunk_size import ChunkSize
from .poller import Poller
from .sources import Source

DELAYED = 4096
"""How many calls of one mapping or DAG run may wait for their next attempt at the same time, without a thread."""


class FanOut:
    """Carries out all calls of a source; ``run`` returns when all have ended."""

    def __init__(
        self,
        source: Source,
        start: Callable[[Call, Callable[[ChunkedExecution], None]], ChunkedExecution],
        threads: ThreadPool,
        transaction: Callable[[], AbstractContextManager[None]],
        *,
        width: int,
        window: int,
        at_hand: bool,
        gate: PauseSwitch | None = None,
    ) -> None:
        self._source = source
        self._start = start
        self._transaction = transaction
        self._threads = threads
        self._width = width
        self._window = window
        self._gate = gate
        # known to be there, but there was no room for it: a call not even made, or one prepared in vain to follow another
        self._ahead: deque[tuple[int, Call | ChunkedExecution]] = deque()
        self._is_dry = False  # the source has nothing until one of its calls ends
        self._numbers: dict[ChunkedExecution, int] = {}
        self._attempts: dict[Started, deque[ChunkedExecution]] = {}
        self._asking: list[Started] = []
        self._at_hand = at_hand
        self._pace = ChunkSize()
        self._blocking: set[ChunkedExecution] = set()
        self._delayed: set[ChunkedExecution] = set()
        # the only thing that other threads touch: what may go on, or has ended, there
        self._returned: deque[ChunkedExecution] = deque()
        self._waiter = Poller()
        self._error: BaseException | None = None
        self._is_hurried = False

    def run(self) -> None:
        """Carry out all calls. Raises what the source or a call's preparation raised, after what runs has ended.

        Interrupted (Ctrl-C), it ends what runs, which has its grace; interrupted again, it ends that at once.
        """
        if self._gate is not None:
            self._gate.watch(self._waiter.wake)
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            self._error = error
            let_go(error)
            self._let_go()
            try:
                self._work()  # until that has happened
            except BaseException:  # noqa: BLE001 - the first one is raised below
                self._hurry()
                self._work()  # who interrupts this too does not wait for it
        finally:
            if self._gate is not None:
                self._gate.watch(None)
            self._waiter.close()
        if self._error is not None:
            raise self._error

    def _let_go(self) -> None:
        """Cancel all, at whatever point this thread was interrupted: what nobody carries out, and nobody will, ends here."""
        for attempt in tuple(self._attempts):
            if not attempt.left:  # its worker has told how it ended, and will say nothing more
                del self._attempts[attempt]
                self._waiter.forget(attempt)
        under_way = self._blocking.union(*self._attempts.values())
        for execution in tuple(self._numbers):
            execution.cancel()
            if execution not in under_way:
                execution.abandon()
            if execution.state is State.ENDED:
                self._blocking.discard(execution)
                self._ended(execution)
            elif execution not in under_way:  # it was not even opened
                del self._numbers[execution]

    def _hurry(self) -> None:
        """End at once what runs in workers, and wait for nothing else."""
        self._is_hurried = True
        for execution in tuple(self._numbers):
            execution.stop.hurry()

    def _work(self) -> None:
        finished: list[tuple[ChunkedExecution, Outcome]] = []
        begun: list[ChunkedExecution] = []
        while self._go_on(finished, begun) and (self._attempts or not self._is_hurried):
            finished, begun = [], []
            for attempt in self._asking:  # what those before them wrote is in the store by now
                attempt.answer()
            self._asking.clear()
            for attempt in self._waiter.wait():
                self._receive(attempt, finished, begun)

    def _receive(
        self, attempt: Started, finished: list[tuple[ChunkedExecution, Outcome]], begun: list[ChunkedExecution]
    ) -> None:
        """Note what a worker has ended, and what it has come to meanwhile; what it gave back waits for places of its own."""
        line = self._attempts[attempt]
        first = line[0]
        while attempt.left and (outcome := line[0].receive(attempt)) is not None:
            ended = line.popleft()
            finished.append((ended, outcome))
            self._pace.ran(attempt.seconds)
            if attempt.left:
                line[0].follow(ended)
        while len(line) > attempt.left:
            self._pace.slow_down()
            execution = line.pop()
            self._is(execution, execution.step_back())
        if attempt.asks:
            self._asking.append(attempt)
            self._pace.stay_slow()
        if not line:
            del self._attempts[attempt]
            self._waiter.forget(attempt)
        elif line[0] is not first:
            begun.append(line[0])

    @property
    def _running(self) -> int:
        return len(self._attempts) + len(self._blocking)

    def _go_on(self, finished: list[tuple[ChunkedExecution, Outcome]], begun: list[ChunkedExecution]) -> bool:
        """End what finished, and start what has come back and new calls, as far as the width allows.

        Whether there is anything to wait for.
        """
        while True:
            while self._returned and (self._running < self._width or self._returned[0].state is not State.READY):
                execution = self._returned.popleft()
                self._delayed.discard(execution)
                if execution.state is State.READY:
                    self._launch([execution, *self._lined_up(execution)])
                elif execution.state is State.ENDED:
                    self._ended(execution)
            # asking a source that may be long in answering holds up what is there to be done
            new = self._take_new(len(finished)) if self._at_hand or not (finished or begun) else []
            if not finished and not new and not begun:
                return bool(self._numbers) or bool(self._ahead)
            self._write(finished, begun, new)
            finished, begun = [], []

    def _take_new(self, finished: int) -> list[list[ChunkedExecution]]:
        """The next calls of the source, as many as there is room for; so many have ``finished`` and are still counted.

        Each list is for one worker.
        """
        lines: list[list[ChunkedExecution]] = []
        if self._is_dry and not self._ahead:
            return lines
        running = self._running
        handed = running + sum(len(line) - 1 for line in self._attempts.values())
        waiting = len(self._numbers) - handed - finished - min(len(self._delayed), DELAYED)
        while running + len(lines) < self._width and waiting < self._window and (first := self._next()) is not None:
            lines.append([first, *self._behind(first)])
            if not self._at_hand:
                break
        return lines

    def _behind(self, first: ChunkedExecution) -> list[ChunkedExecution]:
        """The next calls of the source that a worker can be handed together with this one."""
        followers: list[ChunkedExecution] = []
        room = self._pace.size - 1 if self._at_hand and first.can_lead else 0
        while len(followers) < room and (follower := self._next()) is not None:
            if not follower.can_follow(first):
                self._hold_back([follower])
                break
            followers.append(follower)
        return followers

    def _hold_back(self, executions: Sequence[ChunkedExecution]) -> None:
        """There is no room for these now: they come next."""
        if not executions:
            return
        self._ahead.extendleft((self._numbers.pop(execution), execution) for execution in reversed(executions))

    def _next(self) -> ChunkedExecution | None:
        """The source's next call, prepared; None if there is none now."""
        if self._error is not None:
            self._ahead.clear()
            return None
        try:
            if not self._ahead and not self._is_dry:
                found = self._source.next()
                if found is None:
                    self._is_dry = True
                else:
                    self._ahead.append(found)
            if not self._ahead or (self._gate is not None and not self._gate.lets_through()):
                return None  # what is known to be there waits, so that a paused run with nothing left to begin ends
        except Exception as error:  # noqa: BLE001 - raised again by run(), once what runs has ended
            self._error = error
            self._ahead.clear()
            return None
        number, call = self._ahead.popleft()
        if isinstance(call, ChunkedExecution):
            execution = call
        else:
            execution = self._start(call, self._when_ready)
            execution.prepare()
        self._numbers[execution] = number
        return execution

    def _write(
        self,
        finished: list[tuple[ChunkedExecution, Outcome]],
        begun: list[ChunkedExecution],
        new: list[list[ChunkedExecution]],
    ) -> None:
        """End some and open others, in one transaction: a commit for each would take longer than all else that is done for them.

        Nobody is told of an end, and nothing is launched, before it is in the store.
        """
        together: list[tuple[ChunkedExecution, Outcome]] = []
        for execution, outcome in finished:
            if execution.ends_alone(outcome):
                self._is(execution, execution.conclude(outcome))
            else:
                together.append((execution, outcome))
        states: list[tuple[ChunkedExecution, State]] = []
        lines: list[list[ChunkedExecution]] = []
        left: list[ChunkedExecution] = []
        try:
            with self._transaction() if len(together) + len(begun) + sum(map(len, new)) > 1 else nullcontext():
                states += [(execution, execution.conclude(outcome)) for execution, outcome in together]
                for execution in begun:
                    execution.started()
                for calls in new:
                    if left:  # opened in the order of their numbers: who goes on with a run looks at the last one
                        left += calls
                    else:
                        lines += self._open(calls, states, left)
        except BaseException as error:
            let_go(error)
            self._hold_back(left)
            for execution, _ in together:
                execution.retract(error)
            self._retract(list(chain.from_iterable(new)), error)
            if not isinstance(error, StoreError):
                raise
            return
        self._hold_back(left)
        for execution, state in states:
            self._is(execution, state)
        for line in lines:
            self._launch(line)

    def _open(
        self, calls: list[ChunkedExecution], states: list[tuple[ChunkedExecution, State]], left: list[ChunkedExecution]
    ) -> list[list[ChunkedExecution]]:
        """Begin what one worker may run: the line that came of it, if the first may run; else ``states`` tells what it is.

        Those for which there is no room in it are ``left``.
        """
        first, *followers = calls
        state = self._begin(first)
        if state is not State.READY:
            if state is not None:
                states.append((first, state))
            left += followers
            return []
        first.lead(followers)
        return [calls]

    def _lined_up(self, first: ChunkedExecution) -> list[ChunkedExecution]:
        """Those that a worker runs behind one that was granted its places; none if the store does not take them."""
        followers = self._behind(first)
        try:
            with self._transaction() if followers else nullcontext():
                first.lead(followers)
        except BaseException as error:
            self._retract(followers, error)
            if not isinstance(error, StoreError):
                raise
            return []
        return followers

    def _retract(self, opened: Sequence[ChunkedExecution], error: BaseException) -> None:
        """The transaction failed in which these were opened, or were about to be."""
        for execution in opened:
            if execution in self._numbers:
                execution.retract(error, opened=False)
        for execution in tuple(self._numbers):
            if execution.state is State.ENDED:
                self._ended(execution)

    def _is(self, execution: ChunkedExecution, state: State) -> None:
        """What is written of an execution: it has ended, or waits."""
        if state is State.ENDED:
            self._ended(execution)
        elif execution.waits_for_attempt:  # else its delay is over already, or it has not run yet
            self._delayed.add(execution)

    def _begin(self, execution: ChunkedExecution) -> State | None:
        """Begin a new call; None if that could not be done, and nothing is left of it."""
        try:
            return execution.begin()
        except BaseException as error:
            execution.abandon(error)
            del self._numbers[execution]
            if not isinstance(error, Exception):
                raise
            self._error = self._error or error
            return None

    def _launch(self, line: list[ChunkedExecution]) -> None:
        first, *followers = line
        attempt = first.launch(followers)
        if attempt is None:
            self._blocking.add(first)
            if not self._threads.try_start(self._carry_out, first):
                self._carry_out(first)
        elif isinstance(attempt, State):  # it could not even be started
            for follower in followers:
                self._is(follower, follower.step_back())
            self._is(first, attempt)
        else:
            self._attempts[attempt] = deque(line)
            self._waiter.watch(attempt)

    def _carry_out(self, execution: ChunkedExecution) -> None:
        """In a thread of the engine's, or here if all are busy: an attempt that blocks."""
        state = None
        try:
            state = execution.attempt()
        finally:  # also where the attempt was left by something other than an Exception: the fan-out waits for this
            self._waiter.call(partial(self._after, execution, state or execution.state))

    def _after(self, execution: ChunkedExecution, state: State) -> None:
        """An attempt that blocks is over: its execution has ended, or is parked until the next one."""
        self._blocking.discard(execution)
        self._is(execution, state)

    def _ended(self, execution: ChunkedExecution) -> None:
        number = self._numbers.pop(execution, None)
        if number is None:
            return
        self._is_dry = False
        try:
            self._source.ended(number, execution.result)
        except Exception as error:  # noqa: BLE001 - raised again by run(), once what runs has ended
            self._error = self._error or error

    def _when_ready(self, execution: ChunkedExecution) -> None:
        """In any thread: a parked execution may go on, or has ended while it was parked."""
        self._returned.append(execution)
        self._waiter.wake()
