"""Run a command (the tests) so that it leaves no process and no temporary file behind, even if a signal ends it.

    python -m development.supervision COMMAND …        with the Python of the environment, which has psutil

The command gets a folder of its own for its temporary files. The environment variable TMPDIR holds the folder's name, which also
marks every process that the command starts. The mark finds even a process in a session of its own whose parent has ended.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil

from .processes import Stopped, end, ignore_signals, note, raise_on_signals, start

MARK = "TMPDIR"

FAILED = 1
"""pytest's exit code if a test has failed. In that case, the files of the tests are kept."""

READ_THE_KEYBOARD = {"--pdb", "--trace", "-s", "--capture=no"}
"""Options of pytest with which the tests stay in the terminal's process group: otherwise the system stops them as they read."""

_LOOKS = 50
"""How often to look for processes: a process that was found may have started another one meanwhile."""


def supervise(command: Sequence[str]) -> int:
    """Run the command, and return its exit code, or 128 plus the number of the signal that ended this process.

    A first signal interrupts the command as Ctrl-C does, so that pytest prints its report; a second one kills the command.
    """
    raise_on_signals()
    folder = Path(tempfile.mkdtemp(prefix="microflow-tests-"))
    folder.chmod(0o711)  # tests start commands as other users, who need access to their files
    process, code = None, FAILED
    try:
        group = {"process_group": None} if READ_THE_KEYBOARD.intersection(command) else {}
        process = start(command, {MARK: str(folder), "TEMP": str(folder), "TMP": str(folder)}, **group)
        code = process.wait()
    except Stopped as stopped:
        code = stopped.code
        if process is not None:
            note(f"\nStopping, for {stopped}. A second signal, or Ctrl-C, ends everything at once.")
            end(process, signal.SIGINT, whole_group=True)
    finally:
        ignore_signals()
        end_marked(str(folder))
        if code == FAILED:
            note(f"The temporary files of the tests are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return code


def end_marked(mark: str) -> None:
    """Kill every process that carries this mark."""
    for _ in range(_LOOKS):
        found = [process for process in psutil.process_iter() if _carries(process, mark)]
        for process in found:
            try:
                process.kill()
            except psutil.Error:
                continue  # it has just ended
        if not found:
            return
        psutil.wait_procs(found, timeout=1)


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(MARK) == mark
    except (psutil.Error, OSError):
        return False  # another user's, or one that has just ended


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1:]))
