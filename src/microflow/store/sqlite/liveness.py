"""Whether the process of an engine is alive: engines are recorded by the number and the start of their process."""

from __future__ import annotations


def is_alive(pid: int, started: float) -> bool:
    """Whether the process of an engine still runs: the same number and the same start, and more than its entry is left."""
    import psutil  # late: commands that only look at a store have no need of it

    try:
        process = psutil.Process(pid)
        # the clock that processes' starts are counted from may be set while one runs
        return abs(process.create_time() - started) < 2.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def own_process() -> tuple[int, float]:
    """The number of this process and its start, by which other processes find out whether it is alive."""
    import psutil  # late, as above

    own = psutil.Process()
    return own.pid, own.create_time()
