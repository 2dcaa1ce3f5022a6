"""The load that ``chaos.py`` kills: tasks that sleep, work, start processes and have children of their own, as fast as they go.

Beside them go DAG runs and runs over partitions, whose jobs have attempts left whenever they are killed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from microflow import ExecutionResult, create_flow, map_parallel
from microflow.engine.engine import Engine
from microflow.runtime import PartitionSelection

OFTEN = 1_000_000
"""More attempts than there are kills."""
flow = create_flow("chaos", store=f"sqlite:///{sys.argv[1]}" if len(sys.argv) > 1 else None)


@flow.task
def quick(a: dict[str, Any]) -> dict[str, Any]:
    """Nothing."""
    return a


@flow.task
def prints(a: dict[str, Any]) -> dict[str, Any]:
    """Some output."""
    for i in range(50):
        print("line", i)
    return {}


@flow.task
def with_process(a: dict[str, Any]) -> dict[str, Any]:
    """A process in a session of its own, which nobody else would end."""
    process = subprocess.Popen(
        ["sleep", "600"] if sys.platform != "win32" else ["timeout", "600"], start_new_session=True
    )
    time.sleep(0.05)
    process.kill()
    process.wait()
    return {}


@flow.task(retries=1, retry_delay=0.01)
def flaky(a: dict[str, Any]) -> dict[str, Any]:
    """Fails half of the time."""
    if a["i"] % 2:
        raise ValueError("odd")
    return {}


@flow.manager
def mixed(a: dict[str, Any]) -> list[ExecutionResult]:
    """A bit of everything."""
    results = map_parallel(quick, ({"i": i, "run_key": f"{a['round']}-{i % 7}"} for i in range(10)))
    results += [prints({}), with_process({}), flaky({"i": a["round"]})]
    for result in results:
        print("ended", result.execution_id, result.status, file=sys.__stdout__, flush=True)
    return results


@flow.task(retries=OFTEN)
def first() -> dict[str, Any]:
    """The beginning of a DAG run."""
    time.sleep(0.02)
    return {"n": 1}


@flow.manager(inputs=[first], retries=OFTEN)
def middle(a: dict[str, Any]) -> ExecutionResult:
    """Calls a task, anew after each kill."""
    return quick(a)


@flow.task(inputs=[first, middle], retries=OFTEN)
def last(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """What it gets shows whether results come through a kill."""
    time.sleep(0.02)
    return {"n": a["n"] + b["n"]}


@flow.task(cat_partitions=list("abcdefgh"), retries=OFTEN)
def part(a: dict[str, Any]) -> dict[str, Any]:
    """One partition."""
    time.sleep(0.01)
    return {}


def begin_runs(engine: Engine) -> None:
    """Begin one run of each kind."""
    begun = [
        engine.submit(last, with_inputs=True),
        engine.submit_partitions(part, PartitionSelection(), batch_size=3, max_concurrency=2),
        engine.submit_partitions(part, PartitionSelection(order="desc")),
    ]
    for run in begun:
        run.future.add_done_callback(
            lambda future, number=run.id: print(f"ended {number} {future.result().status}\n", end="", flush=True)
        )


def main() -> None:
    """Run until killed; with ``recover``, only clear up after those that were, and go on with their runs."""
    engine = Engine([flow], kind="server")
    engine.start()
    if "recover" not in sys.argv:
        print("started", flush=True)
        number = 0
        while True:
            if not engine._resources.live.all():  # those before have ended, also those of servers before
                begin_runs(engine)
            result = mixed({"round": number})
            print("ended", result.execution_id, result.status, flush=True)
            number += 1
    engine.stop(grace=600)


if __name__ == "__main__":
    main()
