"""CPU seconds and peak memory of one attempt in a worker process, with the processes that it waited for."""

from __future__ import annotations

import os
import sys
import time
from typing import NamedTuple


class Usage(NamedTuple):
    """What an attempt used: seconds of CPU and the peak of resident memory in bytes."""

    cpu_seconds: float
    peak_memory: int


if sys.platform == "win32":
    import psutil

    from ...windows_jobs import own_job

    class Meter:
        """Measures attempts, one after the other, in this process.

        A job object counts the CPU time of the processes that an attempt started, whether it waited for them or not. Windows
        cannot forget a peak of memory, so an attempt has the peak of all attempts up to it.
        """

        def __init__(self) -> None:
            self._process = psutil.Process()
            self._first = self._resident = self._process.memory_info().rss
            self._job = own_job()  # without one, this process alone is measured
            self._own = self._all = 0.0

        def start(self) -> None:
            """An attempt starts."""
            self._own, self._all = time.process_time(), self._cpu_of_all()

        def stop(self) -> Usage:
            """The attempt ended."""
            own, of_all = time.process_time() - self._own, self._cpu_of_all() - self._all
            memory = self._process.memory_info()
            self._resident = memory.rss
            # the two clocks tick apart, so the sum may lag behind this process's own time
            return Usage(max(own, of_all), int(memory.peak_wset))

        def grown(self) -> int:
            """Bytes of resident memory over those at the start of this process."""
            return self._resident - self._first

        def _cpu_of_all(self) -> float:
            return 0.0 if self._job is None else self._job.cpu_seconds()

else:
    import resource

    class Meter:
        """Measures attempts, one after the other, in this process.

        To ask for the peak of memory takes longer than all else that is done around a small task. But no memory becomes
        resident without a page fault, and those the kernel counts: an attempt without any had the peak that was there before.
        """

        def __init__(self) -> None:
            self._memory = _memory()
            self._first = self._resident = self._memory.resident()
            self._faults = -1
            self._children = resource.getrusage(resource.RUSAGE_CHILDREN)
            self._cpu = 0.0

        def start(self) -> None:
            """An attempt starts."""
            self._cpu = time.process_time()

        def stop(self) -> Usage:
            """The attempt ended."""
            cpu = time.process_time() - self._cpu
            own = resource.getrusage(resource.RUSAGE_SELF)
            peak = self._resident
            if own.ru_minflt + own.ru_majflt != self._faults:
                peak = self._memory.peak()
                self._memory.forget_peak()
                self._resident = self._memory.resident()
                # asked for again, since looking may have faulted too
                own = resource.getrusage(resource.RUSAGE_SELF)
                self._faults = own.ru_minflt + own.ru_majflt
            before, after = self._children, resource.getrusage(resource.RUSAGE_CHILDREN)
            if after.ru_utime + after.ru_stime != before.ru_utime + before.ru_stime:
                self._children = after
                cpu += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                if after.ru_maxrss > before.ru_maxrss:
                    peak = max(peak, after.ru_maxrss * _UNIT)
            return Usage(cpu, peak)

        def grown(self) -> int:
            """Bytes of resident memory over those at the start of this process."""
            return self._resident - self._first

    _UNIT = 1 if sys.platform == "darwin" else 1024
    """What ``ru_maxrss`` counts in, see getrusage(2): bytes on macOS, kilobytes elsewhere."""

    class _UsageMemory:
        """Where there is no /proc: the peak is that of the whole process, and stands for what is resident too."""

        def forget_peak(self) -> None:
            """The system can't."""

        def peak(self) -> int:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT

        resident = peak

    class _ProcMemory:
        """Linux: the kernel keeps the peak and forgets it when told to (proc(5), VmHWM and clear_refs).

        ``ru_maxrss`` would not do: a process takes it over from the one that started it.
        """

        def __init__(self) -> None:
            self._status = os.open("/proc/self/status", os.O_RDONLY)
            self._clear = os.open("/proc/self/clear_refs", os.O_WRONLY)

        def forget_peak(self) -> None:
            os.pwrite(self._clear, b"5", 0)

        def _bytes(self, name: bytes) -> int:
            _, _, rest = os.pread(self._status, 4096, 0).partition(name)
            return int(rest[: rest.index(b"kB")]) * 1024

        def peak(self) -> int:
            return self._bytes(b"VmHWM:")

        def resident(self) -> int:
            return self._bytes(b"VmRSS:")

    def _memory() -> _ProcMemory | _UsageMemory:
        try:
            return _ProcMemory()
        except OSError:
            return _UsageMemory()  # macOS, or a container that hides /proc
