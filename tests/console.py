"""Windows: types Ctrl-C (0) or Ctrl-Break (1) at the console of a process: ``python console.py PID EVENT``.

Such an event comes from a process of the same console and goes to all of them, so this must be a process of its own.
"""

from __future__ import annotations

import ctypes
import sys
import threading

assert sys.platform == "win32"


def main(pid: int, event: int) -> None:
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    arrived = threading.Event()
    take = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint32)(lambda _event: [arrived.set(), 1][1])
    handler = take if event else None  # None ignores Ctrl-C, and that alone
    kernel.FreeConsole()
    if not kernel.AttachConsole(pid):
        raise ctypes.WinError(ctypes.get_last_error())
    if not (kernel.SetConsoleCtrlHandler(handler, True) and kernel.GenerateConsoleCtrlEvent(event, 0)):
        raise ctypes.WinError(ctypes.get_last_error())
    if event:
        arrived.wait(60)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
