"""A runner of somebody else's: whatever it does, the engine gets an outcome that is one, or an error that it can show."""

from __future__ import annotations

import logging
import threading
from typing import Any

import msgspec

from ..errors import WorkerDied
from ..model.payloads import decode, encode_output, encode_value
from ..model.results import ExecutionError, ExecutionStatus
from .base import Observer, Outcome, Request, Runner

logger = logging.getLogger("microflow")


class Guarded:
    """A ``Runner`` around another one."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._name = type(runner).__name__

    def run(self, job: Any, request: Request, observer: Observer) -> Outcome:
        """Carry out an attempt. Raises what the runner raises; ``TypeError``, ``PayloadError`` if what it returns is no outcome."""
        try:
            outcome = self._runner.run(job, request, observer)
        except Exception:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # Ctrl-C, for whoever called the job there
            what = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise WorkerDied(f"The runner {self._name} raised {what}.") from error
        return self._checked(outcome, request)

    def _checked(self, outcome: Any, request: Request) -> Outcome:
        if not isinstance(outcome, Outcome):
            raise TypeError(f"The runner {self._name} returned {type(outcome).__name__}; run returns an Outcome.")
        try:
            found = msgspec.msgpack.decode(msgspec.msgpack.encode(outcome), type=Outcome)
            data = None if found.output is None else decode(found.output)
            if found.time_partition is not None:
                decode(found.time_partition)
            for key, value in found.context.items():
                encode_value(key, job=request.job, place="a key of the context")
                if value is not None:
                    decode(value)
        except (ValueError, TypeError, OverflowError) as error:
            raise TypeError(f"The runner {self._name} returned an Outcome that is none: {error}") from error
        if not found.status.final:
            raise TypeError(
                f"The runner {self._name} returned an Outcome that has not ended: its status is {found.status}."
            )
        if data is not None:
            found.output = encode_output(data, job=request.job, limit=request.max_payload)
        if found.status is ExecutionStatus.ERROR and found.error is None:
            found.error = ExecutionError("RunnerError", f"the runner {self._name} does not say why")
        return found

    def close(self) -> None:
        """End everything; what goes wrong is told, and stops nobody else."""
        try:
            self._runner.close()
        except Exception:
            logger.exception("The runner %s could not be closed.", self._name)
