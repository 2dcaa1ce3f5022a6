"""A process that is really killed, at one write after the other: what was committed is there, and every tick fires once."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

from microflow.store import open as open_store

SERVE = """
import sys
import psutil
from itertools import count
from microflow import Schedule, create_flow
from microflow.engine.engine import Engine

store, minute, kill_at = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


class Clock:
    now = staticmethod(lambda: 1_800_000_000.0 + 60 * minute)
    monotonic = staticmethod(lambda: 60.0 * minute)
    wait = staticmethod(lambda event, seconds: event.wait(60))


flow = create_flow("shop", timezone="UTC")


@flow.task(schedule=Schedule("* * * * *", catch_up="all"), runner="thread")
def load():
    return {}


engine = Engine([flow], store=store, clock=Clock())
engine.start()
carry_out, numbers = engine.store.database.execute_text, count(1)


def execute(text, values):
    if next(numbers) == kill_at:
        psutil.Process().kill()
    return carry_out(text, values)


engine.store.database.execute_text = execute
engine.scheduler.open(Clock.now())
engine.scheduler.run_once(Clock.now())
engine._resources.live.wait_until_empty(60)
engine.stop()
"""

KILLS = 9
KILLED = 15 if sys.platform == "win32" else -9
"""The exit code of a process that psutil has killed."""


def test_a_server_that_is_killed_again_and_again_fires_every_tick_once(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/store.db"

    def serve(minute: int, kill_at: int) -> int:
        arguments = [sys.executable, "-c", SERVE, store, str(minute), str(kill_at)]
        return subprocess.run(arguments, timeout=60, check=False).returncode

    assert serve(0, 0) == 0
    assert [serve(number, number) for number in range(1, KILLS + 1)] == [KILLED] * KILLS
    assert serve(KILLS + 1, 0) == 0

    with closing(open_store(store, "look")) as found:
        ticks, executions = found.schedules.ticks("shop", "load"), found.reading.executions().items
    first = 1_800_000_000
    assert [tick.at.timestamp() for tick in reversed(ticks)] == [first + 60 * n for n in range(1, KILLS + 2)]
    assert {tick.outcome for tick in ticks} <= {"run", "queued"}
    fired = Counter(execution.scheduled_at for execution in executions)
    assert fired == Counter(tick.at for tick in ticks)
    assert {str(execution.status) for execution in executions} <= {"success", "error"}
    assert {execution.error.type for execution in executions if execution.error is not None} <= {"Interrupted"}
