"""Job objects, by which Windows ends and measures a process together with everything that it starts.

A process that is in a job object cannot leave it, and neither can the processes that it starts. When the last handle of the
object is closed, which the system does for a process that dies, everything in it ends.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import wintypes
from functools import cache

import psutil

assert sys.platform == "win32", "only Windows has job objects"

CREATE_SUSPENDED = 0x00000004
"""The creation flag of a process that runs nothing before it is resumed."""

_PROCESS_TERMINATE = 0x0001
_PROCESS_SET_QUOTA = 0x0100
_BASIC_ACCOUNTING_INFORMATION = 1
_EXTENDED_LIMIT_INFORMATION = 9
_KILL_ON_JOB_CLOSE = 0x2000
_TICKS_PER_SECOND = 10_000_000

_kernel = ctypes.WinDLL("kernel32", use_last_error=True)
_kernel.CreateJobObjectW.restype = wintypes.HANDLE
_kernel.OpenProcess.restype = wintypes.HANDLE


class _Limits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (
        ("per_process_user_time", wintypes.LARGE_INTEGER),
        ("per_job_user_time", wintypes.LARGE_INTEGER),
        ("flags", wintypes.DWORD),
        ("minimum_working_set", ctypes.c_size_t),
        ("maximum_working_set", ctypes.c_size_t),
        ("active_processes", wintypes.DWORD),
        ("affinity", ctypes.c_size_t),
        ("priority_class", wintypes.DWORD),
        ("scheduling_class", wintypes.DWORD),
        ("io_counters", ctypes.c_ulonglong * 6),
        ("process_memory", ctypes.c_size_t),
        ("job_memory", ctypes.c_size_t),
        ("peak_process_memory", ctypes.c_size_t),
        ("peak_job_memory", ctypes.c_size_t),
    )


class _Accounting(ctypes.Structure):
    """JOBOBJECT_BASIC_ACCOUNTING_INFORMATION."""

    _fields_ = (
        ("user_time", wintypes.LARGE_INTEGER),
        ("kernel_time", wintypes.LARGE_INTEGER),
        ("period_user_time", wintypes.LARGE_INTEGER),
        ("period_kernel_time", wintypes.LARGE_INTEGER),
        ("page_faults", wintypes.DWORD),
        ("all_processes", wintypes.DWORD),
        ("active_processes", wintypes.DWORD),
        ("terminated_processes", wintypes.DWORD),
    )


class JobObject:
    """A new job object. ``ends_with_us``: everything in it ends when this process does. Each method may raise ``OSError``."""

    def __init__(self, *, ends_with_us: bool) -> None:
        self._handle = wintypes.HANDLE(_checked(_kernel.CreateJobObjectW(None, None)))
        if ends_with_us:
            limits = _Limits(flags=_KILL_ON_JOB_CLOSE)
            arguments = (_EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits))
            try:
                _checked(_kernel.SetInformationJobObject(self._handle, *arguments))
            except OSError:
                self.close()
                raise

    def add(self, pid: int) -> None:
        """Put a process into it; what that starts from now on is in it too."""
        access = _PROCESS_TERMINATE | _PROCESS_SET_QUOTA
        process = wintypes.HANDLE(_checked(_kernel.OpenProcess(access, False, pid)))
        try:
            _checked(_kernel.AssignProcessToJobObject(self._handle, process))
        finally:
            _kernel.CloseHandle(process)

    def cpu_seconds(self) -> float:
        """Seconds of CPU that everything in it has used, what has ended included."""
        found = self._accounting()
        return float(found.user_time + found.kernel_time) / _TICKS_PER_SECOND

    def count(self) -> int:
        """How many processes in it have not ended."""
        return int(self._accounting().active_processes)

    def _accounting(self) -> _Accounting:
        found = _Accounting()
        arguments = (_BASIC_ACCOUNTING_INFORMATION, ctypes.byref(found), ctypes.sizeof(found), None)
        _checked(_kernel.QueryInformationJobObject(self._handle, *arguments))
        return found

    def end(self) -> None:
        """Kill everything in it."""
        _checked(_kernel.TerminateJobObject(self._handle, 1))

    def close(self) -> None:
        """Let go of it."""
        _kernel.CloseHandle(self._handle)


def contained(pid: int) -> JobObject:
    """Put a process that was created suspended into a new job object, which ends with this process, and let it run.

    Raises ``OSError`` if the system refuses.
    """
    job = JobObject(ends_with_us=True)
    try:
        job.add(pid)  # before it can start anything
        psutil.Process(pid).resume()
    except psutil.Error as error:  # something has ended it by now
        job.close()
        raise OSError(f"it could not be resumed: {error}") from error
    except BaseException:
        job.close()
        raise
    return job


@cache
def own_job() -> JobObject | None:
    """A job object that this process and what it starts from now on are in; None if the system refuses."""
    try:
        job = JobObject(ends_with_us=False)
        job.add(os.getpid())
    except OSError:
        return None
    return job


def _checked(result: int | None) -> int:
    """What a function of Windows returned. Raises ``OSError`` where that says that the function failed."""
    if not result:
        raise ctypes.WinError(ctypes.get_last_error())
    return result
