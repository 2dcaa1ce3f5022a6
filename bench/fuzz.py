"""Cancel, kill and time out at random, and account for every place: ``python bench/fuzz.py [steps] [seed]``.

Each step begins an execution (tasks in warm, fresh and no processes, mappings, managers that share a group with what they call),
cancels a live one, kills a worker process, or lets one end; deadlines pass meanwhile. Now and then, and at the end, all that
lives may end: then no place may be in use, nobody may wait, nothing may be unfinished in the store, and each result must be what
the store says. The exit code is 1 if anything is amiss.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from typing import Any

import psutil

from microflow import (
    ConcurrencyGroup,
    ConflictError,
    ExecutionResult,
    TaskStopped,
    create_flow,
    current_execution,
    map_parallel,
    run_parallel,
)
from microflow.engine.engine import Engine
from microflow.engine.runs.caller import Submitted

PATIENCE = 120.0
"""Seconds after which an execution that has not ended never will."""

AT_ONCE = 40
"""Executions from outside that live at the same time."""

DRAIN = 500
"""Steps after which all that lives may end."""

flow = create_flow("fuzz", max_concurrency=4)
shared = ConcurrencyGroup(3, name="shared")
alone = ConcurrencyGroup(1, name="alone")
customer = ConcurrencyGroup(1, name="customer", key="customer")


@flow.task
def quick(a: dict[str, Any]) -> dict[str, Any]:
    """Nothing."""
    return {}


@flow.task(max_concurrency=[shared, customer])
def works(a: dict[str, Any]) -> dict[str, Any]:
    """Takes a while and prints."""
    print("working")
    time.sleep(a["seconds"])
    return {}


@flow.task(timeout=0.03, retries=1, retry_delay=0.01, max_concurrency=shared)
def late(a: dict[str, Any]) -> dict[str, Any]:
    """Takes longer than it may, half of the time."""
    time.sleep(a["seconds"] * 2)
    return {}


@flow.task(timeout=0.2, max_concurrency=alone, cancel_grace=0.1)
def stubborn(a: dict[str, Any]) -> dict[str, Any]:
    """Ends for no signal that can be ignored, and has a process of its own."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        time.sleep(a["seconds"] * 8)
        process.kill()
    return {}


@flow.task(retries=2, retry_delay=[0, 0.02], max_concurrency=alone)
def dies(a: dict[str, Any]) -> dict[str, Any]:
    """Ends its process, half of the time."""
    if a["seconds"] < 0.02:
        os._exit(3)
    return {}


@flow.task(runner="fresh", timeout=5)
def fresh(a: dict[str, Any]) -> dict[str, Any]:
    """In a process of its own."""
    return {}


@flow.task(runner="thread", max_concurrency=[customer, alone], retries=1, retry_delay=0)
def in_thread(a: dict[str, Any]) -> dict[str, Any]:
    """In the main process; fails half of the time."""
    if a["seconds"] < 0.02:
        raise ValueError("too short")
    return {}


@flow.task(max_concurrency=shared)
def calls(a: dict[str, Any]) -> dict[str, Any]:
    """Ends at once, mostly in our own code: if that is interrupted, frames are broken and the worker dies."""
    for number in range(int(a["seconds"] * 500)):
        current_execution().progress(number)
    flow.context["last"] = a["number"]
    return {}


@flow.task(max_concurrency=shared)
def cleans_up(a: dict[str, Any]) -> dict[str, Any]:
    """Has a file while it works; whoever ends it in order finds none."""
    name = f"{os.environ['FUZZ_FOLDER']}/{current_execution().id}"
    try:
        with open(name, "x"):
            time.sleep(a["seconds"])
    except TaskStopped:
        current_execution().progress(1, 1, "stopped")
        raise
    finally:
        os.remove(name)
    return {}


@flow.task(cancel_grace=0.3)
async def waits(a: dict[str, Any]) -> dict[str, Any]:
    """Does not end when it is asked to, half of the time."""
    while True:
        try:
            await asyncio.sleep(a["seconds"])
        except asyncio.CancelledError:
            if a["seconds"] < 0.02:
                raise
        else:
            return {}


TASKS = (quick, works, late, stubborn, dies, fresh, in_thread, calls, cleans_up, waits)


@flow.manager(max_concurrency=shared, timeout=2)
def maps(a: dict[str, Any]) -> list[ExecutionResult]:
    """A mapping of one job and several others at once, some of which need a place in the group that this one is in."""
    job = TASKS[a["number"] % len(TASKS)]
    results = map_parallel(job, [{**a, "run_key": f"{a['number']}-{number % 3}"} for number in range(4)])
    return results + run_parallel(*((task, a) for task in TASKS[:3]))


@flow.manager(retries=1, retry_delay=0)
def nests(a: dict[str, Any]) -> list[ExecutionResult]:
    """Managers of managers."""
    return run_parallel((maps, a), (maps, a), (quick, a))


class Fuzz:
    """One run: an engine, what was begun in it, and what was found amiss."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine = engine
        self.chance = random.Random(seed)
        self.begun: list[Submitted] = []
        self.acts: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.amiss: list[str] = []

    def run(self, steps: int) -> None:
        """So many steps, and the end of all that lives."""
        for number in range(steps):
            act = self.chance.choices([self.begin, self.cancel, self.kill, self.let_end], [40, 25, 15, 20])[0]
            self.acts[act.__name__] += 1
            act()
            self.look(number)
            if number % DRAIN == DRAIN - 1:
                self.drain(number)
        if steps % DRAIN:
            self.drain(steps - 1)

    def begin(self) -> None:
        """Begin something."""
        if len(self.begun) >= AT_ONCE:
            self.let_end()
        given = {
            "seconds": self.chance.random() * 0.04,
            "customer": self.chance.randrange(3),
            "number": self.chance.randrange(1000),
        }
        kind = self.chance.randrange(11)
        if kind == 10:  # short ones, many of which go to a worker in one line
            self.begun.append(self.engine.submit_map(self.chance.choice([quick, calls]), [given] * 100))
        elif kind == 0:
            self.begun.append(self.engine.submit_map(self.chance.choice(TASKS), [given] * 5, max_concurrency=3))
        else:
            job = self.chance.choice(TASKS) if kind < 7 else self.chance.choice([maps, nests])
            if kind < 3:
                given["run_key"] = str(self.chance.randrange(50))
            self.begun.append(self.engine.submit(job, [given]))

    def cancel(self) -> None:
        """Cancel something that lives, at whatever depth."""
        live = sorted(execution.id for execution in self.engine._resources.live.all())
        if live:
            try:
                self.engine.cancel(self.chance.choice(live))
            except ConflictError:
                self.acts["cancel (too late)"] += 1

    def kill(self) -> None:
        """Kill a worker."""
        workers = list(own_workers())
        if workers:
            try:
                self.chance.choice(workers).kill()
            except psutil.NoSuchProcess:
                self.acts["kill (too late)"] += 1

    def let_end(self) -> None:
        """Wait until something that was begun has ended."""
        ended, _ = wait([one.future for one in self.begun], PATIENCE, FIRST_COMPLETED)
        if self.begun and not ended:
            raise TimeoutError(f"nothing ends any more: {self.engine.concurrency()}")
        self.begun = [one for one in self.begun if one.future not in ended or self.account_for(one)]

    def check_errors(self) -> None:
        """Only a task that was asked to end met a ``TaskStopped``, and a worker died only where it was killed."""
        for job, kind, count in self.engine.store.database.read_text(
            "SELECT job, json_extract(error, '$.type'), count(*) FROM executions WHERE error IS NOT NULL GROUP BY 1, 2"
        ):
            if kind in ("TaskStopped", "CancelledError", "KeyboardInterrupt"):
                self.amiss.append(f"{count} executions of {job} ended as {kind}")
        died = self.engine.store.database.read_text(
            "SELECT count(*) FROM executions WHERE job NOT IN ('dies', 'maps', 'nests') AND kind = 'task'"
            " AND json_extract(error, '$.type') = 'WorkerDied'"
        )[0][0]
        if died > self.acts["kill"]:
            self.amiss.append(f"{died} workers died, and {self.acts['kill']} were killed")

    def account_for(self, one: Submitted) -> None:
        """Compare a result with what the store has of it."""
        result = one.future.result(PATIENCE)
        self.statuses[str(result.status)] += 1
        recorded = self.engine.store.executions.call_of(one.id).status
        if recorded != result.status:
            self.amiss.append(f"execution {one.id} was told as {result.status} and is {recorded}")

    def look(self, number: int) -> None:
        """No limit is exceeded, and nobody holds a place who does not live."""
        resources = self.engine._resources
        with resources.admission._lock:
            for _, limit in resources.limits.all():
                if len(limit.holders) > limit.slots:
                    self.amiss.append(f"step {number}: {limit.describe()} has {len(limit.holders)} holders")
        for state in self.engine.concurrency():
            for holder in state.holders:
                if resources.live.get(holder) is None and self.still_holds(holder, state.name):
                    self.amiss.append(
                        f"step {number}: execution {holder} has ended and holds a place in {state.name!r}"
                    )

    def still_holds(self, execution_id: int, limit: str) -> bool:
        """Whether it does so after it had time to give it back."""
        time.sleep(0.2)
        return any(execution_id in state.holders for state in self.engine.concurrency() if state.name == limit)

    def drain(self, number: int) -> None:
        """All that lives may end: as many places are in use as executions live, none."""
        while self.begun:
            self.let_end()
        if not self.engine._resources.live.wait_until_empty(PATIENCE):
            self.amiss.append(f"step {number}: {len(self.engine._resources.live.all())} executions live on")
        for state in self.engine.concurrency():
            if state.holders or state.waiters:
                self.amiss.append(f"step {number}: {state}")
        unfinished = self.engine.store.database.read_text(
            "SELECT count(*) FROM executions WHERE status IN ('queued', 'running')"
        )[0][0]
        if unfinished:
            self.amiss.append(f"step {number}: {unfinished} executions are unfinished in the store")
        print(
            f"{number + 1} steps: {sum(self.statuses.values())} have ended, {len(self.amiss)} things amiss", flush=True
        )


def own_workers() -> Iterator[psutil.Process]:
    """The worker processes of this run."""
    for process in psutil.Process().children():
        try:
            if "microflow.runners.local.child" in process.cmdline():
                yield process
        except (psutil.Error, OSError):  # the latter on Windows, for one that is just ending
            continue


def main() -> None:
    """Run the steps and print what came of them."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    with tempfile.TemporaryDirectory() as folder:
        files = os.environ["FUZZ_FOLDER"] = f"{folder}/files"
        os.mkdir(files)
        engine = Engine([flow], store=f"sqlite:///{folder}/fuzz.db")
        engine.start()
        fuzz = Fuzz(engine, seed)
        begin = time.monotonic()
        try:
            fuzz.run(steps)
            fuzz.check_errors()
            (rows,) = engine.store.database.read_text("SELECT count(*) FROM executions")[0]
            errors = engine.store.database.read_text(
                "SELECT json_extract(error, '$.type'), count(*) FROM executions WHERE error IS NOT NULL GROUP BY 1 ORDER BY 2 DESC"
            )
        finally:
            engine.stop(grace=0)
        # only where the worker was killed by this program may a file be left
        if len(kept := os.listdir(files)) > fuzz.acts["kill"]:
            fuzz.amiss.append(f"{len(kept)} files are left of tasks that were stopped")
        left = [process.pid for process in psutil.Process().children(recursive=True)]
    print(f"{steps} steps, seed {seed}, {time.monotonic() - begin:.0f} s: {dict(fuzz.acts)}")
    print(f"{rows} executions; those from outside ended as {dict(fuzz.statuses)}; errors: {dict(errors)}")
    print(f"processes left: {len(left)}")
    for line in fuzz.amiss[:20]:
        print("AMISS", line)
    print(f"{len(fuzz.amiss)} things amiss")
    sys.exit(1 if fuzz.amiss or left else 0)


if __name__ == "__main__":
    main()
