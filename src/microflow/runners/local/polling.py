"""The channel for Unix: the calling thread polls both incoming pipes and the process itself."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from ...model.clock import longest_wait
from ..descriptors import write_all
from .channels import READ_SIZE, MarkedOutput, Output, Silence, decoded
from .frames import FrameBuffer, FromWorker, framed

assert sys.platform != "win32", "Windows can't poll pipes; there it is ThreadedChannel"


class PollingChannel:
    """One thread polls."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._pipes = (process.stdin, process.stdout, process.stderr)
        self._requests, self._frames, self._output = (pipe.fileno() for pipe in self._pipes)
        self._buffer = FrameBuffer()
        self._is_empty = (
            False  # so was the pipe of the frames when it was read last; if it isn't any more, a poll says so
        )
        self._output_open = True
        self._printed = MarkedOutput()
        self._is_marked = False
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
        found = (self._frames, self._output, self._process_descriptor)
        self.descriptors: tuple[int, ...] = found if self._process_descriptor >= 0 else found[:2]

    def on_ready(self, callback: Callable[[], None] | None) -> None:
        """Nothing: there are descriptors to poll."""

    def mark_for(self, count: int) -> bytes:
        # one alone has printed what was printed before its last frame; of several, the next one may have begun to print then
        self._is_marked = count > 1
        return self._printed.mark if self._is_marked else b""

    def send(self, message: Any) -> None:
        self._is_empty = False
        write_all(self._requests, framed(message))

    def receive(self, output: Output, *, wait: bool = True) -> FromWorker | Silence | None:
        if self._is_marked:
            self._printed.take(b"", output)  # what came with the end of the one before
        while True:
            if (body := self._buffer.next()) is not None:
                return decoded(body)
            if wait:
                seconds = longest_wait() if self._process_descriptor >= 0 else 1.0
                self._poll.poll(None if seconds is None else 1000 * seconds)
            elif self._is_empty:
                self._is_empty = False
                return Silence.SO_FAR
            came = self._read_frames()
            if came is None:
                if self._output_open:
                    self._read_output(output)
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
            data = os.read(self._frames, READ_SIZE)
        except BlockingIOError:
            return None
        self._buffer.feed(data)
        self._is_empty = len(data) < READ_SIZE
        return bool(data)

    def _read_output(self, output: Output) -> bool:
        try:
            data = os.read(self._output, READ_SIZE)
        except BlockingIOError:
            return False
        self._printed.take(data, output, last=not data)
        if not data:  # every writer has closed it: poll would report that for ever
            self._poll.unregister(self._output)
            self._output_open = False
            return False
        return True

    def drain(self, output: Output) -> None:
        # bounded, since a process that the task left behind may print without end
        for _ in range(256):
            if self._printed.is_passed or not self._output_open or not self._read_output(output):
                break
        if self._is_marked:
            self._printed.next()
        else:
            self._printed.take(b"", output, last=True)

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        self._requests = self._frames = self._output = -1  # their numbers may be those of other files soon
        if self._process_descriptor >= 0:
            os.close(self._process_descriptor)
            self._process_descriptor = -1


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process ended, without waiting for it: its number must stay its own until its tree was ended."""
    if hasattr(os, "waitid"):  # macOS has it from Python 3.13 on
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return process.poll() is not None
