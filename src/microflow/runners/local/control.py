"""The pipe by which a worker is told that its task should end, and the start of a worker that has one.

The pipe of the requests can't carry this: the worker reads it only between its tasks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from ..descriptors import identity, write_all
from .frames import FrameBuffer, framed

if TYPE_CHECKING:
    import subprocess


class StopTask(msgspec.Struct, array_like=True, tag="stop task"):
    """This attempt should end: its process is killed in so many ``seconds``. ``reason`` is that of its ``Stop``.

    ``asked``: the numbers of the processes that it started and that were asked to end.
    """

    execution_id: int
    attempt: int
    reason: str
    seconds: float
    asked: list[int] = []


_decoder = msgspec.msgpack.Decoder(StopTask)


class ControlPipe:
    """The parent's end of the pipe. The caller makes sure that no other thread closes it meanwhile."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    def launch(self, arguments: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a worker that has the other end; how it finds that is its last argument."""
        import subprocess  # not at the top: a worker imports this module too, and need not start anything

        name, passed = _inheritable(self._reading)
        try:
            with _signals_kept_out():
                return subprocess.Popen([*arguments, name], **options, **passed)
        except BaseException:
            self.close()
            raise
        finally:
            os.close(self._reading)

    def send(self, message: StopTask) -> None:
        """Tell the worker. Nothing happens if it has ended."""
        try:
            write_all(self._writing, framed(message))
        except OSError:
            return  # it has ended

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self._writing)


class ControlReader:
    """The worker's end of the pipe; ``descriptor`` becomes readable when there is a message."""

    def __init__(self, name: str) -> None:
        self.descriptor = _opened(name)
        os.set_inheritable(self.descriptor, False)
        self._known = identity(self.descriptor)
        self._buffer = FrameBuffer()

    def read(self) -> list[StopTask] | None:
        """Wait for messages and take them; None if no more will come: the parent has closed the pipe, or the task has."""
        if identity(self.descriptor) != self._known:
            return None  # the number may be that of a file of the task's now
        try:
            data = os.read(self.descriptor, 4096)
        except OSError:
            return None
        self._buffer.feed(data)
        messages = []
        while (body := self._buffer.next()) is not None:
            messages.append(_decoder.decode(body))
        return messages if data else None


if sys.platform == "win32":
    import msvcrt

    def _inheritable(descriptor: int) -> tuple[str, dict[str, Any]]:
        handle = msvcrt.get_osfhandle(descriptor)
        os.set_handle_inheritable(handle, True)
        import subprocess

        return str(handle), {"startupinfo": subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]})}

    def _opened(name: str) -> int:
        return msvcrt.open_osfhandle(int(name), os.O_RDONLY | os.O_BINARY)

    @contextmanager
    def _signals_kept_out() -> Iterator[None]:
        yield

    def let_signals_in() -> None:
        """Nothing: Windows has no signals that could be kept out."""

else:
    import signal

    _ENDINGS = (signal.SIGTERM, signal.SIGHUP)

    def _inheritable(descriptor: int) -> tuple[str, dict[str, Any]]:
        return str(descriptor), {"pass_fds": (descriptor,)}

    def _opened(name: str) -> int:
        return int(name)

    @contextmanager
    def _signals_kept_out() -> Iterator[None]:
        """A process that is started meanwhile gets no signal that would end it before it is ready to handle that."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def let_signals_in() -> None:
        """In the process that was started: it is ready."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDINGS)
