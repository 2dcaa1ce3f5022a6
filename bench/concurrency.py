"""Limits and waiting: ``python bench/concurrency.py``."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parent))

from floor import quantile

from microflow import ConcurrencyGroup, create_flow, map_parallel
from microflow.engine.engine import Engine

flow = create_flow("concurrency_bench", max_concurrency=2)
single = ConcurrencyGroup(1, name="single")
gate = threading.Event()


@flow.task(max_concurrency=single)
def ten_milliseconds(a: dict[str, Any]) -> dict[str, Any]:
    """Sleeps, and says when it began and ended."""
    begin = time.time()
    time.sleep(0.01)
    return {"begin": begin, "end": time.time()}


@flow.task
def noop(a: dict[str, Any]) -> dict[str, Any]:
    """Nothing."""
    return {}


@flow.task(runner="thread", max_concurrency=ConcurrencyGroup(1, name="held"))
def held(a: dict[str, Any]) -> dict[str, Any]:
    """Holds its place until the gate opens."""
    gate.wait()
    return {}


@flow.manager
def limit_of_one(a: dict[str, Any]) -> dict[str, Any]:
    """500 tasks of 10 ms behind a limit of one."""
    begin = time.perf_counter()
    results = map_parallel(ten_milliseconds, ({"i": i} for i in range(500)))
    took = time.perf_counter() - begin
    spans = sorted((result["begin"], result["end"]) for result in results)
    gaps = [later[0] - earlier[1] for earlier, later in pairwise(spans)]
    return {"took": took, "worked": sum(end - start for start, end in spans), "gap": quantile(gaps, 0.99)}


@flow.manager
def ten_thousand(a: dict[str, Any]) -> dict[str, Any]:
    """10,000 no-op tasks."""
    return {"done": sum(map(bool, map_parallel(noop, ({"i": i} for i in range(10_000)))))}


def main() -> None:
    """Print the table."""
    own = psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine([flow], store=f"sqlite:///{folder}/bench.db")
        engine.start()
        noop({})
        found = limit_of_one({})
        ratio = found["took"] / 5.0
        print(f"limit of one, 500 tasks of 10 ms: {found['took']:.2f} s, {ratio:.3f} x 5 s (1.15);")
        print(
            f"   {found['took'] / found['worked']:.3f} x what the tasks themselves took; gap p99 {found['gap'] * 1e3:.2f} ms (5)"
        )
        ten_thousand({})
        before = own.memory_info().rss
        ten_thousand({})
        print(f"10,000 no-op tasks: the main process grows by {(own.memory_info().rss - before) / 2**20:.1f} MB (20)")
        futures = [held.submit({"i": i}) for i in range(1000)]
        used = sum(own.cpu_times()[:2])
        time.sleep(5)
        used = sum(own.cpu_times()[:2]) - used
        print(f"1,000 waiting executions: {used * 1e3:.0f} ms of CPU in 5 s (0), {own.num_threads()} threads")
        gate.set()
        for future in futures:
            future.result()
        engine.stop()


if __name__ == "__main__":
    main()
