"""The runtime of a task's code: a task can't call a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import JobCallInTaskError
from ..runtime import active_execution


class Refusal:
    """Answers every call with ``JobCallInTaskError``."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        def refuse(called: Any = None, *_: Any, **__: Any) -> Any:
            execution = active_execution.get()
            caller = f"Task {execution.job!r}" if execution else "Code in a worker process"
            job = getattr(called, "name", None)
            what = f"job {job!r}" if job else "a job"
            raise JobCallInTaskError(
                f"{caller} called {what}. A task can't call a job: make the caller a manager (@flow.manager), which may call tasks "
                f"and managers, or call the plain function with {job or 'job'}.fn(…)."
            )

        return refuse
