"""The worker process, ``python -m microflow.runners.local.child``. It reads requests from standard input and runs them one by one.

In the order of its life:

1. Its standard input and output become the pipes of the frames; descriptors 0, 1 and 2 are then the task's own: no input, and
   output that goes to the pipe behind standard error, which survives a crash.
2. The first frame says where modules are found. Then each ``Run`` is loaded, run and answered with ``Done``.
3. It ends when its standard input ends. If that happens while a task runs, then the parent is gone: it ends at once, with
   everything that the task started.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import threading
from _thread import start_new_thread
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from time import monotonic, sleep  # by name, since a task may put something else in the module
from typing import Any

from ....errors import WorkerDied
from ....model.payloads import decode
from ....model.results import ExecutionStatus
from ....runtime import Progress, active_runtime, carry_out_outside
from ....user_code.meanings import Meanings
from ....user_code.reserved import release, reserve
from ....user_code.sources import Folders, OwnPaths, told_content
from ...base import Outcome, Request
from ...belonging import THREADS
from ...calling import call, current_execution_for, error_of, exit_code_of
from ...descriptors import write_all
from ...records import WorkerRecords
from ...refusal import Refusal
from ..control import ControlReader
from ..frames import (
    Code,
    ContextQuery,
    ContextReply,
    Done,
    Exited,
    FrameBuffer,
    FromWorker,
    Hello,
    Imported,
    Load,
    Loaded,
    NotLoaded,
    Pickled,
    ProgressReport,
    Reference,
    Returned,
    Run,
    Source,
    SourceQuery,
    framed,
    to_worker,
)
from .process_state import ProcessState
from .standard_streams import flush_streams, take_pipes
from .termination import Termination
from .usage import Meter

MEMORY_GROWTH = 256 * 1024 * 1024
"""Bytes that a worker may keep beyond those of its start before it is replaced."""

PATIENCE = 0.005
"""Seconds that requests of a chunk wait for the task before them. Then they are given back, since another worker may be free."""

_WATCHES = 200
"""How often the thread that watches the requests that wait finds none before it ends."""


class Child:
    """This process, which runs the requests that its parent sends."""

    def __init__(self) -> None:
        self._requests, self._responses = take_pipes()
        self._control = ControlReader(sys.argv.pop())
        self._termination = Termination()
        self._output = os.dup(2)  # so that the pipe stays open, and the mark arrives, whatever a task does with its own
        self._buffer = FrameBuffer()
        self._functions: dict[int, Callable[..., Any]] = {}
        self._waiting: deque[Request] = (
            deque()
        )  # of a chunk: the main thread takes the first, any gives back the last ones
        self._started_at = 0.0
        self._is_watched = False
        self._sending = threading.Lock()
        self._asking = threading.Lock()
        self._next: Run | None = None
        self._is_setting_up = False
        self._modules = 0
        self._folders: Folders | None = None
        self._told: set[str] = set()
        self._pid = os.getpid()
        self._giving_back = threading.Lock()
        self._busy = False
        self._orphaned = False

    def live(self) -> None:
        """Run requests until there are no more."""
        self._termination.install()
        refusal = Refusal()
        active_runtime.set(refusal)
        carry_out_outside(refusal)
        faulthandler.enable(file=2)
        threading.Thread(target=self._watch_parent, name="microflow-parent", daemon=True).start()
        THREADS.install()
        meter = Meter()
        state = self._state = ProcessState((self._requests, self._responses, self._output))
        self._records = WorkerRecords()
        while (message := self._receive()) is not None:
            if isinstance(message, Hello):
                sys.path[:] = message.path
            elif isinstance(message, Code):
                self._find_modules(message)
            elif isinstance(message, Load):
                with (
                    contextlib.suppress(Exception, SystemExit),
                    self._setting_up(),
                ):  # it is raised again when it is run
                    _imported(message.function)
            elif isinstance(message, Run):
                self._busy = True  # before the look at the parent, as its watcher looks in the other order
                if self._orphaned:
                    break
                self._run_all(message, meter, state)
                self._busy = False
        # what the last task left running must not keep this process alive
        os._exit(0)

    def _run_all(self, message: Run, meter: Meter, state: ProcessState) -> None:
        request: Request | None = message.requests[0]
        self._started_at = monotonic()
        self._waiting.extend(message.requests[1:])
        if self._waiting and not self._is_watched:
            self._is_watched = True
            start_new_thread(self._watch_waiting, (state,))
        function = message.function
        while request is not None:
            answer = self._run(request, function, meter, state)
            function = None  # those behind it find it loaded
            if not isinstance(answer, Done) or answer.retire:
                self._give_back()
            if message.mark and not isinstance(answer, NotLoaded):
                write_all(self._output, message.mark)
            self._send(answer)
            self._started_at = monotonic()
            request = _taken(self._waiting.popleft)

    def _run(
        self, request: Request, function: Reference | Pickled | None, meter: Meter, state: ProcessState
    ) -> Done | Exited | NotLoaded:
        termination = self._termination
        meter.start()
        if function is not None:
            termination.load(request)
        try:
            fn = self._load(request.job_key, function)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a module may raise anything when it is imported
            if isinstance(function, Reference):
                return NotLoaded(f"{type(error).__name__}: {error}")
            return Done(Outcome(ExecutionStatus.ERROR, error=error_of(error)), self._seconds())
        finally:
            if function is not None:
                termination.loaded()
        if function is not None:
            self._send(Loaded())
        data = decode(request.inputs)
        execution = current_execution_for(request, data, self._context, self._progress)
        try:
            termination.running = request, fn
            outcome = call(fn, data, execution, request.max_payload, termination.awaiting)
        except SystemExit as error:
            state.leave_if_forked()
            state.leave_if_robbed()
            flush_streams()
            return Exited(exit_code_of(error))
        except KeyboardInterrupt as error:
            outcome = Outcome(ExecutionStatus.ERROR, error=error_of(error, skip_frames=2))
        finally:
            termination.running = None
        seconds = self._seconds()
        state.leave_if_forked()
        state.leave_if_robbed()
        flush_streams()
        retire = state.restore()
        if termination.has_interrupted:
            retire = "its task was made to end"
            state.let_children_end()
        if len(sys.modules) != self._modules:
            self._tell_imported()
        outcome.cpu_seconds, outcome.peak_memory = meter.stop()
        if not retire and meter.grown() > MEMORY_GROWTH:
            retire = f"it keeps {meter.grown() // 2**20} MiB more than at its start"
        return Done(outcome, seconds, retire)

    def _seconds(self) -> float:
        return monotonic() - self._started_at

    def _give_back(self) -> None:
        """Give back the requests that wait. Once this returns, the parent is told before anything that is sent later."""
        with self._giving_back:
            count = 0
            while _taken(self._waiting.pop) is not None:
                count += 1
            if count:
                self._send(Returned(count))

    def _watch_waiting(self, state: ProcessState) -> None:
        """In a thread of its own, which ends when nothing has waited for a while: give back the requests that wait too long."""
        in_vain = 0
        while in_vain < _WATCHES or self._waiting:
            self._is_watched = True
            sleep(PATIENCE)
            in_vain = 0 if self._waiting else in_vain + 1
            if self._waiting and self._seconds() > PATIENCE:
                state.leave_if_robbed()  # rather than write into a file of the task's
                self._give_back()
            if in_vain == _WATCHES:
                self._is_watched = False  # before the last look, so that no request is overlooked

    def _load(self, key: int, source: Reference | Pickled | None) -> Callable[..., Any]:
        if source is not None:
            with self._setting_up():
                self._functions[key] = _imported(source) if isinstance(source, Reference) else _unpickled(source)
        return self._functions[key]

    @contextmanager
    def _setting_up(self) -> Iterator[None]:
        """While modules are imported: what they set up is what every task of this worker finds."""
        if self._is_setting_up:
            yield
            return
        self._is_setting_up = True
        before = self._state.now()
        try:
            with self._records.set_aside():
                yield
        finally:
            self._state.keep(before, self._state.now())
            self._is_setting_up = False

    def _find_modules(self, code: Code) -> None:
        """Import what the parent imports: the same files, with the same content."""
        sys.path[:] = code.path
        with self._setting_up():
            for name, value in code.environment.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        if code.reserves:
            reserve(*code.own)
        else:
            release()
        meanings = Meanings(code.flows)
        if meanings.can_differ:
            sys.meta_path.insert(0, meanings)
        self._folders = Folders(tuple(code.own), tuple(code.others))
        OwnPaths(self._folders, told_content(code.digests, self._source), self._setting_up).install()

    def _source(self, path: str, source: bytes) -> bytes:
        """What to import for a module that the parent has not told of, in whichever thread."""
        if os.getpid() != self._pid:
            return source  # a copy of the worker, which has nobody to ask
        with self._asking:
            self._send(SourceQuery(path, source))
            reply = self._reply()
        if not isinstance(reply, Source):
            raise WorkerDied("The engine did not answer when a module was imported.")
        return source if reply.source is None else reply.source

    def _tell_imported(self) -> None:
        """Tell the parent which files were imported that it would not hear of otherwise, and whose change it reports."""
        self._modules = len(sys.modules)
        if self._folders is None:
            return
        if found := self._folders.elsewhere(tuple(sys.modules.values())) - self._told:
            self._told |= found
            self._send(Imported(sorted(found)))

    def _reply(self) -> Any:
        """The answer to a question. What is to be run next may come before it, when a function is imported in advance."""
        while isinstance(message := self._received(), Run):
            self._next = message
        return message

    def _receive(self) -> Any:
        """What the parent says next; None if it has ended."""
        message, self._next = self._next, None
        return self._received() if message is None else message

    def _received(self) -> Any:
        while (body := self._buffer.next()) is None:
            data = os.read(self._requests, 65536)
            if not data:
                return None
            self._buffer.feed(data)
        return to_worker.decode(body)

    def _send(self, message: FromWorker) -> None:
        try:
            with self._sending:
                write_all(self._responses, framed(message))
        except OSError:
            os._exit(1)  # the parent is gone, or the task closed this pipe: there is nobody to tell

    def _progress(self, progress: Progress) -> None:
        self._send(ProgressReport(progress.done, progress.total, progress.message))

    def _context(self) -> tuple[dict[str, Any], dict[str, Any]]:
        with self._asking:
            self._send(ContextQuery())
            reply = self._reply()
        if not isinstance(reply, ContextReply):
            raise WorkerDied("The engine did not answer when the task looked at its context.")
        return decode(reply.written), decode(reply.last_output)

    def _watch_parent(self) -> None:
        """Wait for the parent's end, without taking a byte of the requests; see to it meanwhile that a task ends that should."""
        if sys.platform == "win32":
            self._watch_control()
            return  # the job object that the parent has put this process into ends it with the parent
        import select

        poll = select.poll()
        poll.register(self._requests, 0)  # a hang-up is reported without being asked for
        poll.register(self._control.descriptor, select.POLLIN)
        seconds: float | None = None
        while self._requests not in (found := dict(poll.poll(None if seconds is None else 1000 * seconds))):
            if found and not self._heed():
                poll.unregister(self._control.descriptor)
            seconds = self._termination.press()
        self._orphaned = True
        if self._busy:
            from ..process_tree import end_own_tree

            end_own_tree()

    def _watch_control(self) -> None:
        """Where a thread cannot wait for two things: see to it that a task ends that should."""
        while self._heed():
            while (seconds := self._termination.press()) is not None:
                sleep(seconds)

    def _heed(self) -> bool:
        """Take in what the parent asks for; False if it won't ask for anything more."""
        messages = self._control.read()
        for message in messages or ():
            self._termination.heed(message)
        return messages is not None


def _taken(take: Callable[[], Request]) -> Request | None:
    """A request from either end; None if there is none. Looking first would not do, since two threads take requests."""
    try:
        return take()
    except IndexError:
        return None


def _imported(source: Reference) -> Callable[..., Any]:
    import_module(source.module)
    flow = getattr(import_module(source.flow_module), source.flow_attribute)
    if source.job not in flow.jobs and source.made_in:
        import_module(source.made_in)
    found: Callable[..., Any] = flow.jobs[source.job].fn
    return found


def _unpickled(source: Pickled) -> Callable[..., Any]:
    from .. import setups
    from ..by_value import loads

    # from the parent alone: nothing that came over the network or out of the store is ever unpickled
    if source.flow_module:
        with contextlib.suppress(Exception, SystemExit):  # the function came by value, and may need nothing of it
            import_module(source.flow_module)
    if source.setup:
        setups.apply(source.setup)
    return loads(source.data)


if __name__ == "__main__":
    Child().live()
