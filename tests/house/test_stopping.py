"""dev.py, told to stop by any signal, to itself alone or to its whole group: it ends, and nothing that it started is left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ..conftest import PATIENCE, leave_out

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals that ask a process to end")

MARK = "MARK_OF_A_TEST"

SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"]

HANGING = """
import os, subprocess, sys, tempfile, time
from pathlib import Path
from microflow import create_flow
from microflow.engine.engine import Engine

flow = create_flow("hanging")

@flow.task
def hang(request):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    Path(request["file"]).touch()
    time.sleep(600)

def test_that_hangs(tmp_path):
    tempfile.mkdtemp()
    # a process whose parent has ended, in a session of its own
    code = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True)"
    subprocess.run([sys.executable, "-c", code, sys.executable, "-c", "import time; time.sleep(600)"], check=True)
    engine = Engine([flow], store=f"sqlite:///{tmp_path}/store.db")
    engine.start()
    engine.submit(flow.jobs["hang"], [{"file": os.environ["READY"]}]).future.result()
"""


class Dev:
    """A command of dev.py as a terminal starts it: in a session of its own. ``left`` is what it has left behind."""

    def __init__(self, root: Path, folder: Path, *arguments: str, **variables: str) -> None:
        self._mark = uuid.uuid4().hex
        self.temporary = folder / "temporary"
        self.temporary.mkdir(exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "MICROFLOW_"))}
        self._output = folder / "output"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "dev.py", *arguments],
                cwd=root,
                env={**kept, MARK: self._mark, "TMPDIR": str(self.temporary), **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def printed(self) -> str:
        return self._output.read_text("utf-8", "replace")

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self._process.poll() is None, self.printed
            assert time.monotonic() < deadline, self.printed
            time.sleep(0.02)

    def signal(self, name: str, *, whole_group: bool = False) -> None:
        (os.killpg if whole_group else os.kill)(self._process.pid, signal.Signals[name])

    def wait(self) -> int:
        """Its exit code."""
        return self._process.wait(PATIENCE)

    def stop(self, name: str, *, whole_group: bool) -> int:
        """Send it a signal; its exit code."""
        self.signal(name, whole_group=whole_group)
        return self.wait()

    def processes(self) -> list[str]:
        """The processes that carry its mark."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(f"{process.pid} {' '.join(process.cmdline())}")
            except psutil.Error:
                continue  # another user's, or one that has just ended
        return found

    def end(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE)
        for found in self.processes():
            os.kill(int(found.split()[0]), signal.SIGKILL)


@pytest.fixture
def dev_py(root: Path, tmp_path: Path) -> Iterator[Callable[..., Dev]]:
    if not os.environ.get("CI") and not (Path(sys.prefix) / "microflow-dev.json").exists():
        leave_out("this environment was not made by dev.py, which would now change it")
    started: list[Dev] = []

    def start(*arguments: str, **variables: str) -> Dev:
        started.append(Dev(root, tmp_path, *arguments, **variables))
        return started[-1]

    yield start
    for dev in started:
        dev.end()


@pytest.mark.parametrize("whole_group", [False, True], ids=["alone", "group"])
@pytest.mark.parametrize("name", SIGNALS)
def test_a_demo_that_is_stopped_leaves_no_process(
    dev_py: Callable[..., Dev], tmp_path: Path, name: str, whole_group: bool
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    demo = dev_py("demo", "--port", str(port), MICROFLOW_STORE=f"sqlite:///{tmp_path}/store.db")
    demo.until(lambda: "packages measured" in demo.printed)
    assert len(demo.processes()) > 2  # itself, the server, a worker

    code = demo.stop(name, whole_group=whole_group)

    assert code == 128 + signal.Signals[name]
    assert demo.processes() == []
    assert list(demo.temporary.iterdir()) == []
    assert "Traceback" not in demo.printed


@pytest.mark.parametrize("whole_group", [False, True], ids=["alone", "group"])
@pytest.mark.parametrize("name", SIGNALS)
def test_tests_that_are_stopped_leave_no_process_and_no_file(
    dev_py: Callable[..., Dev], root: Path, tmp_path: Path, name: str, whole_group: bool
) -> None:
    file, ready = tmp_path / "test_hanging.py", tmp_path / "ready"
    file.write_text(HANGING, "utf-8")
    options = ["--rootdir", str(root), "-c", str(root / "pyproject.toml"), "-p", "no:cacheprovider", "-n", "1"]
    tests = dev_py("test", str(file), *options, READY=str(ready))
    tests.until(ready.exists)
    assert len(tests.processes()) > 5  # supervision, pytest, its worker, a task's worker, two that hang by themselves

    code = tests.stop(name, whole_group=whole_group)

    assert code == 128 + signal.Signals[name]
    assert tests.processes() == []
    assert list(tests.temporary.iterdir()) == []


def test_a_second_signal_ends_tests_that_do_not_end(dev_py: Callable[..., Dev], root: Path, tmp_path: Path) -> None:
    file, ready = tmp_path / "test_stubborn.py", tmp_path / "ready"
    file.write_text(
        "import os, signal, time\nfrom pathlib import Path\n\ndef test_that_ignores_everything():\n"
        "    signal.signal(signal.SIGINT, signal.SIG_IGN)\n    Path(os.environ['READY']).touch()\n    time.sleep(600)\n",
        "utf-8",
    )
    options = ["--rootdir", str(root), "-c", str(root / "pyproject.toml"), "-p", "no:cacheprovider", "-n", "0"]
    tests = dev_py("test", str(file), *options, READY=str(ready))
    tests.until(ready.exists)

    tests.signal("SIGTERM")
    tests.until(lambda: "Stopping, for SIGTERM" in tests.printed)
    tests.signal("SIGINT")

    assert tests.wait() == 128 + signal.SIGTERM
    assert tests.processes() == []


def test_tests_that_end_by_themselves_have_their_own_exit_code_and_keep_files_only_where_one_failed(
    dev_py: Callable[..., Any], root: Path, tmp_path: Path
) -> None:
    file = tmp_path / "test_it.py"
    file.write_text("import os\n\ndef test_it(tmp_path):\n    assert not os.environ.get('WRONG')\n", "utf-8")
    options = ["--rootdir", str(root), "-c", str(root / "pyproject.toml"), "-p", "no:cacheprovider", "-n", "0"]

    right = dev_py("test", str(file), *options)
    assert right.wait() == 0
    assert list(right.temporary.iterdir()) == []
    wrong = dev_py("test", str(file), *options, WRONG="1")
    assert wrong.wait() == 1
    (kept,) = wrong.temporary.iterdir()
    assert str(kept) in wrong.printed.splitlines()[-1]
