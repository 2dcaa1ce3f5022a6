"""Kill a server again and again, and account for every execution: ``python bench/chaos.py [rounds] [seed]``.

Each round starts a server on the same store in a process of its own, lets it run a mixed load, and ends it at a random moment: by
SIGKILL, or in every third round by SIGTERM without any grace. Whatever it had reported as ended (a line on its output, written
after the call returned) must be in the store just so. What it had running must be ended as interrupted by the next server, or tried
again if it has attempts left. Runs must end with each part of them once, and what had not begun must begin once. No process of a
task may live on, the store must be intact, and no inputs of mappings may be left in it.
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


COUNTS = (
    "started",
    "ended by themselves",
    "interrupted",
    "runs",
    "runs resumed",
    "never tried again",
    "reported as ended",
)
"""What is counted."""

WRONG = (
    "runs that did not succeed",
    "runs not whole",
    "never began",
    "never ran",
    "ran twice",
    "reported and lost",
    "reported and changed",
    "left unfinished",
    "inputs left",
    "orphans",
    "not intact",
)
"""What must not be."""


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


def run_round(store: Path, moment: float, *, kills: bool) -> list[tuple[int, str]]:
    """Start the load, end it after so many seconds of work; what it reported as ended."""
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
    process.kill() if kills else process.terminate()
    process.wait()
    reader.join()
    return reported


def count_runs(connection: sqlite3.Connection) -> Counter[str]:
    """What became of the runs: each ends with each of its parts once; as a success, unless its job is never tried again."""
    found: Counter[str] = Counter()
    query = """SELECT r.job, r.kind, r.status, r.output, r.options, count(c.id), count(DISTINCT c.position), max(c.position) + 1,
        min(c.status), max(c.status), count(DISTINCT c.engine_id) > 1
        FROM executions r LEFT JOIN executions c ON c.parent_id = r.id WHERE r.kind IN ('dag', 'map', 'partitions') GROUP BY r.id"""
    for job, kind, status, output, options, calls, places, end, lowest, highest, again in connection.execute(query):
        expected = 3 if kind == "dag" or job == "once" or "batch_size" in (options or "") else 8
        found["runs"] += 1
        found["runs resumed"] += again or 0
        found["runs not whole"] += not calls == places == end == expected
        if job == "once":
            found["runs not whole"] += sum(json.loads(output).values()) != expected
        else:
            whole = {"n": 2} if kind == "dag" else {"success": expected}
            found["runs that did not succeed"] += status != "success" or json.loads(output) != whole
            found["runs not whole"] += {lowest, highest} != {"success"}
    return found


def count_once(connection: sqlite3.Connection, ran: Counter[int]) -> Counter[str]:
    """What became of the executions that are never tried again: each ran once, also those that an ended server had queued."""
    found: Counter[str] = Counter()
    query = "SELECT id, status, started_at, attempt FROM executions WHERE job = 'once' AND kind = 'task'"
    for number, status, started_at, attempt in connection.execute(query):
        found["never tried again"] += 1
        found["never began"] += started_at is None
        found["ran twice"] += ran[number] > 1 or attempt > 1
        found["never ran"] += status == "success" and ran[number] != 1
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
        for number in range(rounds):
            known.update(run_round(store, chance.uniform(0.0, 1.0), kills=number % 3 != 2))
            deadline = time.monotonic() + ORPHANS_GONE
            while (left := workers()) and time.monotonic() < deadline:
                time.sleep(0.02)
            found["orphans"] += len(left)
            for process in left:
                print("orphan:", process, process.cmdline(), file=sys.stderr)
                process.kill()
        subprocess.run([sys.executable, str(LOAD), str(store), "recover"], check=True, stdout=subprocess.DEVNULL)
        connection = sqlite3.connect(store)
        rows = dict(connection.execute("SELECT id, status FROM executions").fetchall())
        found["reported as ended"] = len(known)
        found["reported and lost"] = sum(number not in rows for number in known)
        found["reported and changed"] = sum(rows.get(number, status) != status for number, status in known.items())
        found["left unfinished"] = sum(status in ("queued", "running") for status in rows.values())
        found |= count_runs(connection)
        found |= count_once(connection, Counter(map(int, Path(f"{store}.ran").read_text().split())))
        found["inputs left"] = connection.execute("SELECT count(*) FROM mappings").fetchone()[0]
        interrupted = connection.execute("SELECT count(*) FROM executions WHERE error LIKE '%\"Interrupted\"%'")
        found["interrupted"] = interrupted.fetchone()[0]
        found["started"] = len(rows)
        found["ended by themselves"] = len(rows) - found["interrupted"]
        found["not intact"] = connection.execute("PRAGMA integrity_check").fetchone()[0] != "ok"
        connection.close()
    print(f"{rounds} rounds, seed {seed}, {os.cpu_count()} cores")
    for name in (*COUNTS, *WRONG):
        print(f"{name:<26}{found[name]:>10,}")
    wrong = sum(found[name] for name in WRONG)
    print(json.dumps({"wrong": wrong, "seed": seed}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
