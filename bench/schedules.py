"""What schedules and DAGs cost: ``python bench/schedules.py [--quick]``."""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import schedule_jobs
from floor import interleaved, quantile, timed, timed_cpu
from overhead import row

from microflow import create_flow, map_parallel, run_dag
from microflow.engine.engine import Engine
from microflow.engine.execution.call import Call
from microflow.engine.runs.dag import DagRun
from microflow.engine.schedules.scheduler import SchedulerConfig
from microflow.model.events import Event
from microflow.store.filters import Filters

LEAD = SchedulerConfig().ahead + 0.3
"""Seconds before a tick in which time passes as it is, since workers are made ready in them."""
GROUPS = schedule_jobs.GROUPS
SCHEDULES = schedule_jobs.SCHEDULES
LAYERS, WIDTH = 50, 100


class LeapingClock:
    """The real clock, but for leaps over the time in which nothing is due."""

    def __init__(self) -> None:
        self.leaped = 0.0
        self._leap = threading.Condition()

    def now(self) -> float:
        return time.time() + self.leaped

    def monotonic(self) -> float:
        return time.monotonic() + self.leaped

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        deadline = float("inf") if seconds is None else self.now() + seconds
        with self._leap:
            while not event.is_set() and (left := deadline - self.now()) > 0:
                self._leap.wait(min(left, 0.2))  # an end is noticed late, a moment is not
        return event.is_set()

    def leap_to(self, moment: float) -> None:
        """Let the time until then pass at once."""
        with self._leap:
            self.leaped += max(moment - self.now(), 0.0)
            self._leap.notify_all()


def ticks(folder: str, minutes: int) -> None:
    """From a tick to the start of its task, with a thousand schedules due in the same minute."""
    clock = LeapingClock()
    engine = Engine([schedule_jobs.many], store=f"sqlite:///{folder}/ticks.db", clock=clock)
    engine.start()
    engine.scheduler.start()  # a server's engine would do that, and delete old history too
    gc.freeze()  # as a server does
    reading = engine.store.reading
    ended = threading.Semaphore(0)
    claimed, first, firsts, last, begun = [], [], [], [], []

    def count(event: Event) -> None:
        if event.topic == "execution" and event.status in ("success", "error"):
            ended.release()

    engine.events.subscribe(count)
    for number in range(minutes + 1):
        tick = (clock.now() // 60 + 1) * 60
        while clock.now() < tick - LEAD:  # in steps that the loop doesn't take for the sleep of the machine
            clock.leap_to(min(tick - LEAD, clock.now() + 20))
            time.sleep(0.02)
        for _ in range(SCHEDULES):
            ended.acquire()
        found = reading.executions(Filters(flow="many"), SCHEDULES).items
        assert len(found) == SCHEDULES
        assert {execution.scheduled_at.timestamp() for execution in found if execution.scheduled_at} == {tick}
        if number == 0:
            continue  # workers are started, files are read
        delays: dict[int, list[float]] = {}
        for execution in found:
            assert execution.output is not None
            began = json.loads(bytes(execution.output))["at"] + clock.leaped - tick
            delays.setdefault(int(execution.job.removeprefix("job_")) % GROUPS, []).append(began)
        every = [delay for group in delays.values() for delay in group]
        first.append(min(every))
        firsts += [min(group) for group in delays.values()]
        last.append(max(every))
        begun.append(max(execution.queued_at.timestamp() for execution in found) - tick)
        claimed.append(min(execution.started_at.timestamp() for execution in found if execution.started_at) - tick)
    engine.stop()
    row("tick to the first execution's start, p99", f"{quantile(claimed, 0.99) * 1e3:.1f} ms", "(50 ms)")
    row("tick to the first task's first line, median", f"{quantile(first, 0.5) * 1e3:.1f} ms")
    row("tick to the first task's first line, p99", f"{quantile(first, 0.99) * 1e3:.1f} ms", "(50 ms)")
    row(f"tick to the first task of each of {GROUPS} groups, median", f"{quantile(firsts, 0.5) * 1e3:.1f} ms")
    row(f"tick to the first task of each of {GROUPS} groups, p99", f"{quantile(firsts, 0.99) * 1e3:.1f} ms")
    row("tick to the thousandth tick claimed, median", f"{quantile(begun, 0.5) * 1e3:.0f} ms")
    row(
        "tick to the thousandth task's first line, median",
        f"{quantile(last, 0.5) * 1e3:.0f} ms",
        f"{SCHEDULES / quantile(last, 0.5):,.0f} /s",
    )


def idle(folder: str, seconds: float) -> None:
    """What a server takes that waits for a thousand schedules."""
    engine = Engine([schedule_jobs.rare], store=f"sqlite:///{folder}/idle.db", kind="server")
    engine.start()
    time.sleep(1)
    wall, used = time.monotonic(), time.process_time()
    time.sleep(seconds)
    share = (time.process_time() - used) / (time.monotonic() - wall)
    row(f"idle with {SCHEDULES:,} schedules", f"{share:.3%} of a core", "(0.5 %)")
    engine.stop()


def dags(folder: str, rounds: int) -> None:
    """A DAG run against the same calls made by hand."""
    engine = Engine([schedule_jobs.chain, schedule_jobs.fan], store=f"sqlite:///{folder}/dags.db")
    engine.start()
    measured: list[list[list[float]]] = []
    row(f"plan of a DAG of {LAYERS * WIDTH:,} jobs", f"{plan() * 1e3:.0f} ms", "(200 ms)")

    @schedule_jobs.chain.manager(name="compare_chain")
    def compare_chain() -> dict[str, Any]:
        links = [schedule_jobs.chain.jobs[f"link_{number}"] for number in range(schedule_jobs.LINKS)]

        def by_hand() -> None:
            result = links[0]()
            for link in links[1:]:
                result = link(result)

        run_dag(links[-1])
        measured.append(interleaved(rounds, lambda: run_dag(links[-1]), by_hand))
        measured.append(interleaved(rounds, lambda: run_dag(links[-1]), by_hand, measure=timed_cpu))
        return {}

    @schedule_jobs.fan.manager(name="compare_fan")
    def compare_fan() -> dict[str, Any]:
        blades = [schedule_jobs.fan.jobs[f"blade_{number}"] for number in range(schedule_jobs.BLADES)]
        run_dag(*blades)
        one = blades[0]
        measured.append(interleaved(rounds, lambda: run_dag(*blades), lambda: map_parallel(one, ({} for _ in blades))))
        return {}

    assert compare_chain()
    assert compare_fan()
    (dag, hand), (dag_cpu, hand_cpu), (blown, mapped) = [
        [quantile(times, 0.5) for times in found] for found in measured
    ]
    row(
        f"chain of {schedule_jobs.LINKS} no-op tasks as a DAG",
        f"{dag * 1e3:.0f} ms",
        f"{dag / hand:.2f} x the calls by hand (1.3), {dag_cpu / hand_cpu:.2f} x their processor time",
    )
    row(
        f"fan of {schedule_jobs.BLADES:,} no-op tasks as a DAG",
        f"{schedule_jobs.BLADES / blown:,.0f} /s",
        f"{mapped / blown:.0%} of map_parallel (80 %)",
    )
    engine.stop()


def plan() -> float:
    """Seconds until the first job of a large DAG can be begun."""
    wide = create_flow("wide")
    for number in range(LAYERS * WIDTH):
        above = [f"node_{number - WIDTH}", f"node_{(number // WIDTH - 1) * WIDTH + number * 7 % WIDTH}"]
        wide.task(name=f"node_{number}", inputs=list(dict.fromkeys(above)) if number >= WIDTH else None)(lambda *_: {})
    targets = list(wide.jobs.values())[-WIDTH:]
    call = Call(job=targets[0])
    return min(timed(lambda: DagRun(targets, call, lambda count: count).next()) for _ in range(5))


def main() -> None:
    """Print the table."""
    quick = "--quick" in sys.argv
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}; goals in brackets\n")
    with tempfile.TemporaryDirectory() as folder:
        ticks(folder, 5 if quick else 30)
        dags(folder, 3 if quick else 9)
        idle(folder, 5 if quick else 60)


if __name__ == "__main__":
    main()
