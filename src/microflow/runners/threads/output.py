"""What one attempt in a thread of the main process prints: Python's own prints, and what the programs that it starts write.

All threads of the process share its descriptors 1 and 2, so a program that an execution starts is given the writing end of a pipe
of that execution instead (``programs`` sees to that). Whoever prints takes first what has come by the pipe, so that what a program
wrote before is before it in the log; a thread takes what comes meanwhile.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TextIO

from ...runtime import active_execution, start_thread
from ..descriptors import write_all

logger = logging.getLogger("microflow")

_LONG = 65536
"""Characters of a line that are kept until it ends, and bytes that are read at once."""


class Output:
    """What one attempt prints, handed on in order to ``sink``; lines of ``print`` as a whole, since it writes in pieces.

    After ``close``, when it is ``closed``, it takes nothing more. What a program still writes then goes to the standard output of
    this process.
    """

    def __init__(self, sink: Callable[[bytes], None]) -> None:
        self._sink = sink
        self._begun: dict[int, str] = {}  # by thread, so that lines of several threads do not mix
        self._lock = threading.Lock()
        self._pipe: _Pipe | None = None
        self.closed = False

    def write(self, text: str) -> bool:
        """Add text; False if this is closed."""
        with self._lock:
            if self.closed:
                return False
            self._take()
            lines, end, begun = (self._begun.pop(threading.get_ident(), "") + text).rpartition("\n")
            if end:
                self._hand_on(lines + end)
            if len(begun) > _LONG:
                self._hand_on(begun)
            elif begun:
                self._begun[threading.get_ident()] = begun
        return True

    def write_bytes(self, data: bytes) -> bool:
        """Add bytes; False if this is closed."""
        with self._lock:
            if self.closed:
                return False
            self._take()
            self._flush()
            self._sink(data)
        return True

    def flush(self) -> bool:
        """Hand on the line that this thread has begun; False if this is closed."""
        with self._lock:
            if self.closed:
                return False
            self._take()
            self._flush()
        return True

    @contextmanager
    def descriptor(self) -> Iterator[int | None]:
        """A descriptor for programs to write to, open as long as this lasts; None if this is closed."""
        with self._lock:
            if self.closed:
                given = None
            else:
                self._flush()
                # of the starter's own: other threads may close this meanwhile
                pipe = self._pipe = self._pipe or self._new_pipe()
                given = pipe.writing() if pipe is not None else None
        try:
            yield given
        finally:
            if given is not None:
                os.close(given)

    def close(self) -> None:
        """Hand on what has been printed so far. A program that still has the pipe is not waited for."""
        with self._lock:
            try:
                self._take()
                self._hand_on("".join(self._begun.values()))
                self._begun.clear()
            finally:
                self.closed = True
                self._sink = _to_standard_output
                if self._pipe is not None:
                    self._pipe.close_writing()

    def _new_pipe(self) -> _Pipe | None:
        pipe = _Pipe()
        try:
            start_thread(partial(self._listen, pipe), "microflow-programs")
        except RuntimeError as error:  # without a reader, the program would wait for ever once the pipe is full
            pipe.close_writing()
            pipe.close_reading()
            self._hand_on(f"What a program writes is not in this log: {error}.\n")
            return None
        return pipe

    def _listen(self, pipe: _Pipe) -> None:
        while pipe.wait():
            try:
                with self._lock:
                    self._take()
            except Exception:  # whoever follows the log; the program must not wait for a reader that has gone
                logger.exception("What a program wrote could not be handed on.")
        with self._lock:
            self._pipe = None
            pipe.close_reading()

    def _take(self) -> None:
        """Hand on what programs have written by now, and nothing that they write meanwhile: that may never end."""
        if self._pipe is not None:
            left = self._pipe.available()
            while left > 0 and (data := self._pipe.read(min(left, _LONG))):
                left -= len(data)
                self._sink(data)

    def _flush(self) -> None:
        self._hand_on(self._begun.pop(threading.get_ident(), ""))

    def _hand_on(self, text: str) -> None:
        if text:
            self._sink(text.encode("utf-8", "backslashreplace"))


class _Pipe:
    """A pipe whose reading end can be asked how much there is, so that no reader ever blocks while it holds a lock."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    def writing(self) -> int:
        """A new descriptor of the writing end."""
        return os.dup(self._writing)

    def read(self, count: int) -> bytes:
        """Up to so many bytes; call it only for what is available."""
        return os.read(self._reading, count)

    def close_writing(self) -> None:
        """From now on only programs have the writing end."""
        os.close(self._writing)

    def close_reading(self) -> None:
        """Nothing more is read."""
        os.close(self._reading)

    if sys.platform == "win32":

        def available(self) -> int:
            """How many bytes can be read at once; 0 also when all writers have gone."""
            import _winapi
            import msvcrt

            with suppress(OSError):
                return int(_winapi.PeekNamedPipe(msvcrt.get_osfhandle(self._reading), 0)[0])
            return 0

        def wait(self) -> bool:
            """Wait until there is something; False when all writers have gone.

            Windows can't wait for a pipe without reading it, and a look at a pipe that another thread reads would block.
            """
            import _winapi
            import msvcrt
            from time import sleep

            with suppress(OSError):  # the pipe is broken: everybody has closed its other end
                while not _winapi.PeekNamedPipe(msvcrt.get_osfhandle(self._reading), 0)[0]:
                    sleep(_LOOK)
                return True
            return False

    else:

        def available(self) -> int:
            """How many bytes can be read at once; 0 also when all writers have gone."""
            from fcntl import ioctl
            from termios import FIONREAD

            return int.from_bytes(ioctl(self._reading, FIONREAD, bytes(4)), sys.byteorder)

        def wait(self) -> bool:
            """Wait until there is something; False when all writers have gone."""
            from select import POLLHUP, POLLIN, poll

            waiting = poll()
            waiting.register(self._reading, POLLIN)
            has_ended = any(event & POLLHUP for _, event in waiting.poll())
            return not has_ended or self.available() > 0  # at its end, macOS says that it can be read, too


_LOOK = 0.02
"""Seconds between two looks at a pipe on Windows."""


def _to_standard_output(data: bytes) -> None:
    with suppress(OSError):  # it may be closed, and nobody could be told
        write_all(1, data)


def output_here() -> Output | None:
    """Where the code that runs here prints, if that is not the descriptors of its process: in a job in a thread."""
    execution = active_execution.get()
    return None if execution is None else execution.output


class StandIn:
    """A standard stream that looks who prints. ``is_idle`` tells whether its engine runs no job in a thread just now."""

    def __init__(self, original: TextIO, place: str, is_idle: Callable[[], bool]) -> None:
        self.original = original
        self.place = place
        self.is_idle = is_idle

    def write(self, text: str) -> int:
        output = output_here()
        if output is None or not output.write(text):
            self.original.write(text)
        return len(text)

    def flush(self) -> None:
        output = output_here()
        if output is None or not output.flush():
            self.original.flush()

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def close(self) -> None:
        """A job that closes its standard stream does not close it for all others."""
        if output_here() is None:
            self.original.close()
        else:
            self.flush()

    @property
    def buffer(self) -> Any:
        """The stream of bytes below this one."""
        return self.original.buffer if output_here() is None else BinaryStandIn(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


class BinaryStandIn:
    """The stream of bytes below a stand-in, for a job in a thread."""

    def __init__(self, text: StandIn) -> None:
        self._text = text

    def write(self, data: Any) -> int:
        output, written = output_here(), bytes(data)
        if output is None or not output.write_bytes(written):
            self._text.original.buffer.write(written)
        return len(written)

    def flush(self) -> None:
        self._text.flush()

    def close(self) -> None:
        """The job has done with it. Nothing is closed: a stream that was made around this one closes it when it is freed."""
        self._text.flush()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(
                name
            )  # such as _dealloc_warn, by which a stream that is freed says that it was not closed
        return getattr(self._text.original.buffer, name)
