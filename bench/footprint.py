"""Start times, and what an idle server costs: ``python bench/footprint.py [seconds of idling]``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent))

from contention import free_port
from floor import interleaved, quantile

FLOW = """
from microflow import create_flow

flow = create_flow("idle")


@flow.task
def nothing():
    return {}
"""

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""An installed package has its bytecode; a working tree gets it in the first round, which the median leaves out."""


def command(*words: str) -> None:
    """Run to its end."""
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)


def start(folder: str) -> tuple[subprocess.Popen[bytes], float]:
    """A server that has given its first answer, and the seconds until then."""
    port = free_port()
    begin = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "microflow", "serve", "-f", "idle_flow:flow", "--port", str(port)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        env=ENVIRONMENT,
    )
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read()
            return server, time.perf_counter() - begin
        except OSError:
            if server.poll() is not None:
                sys.exit("the server did not start")
            time.sleep(0.005)


def serve(folder: str) -> float:
    """Seconds from the command to the first page."""
    server, seconds = start(folder)
    server.terminate()
    server.wait()
    return seconds


def main() -> None:
    """Print the table."""
    idle = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "idle_flow.py").write_text(FLOW)
        serves: list[float] = []
        bare, imported, helped, floor, _ = interleaved(
            9,
            lambda: command("-c", "pass"),
            lambda: command("-c", "import microflow"),
            lambda: command("-m", "microflow", "--help"),
            lambda: command("-c", "import starlette, uvicorn, msgspec, jinja2, sqlite3"),
            lambda: serves.append(serve(folder)),
        )
        base = quantile(bare, 0.5)
        print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores; goals in brackets")
        print(f"{'python -c pass':<52}{base * 1e3:8.0f} ms")
        print(
            f"{'import microflow':<52}{quantile(imported, 0.5) * 1e3:8.0f} ms   {quantile(imported, 0.5) / base:.2f} x (5)"
        )
        print(
            f"{'microflow --help':<52}{quantile(helped, 0.5) * 1e3:8.0f} ms   {quantile(helped, 0.5) / base:.2f} x (8)"
        )
        libraries, serving = quantile(floor, 0.5), quantile(serves, 0.5)
        print(f"{'import starlette, uvicorn, msgspec, jinja2, sqlite3':<52}{libraries * 1e3:8.0f} ms")
        print(f"{'microflow serve to the first page':<52}{serving * 1e3:8.0f} ms   {serving / libraries:.2f} x (2.5)")
        server, _ = start(folder)
        process = psutil.Process(server.pid)
        time.sleep(2)
        before = sum(process.cpu_times()[:2])
        time.sleep(idle)
        used = sum(process.cpu_times()[:2]) - before
        family = [process, *process.children(recursive=True)]
        memory = sum(getattr(each.memory_full_info(), "pss", each.memory_info().rss) for each in family)
        server.terminate()
        server.wait()
        print(f"{'idle server: processes':<52}{len(family):8}      (1)")
        print(f"{'idle server: PSS':<52}{memory / 2**20:8.1f} MB   (45)")
        print(f"{f'idle server: CPU in {idle:.0f} s':<52}{used:8.3f} s    (0.05 in 60 s)")


if __name__ == "__main__":
    main()
