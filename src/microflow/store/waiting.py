"""Why executions that an engine left are queued."""

from __future__ import annotations

from ..model.results import Kind
from .executions import Waiting


def waiting_for_server(kind: Kind, began: bool, now: float) -> Waiting:
    """Why an execution of this kind, which ``began`` or has not, is queued until a server resumes it."""
    if not kind.has_code:
        return Waiting("server", "waits for a server to resume it: the one that had it ended", now)
    if not began:
        return Waiting("server", "waits for a server to begin it: the one that had accepted it ended", now)
    return Waiting(
        "retry", "waits for a server to try it again: the one that had it ended, and an attempt is left", now
    )
