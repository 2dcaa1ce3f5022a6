"""Many writers and many readers on one store: ``python bench/contention.py``.

64 managers of 50 tasks each run in a server while 20 clients poll its pages and its API. Nobody may see an error, above all no
"database is locked"; the table says how long requests took meanwhile.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from floor import quantile

FLOW = """
from microflow import create_flow, map_parallel

flow = create_flow("contention")


@flow.task
def small(a):
    print("line", a["i"])
    return {"i": a["i"]}


@flow.manager
def fifty(a):
    return {"done": sum(map(bool, map_parallel(small, [{"i": i} for i in range(50)])))}
"""

MANAGERS, CLIENTS = 64, 20
PATHS = [
    "/",
    "/executions",
    "/jobs/contention/fifty",
    "/api/executions",
    "/api/executions?status=running",
    "/api/concurrency",
    "/metrics",
]


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Run and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "contention_flow.py").write_text(FLOW)
        port = free_port()
        server = subprocess.Popen(
            [sys.executable, "-m", "microflow", "serve", "-f", "contention_flow:flow", "--port", str(port)],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert server.stdout
        server.stdout.readline()
        lines: list[str] = []
        threading.Thread(target=lambda: lines.extend(server.stdout or []), daemon=True).start()
        base = f"http://127.0.0.1:{port}"
        times: dict[str, list[float]] = {path: [] for path in PATHS}
        seen: Counter[str] = Counter()
        stop = threading.Event()

        def poll(number: int) -> None:
            turn = number
            while not stop.is_set():
                path = PATHS[turn % len(PATHS)]
                begin = time.perf_counter()
                try:
                    with urllib.request.urlopen(base + path, timeout=60) as answer:
                        body = answer.read()
                        seen[str(answer.status)] += 1
                except urllib.error.HTTPError as error:
                    body = error.read()
                    seen[str(error.code)] += 1
                seen["database is locked"] += b"is locked" in body
                times[path].append(time.perf_counter() - begin)
                turn += 1
                stop.wait(0.05)

        clients = [threading.Thread(target=poll, args=(number,)) for number in range(CLIENTS)]
        begin = time.perf_counter()
        for client in clients:
            client.start()
        ended: Counter[str] = Counter()

        def manager() -> None:
            request = urllib.request.Request(
                base + "/api/jobs/contention/fifty/executions",
                data=b'{"inputs": [{}], "wait": 600}',
                headers={"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=660) as answer:
                ended["success" if b'"done":50' in answer.read().replace(b" ", b"") else "other"] += 1

        managers = [threading.Thread(target=manager) for _ in range(MANAGERS)]
        for thread in managers:
            thread.start()
        for thread in managers:
            thread.join()
        took = time.perf_counter() - begin
        stop.set()
        for client in clients:
            client.join()
        server.terminate()
        server.wait(60)
        locked = seen["database is locked"] + sum("is locked" in line for line in lines)
        print(f"{os.cpu_count()} cores; {MANAGERS} managers of 50 tasks in {took:.1f} s; managers ended: {dict(ended)}")
        print(
            f'requests: { {name: count for name, count in seen.items() if name.isdigit()} }; "database is locked": {locked}'
        )
        for path, measured in times.items():
            print(
                f"{path:<36} p50 {quantile(measured, 0.5) * 1e3:7.1f} ms   p99 {quantile(measured, 0.99) * 1e3:7.1f} ms"
            )
        sys.exit(1 if locked or set(ended) != {"success"} else 0)


if __name__ == "__main__":
    main()
