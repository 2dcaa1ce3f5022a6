"""Kill -9 an engine again and again, and account for every execution: ``python bench/chaos.py [rounds] [seed]``.

Each round starts an engine on the same store in a process of its own, lets it run a mixed load, and kills it at a random moment.
Whatever it had reported as ended (a line on its output, written after the call returned) must be in the store just so; whatever it
had running must be ended as interrupted by the next engine, or gone on with if it is a run whose jobs have attempts left, each part
of it once; no process of a task may live on; the store must be intact.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil

LOAD = Path(__file__).with_name("chaos_load.py")
ORPHANS_GONE = 2.0
"""Seconds after which no process of a task may live on."""


MARK = "MICROFLOW_CHAOS"
"""The variable by which this run's own processes are told apart from others on the machine."""


def workers() -> list[psutil.Process]:
    """Every process that a task of this run started, and the workers themselves."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            if "MICROFLOW_WORKER" in environment and environment.get(MARK) == str(os.getpid()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def run_round(store: Path, moment: float) -> list[tuple[int, str]]:
    """Start the load, kill it after so many seconds of work; what it reported as ended."""
    environment = {**os.environ, MARK: str(os.getpid())}
    process = subprocess.Popen(
        [sys.executable, str(LOAD), str(store)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout
    reported: list[tuple[int, str]] = []
    started = threading.Event()

    def read() -> None:
        assert process.stdout
        for line in process.stdout:
            started.set()
            if line.startswith("ended ") and line.endswith("\n"):  # not cut by the kill
                _, number, status = line.split()
                reported.append((int(number), status))

    reader = threading.Thread(target=read)
    reader.start()
    started.wait(60)
    time.sleep(moment)
    process.kill()
    process.wait()
    reader.join()
    return reported


def count_runs(connection: sqlite3.Connection) -> Counter[str]:
    """What became of the DAG runs and the runs over partitions: each ends as a success, and has each of its parts once."""
    found: Counter[str] = Counter()
    query = """SELECT r.kind, r.status, r.output, r.options, count(c.id), count(DISTINCT c.position), max(c.position) + 1,
        min(c.status), max(c.status), max(c.attempt) > 1
        FROM executions r LEFT JOIN executions c ON c.parent_id = r.id WHERE r.kind IN ('dag', 'partitions') GROUP BY r.id"""
    for kind, status, output, options, calls, places, end, lowest, highest, again in connection.execute(query):
        expected = 3 if kind == "dag" or "batch_size" in options else 8
        whole = {"n": 2} if kind == "dag" else {"success": expected}
        found["runs"] += 1
        found["runs gone on with"] += again or 0
        found["runs that did not succeed"] += status != "success" or json.loads(output) != whole
        found["runs not whole"] += not calls == places == end == expected or {lowest, highest} != {"success"}
    return found


def main() -> None:
    """Run the rounds and print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    chance = random.Random(seed)
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store.db"
        known: dict[int, str] = {}
        for _ in range(rounds):
            known.update(run_round(store, chance.uniform(0.0, 1.0)))
            deadline = time.monotonic() + ORPHANS_GONE
            while (left := workers()) and time.monotonic() < deadline:
                time.sleep(0.02)
            found["orphans"] += len(left)
            for process in left:
                process.kill()
        subprocess.run([sys.executable, str(LOAD), str(store), "recover"], check=True, stdout=subprocess.DEVNULL)
        connection = sqlite3.connect(store)
        rows = dict(connection.execute("SELECT id, status FROM executions").fetchall())
        found["reported as ended"] = len(known)
        found["reported and lost"] = sum(number not in rows for number in known)
        found["reported and changed"] = sum(rows.get(number, status) != status for number, status in known.items())
        found["left unfinished"] = sum(status in ("queued", "running") for status in rows.values())
        found |= count_runs(connection)
        interrupted = connection.execute("SELECT count(*) FROM executions WHERE error LIKE '%\"Interrupted\"%'")
        found["interrupted"] = interrupted.fetchone()[0]
        found["started"] = len(rows)
        found["ended by themselves"] = len(rows) - found["interrupted"]
        found["not intact"] = connection.execute("PRAGMA integrity_check").fetchone()[0] != "ok"
        connection.close()
    print(f"{rounds} rounds, seed {seed}, {os.cpu_count()} cores")
    for name in (
        "started",
        "ended by themselves",
        "interrupted",
        "runs",
        "runs gone on with",
        "runs that did not succeed",
        "runs not whole",
        "reported as ended",
        "reported and lost",
        "reported and changed",
        "left unfinished",
        "orphans",
        "not intact",
    ):
        print(f"{name:<24}{found[name]:>10,}")
    wrong = sum(
        found[name]
        for name in (
            "runs that did not succeed",
            "runs not whole",
            "reported and lost",
            "reported and changed",
            "left unfinished",
            "orphans",
            "not intact",
        )
    )
    print(json.dumps({"wrong": wrong, "seed": seed}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
