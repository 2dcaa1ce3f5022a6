"""Executions as they are at this moment: what the store says, and what only the engine knows of a live one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from ..model.results import ExecutionStatus
from ..store.views import ExecutionView, ProgressView, TreeNode

if TYPE_CHECKING:
    from ..engine.engine import Engine

MOST_HOLDERS = 100
"""So many of the executions that hold what another waits for are named, since each of a list that waits names them."""


class LogText(msgspec.Struct, frozen=True):
    """A part of a log.

    ``next`` is the offset after it, ``left_out`` how many bytes before it are no longer kept. ``ended``: the
    execution had ended when this was read, so that an empty ``text`` is the end of the log.
    """

    text: str
    next: int
    left_out: int
    ended: bool


V = TypeVar("V", ExecutionView, TreeNode)


def with_live_state(engine: Engine, execution: V) -> V:
    """The execution with the progress it has now, and with what it waits for now and who holds that (the first of them)."""
    if execution.status is ExecutionStatus.RUNNING:
        progress = engine.progress(execution.id)
        return execution if progress is None else msgspec.structs.replace(execution, progress=ProgressView(*progress))
    if (waiting := execution.waiting) is None:
        return execution
    if (now := engine.waits_for(execution.id)) is not None:  # the store has what it waited for at first
        waiting = msgspec.structs.replace(waiting, reason=now.reason, message=now.message)
    if held_by := tuple(engine.held_by(execution.id)[:MOST_HOLDERS]):
        waiting = msgspec.structs.replace(waiting, held_by=held_by)
    return execution if waiting is execution.waiting else msgspec.structs.replace(execution, waiting=waiting)
