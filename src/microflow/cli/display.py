"""What is seen while a job runs: its log as it is written, and how far it is; all on standard error.

On a terminal progress is a bar below the log; elsewhere it is a plain line now and then. Standard output is left to the result.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from ..views.formats import number

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

SECONDS_BETWEEN_LINES = 5.0
"""How long progress that is less than a tenth more waits for its line."""


HELD_BACK = 64 * 1024
"""Characters of an unfinished line that wait for its end while there is a bar; a longer line is shown in pieces."""


class Step(NamedTuple):
    """How far something is: ``done`` of ``total`` (None: not known)."""

    done: float
    total: float | None = None
    message: str | None = None

    def __str__(self) -> str:
        text = number(self.done)
        if self.total:
            text += f" of {number(self.total)} ({100 * self.done / self.total:.0f}%)"
        return f"progress: {text}{f', {self.message}' if self.message else ''}"


def is_worth_a_line(last: Step | None, step: Step, seconds: float) -> bool:
    """Whether progress gets a line where there is no bar; ``seconds`` have passed since the last one."""
    if last is None or step == last:
        return last is None
    if step.total and last.total == step.total:
        tenths = int(10 * step.done / step.total) - int(10 * last.done / step.total)
        return tenths != 0 or step.done >= step.total or seconds >= SECONDS_BETWEEN_LINES
    return seconds >= SECONDS_BETWEEN_LINES


def open_display() -> Display:
    """The display that fits what standard error is."""
    return TerminalDisplay() if sys.stderr is not None and sys.stderr.isatty() else Display()


class Display:
    """Where standard error is no terminal. ``log`` may be called by any thread."""

    def __init__(self) -> None:
        # taken now: while a manager runs, the name sys.stderr stands for the log of whoever prints
        self._stream: IO[str] | None = sys.stderr
        self._lock = threading.Lock()
        self._last: Step | None = None
        self._last_at = 0.0
        self._broken = False

    def log(self, data: bytes) -> None:
        """A job printed this."""
        with self._lock:
            self._write(data.decode("utf-8", "replace"))

    def step(self, step: Step) -> None:
        """The job is so far now."""
        now = time.monotonic()
        if is_worth_a_line(self._last, step, now - self._last_at):
            self._last, self._last_at = step, now
            self.say(str(step))

    def say(self, text: str) -> None:
        """A line of the command itself."""
        with self._lock:
            self._write(f"{text}\n")

    def close(self) -> None:
        """Nothing more comes."""

    def _write(self, text: str) -> None:
        if self._broken or self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._broken = True  # whoever read it has gone; the job goes on, and the store has its log


class TerminalDisplay(Display):
    """A bar that stays below the log, from the first progress on."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._rest: list[str] = []
        self._held_back = 0

    def step(self, step: Step) -> None:
        """Move the bar."""
        if self._bar is None:
            self._show_bar()
        assert self._bar is not None
        assert self._task is not None
        self._bar.update(self._task, completed=step.done, total=step.total, description=step.message or "")

    def close(self) -> None:
        """Take the bar away, and what it held back of the log's last line with it."""
        with self._lock:
            if self._bar is not None:
                self._bar.stop()
                self._bar = None
            if self._rest:
                super()._write(f"{self._whole_rest()}\n")

    def _show_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns: list[Any] = [
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
        ]
        bar = Progress(*columns, console=Console(file=self._stream), transient=True, redirect_stdout=False)
        with self._lock:
            self._task = bar.add_task("", total=None)
            bar.start()
            self._bar = bar

    def _write(self, text: str) -> None:
        """Whole lines go above the bar; the beginning of one waits for its end, or until it is long."""
        if self._bar is None:
            super()._write(text)
            return
        whole, newline, rest = text.rpartition("\n")
        if newline:
            self._bar.console.out(self._whole_rest() + whole, highlight=False)
        if rest:
            self._rest.append(rest)
            self._held_back += len(rest)
        if self._held_back > HELD_BACK:
            self._bar.console.out(self._whole_rest(), highlight=False)

    def _whole_rest(self) -> str:
        """What was held back; from now on nothing is."""
        text = "".join(self._rest)
        self._rest, self._held_back = [], 0
        return text
