"""Executions as they are at this moment: what the store says, and what only the engine knows of a live one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from ..model.results import ExecutionStatus
from ..store.views import ExecutionView, ProgressView, TreeNode

if TYPE_CHECKING:
    from ..engine.engine import Engine

V = TypeVar("V", ExecutionView, TreeNode)


def with_live_state(engine: Engine, execution: V) -> V:
    """The execution with the progress it has now, and with who holds what it waits for."""
    if execution.status is ExecutionStatus.RUNNING:
        progress = engine.progress(execution.id)
        return execution if progress is None else msgspec.structs.replace(execution, progress=ProgressView(*progress))
    waiting, held_by = execution.waiting, tuple(engine.held_by(execution.id))
    if waiting is not None and held_by:
        return msgspec.structs.replace(execution, waiting=msgspec.structs.replace(waiting, held_by=held_by))
    return execution
