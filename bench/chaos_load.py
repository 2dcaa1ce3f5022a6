"""The load that ``chaos.py`` kills: tasks that sleep, work, start processes and have children of their own, as fast as they go.

Beside them go DAG runs, mappings and runs over partitions, whose jobs have attempts left whenever they are killed, and executions
that wait for one place and have no attempts but the first.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from microflow import ConflictError, ExecutionResult, create_flow, current_execution, map_parallel
from microflow.engine.engine import Engine
from microflow.runtime import PartitionSelection

OFTEN = 1_000_000
"""More attempts than there are kills."""

RAN = "MICROFLOW_CHAOS_RAN"
"""The variable that names the file in which executions note that they ran."""

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


@flow.task(retries=OFTEN)
def mapped(a: dict[str, Any]) -> dict[str, Any]:
    """One of a mapping's inputs."""
    time.sleep(0.01)
    return {}


@flow.task(max_concurrency=1)
def once(a: dict[str, Any]) -> dict[str, Any]:
    """Waits for its turn, and is never tried again."""
    with open(os.environ[RAN], "a") as file:
        file.write(f"{current_execution().id}\n")
    time.sleep(0.02)
    return {}


def report(number: int, result: ExecutionResult) -> None:
    """Report what has ended; what a server that stops leaves to the next one has not."""
    if result.error is None or result.error.type != "Interrupted":
        print(f"ended {number} {result.status}\n", end="", flush=True)


def begin_runs(engine: Engine) -> None:
    """Begin one run of each kind, and some executions that wait for one another."""
    begun = [
        engine.submit_map(mapped, [{"n": number, "text": "x" * 20_000} for number in range(8)]),
        engine.submit_map(once, [{"n": number} for number in range(3)]),
        *(engine.submit(once, [{"n": number}]) for number in range(5)),
        engine.submit(last, with_inputs=True),
        engine.submit_partitions(part, PartitionSelection(), batch_size=3, max_concurrency=2),
        engine.submit_partitions(part, PartitionSelection(order="desc")),
    ]
    for run in begun:
        run.future.add_done_callback(lambda future, number=run.id: report(number, future.result()))


def stop_when(told: threading.Event, engine: Engine) -> None:
    """End as a server does that is told to end, and gives nothing any time."""
    told.wait()
    engine.stop(grace=0)
    os._exit(0)


def main() -> None:
    """Run until killed; with ``recover``, only clear up after those that were, and go on with their runs."""
    os.environ[RAN] = f"{sys.argv[1]}.ran"
    engine = Engine([flow], kind="server")
    engine.start()
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    threading.Thread(target=stop_when, args=(told, engine), daemon=True).start()
    if "recover" not in sys.argv:
        print("started", flush=True)
        number = 0
        with suppress(ConflictError):  # it is told to end
            while not told.is_set():
                if not engine._resources.live.all():  # those before have ended, also those of servers before
                    begin_runs(engine)
                result = mixed({"round": number})
                print("ended", result.execution_id, result.status, flush=True)
                number += 1
        threading.Event().wait()  # until the other thread has stopped the server
    engine._resources.live.wait_until_empty(600)
    while engine._mappings._inputs.delete_ended():  # at the end, since a server deletes them a few at a time
        pass
    engine.stop()


if __name__ == "__main__":
    main()
