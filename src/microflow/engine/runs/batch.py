"""What a fan-out writes in one transaction: a commit for each would take longer than all else that is done for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import chain

from ...runners.base import Outcome
from ..execution.chunk import Chunk, record_start
from ..execution.execution import Execution
from ..execution.rollback import undo_end
from ..execution.state import State


class Batch:
    """Executions whose attempts ended, those that workers have come to since, and new ones, ``write`` of which is one transaction.

    ``ended``: with the outcome of the attempt. ``started``: their workers have come to them. ``new``: each list is for one worker.
    After ``write``: ``states`` are those of what ended, and of what is new and does not run now. ``chunks`` can be launched. For
    ``left`` there was no room after all.
    """

    __slots__ = ("chunks", "ended", "left", "new", "started", "states")

    def __init__(self) -> None:
        self.ended: list[tuple[Execution, Outcome]] = []
        self.started: list[Execution] = []
        self.new: list[list[Execution]] = []
        self.states: list[tuple[Execution, State]] = []
        self.chunks: list[Chunk] = []
        self.left: list[Execution] = []

    def __bool__(self) -> bool:
        return bool(self.ended or self.started or self.new)

    def split_off_alone(self) -> list[tuple[Execution, Outcome]]:
        """Remove those whose end can't share a transaction; return them."""
        alone: list[tuple[Execution, Outcome]] = []
        together: list[tuple[Execution, Outcome]] = []
        for ended in self.ended:
            execution, outcome = ended
            (alone if execution.record.ends_alone(outcome) else together).append(ended)
        self.ended = together
        return alone

    def new_executions(self) -> Iterator[Execution]:
        """All new ones."""
        return chain.from_iterable(self.new)

    def write(
        self,
        transaction: Callable[[], AbstractContextManager[None]],
        begin: Callable[[Execution], State | None],
    ) -> None:
        """End, start and open them, all or nothing. ``begin`` begins one; None if nothing is left of it.

        Raises what ``begin`` raises, and ``StoreError``; then ``undo_ends`` is to be called, and what is new is to be undone.
        """
        count = len(self.ended) + len(self.started) + sum(map(len, self.new))
        with transaction() if count > 1 else nullcontext():
            self.states += [(execution, execution.conclude(outcome)) for execution, outcome in self.ended]
            for execution in self.started:
                record_start(execution)
            for executions in self.new:
                if self.left:  # opened in the order of their numbers: whoever resumes a run looks at the last one
                    self.left += executions
                else:
                    self._open(executions, begin)

    def _open(self, executions: list[Execution], begin: Callable[[Execution], State | None]) -> None:
        """Open what one worker is to run; if the first can't run now, there is no room for those behind it."""
        first, *followers = executions
        state = begin(first)
        if state is State.ACTIVE:
            chunk = Chunk(first, followers)
            chunk.open_followers()
            self.chunks.append(chunk)
            return
        if state is not None:
            self.states.append((first, state))
        self.left += followers

    def undo_ends(self, error: BaseException) -> None:
        """The transaction failed with this: those that ended in it end with that."""
        for execution, _ in self.ended:
            undo_end(execution, error)
