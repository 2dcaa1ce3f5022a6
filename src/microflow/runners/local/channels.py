"""The parent's side of a worker's three pipes: requests out, frames and the task's output in.

On Unix the calling thread itself polls both incoming pipes and the process: no other thread is involved, and since a
pipe holds what was written before the frame that says "done", one look at the output afterwards has it all. Windows
can't poll pipes, so there two threads read them, and the worker marks the end of an attempt's output with a line.
"""

from __future__ import annotations

import logging
import os
import queue
import subprocess
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any, Protocol

import msgspec

from ...model.clock import longest_wait
from ...runtime import start_thread
from ..descriptors import write_all
from .frames import FrameBuffer, FromWorker, framed, from_worker

logger = logging.getLogger("microflow")

READ_SIZE = 65536
"""Bytes read at once."""

_LAST_WORDS = 1.0
"""Seconds that the threads are given to hand over what a process wrote before it ended."""

Output = Callable[[bytes], None]


class Silence(Enum):
    """No frame has come yet."""

    SO_FAR = "so far"


class MarkedOutput:
    """What attempts print, one after the other, told apart by the ``mark`` that stands behind each one's."""

    def __init__(self) -> None:
        self.mark = f"\x00microflow {os.urandom(8).hex()}\x00\n".encode()
        self._held = b""

    def take(self, data: bytes, output: Output, *, last: bool = False) -> None:
        """Take in what was printed, and hand on what is this attempt's; ``last``: nothing more will come."""
        held = self._held + data
        cut = held.find(self.mark)
        if cut < 0:
            cut = len(held) if last else self._beginning(held)
        if cut:
            output(held[:cut])
        self._held = held[cut:]

    def _beginning(self, held: bytes) -> int:
        """Where what may be the beginning of a mark begins, or the end."""
        start = held.find(self.mark[:1], max(len(held) - len(self.mark), 0))
        while start >= 0 and not self.mark.startswith(held[start:]):
            start = held.find(self.mark[:1], start + 1)
        return start if start >= 0 else len(held)

    @property
    def is_passed(self) -> bool:
        """Whether the mark behind this attempt's output has come."""
        return self._held.startswith(self.mark)

    def next(self) -> None:
        """What comes behind the mark is the next attempt's."""
        self._held = self._held.removeprefix(self.mark)


class Channel(Protocol):
    """Talks to one worker.

    ``descriptors`` are what to poll for input before ``receive`` without waiting; empty where ``on_ready`` is to be used.
    """

    descriptors: tuple[int, ...]

    def on_ready(self, callback: Callable[[], None] | None) -> None:
        """Without descriptors: call this, in any thread, whenever there is input for ``receive``; at once if there is some now."""
        ...

    def mark_for(self, count: int) -> bytes:
        """What the worker must print behind each of so many attempts that it is asked for now; b"" for nothing."""
        ...

    def send(self, message: Any) -> None:
        """Send a frame. Raises ``OSError`` if the worker is gone."""
        ...

    def receive(self, output: Output, *, wait: bool = True) -> FromWorker | Silence | None:
        """The next frame; None when the worker ended. What the task prints meanwhile goes to ``output``, in order.

        Without ``wait``, ``Silence.SO_FAR`` if no whole frame has come yet.
        """
        ...

    def drain(self, output: Output) -> None:
        """Hand on what the task printed before the frame just received, or before it ended."""
        ...

    def close(self) -> None:
        """Let go of the pipes."""
        ...


class ThreadedChannel:
    """Two threads read, one hands on: for platforms that can't poll pipes."""

    descriptors: tuple[int, ...] = ()

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._printed = MarkedOutput()
        self._process = process
        self._stdin = process.stdin
        self._queue: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._buffer = FrameBuffer()
        self._frames_open = self._output_open = True
        self._on_ready: Callable[[], None] | None = None
        self._process_ended = False
        for kind, pipe in (("frames", process.stdout), ("output", process.stderr)):
            start_thread(partial(self._read, kind, pipe), f"microflow-{kind}")
        start_thread(self._watch, "microflow-process")

    def _read(self, kind: str, pipe: Any) -> None:
        try:
            with pipe:
                while data := _read_some(pipe):
                    self._put(kind, data)
        except Exception:
            logger.exception("What a worker says can't be read any more.")
        finally:  # else whoever uses the worker would wait for ever
            self._put(kind, b"")

    def _watch(self) -> None:
        try:
            self._process.wait()
        except Exception:
            logger.exception("Whether a worker has ended can't be told, so it counts as ended.")
        finally:
            self._put("ended", b"")

    def _put(self, kind: str, data: bytes) -> None:
        self._queue.put((kind, data))
        if (callback := self._on_ready) is not None:
            callback()

    def on_ready(self, callback: Callable[[], None] | None) -> None:
        self._on_ready = callback
        if callback is not None and not self._queue.empty():
            callback()

    def mark_for(self, count: int) -> bytes:
        return self._printed.mark

    def send(self, message: Any) -> None:
        write_all(self._stdin.fileno(), framed(message))

    def receive(self, output: Output, *, wait: bool = True) -> FromWorker | Silence | None:
        self._printed.take(b"", output)  # what came with the end of the one before
        while True:
            if (body := self._buffer.next()) is not None:
                return decoded(body)
            if not wait and self._queue.empty() and self._frames_open and not self._process_ended:
                return Silence.SO_FAR
            if not self._frames_open or not self._take_next(output):
                return None

    def _take_next(self, output: Output) -> bool:
        """Handle the next piece; False if none will come: the process has ended, and who else has its pipes is silent."""
        try:
            kind, data = self._queue.get(timeout=_LAST_WORDS if self._process_ended else longest_wait())
        except queue.Empty:
            return not self._process_ended
        if kind == "ended":
            self._process_ended = True
        elif kind == "frames":
            self._frames_open = bool(data)
            self._buffer.feed(data)
        else:
            self._output_open = bool(data)
            self._printed.take(data, output, last=not data)
        return True

    def drain(self, output: Output) -> None:
        # the mark may have come before the frame, through the other pipe
        while not self._printed.is_passed and self._output_open and self._take_next(output):
            pass
        self._printed.next()

    def close(self) -> None:
        self._stdin.close()


def _read_some(pipe: Any) -> bytes:
    try:
        return os.read(pipe.fileno(), READ_SIZE)
    except (OSError, ValueError):
        return b""  # closed by the other side, or by close()


def decoded(body: bytes) -> FromWorker | None:
    """The message in a frame; None, as for a worker that ended, if a task wrote nonsense to the pipe."""
    try:
        message: FromWorker = from_worker.decode(body)
        return message
    except msgspec.MsgspecError:
        return None
