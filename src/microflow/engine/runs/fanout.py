"""Many executions by one thread: mappings, parallel calls and DAG runs.

The calling thread looks after all of them: it takes the next call, starts its attempt in a worker, and waits for
whichever worker has something to say. What can't be looked after so (a manager, a runner that blocks) is carried out by a
thread of the engine's, at most ``width`` of them. A call that must wait for slots is parked, at most ``window`` of them,
so that a mapping over 100,000 inputs holds neither threads nor rows for them. Those that failed and are to be tried again are
not counted among these, since they hold up no other call: there may be ``DELAYED`` of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial

from ...errors import StoreError
from ...runners.base import Started
from ...runners.cpython import let_go
from ..background.thread_pool import ThreadPool
from ..execution.call import Call
from ..execution.chunk import Chunk, can_follow, can_lead, step_back
from ..execution.execution import Execution
from ..execution.pausing import PauseSwitch
from ..execution.rollback import undo_open
from ..execution.state import State
from .batch import Batch
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
        start: Callable[[Call, Callable[[Execution], None]], Execution],
        threads: ThreadPool,
        transaction: Callable[[], AbstractContextManager[None]],
        *,
        width: int,
        window: int,
        at_hand: bool,
        pause_switch: PauseSwitch | None = None,
    ) -> None:
        self._source = source
        self._start = start
        self._transaction = transaction
        self._threads = threads
        self._width = width
        self._window = window
        self._pause_switch = pause_switch
        # known to be there, but there was no room for it: a call as it came, or one prepared in vain to follow another
        self._ahead: deque[tuple[int, Call | Execution]] = deque()
        self._is_dry = False  # the source has nothing until one of its calls ends
        self._numbers: dict[Execution, int] = {}
        self._chunks: dict[Started, Chunk] = {}
        self._asking: list[Started] = []
        self._at_hand = at_hand
        self._chunk_size = ChunkSize()
        self._blocking: set[Execution] = set()
        self._delayed: set[Execution] = set()
        # the only thing that other threads touch: what may continue, or has ended, there
        self._returned: deque[Execution] = deque()
        self._poller = Poller()
        self._error: BaseException | None = None
        self._is_hurried = False

    def run(self) -> None:
        """Carry out all calls. Raises what the source or a call's preparation raised, after what runs has ended.

        Interrupted (Ctrl-C), it ends what runs, which has its grace; interrupted again, it ends that at once.
        """
        if self._pause_switch is not None:
            self._pause_switch.watch(self._poller.wake)
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
            if self._pause_switch is not None:
                self._pause_switch.watch(None)
            self._poller.close()
        if self._error is not None:
            raise self._error

    def _let_go(self) -> None:
        """Cancel all, wherever this thread was interrupted: what no thread carries out, and none will, ends here."""
        for attempt in tuple(self._chunks):
            if not attempt.left:  # its worker has reported how it ended, and will report nothing more
                del self._chunks[attempt]
                self._poller.forget(attempt)
        under_way = self._blocking.union(*self._chunks.values())
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
        batch = Batch()
        while self._fill(batch) and (self._chunks or not self._is_hurried):
            batch = Batch()
            for attempt in self._asking:  # what those before them wrote is in the store by now
                attempt.answer()
            self._asking.clear()
            for attempt in self._poller.wait():
                self._receive(attempt, batch)

    def _receive(self, attempt: Started, batch: Batch) -> None:
        """Note what a worker has ended, and what it has come to meanwhile; what it gave back waits for slots of its own."""
        chunk = self._chunks[attempt]
        first = chunk.first
        for ended in chunk.ended(attempt):
            batch.ended.append(ended)
            self._chunk_size.ran(attempt.seconds)
        for execution in chunk.given_back(attempt):
            self._chunk_size.slow_down()
            self._note(execution, step_back(execution))
        if attempt.asks:
            self._asking.append(attempt)
            self._chunk_size.stay_slow()
        if not chunk:
            del self._chunks[attempt]
            self._poller.forget(attempt)
        elif chunk.first is not first:
            batch.started.append(chunk.first)

    @property
    def _running(self) -> int:
        return len(self._chunks) + len(self._blocking)

    def _fill(self, batch: Batch) -> bool:
        """End what ended, and start what has come back and new calls, as far as the width allows.

        Whether there is anything to wait for.
        """
        while True:
            while self._returned and (self._running < self._width or self._returned[0].state is not State.ACTIVE):
                execution = self._returned.popleft()
                self._delayed.discard(execution)
                if execution.state is State.ACTIVE:
                    self._launch(self._chunk_behind(execution))
                elif execution.state is State.ENDED:
                    self._ended(execution)
            # asking a source that may be long in answering holds up what is there to be done
            if self._at_hand or not batch:
                batch.new = self._take_new(len(batch.ended))
            if not batch:
                return bool(self._numbers) or bool(self._ahead)
            self._write(batch)
            batch = Batch()

    def _take_new(self, ended: int) -> list[list[Execution]]:
        """The next calls of the source, as many as there is room for, each list for one worker.

        So many have ``ended``, which is not written yet.
        """
        found: list[list[Execution]] = []
        if self._is_dry and not self._ahead:
            return found
        running = self._running
        if self._waiting(ended) >= self._window:
            return found
        while running + len(found) < self._width and (first := self._next()) is not None:
            found.append([first, *self._behind(first)])
            if not self._at_hand:
                break
        return found

    def _waiting(self, ended: int) -> int:
        """How many wait for slots: neither a worker nor a thread has them, nor do they wait for their next attempt."""
        handed_over = len(self._blocking) + sum(map(len, self._chunks.values()))
        return len(self._numbers) - handed_over - ended - min(len(self._delayed), DELAYED)

    def _behind(self, first: Execution) -> list[Execution]:
        """The next calls of the source that a worker can be handed together with this one."""
        followers: list[Execution] = []
        room = self._chunk_size.size - 1 if self._at_hand and can_lead(first) else 0
        while len(followers) < room and (follower := self._next()) is not None:
            if not can_follow(follower, first):
                self._hold_back([follower])
                break
            followers.append(follower)
        return followers

    def _hold_back(self, executions: Sequence[Execution]) -> None:
        """There is no room for these now: they come next."""
        if not executions:
            return
        self._ahead.extendleft((self._numbers.pop(execution), execution) for execution in reversed(executions))

    def _next(self) -> Execution | None:
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
            if not self._ahead or (self._pause_switch is not None and not self._pause_switch.lets_through()):
                return None  # what is known to be there waits, so that a paused run with nothing left to start ends
        except Exception as error:  # noqa: BLE001 - raised again by run(), once what runs has ended
            self._error = error
            self._ahead.clear()
            return None
        number, call = self._ahead.popleft()
        if isinstance(call, Execution):
            execution = call
        else:
            execution = self._start(call, self._when_ready)
            execution.record.prepare_ahead()
        self._numbers[execution] = number
        return execution

    def _write(self, batch: Batch) -> None:
        """Write a batch: no end is reported, and nothing is launched, before it is in the store.

        1. What can't share a transaction ends. 2. All else is written, in one transaction. 3. Whoever waits for an end is told, and
        what may run is launched; or, if the transaction failed, all that was in it ends with that.
        """
        for execution, outcome in batch.split_off_alone():
            self._note(execution, execution.conclude(outcome))
        try:
            batch.write(self._transaction, self._begin)
        except BaseException as error:
            let_go(error)
            self._hold_back(batch.left)
            batch.undo_ends(error)
            self._undo_open(batch.new_executions(), error)
            if not isinstance(error, StoreError):
                raise
            return
        self._hold_back(batch.left)
        for execution, state in batch.states:
            self._note(execution, state)
        for chunk in batch.chunks:
            self._launch(chunk)

    def _chunk_behind(self, first: Execution) -> Chunk:
        """What a worker runs together with one that was granted its slots; that one alone if the store does not take the others."""
        followers = self._behind(first)
        chunk = Chunk(first, followers)
        if not followers:
            return chunk
        try:
            with self._transaction():
                chunk.open_followers()
        except BaseException as error:
            self._undo_open(followers, error)
            if not isinstance(error, StoreError):
                raise
            return Chunk(first)
        return chunk

    def _undo_open(self, opened: Iterable[Execution], error: BaseException) -> None:
        """The transaction failed in which these were opened, or were about to be."""
        for execution in opened:
            if execution in self._numbers:
                undo_open(execution, error)
        for execution in tuple(self._numbers):
            if execution.state is State.ENDED:
                self._ended(execution)

    def _note(self, execution: Execution, state: State) -> None:
        """Note what has been written of an execution: it has ended, or waits."""
        if state is State.ENDED:
            self._ended(execution)
        elif execution.state is State.PARKED and execution.record.has_started:
            # it waits for its next attempt; else its delay is over already, or it has not run yet
            self._delayed.add(execution)

    def _begin(self, execution: Execution) -> State | None:
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

    def _launch(self, chunk: Chunk) -> None:
        attempt = chunk.launch()
        first = chunk.first
        if attempt is None:
            self._blocking.add(first)
            if not self._threads.try_start(self._carry_out, first):
                self._carry_out(first)
        elif isinstance(attempt, State):  # it could not even be started
            for follower in chunk.followers:
                self._note(follower, step_back(follower))
            self._note(first, attempt)
        else:
            self._chunks[attempt] = chunk
            self._poller.watch(attempt)

    def _carry_out(self, execution: Execution) -> None:
        """In a thread of the engine's, or here if all are busy: an attempt that blocks."""
        state = None
        try:
            state = execution.attempt()
        finally:  # also where the attempt was left by something other than an Exception: the fan-out waits for this
            self._poller.call(partial(self._after, execution, state or execution.state))

    def _after(self, execution: Execution, state: State) -> None:
        """An attempt that blocks is over: its execution has ended, or is parked until the next one."""
        self._blocking.discard(execution)
        self._note(execution, state)

    def _ended(self, execution: Execution) -> None:
        number = self._numbers.pop(execution, None)
        if number is None:
            return
        self._is_dry = False
        try:
            self._source.ended(number, execution.result)
        except Exception as error:  # noqa: BLE001 - raised again by run(), once what runs has ended
            self._error = self._error or error

    def _when_ready(self, execution: Execution) -> None:
        """In any thread: a parked execution may continue, or has ended while it was parked."""
        self._returned.append(execution)
        self._poller.wake()
