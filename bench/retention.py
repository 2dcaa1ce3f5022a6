"""What forgetting costs those who write meanwhile: ``python bench/retention.py [executions] [--prune]``.

A store of a million executions (attempts, run keys, partitions, ticks and some logs too), most of them older than what is kept.
One thread opens and ends executions all the time, first alone (the floor), then while the old ones are deleted: step by step as a
server does it, or with ``--prune`` by ``microflow prune`` in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

from floor import quantile

from microflow.engine.background.housekeeping import Housekeeping, HousekeepingConfig
from microflow.model.clock import SystemClock
from microflow.model.results import ExecutionStatus
from microflow.store import Executions, Reading, Retention, Store
from microflow.store import open as open_store
from microflow.store.filters import Filters
from microflow.store.rows import Ending, Opening

DAY = 86_400.0
KEEP = 90 * DAY
LOG_OF_EVERY = 20

FILL = """
INSERT INTO executions (id, flow, job, kind, status, trigger, parent_id, root_id, position, inputs, output, error, run_key,
    time_partition, cat_partition, attempt, queued_at, started_at, ended_at, cpu_seconds, peak_memory, engine_id)
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :count)
SELECT n, 'shop', 'job_' || (n % 20), CASE WHEN n % 10 = 1 THEN 'manager' ELSE 'task' END,
    CASE n % 25 WHEN 3 THEN 'error' WHEN 4 THEN 'skipped' ELSE 'success' END, 'call',
    CASE WHEN n % 10 = 1 THEN NULL ELSE n - (n + 9) % 10 END, CASE WHEN n % 10 = 1 THEN NULL ELSE n - (n + 9) % 10 END, n % 10,
    '[{"customer":' || n || ',"name":"a name of some length"}]', '{"rows":' || n || ',"file":"a/path/to/what/was/made"}',
    CASE n % 25 WHEN 3 THEN '{"type":"ValueError","message":"no","traceback":"' || printf('%.1000c', 'x') || '"}' END,
    CASE WHEN n % 50 = 7 THEN 'key ' || (n % 100000) END,
    CASE WHEN n % 20 = 5 THEN date(1700000000 + n / 20 * 3600, 'unixepoch') END,
    CASE WHEN n % 20 = 5 THEN 'category ' || (n % 7) END,
    1, :first + n * :step, :first + n * :step, :first + n * :step + 1, 0.01, 30000000, 1
FROM number
"""

MORE = """
INSERT INTO attempts SELECT id, 1, 'error', started_at, ended_at, error FROM executions WHERE status = 'error';
INSERT OR REPLACE INTO run_keys SELECT flow, job, run_key, id, output FROM executions WHERE run_key IS NOT NULL;
INSERT OR REPLACE INTO partitions SELECT flow, job, cat_partition, time_partition, status, id, started_at, ended_at, 1, NULL
    FROM executions WHERE time_partition IS NOT NULL;
INSERT INTO ticks SELECT 'shop', 'schedule ' || (id % 100), queued_at, 'run', NULL, id, 1, queued_at, queued_at
    FROM executions WHERE id % 5 = 0;
"""


def fill(path: Path, count: int, now: float) -> None:
    """A year of history: three quarters of it are older than what is kept."""
    with closing(open_store(f"sqlite:///{path}")) as store:
        database, logs, first = store.database, store.logs, now - 4 * KEEP
        with database.transaction():
            database.execute_text(FILL, {"count": count, "first": first, "step": 4 * KEEP / count})
            for statement in MORE.split(";")[:-1]:
                database.execute_text(statement, ())
        for number in range(1, count + 1, LOG_OF_EVERY):
            log = logs.open(number)
            log.append(b"what the job printed\n" * 10)
            log.close()


class Writer:
    """Opens and ends executions all the time, in a thread, and knows how long each write took."""

    def __init__(self, executions: Executions) -> None:
        self._executions = executions
        self._stop = threading.Event()
        self._times: list[float] = []
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def _write(self) -> None:
        number = 0
        while not self._stop.wait(0.001):
            number += 1
            new = Opening(
                flow="shop",
                job=f"job_{number % 20}",
                kind="task",
                trigger="call",
                inputs=b'[{"customer":1,"name":"a name of some length"}]',
                run_key=f"new {number}" if number % 50 == 0 else None,
            )
            begin = time.perf_counter()
            opened = self._executions.open(new, time.time())
            between = time.perf_counter()
            ending = Ending(status=ExecutionStatus.SUCCESS, output=b'{"rows":1}', run_key=new.run_key)
            self._executions.finish(opened, ending, time.time())
            self._times += (between - begin, time.perf_counter() - between)

    def stop(self) -> list[float]:
        """Seconds that each write took."""
        self._stop.set()
        self._thread.join()
        return self._times


def row(name: str, times: list[float]) -> None:
    """One line of the table."""
    figures = "  ".join(f"{quantile(times, part) * 1e3:8.2f}" for part in (0.5, 0.99, 0.999))
    long = sum(seconds > 0.05 for seconds in times)
    print(f"{name:<44}{len(times):>9,}  {figures}  {max(times) * 1e3:8.2f}  {long:>6}")


def look(reading: Reading, name: str, filters: Filters) -> None:
    """How long one page of a list takes."""
    begin = time.perf_counter()
    found = len(reading.executions(filters).items)
    print(f"list by {name:<36}{found:>9,}  {(time.perf_counter() - begin) * 1e3:8.2f} ms")


def forget(retention: Retention) -> tuple[int, float]:
    """One whole round of a server's housekeeping: how many steps it took, and the longest."""
    config, waits, longest, steps = HousekeepingConfig(keep=KEEP), 0.0, 0.0, 0
    housekeeping = Housekeeping(config, retention, SystemClock())
    now = time.time()
    while waits != config.rest:
        begin = time.perf_counter()
        waits = housekeeping.run_once(now)
        longest, steps = max(longest, time.perf_counter() - begin), steps + 1
        time.sleep(0.002)  # a server rests longer: this one is to be done soon
    return steps, longest


def main() -> None:
    """Run and print the table."""
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdecimal()]
    count = numbers[0] if numbers else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path, now = Path(folder, "store.db"), time.time()
        fill(path, count, now)
        with closing(open_store(f"sqlite:///{path}")) as store:
            reading, executions = store.reading, store.executions
            look(reading, "run_key", Filters(run_key="key 57"))
            look(reading, "time_partition", Filters(time_partition="2023-11-20"))
            look(reading, "cat_partition", Filters(cat_partition="category 3"))
            look(reading, "cat_partition, none of it", Filters(cat_partition="category 33"))
            look(reading, "run_key of a job", Filters(flow="shop", job="job_7", run_key="key 57"))
            store.engines.register("local", now)
            print(f"{'ms':<44}{'writes':>9}  {'median':>8}  {'p99':>8}  {'p99.9':>8}  {'longest':>8}  {'> 50':>6}")
            writer = Writer(executions)
            time.sleep(20)
            row("alone", writer.stop())
            writer, begin, before = Writer(executions), time.perf_counter(), remaining(store)
            if "--prune" in sys.argv:
                command = [
                    sys.executable,
                    "-m",
                    "microflow",
                    "prune",
                    "--older-than",
                    "90d",
                    "--store",
                    f"sqlite:///{path}",
                ]
                subprocess.run(command, check=True)
                said = "by microflow prune"
            else:
                steps, longest = forget(store.retention)
                said = f"in {steps:,} steps, the longest {longest * 1e3:.1f} ms"
            took = time.perf_counter() - begin
            times = writer.stop()
            row("while old history is deleted", times)
            deleted = before - remaining(store) + len(times) // 2
            print(f"{deleted:,} executions deleted in {took:.1f} s {said}")
            print(f"ticks left: {store.database.read_text('SELECT count(*) FROM ticks')[0][0]:,}")


def remaining(store: Store) -> int:
    """How many executions there are."""
    return int(store.database.read_text("SELECT count(*) FROM executions")[0][0])


if __name__ == "__main__":
    main()
