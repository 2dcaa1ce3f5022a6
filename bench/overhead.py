"""What a task costs on top of its work: ``python bench/overhead.py [--quick]``."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from floor import Floor, interleaved, quantile, timed
from jobs import fan_out, fib, fibonacci, flow, generated, noop

from microflow.engine.engine import Engine


def nothing() -> dict[str, object]:
    """What the pool of the standard library runs."""
    return {}


def row(name: str, value: str, ratio: str = "") -> None:
    """One line of the table."""
    print(f"{name:<58}{value:>16}   {ratio}")


def sequential(floor: Floor, pool: ProcessPoolExecutor, rounds: int) -> None:
    """No-op tasks, one after the other, from a manager."""
    times: list[list[float]] = []

    @flow.manager(name="sequential")
    def manager() -> dict[str, object]:
        for _ in range(100):
            noop({"i": 0})
            floor.task()
            pool.submit(nothing).result()
        times.extend(interleaved(rounds, floor.task, lambda: noop({"i": 1}), lambda: pool.submit(nothing).result()))
        return {}

    assert manager()
    floors, ours, pools = times
    base, middle = quantile(floors, 0.5), quantile(ours, 0.5)
    row("floor: two commits and a round trip, median", f"{base * 1e6:.0f} µs")
    row("no-op task from a manager, median", f"{middle * 1e6:.0f} µs", f"{middle / base:.2f} x floor (3)")
    late = quantile(ours, 0.95)
    row(
        "no-op task from a manager, p95",
        f"{late * 1e6:.0f} µs",
        f"{late / quantile(floors, 0.95):.2f} x floor's p95, {late / base:.2f} x its median (5)",
    )
    other = quantile(pools, 0.5)
    row(
        "ProcessPoolExecutor.submit(noop).result(), median",
        f"{other * 1e6:.0f} µs",
        f"ours is {middle / other:.2f} x (1)",
    )


def fanned_out(floor: Floor, pool: ProcessPoolExecutor, count: int) -> None:
    """Many no-op tasks at once."""

    def through_pool() -> None:
        for future in [pool.submit(nothing) for _ in range(count)]:
            future.result()

    fan_out({"count": 200})
    pools, ours, others, feeds = interleaved(
        5,
        through_pool,
        lambda: fan_out({"count": count}),
        lambda: generated({"count": count}),
        lambda: floor.feed(count),
    )
    pool_rate, our_rate, other_rate, feed_rate = (
        count / quantile(times, 0.5) for times in (pools, ours, others, feeds)
    )
    row(f"ProcessPoolExecutor, {count} no-ops", f"{pool_rate:,.0f} /s")
    row("bare loop: two pipes, two commits a task", f"{feed_rate:,.0f} /s")
    row(
        f"map_parallel, {count} no-op tasks",
        f"{our_rate:,.0f} /s",
        f"{our_rate / pool_rate:.0%} of the pool (70 %), {our_rate / feed_rate:.0%} of the loop (70 %)",
    )
    row("the same from a generator", f"{other_rate:,.0f} /s", f"{other_rate / pool_rate:.0%} of the pool")


def fibonaccis() -> None:
    """Forty short tasks and ten long ones, sequentially from one manager."""
    measured: dict[str, float] = {}

    @flow.manager(name="forty_and_ten")
    def manager() -> dict[str, object]:
        fibonacci({"n": 10})
        bare_short = timed(lambda: [fib(10) for _ in range(40)])
        measured["short"] = timed(lambda: [fibonacci({"n": 10}) for _ in range(40)]) - bare_short
        pairs = interleaved(10, lambda: fib(33), lambda: fibonacci({"n": 33}))
        measured["bare"], measured["tasks"] = sum(pairs[0]), sum(pairs[1])
        return {}

    assert manager()
    row("forty fibonacci(10): overhead in all", f"{measured['short'] * 1e3:.1f} ms", "(40 ms)")
    row(
        "ten fibonacci(33)",
        f"{measured['tasks']:.2f} s",
        f"{measured['tasks'] / measured['bare']:.3f} x the bare calls (1.03)",
    )


def main() -> None:
    """Print the table."""
    quick = "--quick" in sys.argv
    with tempfile.TemporaryDirectory() as folder:
        floor = Floor(Path(folder))
        engine = Engine([flow], store=f"sqlite:///{folder}/bench.db")
        engine.start()
        print(
            f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}; goals in brackets\n"
        )
        with ProcessPoolExecutor(2) as pool:
            sequential(floor, pool, 300 if quick else 3000)
            fanned_out(floor, pool, 2000 if quick else 10_000)
        if not quick:
            fibonaccis()
        engine.stop()
        floor.stop()


if __name__ == "__main__":
    main()
