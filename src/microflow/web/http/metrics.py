"""What Prometheus asks for: its text format (version 0.0.4), written by hand, since a client would cost more than it
saves.

Executions are counted as they end from the first question on, so that a server that nobody asks pays nothing for it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psutil

from ... import __version__
from ...model.results import ExecutionStatus

if TYPE_CHECKING:
    from ...engine.engine import Engine
    from ...model.events import Event
    from .stream import Streams

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FINAL = frozenset(str(status) for status in ExecutionStatus if status.final)

Sample = tuple[Mapping[str, str], float]


class EndedExecutions:
    """How many executions have ended, by flow, job and status, since it first listened."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._lock = threading.Lock()

    def add(self, event: Event) -> None:
        """Take in an event, from any thread."""
        if event.topic == "execution" and event.status in _FINAL:
            with self._lock:
                self._counts[event.flow, event.job, event.status] += 1

    def samples(self) -> list[Sample]:
        """The counts, with their labels."""
        with self._lock:
            counts = sorted(self._counts.items())
        return [({"flow": flow, "job": job, "status": status}, count) for (flow, job, status), count in counts]


class Metrics:
    """The figures of a server."""

    def __init__(self, engine: Engine, streams: Streams) -> None:
        self._engine = engine
        self._streams = streams
        self._process = psutil.Process()
        self._ended = EndedExecutions()
        self._lock = threading.Lock()
        self._listens = False

    def text(self) -> str:
        """All figures, as Prometheus reads them. Raises ``StoreError`` if the store can't be read."""
        with self._lock:
            if not self._listens:
                self._engine.events.subscribe(self._ended.add)
                self._listens = True
        return "".join(self._families())

    def _families(self) -> Iterable[str]:
        yield _family("microflow_info", "gauge", "The version of the server.", [({"version": __version__}, 1)])
        counts = self._engine.store.reading.counts(datetime.now(UTC))
        yield _family("microflow_executions_running", "gauge", "Executions that run now.", [({}, counts.running)])
        yield _family("microflow_executions_queued", "gauge", "Executions that wait to run.", [({}, counts.queued)])
        yield _family(
            "microflow_executions_ended_total",
            "counter",
            "Executions that ended since this was first asked for.",
            self._ended.samples(),
        )
        limits = [
            ({"flow": limit.flow, "limit": limit.name, "key": limit.about}, limit)
            for limit in self._engine.concurrency()
            if limit.kind != "each"
        ]
        yield _family(
            "microflow_limit_slots",
            "gauge",
            "Slots that a limit has.",
            [(labels, limit.limit) for labels, limit in limits],
        )
        yield _family(
            "microflow_limit_held",
            "gauge",
            "Slots that are taken.",
            [(labels, len(limit.holders)) for labels, limit in limits],
        )
        yield _family(
            "microflow_limit_waiting",
            "gauge",
            "Executions that wait for a slot.",
            [(labels, len(limit.waiters)) for labels, limit in limits],
        )
        yield _family("microflow_event_streams", "gauge", "Open streams of events.", [({}, len(self._streams))])
        times = self._process.cpu_times()
        yield _family(
            "process_cpu_seconds_total", "counter", "Processor time of the server.", [({}, times.user + times.system)]
        )
        yield _family(
            "process_resident_memory_bytes", "gauge", "Memory of the server.", [({}, self._process.memory_info().rss)]
        )
        yield _family(
            "process_start_time_seconds",
            "gauge",
            "When the server started, since the epoch.",
            [({}, self._process.create_time())],
        )


def _family(name: str, kind: str, help_text: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n"]
    for labels, value in samples:
        written = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"{name}{f'{{{written}}}' if written else ''} {value}\n")
    return "".join(lines)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
