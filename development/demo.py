"""Run the example on a server through its REST API, and keep the server running until a signal ends both."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from .processes import ROOT, Failed, end, note, start

GRACE = 2
"""Seconds that running executions have to end when the demo is stopped."""


def demonstrate(microflow: str, port: int) -> int:
    """Serve the example, run it, print the path of its report, wait for the server to end, and return its exit code.

    The server ends when this function ends, even after an exception.
    """
    url = f"http://localhost:{port}"
    command = [microflow, "serve", "-f", "examples/stdlib_report.py:flow", "--grace", str(GRACE)]
    server = start([*command, "--host", "localhost", "--port", str(port)])
    try:
        wait_for(url, server)
        result = execute(url)
        note(f"\n{result['modules']} modules, {result['lines']:,} lines, {result['functions']:,} functions.")
        note(f"The report:  {result['html']}\n             {result['json']}")
        note(f"The server:  {url} (Ctrl-C ends it)")
        return server.wait()
    finally:
        end(server, signal.SIGTERM)


def port_from(arguments: Sequence[str]) -> int:
    """Return the requested port; without one, 3000 if it is free, else another free port."""
    if not arguments:
        with socket.socket() as probe:
            with suppress(OSError):
                probe.bind(("127.0.0.1", 3000))
                return 3000
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])
    if len(arguments) == 2 and arguments[0] == "--port" and arguments[1].isdecimal():
        return int(arguments[1])
    raise Failed(f"dev.py demo takes --port NUMBER, and got {' '.join(arguments)}.")


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Return when the server answers."""
    deadline = time.monotonic() + 30
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            request("GET", f"{url}/api/health")
            return
        time.sleep(0.05)
    raise Failed(f"The server does not answer at {url}; see its output above.")


def execute(url: str) -> dict[str, Any]:
    """Run the example's manager through the REST API, show its progress, and return its output."""
    body = {"inputs": [{"directory": str(ROOT / "report")}]}
    execution = request("POST", f"{url}/api/jobs/stdlib_report/make_report/executions", body)
    shown = ""
    while execution["status"] in ("queued", "running"):
        time.sleep(0.2)
        execution = request("GET", f"{url}/api/executions/{execution['id']}")
        progress = execution.get("progress") or {}
        line = f"{progress.get('done', 0):.0f} of {progress.get('total') or 0:.0f} packages measured"
        if progress and line != shown:
            shown = line
            print(line, end="\r" if sys.stdout.isatty() else "\n", flush=True)
    if execution["status"] != "success":
        raise Failed(f"The example ended with {execution['status']}: {json.dumps(execution.get('error'), indent=2)}")
    output: dict[str, Any] = execution["output"]
    return output


def request(method: str, url: str, body: Any = None) -> Any:
    """Send a request to the REST API, and return the answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=30) as answer:
        return json.load(answer)
