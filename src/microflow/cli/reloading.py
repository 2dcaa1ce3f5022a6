"""``serve --reload``: noticing that a source file changed, and starting this process anew in its own place.

Files are looked at by their times, which works everywhere. The new process has the same number where the system can do that, and
the same port.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, NoReturn

from ..loading import source_files
from ..versions import CodeVersion

LOOK = 0.5
"""Seconds between looks at the files while nothing is served."""

RESTART = 75
"""The exit code by which a process asks the one that waits for it to be started anew; only where there is no exec."""

_VARIABLE = "MICROFLOW_RELOADED"


class Reloaded(NamedTuple):
    """What a process that was started anew is told by the one before it: its port, and the files that it watched."""

    port: int
    files: tuple[Path, ...]


def reloaded() -> Reloaded | None:
    """What the process before this one left; None where there was none. Taken away, so that no job finds it."""
    text = os.environ.pop(_VARIABLE, None)
    if text is None:
        return None
    told = json.loads(text)
    return Reloaded(told["port"], tuple(map(Path, told["files"])))


class Watch:
    """The source files of the modules that are imported, and others that are named; ``changed`` compares their times.

    ``version``: the version of the code that is served, which knows the modules that only workers import.
    """

    def __init__(self, others: Iterable[Path] = ()) -> None:
        self._times = {file: _time_of(file) for file in others}
        self.version: CodeVersion | None = None

    @property
    def files(self) -> list[Path]:
        """What is watched."""
        of_workers = [] if self.version is None else map(Path, self.version.sources.files())
        return list(dict.fromkeys([*self._times, *of_workers]))

    def add_imported(self) -> None:
        """Watch the modules that were imported meanwhile, as they are now."""
        self._times = {file: _time_of(file) for file in source_files()} | self._times

    def changed(self) -> bool:
        """Whether a file has another time than when it was added, or another content than when a worker imported it.

        What was imported meanwhile is added.
        """
        self.add_imported()
        if any(_time_of(file) != time for file, time in self._times.items()):
            return True
        return self.version is not None and bool(self.version.changed())

    def wait(self) -> None:
        """Return when a file has changed."""
        never = threading.Event()
        while not self.changed():
            never.wait(LOOK)


def restart(port: int, files: Iterable[Path]) -> NoReturn:
    """Start this process anew, with the same arguments. Everything that it had open must be closed."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    told = {"port": port, "files": [str(file) for file in files]}
    environment = {**os.environ, _VARIABLE: json.dumps(told)}
    arguments = [sys.executable, *sys.orig_argv[1:]]
    if sys.platform != "win32":
        os.execve(sys.executable, arguments, environment)
    else:
        # Windows has no exec: the first process waits for the ones after it, which end with a code to be started anew
        if os.environ.get(_NESTED):
            sys.exit(RESTART)
        while (code := _code_of_nested(arguments, {**environment, _NESTED: "1"})) == RESTART:
            pass
        sys.exit(code)


_NESTED = "MICROFLOW_RELOADING"

if sys.platform == "win32":
    import signal

    from ..runners.windows_jobs import CREATE_SUSPENDED, contained

    def _code_of_nested(arguments: list[str], environment: dict[str, str]) -> int:
        """Start the server anew and wait for it. It ends with this process, and handles Ctrl-C and Ctrl-Break itself."""
        for number in (signal.SIGINT, signal.SIGBREAK):
            signal.signal(number, lambda *_: None)
        process = subprocess.Popen(arguments, env=environment, creationflags=CREATE_SUSPENDED)
        try:
            job = contained(process.pid)
        except BaseException:
            process.kill()
            raise
        code = process.wait()
        job.close()
        return code


def _time_of(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0  # gone, perhaps only while an editor replaces it
