"""The load that ``chaos.py`` kills: tasks that sleep, work, start processes and have children of their own, as fast as they go."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from microflow import ExecutionResult, create_flow, map_parallel
from microflow.engine.engine import Engine

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


def main() -> None:
    """Run until killed; with ``recover``, only clear up after those that were."""
    engine = Engine([flow], kind="server")
    engine.start()
    if "recover" not in sys.argv:
        print("started", flush=True)
        number = 0
        while True:
            result = mixed({"round": number})
            print("ended", result.execution_id, result.status, flush=True)
            number += 1
    engine.stop()


if __name__ == "__main__":
    main()
