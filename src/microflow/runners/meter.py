"""CPU seconds and peak memory of one attempt in a worker process, with the processes that it waited for."""

from __future__ import annotations

import sys
import time
from typing import NamedTuple

_RESET_ABOVE = 16 * 1024 * 1024
"""Bytes by which the peak must be over the start's for the kernel's mark to be reset: below that it says nothing of a task."""


class Usage(NamedTuple):
    """What an attempt used: seconds of CPU and the peak of resident memory in bytes."""

    cpu_seconds: float
    peak_memory: int


if sys.platform == "win32":
    import psutil

    class Meter:
        """Measures attempts, one after the other, in this process."""

        def __init__(self) -> None:
            self._process = psutil.Process()
            self._cpu = 0.0

        def start(self) -> None:
            """An attempt begins."""
            self._cpu = time.process_time()

        def stop(self) -> Usage:
            """The attempt ended."""
            return Usage(time.process_time() - self._cpu, int(self._process.memory_info().peak_wset))

        def grown(self) -> int:
            """Bytes of resident memory over those at the start of this process."""
            return 0

else:
    import resource

    _UNIT = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, kilobytes elsewhere

    class Meter:
        """Measures attempts, one after the other, in this process."""

        def __init__(self) -> None:
            self._first_peak = self._peak = self._maximum()
            self._children_peak = 0
            self._cpu = 0.0

        @staticmethod
        def _maximum() -> int:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT

        def start(self) -> None:
            """An attempt begins."""
            if self._peak - self._first_peak > _RESET_ABOVE:
                self._reset()
            children = resource.getrusage(resource.RUSAGE_CHILDREN)
            own = resource.getrusage(resource.RUSAGE_SELF)
            self._cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
            self._children_peak = children.ru_maxrss

        def _reset(self) -> None:
            """Forget the peak of earlier attempts (proc(5), clear_refs); elsewhere than on Linux it is the worker's, not the task's."""
            if sys.platform == "linux":
                try:
                    with open("/proc/self/clear_refs", "w") as file:
                        file.write("5")
                except OSError:
                    return  # a container may forbid it; the figure is then the worker's peak

        def stop(self) -> Usage:
            """The attempt ended."""
            children = resource.getrusage(resource.RUSAGE_CHILDREN)
            own = resource.getrusage(resource.RUSAGE_SELF)
            cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime - self._cpu
            self._peak = own.ru_maxrss * _UNIT
            grown_children = children.ru_maxrss * _UNIT if children.ru_maxrss > self._children_peak else 0
            return Usage(cpu, max(self._peak, grown_children))

        def grown(self) -> int:
            """Bytes of resident memory over those at the start of this process; asked only when the peak says that it may matter."""
            if self._peak - self._first_peak < _RESET_ABOVE:
                return 0
            try:
                with open("/proc/self/statm") as file:
                    return int(file.read().split()[1]) * resource.getpagesize() - self._first_peak
            except OSError:
                return self._peak - self._first_peak
