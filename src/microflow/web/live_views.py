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

V = TypeVar("V", ExecutionView, TreeNode)


def with_live_state(engine: Engine, execution: V) -> V:
    """The execution with the progress it has now, and with who holds what it waits for (the first of them)."""
    if execution.status is ExecutionStatus.RUNNING:
        progress = engine.progress(execution.id)
        return execution if progress is None else msgspec.structs.replace(execution, progress=ProgressView(*progress))
    waiting, held_by = execution.waiting, tuple(engine.held_by(execution.id)[:MOST_HOLDERS])
    if waiting is not None and held_by:
        return msgspec.structs.replace(execution, waiting=msgspec.structs.replace(waiting, held_by=held_by))
    return execution
