"""The README's first command: it runs the example and leaves a server up that a browser can look at."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from ..conftest import leave_out


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.skipif(sys.platform == "win32", reason="what Ctrl-C does is told to a whole process group")
def test_the_demo_makes_a_report_and_leaves_the_server_up(root: Path, port: int, tmp_path: Path) -> None:
    if not os.environ.get("CI") and not (Path(sys.prefix) / "microflow-dev.json").exists():
        leave_out("this environment was not made by dev.py, which would now change it")
    variables = {**os.environ, "MICROFLOW_STORE": f"sqlite:///{tmp_path / 'store.db'}"}
    demo = subprocess.Popen(
        [sys.executable, "dev.py", "demo", "--port", str(port)],
        cwd=root,
        env=variables,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with demo:
        try:
            printed = printed_until("The server:", demo)

            assert f"http://localhost:{port}" in printed
            report = Path(re.findall(r"^The report: +(.+\.html)$", printed, re.MULTILINE)[0])
            assert report.parent == root / "report"
            assert json.loads(report.with_suffix(".json").read_text("utf-8"))["modules"] > 300
            assert "stdlib_report" in get(f"http://localhost:{port}/")
            (execution,) = json.loads(get(f"http://localhost:{port}/api/executions?job=make_report"))["items"]
            assert execution["status"] == "success"
        finally:
            os.killpg(demo.pid, signal.SIGINT)  # as a terminal does it
            code = demo.wait(60)
    assert code == 130


def printed_until(beginning: str, process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if line.startswith(beginning):
            break
    return printed


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()
