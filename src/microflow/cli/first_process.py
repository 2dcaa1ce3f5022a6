"""Process 1 of a container: a small parent of the process that does the work.

The kernel makes process 1 the parent of every orphan, and an orphan that nobody waits for stays as a zombie. The process that runs
managers can't wait for every child: it would take the exit codes of those that their code has started. So process 1 only waits, and
passes signals on, as ``tini`` and ``docker run --init`` do.
"""

from __future__ import annotations

import os
import sys


def reap_if_first() -> None:
    """Where this is process 1: stay as the parent, and return in a child that goes on. Everywhere else nothing happens."""
    if sys.platform != "win32" and os.getpid() == 1:
        _stay_as_parent()


if sys.platform != "win32":
    import signal
    from contextlib import suppress

    _OWN = {signal.SIGCHLD, signal.SIGTTIN, signal.SIGTTOU}
    """What is not passed on: it is about process 1 itself."""

    def _stay_as_parent() -> None:
        # blocked, every signal waits for ``sigwait``, also those that the kernel would not deliver to process 1 without a handler
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        child = os.fork()
        if child:
            os._exit(_exit_code_of(child))
        _lead_a_group()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _exit_code_of(child: int) -> int:
        """Pass signals on to the child and wait for every process that ends, until the child has ended."""
        while True:
            number = signal.sigwait(signal.valid_signals())
            if number not in _OWN:
                os.kill(child, number)
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == child:
                    code = os.waitstatus_to_exitcode(ended[1])
                    return code if code >= 0 else 128 - code

    def _lead_a_group() -> None:
        """Leave the parent's process group: what is typed at the terminal would come twice, once from the parent."""
        is_foreground = False
        with suppress(OSError):  # there is no terminal
            is_foreground = os.tcgetpgrp(0) == os.getpgrp()
        os.setpgid(0, 0)
        if is_foreground:
            with suppress(OSError):  # it has just been closed
                os.tcsetpgrp(0, os.getpgrp())
