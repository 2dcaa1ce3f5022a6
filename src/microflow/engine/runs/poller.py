"""What a thread that looks after many attempts waits for: their workers' pipes, and calls of other threads."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from ...model.clock import longest_wait


class Watchable(Protocol):
    """What the poller needs of ``runners.base.Started``."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What becomes readable when it has something to report; empty where it calls instead."""
        ...

    def on_ready(self, callback: Callable[[], None]) -> None:
        """Call this whenever it has something to report."""
        ...


class Poller:
    """Waits until a watched attempt can be advanced or somebody calls. Only ``call`` and ``wake`` may be used by other threads."""

    def __init__(self) -> None:
        self._calls: deque[Callable[[], None]] = deque()
        self._watched: dict[int, Any] = {}
        self._forgotten: set[int] = set()
        self._calling: set[Watchable] = set()  # watched attempts without descriptors
        self._ready: deque[Watchable] = deque()  # those of them that have called
        self._closed = False
        if sys.platform == "win32":
            self._bell = threading.Event()
        else:
            self._poll = select.poll()
            self._reading, self._writing = os.pipe()
            os.set_blocking(self._reading, False)
            os.set_blocking(self._writing, False)
            self._poll.register(self._reading, select.POLLIN)
        self._guard = threading.Lock()

    def watch(self, attempt: Watchable) -> None:
        """Wait for this attempt, too."""
        if not attempt.descriptors:
            self._calling.add(attempt)
            attempt.on_ready(partial(self._called_by, attempt))
        if sys.platform != "win32":
            for descriptor in attempt.descriptors:
                if descriptor not in self._watched:
                    self._poll.register(descriptor, select.POLLIN)
                self._watched[descriptor] = attempt

    def _called_by(self, attempt: Watchable) -> None:
        self._ready.append(attempt)
        self.wake()

    def forget(self, attempt: Watchable) -> None:
        """It is over. Its descriptors stay registered until the next wait: another attempt in its worker may be watched by then."""
        self._calling.discard(attempt)
        if sys.platform != "win32":
            for descriptor in attempt.descriptors:
                self._watched[descriptor] = None
                self._forgotten.add(descriptor)

    def _let_go(self) -> None:
        """Poll nothing that nobody watches: its number may be that of another file by now, which a poll would keep open."""
        if sys.platform != "win32":
            for descriptor in self._forgotten:
                if self._watched[descriptor] is None:
                    del self._watched[descriptor]
                    self._poll.unregister(descriptor)
            self._forgotten.clear()

    def call(self, function: Callable[[], None]) -> None:
        """Have this called by the waiting thread."""
        self._calls.append(function)
        self.wake()

    def wake(self) -> None:
        """Let the waiting thread look around."""
        with self._guard:
            if self._closed:
                return
            if sys.platform == "win32":
                self._bell.set()
            else:
                try:
                    os.write(self._writing, b"!")
                except BlockingIOError:
                    return  # it has been woken thousands of times and has not looked yet: it will

    def wait(self) -> list[Any]:
        """Wait, for a while; the attempts that have something to report. What others asked to be called has been called by then."""
        ready: dict[Any, None] = {}  # a set that keeps the order
        seconds = longest_wait()
        if sys.platform == "win32":
            self._bell.wait(seconds)
            self._bell.clear()
        else:
            self._let_go()
            for descriptor, _ in self._poll.poll(None if seconds is None else 1000 * seconds):
                if descriptor == self._reading:
                    os.read(self._reading, 4096)
                else:
                    ready[self._watched[descriptor]] = None
        while self._ready:
            if (attempt := self._ready.popleft()) in self._calling:
                ready[attempt] = None
        while self._calls:
            self._calls.popleft()()
        return list(ready)

    def close(self) -> None:
        """Wait no more."""
        with self._guard:
            self._closed = True
            if sys.platform != "win32":
                os.close(self._reading)
                os.close(self._writing)
