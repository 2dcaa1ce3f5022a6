"""The jobs that the benchmarks run."""

from __future__ import annotations

from typing import Any

from microflow import create_flow, map_parallel

flow = create_flow("bench")


@flow.task
def noop(a: dict[str, Any]) -> dict[str, Any]:
    """Nothing."""
    return {}


def fib(n: int) -> int:
    """The slow way on purpose."""
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@flow.task
def fibonacci(a: dict[str, Any]) -> dict[str, Any]:
    """The usual work of comparisons between workflow engines."""
    return {"value": fib(a["n"])}


@flow.manager
def fan_out(a: dict[str, Any]) -> dict[str, Any]:
    """Many no-op tasks at the same time, from a list."""
    results = map_parallel(noop, [{"i": i} for i in range(a["count"])])
    return {"successes": sum(map(bool, results))}


@flow.manager
def generated(a: dict[str, Any]) -> dict[str, Any]:
    """The same from a generator, which is asked for one at a time."""
    results = map_parallel(noop, ({"i": i} for i in range(a["count"])))
    return {"successes": sum(map(bool, results))}
