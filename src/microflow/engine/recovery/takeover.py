"""What becomes of the executions that an engine left unfinished: pure rules, which read and write nothing.

Of a server, roots are resumed, and the members of runs (DAG runs, mappings, runs over partitions): a queued execution starts, and
an interrupted one is tried again if it has an attempt left. Executions that a manager had called end with it: its next attempt
calls anew. A run itself has no code and is always resumed. Of a script or command, only the job of a command is tried again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ...errors import Interrupted
from ...model.results import ExecutionError, Kind, Trigger
from ...store.rows import NOBODY, Opened, StoredCall, Waiting, waiting_for_server
from ..execution.pausing import PAUSED

Unfinished = Sequence[tuple[Opened, Kind]]
"""Executions that an engine had queued or running, with their kinds; children before their parents."""

RetriesOf = Callable[[Opened], int | None]
"""How often the job of an execution is tried again: -1 if its flow has no such job any more, None if its flow is not served."""

CallOf = Callable[[int], StoredCall]
"""The call that made an execution, by its id."""


class Leftover(NamedTuple):
    """An unfinished root that is resumed, and its ``kind``; ``below`` are the members of its runs that are, oldest first."""

    root: Opened
    kind: Kind
    below: list[tuple[Opened, Kind]]

    @property
    def all(self) -> list[tuple[Opened, Kind]]:
        """The root and its members, with their kinds, oldest first."""
        return [(self.root, self.kind), *self.below]

    @property
    def numbers(self) -> list[int]:
        """The ids of all of its executions."""
        return [opened.id for opened, _ in self.all]

    def calls_of(self, run: Opened) -> list[tuple[Opened, Kind]]:
        """The unfinished members of one of its runs."""
        return [(opened, kind) for opened, kind in self.below if opened.parent_id == run.id]


class Predecessor(NamedTuple):
    """An engine that has ended. ``error`` is the message of executions that it ran and that are not tried again."""

    id: int
    name: str
    is_server: bool
    error: str


class Takeover(NamedTuple):
    """What an engine does with the unfinished executions of a dead one.

    ``resumed``: what it resumes itself. ``queued``: why each execution that is not ended is queued; of these, ``unowned`` wait for
    another server. ``untouched``: the executions that stay as they are. All others end, with the dead engine's error or, if they
    never started or have no code, with that of ``errors``.
    """

    resumed: list[Leftover]
    queued: dict[int, Waiting]
    unowned: set[int]
    errors: dict[int, ExecutionError]
    untouched: set[int]


def plan_takeover(
    dead: Predecessor, unfinished: Unfinished, retries_of: RetriesOf, call_of: CallOf, *, serves: bool, now: float
) -> Takeover:
    """What to do with a dead engine's ``unfinished`` executions.

    ``serves``: the engine that takes over is a server. Only servers resume what a server left; other engines leave it queued.
    """
    # what already waits for a server of other flows goes on waiting
    untouched = {opened.id for opened, _ in unfinished if dead.id == NOBODY and retries_of(opened) is None}
    rest = [known for known in unfinished if known[0].id not in untouched]
    leftovers = left_by_server(rest, retries_of) if dead.is_server else left_by_script(rest, retries_of, call_of)
    may_resume = serves or not dead.is_server
    resumed = [left for left in leftovers if may_resume and retries_of(left.root) is not None]
    awaiting = awaiting_server(leftovers, call_of, now)
    return Takeover(
        resumed,
        awaiting | _awaiting_turn(resumed, call_of, now),
        awaiting.keys() - {number for left in resumed for number in left.numbers},
        {
            opened.id: _error_of(opened, dead, retries_of(opened))
            for opened, kind in rest
            if opened.started_at is None or not kind.has_code
        },
        untouched,
    )


def left_by_server(unfinished: Unfinished, retries_of: RetriesOf) -> list[Leftover]:
    """What is resumed of a server's unfinished executions, oldest first. Of flows that are not served here, all that may be."""

    def retries(opened: Opened) -> int:
        known = retries_of(opened)
        return sys.maxsize if known is None else known

    return resumable(unfinished, retries)


def left_by_script(unfinished: Unfinished, retries_of: RetriesOf, call_of: CallOf) -> list[Leftover]:
    """What is tried again of the unfinished executions of a script or command: a command's job that has an attempt left.

    Runs, queued executions and the calls of a script end with it.
    """

    def retries(opened: Opened) -> int:
        known = retries_of(opened)
        return -1 if known is None else known

    return [
        left
        for left in resumable(unfinished, retries)
        if left.kind.has_code
        and left.root.started_at is not None
        and call_of(left.root.id).trigger is not Trigger.PYTHON
    ]


def resumable(unfinished: Unfinished, retries_of: Callable[[Opened], int]) -> list[Leftover]:
    """What is resumed of a server's unfinished executions, oldest first.

    ``retries_of`` says how often a job is tried again, -1 if it is gone.
    """
    found: list[Leftover] = []
    runs: dict[int, Leftover] = {}
    for opened, kind in reversed(unfinished):
        above = None if opened.parent_id is None else runs.get(opened.parent_id)
        if (opened.parent_id is not None and above is None) or not _is_resumed(opened, kind, retries_of(opened)):
            continue
        if above is None:
            above = Leftover(opened, kind, [])
            found.append(above)
        else:
            above.below.append((opened, kind))
        if not kind.has_code:
            runs[opened.id] = above
    return found


def _is_resumed(opened: Opened, kind: Kind, retries: int) -> bool:
    return retries >= 0 and (not kind.has_code or opened.started_at is None or opened.attempt <= retries)


def awaiting_server(leftovers: Iterable[Leftover], call_of: CallOf, now: float) -> dict[int, Waiting]:
    """Why each of these executions is queued until a server resumes it. A paused run stays paused."""
    return _queued(
        leftovers, call_of, lambda opened, kind: waiting_for_server(kind, opened.started_at is not None, now)
    )


def _awaiting_turn(leftovers: Iterable[Leftover], call_of: CallOf, now: float) -> dict[int, Waiting]:
    """The same until the server that has taken them over comes to them."""
    waiting = Waiting("server", "waits for its turn: the server that had it ended, and this one resumes it", now)
    return _queued(leftovers, call_of, lambda _opened, _kind: waiting)


def _queued(
    leftovers: Iterable[Leftover], call_of: CallOf, why: Callable[[Opened, Kind], Waiting]
) -> dict[int, Waiting]:
    queued: dict[int, Waiting] = {}
    for left in leftovers:
        queued |= {opened.id: why(opened, kind) for opened, kind in left.all}
        if not left.kind.has_code:
            waiting = call_of(left.root.id).waiting
            if waiting is not None and waiting.reason == PAUSED:
                queued[left.root.id] = waiting
    return queued


def _error_of(opened: Opened, dead: Predecessor, retries: int | None) -> ExecutionError:
    """The error of an execution that did not run, or has no code."""
    message = never_started(dead.name) if opened.started_at is None else f"The {dead.name} that ran this ended."
    if retries == -1:
        message += f" It can't be resumed: {gone(opened)}"
    return ExecutionError(Interrupted.__name__, message)


def gone(opened: Opened) -> str:
    """The message about an execution whose flow has its job no more."""
    return f"{opened.job!r} is no job of flow {opened.flow!r} any more."


def never_started(kind: str) -> str:
    """The message about an execution that will never start, by the kind of the engine that had accepted it."""
    return f"This never started: the {kind} that had accepted it ended first."
