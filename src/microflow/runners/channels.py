"""The parent's side of a worker's three pipes: requests out, frames and the task's output in.

On Unix the calling thread itself polls both incoming pipes and the process: no other thread is involved, and since a pipe holds what
was written before the frame that says "done", one look at the output afterwards has it all. Windows can't poll pipes, so there two
threads read them, and the worker marks the end of an attempt's output with a line of its own.
"""

from __future__ import annotations

import os
import queue
import secrets
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

import msgspec

from .frames import FrameBuffer, FromWorker, from_worker, framed, write_all

_CHUNK = 65536

Output = Callable[[bytes], None]


class Silence(Enum):
    """No frame has come yet."""

    SO_FAR = "so far"


class Channel(Protocol):
    """Talks to one worker. ``mark`` is what the worker must print at the end of each attempt, b"" for nothing."""

    mark: bytes

    def send(self, message: Any) -> None:
        """Send a frame. Raises ``OSError`` if the worker is gone."""
        ...

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What to poll for input before ``receive`` without waiting; empty where that can't be done."""
        ...

    def receive(self, output: Output, *, wait: bool = True) -> FromWorker | Silence | None:
        """The next frame; None when the worker ended. What the task prints meanwhile goes to ``output``, in order.

        Without ``wait``, ``Silence.SO_FAR`` if no whole frame has come yet; only where there are ``descriptors``.
        """
        ...

    def drain(self, output: Output) -> None:
        """Hand on what the task printed before the frame just received, or before it ended."""
        ...

    def close(self) -> None:
        """Let go of the pipes."""
        ...


class PollingChannel:
    """One thread polls."""

    mark = b""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin and process.stdout and process.stderr
        self._pipes = (process.stdin, process.stdout, process.stderr)
        self._requests, self._frames, self._output = (pipe.fileno() for pipe in self._pipes)
        self._buffer = FrameBuffer()
        self._output_open = True
        os.set_blocking(self._output, False)
        os.set_blocking(self._frames, False)
        self._poll = select.poll()
        self._poll.register(self._frames, select.POLLIN)
        self._poll.register(self._output, select.POLLIN)
        # The process itself, since a copy of it that lives on (a task that forked) keeps the pipes open.
        self._process = process
        self._process_descriptor = -1
        if hasattr(os, "pidfd_open"):
            self._process_descriptor = os.pidfd_open(process.pid)
            self._poll.register(self._process_descriptor, select.POLLIN)
        self._patience = None if self._process_descriptor >= 0 else 1000

    def send(self, message: Any) -> None:
        write_all(self._requests, framed(message))

    @property
    def descriptors(self) -> tuple[int, ...]:
        found = (self._frames, self._output, self._process_descriptor)
        return found if self._process_descriptor >= 0 else found[:2]

    def receive(self, output: Output, *, wait: bool = True) -> FromWorker | Silence | None:
        while True:
            if (body := self._buffer.next()) is not None:
                return _decoded(body)
            if wait:
                self._poll.poll(self._patience)
            if self._output_open:
                self._read_output(output)
            came = self._read_frames()
            if came is None:
                # its last words may have come between the look at the pipe and the look at the process
                if _has_ended(self._process) and not self._read_frames():
                    return None
                if not wait and not self._buffer.whole:
                    return Silence.SO_FAR
            elif not came:
                return None

    def _read_frames(self) -> bool | None:
        """Take in what has come: True if there was anything, False at the end of the pipe, None if nothing has come."""
        try:
            data = os.read(self._frames, _CHUNK)
        except BlockingIOError:
            return None
        self._buffer.feed(data)
        return bool(data)

    def _read_output(self, output: Output) -> bool:
        try:
            data = os.read(self._output, _CHUNK)
        except BlockingIOError:
            return False
        if not data:  # every writer has closed it: poll would report that for ever
            self._poll.unregister(self._output)
            self._output_open = False
            return False
        output(data)
        return True

    def drain(self, output: Output) -> None:
        # bounded, since a process that the task left behind may print without end
        for _ in range(256):
            if not self._output_open or not self._read_output(output):
                return

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        if self._process_descriptor >= 0:
            os.close(self._process_descriptor)
            self._process_descriptor = -1


class ThreadedChannel:
    """Two threads read, one hands on: for platforms that can't poll pipes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin and process.stdout and process.stderr
        self.mark = f"\x00microflow {secrets.token_hex(8)}\x00\n".encode()
        self._process = process
        self._stdin = process.stdin
        self._queue: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._buffer = FrameBuffer()
        self._open = 2
        for kind, pipe in (("frames", process.stdout), ("output", process.stderr)):
            threading.Thread(target=self._read, args=(kind, pipe), name=f"microflow-{kind}", daemon=True).start()
        threading.Thread(target=self._watch, name="microflow-process", daemon=True).start()
        self._ended = False
        self._rest = b""

    def _read(self, kind: str, pipe: Any) -> None:
        with pipe:
            while data := _read_some(pipe):
                self._queue.put((kind, data))
        self._queue.put((kind, b""))

    def _watch(self) -> None:
        self._process.wait()
        self._queue.put(("ended", b""))

    def send(self, message: Any) -> None:
        write_all(self._stdin.fileno(), framed(message))

    @property
    def descriptors(self) -> tuple[int, ...]:
        return ()

    def receive(self, output: Output, *, wait: bool = True) -> FromWorker | Silence | None:
        assert wait, "this channel can't be polled"
        while True:
            if (body := self._buffer.next()) is not None:
                return _decoded(body)
            if self._ended:
                return None
            kind, data = self._queue.get()
            self._take(kind, data, output)

    def _take(self, kind: str, data: bytes, output: Output) -> bool:
        """Handle one piece; whether it held the mark."""
        if kind == "frames" and data:
            self._buffer.feed(data)
        elif kind == "output" and data:
            return self._print(data, output)
        elif kind in ("ended", "frames"):
            self._ended = True
        return False

    def _print(self, data: bytes, output: Output) -> bool:
        data = self._rest + data
        before, mark, after = data.partition(self.mark)
        if mark:
            self._rest = after
            if before:
                output(before)
            return True
        # what may be the beginning of the mark waits for the rest of it
        cut = data.rfind(b"\x00microflow")
        cut = len(data) if cut < 0 or len(data) - cut >= len(self.mark) else cut
        if data[:cut]:
            output(data[:cut])
        self._rest = data[cut:]
        return False

    def drain(self, output: Output) -> None:
        while True:
            try:
                kind, data = self._queue.get(timeout=None if not self._ended else 0.2)
            except queue.Empty:
                return
            if self._take(kind, data, output) or (kind == "output" and not data):
                return

    def close(self) -> None:
        self._stdin.close()


def _read_some(pipe: Any) -> bytes:
    try:
        return os.read(pipe.fileno(), _CHUNK)
    except (OSError, ValueError):
        return b""  # closed by the other side, or by close()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process ended, without waiting for it: its number must stay its own until its tree was ended."""
    if hasattr(os, "waitid"):
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return process.poll() is not None


def _decoded(body: bytes) -> FromWorker | None:
    """The message in a frame; None, as for a worker that ended, if a task wrote nonsense to the pipe."""
    try:
        return from_worker.decode(body)
    except msgspec.MsgspecError:
        return None


open_channel: Callable[[subprocess.Popen[bytes]], Channel] = (
    ThreadedChannel if sys.platform == "win32" else PollingChannel
)
