"""What 200,000 partitions cost: ``python bench/partitions.py [--quick]``."""

from __future__ import annotations

import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from microflow import Job, TimePartitions, create_flow, map_parallel, map_partitions
from microflow.engine.engine import Engine
from microflow.runtime import PartitionArea, PartitionSelection
from microflow.views.partitions import matrix

HOURS = TimePartitions("hourly", start="2004-01-01T00:00", end="2026-10-25T07:00")
FEW = TimePartitions("hourly", start="2025-09-01T00:00", end="2026-10-21T15:00")

flow = create_flow("partitions", timezone="Europe/Berlin")


@flow.task(time_partitions=HOURS)
def long(a: dict[str, Any]) -> dict[str, Any]:
    """One category: 200,000 hours."""
    return {}


@flow.task(time_partitions=FEW, cat_partitions=[f"category_{number:02}" for number in range(20)])
def wide(a: dict[str, Any]) -> dict[str, Any]:
    """Twenty categories: 10,000 hours of each."""
    return {}


@flow.task
def plain(a: dict[str, Any]) -> dict[str, Any]:
    """The same without partitions."""
    return {}


def row(name: str, value: str, goal: str = "") -> None:
    """One line of the table."""
    print(f"{name:<66}{value:>14}   {goal}")


def fill(engine: Engine, job: Job[Any], holes: float) -> None:
    """Executions of most partitions, as the store would have them; ``holes`` is the part that was never executed."""
    chance = random.Random(1)
    grid = engine.partitions.grid(job)
    keys = [(category or "", text or "") for text in grid.times for category in grid.cats if chance.random() >= holes]
    statuses = chance.choices(["success", "error", "skipped"], [90, 8, 2], k=len(keys))
    with engine.store.database.transaction():
        for (category, text), status in zip(keys, statuses, strict=True):
            engine.store.database.execute_text(
                "INSERT OR REPLACE INTO partitions VALUES ('partitions', ?, ?, ?, ?, 0, ?, ?, 1, NULL)",
                (job.name, category, text, status, 1e9, 1e9 + chance.random() * 100),
            )


def measured(what: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Seconds of processor time, the best and the middle of some rounds."""
    times = []
    for _ in range(rounds):
        begin = time.process_time()
        what()
        times.append(time.process_time() - begin)
    return min(times), sorted(times)[rounds // 2]


def milliseconds(found: tuple[float, float]) -> str:
    """The best and the middle."""
    return f"{found[0] * 1e3:.0f} ({found[1] * 1e3:.0f}) ms"


def looks(engine: Engine, job: Job[Any], name: str, rounds: int) -> None:
    """The server's work for one look at everything, and for planning a run."""
    runs = engine.partitions
    cells = sum(map(len, runs.grid(job).lines))

    def answer() -> bytes:
        return msgspec.json.encode(matrix(job, runs.grid(job), is_plain=False))

    def first_answer() -> bytes:
        runs.statuses.__init__(engine.store.database)  # type: ignore[misc]  # it knows nothing any more
        return answer()

    def by_duration() -> bytes:
        grid = runs.grid(job)
        letters = runs.statuses.measured(flow.name, job.name, grid.times, grid.cats, "duration", 2e9)
        return msgspec.json.encode(matrix(job, grid, False, letters, "duration"))

    missing, everything = PartitionSelection(only="missing"), PartitionSelection()
    times = runs.grid(job).times
    areas = [PartitionArea(text, text, None) for text in times[:: len(times) // 3_000]]
    row(f"{name}: the first matrix of {cells:,} cells", milliseconds(measured(first_answer, rounds)), "(100 ms)")
    row(f"{name}: the next one", milliseconds(measured(answer, rounds)), "(100 ms)")
    row(f"{name}: the same, coloured by duration", milliseconds(measured(by_duration, rounds)))
    row(f"{name}: its size", f"{len(answer()):,} bytes")
    row(
        f"{name}: planning what is missing", milliseconds(measured(lambda: runs.plan(job, missing), rounds)), "(500 ms)"
    )
    row(f"{name}: planning everything", milliseconds(measured(lambda: runs.plan(job, everything), rounds)), "(500 ms)")
    picked = PartitionSelection(areas=areas, only="missing_or_failed")
    row(f"{name}: planning {len(areas):,} areas", milliseconds(measured(lambda: runs.plan(job, picked), rounds)))


def launch(engine: Engine) -> None:
    """What the main process grows by when all are launched; some of them run, then they are cancelled."""
    before = resident()
    submitted = engine.submit_partitions(long, PartitionSelection())
    while (progress := engine.progress(submitted.id)) is None or progress.done < 1000:
        time.sleep(0.05)
    row("launching 200,000: the main process grows by", f"{(resident() - before) / 2**20:.1f} MiB", "(50 MB)")
    engine.cancel(submitted.id)
    submitted.future.result()


def resident() -> int:
    """Bytes of memory of this process, at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def rates(count: int) -> None:
    """No-op tasks over partitions, compared with the same over inputs."""
    found: dict[str, list[float]] = {"map_parallel": [], "map_partitions": []}
    times = HOURS.texts("2026-01-01T00:00+01:00", "2026-10-25T07:00+01:00")[:count]

    @flow.manager(name="rates")
    def manager() -> dict[str, Any]:
        map_parallel(plain, ({"i": number} for number in range(200)))
        for _ in range(3):
            for name, call in (
                ("map_parallel", lambda: map_parallel(plain, [{"i": number} for number in range(count)])),
                ("map_partitions", lambda: map_partitions(long, start=times[0], end=times[-1])),
            ):
                begin, wall = time.process_time(), time.perf_counter()
                call()
                found[name] += [(time.process_time() - begin) / count]
                found.setdefault(f"{name} wall", []).append((time.perf_counter() - wall) / count)
        return {}

    assert manager()
    base, ours = min(found["map_parallel"]), min(found["map_partitions"])
    row("map_parallel, main process for each task", f"{base * 1e6:.0f} µs")
    row("map_partitions, main process for each task", f"{ours * 1e6:.0f} µs", f"{ours / base:.2f} x")
    base, ours = min(found["map_parallel wall"]), min(found["map_partitions wall"])
    row("map_parallel, from one task to the next", f"{base * 1e6:.0f} µs")
    row("map_partitions, from one task to the next", f"{ours * 1e6:.0f} µs", f"{ours / base:.2f} x (as map_parallel)")


def main() -> None:
    """Print the table."""
    quick = "--quick" in sys.argv
    rounds = 3 if quick else 7
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine([flow], store=f"sqlite:///{folder}/bench.db")
        engine.start()
        now = datetime.now(UTC).strftime("%Y-%m-%d")
        print(
            f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {now}; processor time, best (middle); goals in brackets\n"
        )
        launch(engine)
        looks(engine, long, "empty", rounds)
        fill(engine, wide, 0.0)
        looks(engine, wide, "20 x 10,000, full", rounds)
        fill(engine, long, 0.1)
        looks(engine, long, "1 x 200,000, with holes", rounds)
        rates(500 if quick else 3000)
        engine.stop()


if __name__ == "__main__":
    main()
