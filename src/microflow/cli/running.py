"""Carrying out one execution from the command line, here or on a server, while its log and its progress are shown."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

import click

from ..errors import ConflictError, MicroflowError
from ..model.events import Event
from ..model.results import ExecutionStatus
from ..store.filters import Filters
from ..store.views import ExecutionView
from .display import Display, Step
from .leaving import leave_at_once
from .refusals import INTERRUPTED
from .where import copying

if TYPE_CHECKING:
    from ..engine.engine import Engine
    from ..engine.runs.caller import Submitted
    from ..flow import Flow
    from .client import Client

_LOOK = 0.1
"""Seconds between looks at the progress of an execution in this process."""

_CANCELLING = 2.0
"""Seconds until everything else in this process is ended too. Tasks that were cancelled have their grace all the same."""

_FINAL = frozenset(str(status) for status in ExecutionStatus if status.final)

_INTERRUPTING = [signal.SIGINT, signal.SIGTERM]
if sys.platform == "win32":
    _INTERRUPTING.append(signal.SIGBREAK)


class Terminated(KeyboardInterrupt):
    """SIGTERM, or Ctrl-Break on Windows: the same as Ctrl-C, with an exit ``code`` of its own."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


def run_here(
    flows: Sequence[Flow], store: str | None, submit: Callable[[Engine], Submitted], display: Display
) -> ExecutionView:
    """Start an engine in this process, begin an execution with it, and wait for its end and that of all it started.

    Ctrl-C and SIGTERM cancel it; a second one ends the process at once, and the next engine records the interruption.
    """
    from ..engine.engine import Engine

    engine = Engine(flows, store=store, kind="local", echo=display.log, copying=copying())
    submitted = None
    with _interruptible():
        engine.start()
        try:
            submitted = submit(engine)
            _watch(engine, submitted, display)
            ended = engine.store.reading.execution(submitted.id)
            # a manager may have begun work that it did not wait for
            engine.stop(grace=threading.TIMEOUT_MAX, reason="the command was done")
        except KeyboardInterrupt as interruption:
            code = interruption.code if isinstance(interruption, Terminated) else INTERRUPTED
            _interrupt(engine, submitted, display, code)
            raise click.exceptions.Exit(code) from None
        except BaseException:
            engine.stop(grace=0)
            raise
        finally:
            display.close()
    return ended


def _watch(engine: Engine, submitted: Submitted, display: Display) -> None:
    """Wait for the end, showing the progress."""
    known = None
    while not wait([submitted.future], _LOOK).done:
        progress = engine.progress(submitted.id)
        if progress is not None and progress is not known:
            known = progress
            display.step(Step(*progress))


def _interrupt(engine: Engine, submitted: Submitted | None, display: Display, code: int) -> None:
    """Cancel what was begun, and end everything else; leave at once where that can't be waited for."""
    display.close()
    display.say("Interrupted: what runs is cancelled. Ctrl-C again leaves at once.")
    if submitted is not None:
        with suppress(ConflictError):  # it has just ended
            engine.cancel(submitted.id)
    engine.stop(grace=_CANCELLING, reason="interrupted")
    if submitted is not None:
        done = submitted.future.done()
        display.say(f"Execution {submitted.id}: {submitted.future.result().status if done else 'did not end in time'}")
    if any(thread.name.startswith("microflow") and thread.is_alive() for thread in threading.enumerate()):
        leave_at_once(code)  # a manager that calls nothing can't be ended, and its thread would be waited for


@contextmanager
def _interruptible() -> Iterator[None]:
    """While this lasts, Ctrl-C and the like raise ``KeyboardInterrupt`` in the main thread; a second one ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupted = False

    def interrupt(number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            leave_at_once(128 + number)
        interrupted = True
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)

    before = {number: signal.signal(number, interrupt) for number in _INTERRUPTING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_there(client: Client, submit: Callable[[], ExecutionView], display: Display) -> ExecutionView:
    """Begin an execution on a server and follow it to its end: what it prints, and what everything below it prints.

    Ctrl-C leaves it running there.
    """
    execution = None
    try:
        with client.events() as events:  # before it begins, so that nothing is missed
            execution = submit()
            following = _Following(client, execution.id, display)
            return following.until_end(events)
    except KeyboardInterrupt:
        display.close()
        if execution is not None:
            display.say(
                f"Execution {execution.id} goes on at {client.url}. See it with microflow logs {execution.id} -f, end it with "
                f"microflow cancel {execution.id}."
            )
        raise click.exceptions.Exit(INTERRUPTED) from None
    finally:
        display.close()


class _Following:
    """One execution of a server and everything below it, as its events tell."""

    def __init__(self, client: Client, id: int, display: Display) -> None:  # noqa: A002
        self._client = client
        self._id = id
        self._display = display
        self._offsets: dict[int, int] = {id: 0}

    def until_end(self, events: Iterator[Event | None]) -> ExecutionView:
        """Follow it. What was printed below it is told before its end is, so that nothing is left when that comes."""
        execution = self._look()
        if execution.status.final:
            self._find_others()
            return execution
        for event in events:
            if event is None:
                execution = self._look()  # before the logs: whatever has ended has printed everything
                self._find_others()
            elif event.topic == "log" and event.root_id == execution.root_id:
                self._offsets.setdefault(event.id, 0)
                self._read_log(event.id)
            elif event.id == self._id and (event.topic == "progress" or event.status in _FINAL):
                execution = self._look()
                if event.topic == "progress":
                    continue
            if execution.status.final:
                for known in tuple(self._offsets):
                    self._read_log(known)
                return execution
        raise MicroflowError(
            f"The server {self._client.url} ended the connection while execution {self._id} was {execution.status}. "
            f"See what becomes of it with microflow show {self._id}."
        )

    def _look(self) -> ExecutionView:
        execution = self._client.execution(self._id)
        if execution.progress is not None:
            progress = execution.progress
            self._display.step(Step(progress.done, progress.total, progress.message))
        return execution

    def _find_others(self) -> None:
        """Events were lost: any execution below this one may have printed something."""
        for execution in self._client.executions(Filters(root=self._id), 500).items:
            self._offsets.setdefault(execution.id, 0)
        for known in tuple(self._offsets):
            self._read_log(known)

    def _read_log(self, id: int) -> None:  # noqa: A002
        while (part := self._client.log(id, self._offsets[id])).text:
            self._offsets[id] = part.next
            self._display.log(part.text.encode("utf-8", "surrogatepass"))
