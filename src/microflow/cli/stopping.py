"""How a server ends: it takes no new work, waits for what runs, ends what is left, and says why.

The first wish to end begins it, the second ends what is left at once. Event streams and waiting requests go on meanwhile, so that
pages show how the rest ends; then they are let go.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..engine.engine import Engine

_REASONS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
if sys.platform == "win32":
    _REASONS[signal.SIGBREAK] = "Ctrl-Break"


ANNOUNCE_AFTER = 0.3
"""Seconds after which a server that waits for what runs says so."""


class Stopping:
    """The end of one server. ``done`` is set, in the event loop, when the engine has stopped.

    ``say`` prints a line, ``hurry`` is called when somebody can't wait. ``reason`` is why it ends ("" as long as it does not),
    ``ended`` whether all that ran had ended by itself, ``hurried`` whether somebody could not wait for that.
    """

    def __init__(
        self, engine: Engine, grace: float, say: Callable[[str], None], hurry: Callable[[], None] = lambda: None
    ) -> None:
        self._engine = engine
        self._grace = grace
        self._say = say
        self._hurry = hurry
        self._loop = asyncio.get_running_loop()
        self.done = asyncio.Event()
        self.reason = ""
        self.ended = False
        self.hurried = False
        self.failure: BaseException | None = None

    def begin(self, reason: str) -> None:
        """Begin to end, or hurry if that has begun; called in the event loop."""
        if self.reason:
            self.reason, self.hurried = reason, True
            self._engine.hurry()
            self._hurry()
            return
        self.reason = reason
        self._loop.call_later(ANNOUNCE_AFTER, self._announce)
        # a daemon: where the process must end before the engine does, nothing waits for it
        threading.Thread(target=self._stop, name="stopping", daemon=True).start()

    def _announce(self) -> None:
        if not self.done.is_set():
            self._say(
                f"Stopping ({self.reason}): no new work is taken, and what runs has {self._grace:g} s to end. "
                "Ctrl-C again ends it at once."
            )

    def _stop(self) -> None:
        try:
            self.ended = self._engine.stop(grace=self._grace, reason=self.reason)
        except BaseException as error:  # noqa: BLE001 - raised again where the server is run
            self.failure = error
        finally:
            self._loop.call_soon_threadsafe(self.done.set)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """While this lasts, SIGTERM, Ctrl-C and the like begin the end."""
        before = {number: signal.getsignal(number) for number in _REASONS}
        for number, reason in _REASONS.items():
            self._listen(number, reason)
        try:
            yield
        finally:
            for number, handler in before.items():
                if sys.platform != "win32":
                    self._loop.remove_signal_handler(number)
                signal.signal(number, handler)

    def _listen(self, number: signal.Signals, reason: str) -> None:
        if sys.platform != "win32":
            self._loop.add_signal_handler(number, self.begin, reason)
            return

        def tell(_number: int, _frame: FrameType | None) -> None:
            self._loop.call_soon_threadsafe(self.begin, reason)

        signal.signal(number, tell)
