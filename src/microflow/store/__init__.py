"""The store: what Microflow knows of executions, partitions and schedules, behind one door.

``open`` gives a ``Store``, whose attributes are its parts. Above this package only the door and its value modules are imported:
``rows`` and ``views`` (values), ``filters``, ``options`` and ``copying``. The URL alone decides which kind of store it is.
"""

from __future__ import annotations

import os
from typing import Literal, overload

from ..errors import StoreUnavailable
from ..model.events import EventBus
from ..model.stores import url_mistake
from .copying import KEEP_COPY, Copying
from .engines import Engines
from .executions import Executions
from .logs import LOG_CAP, LogReader, Logs, LogWriter
from .mappings import MappingInputs
from .partitions import PartitionStatuses
from .parts import Store, StoreView
from .reading import MAXIMUM_DEPTH, MAXIMUM_NODES, Reading
from .resumed_runs import EndedCall, LastCall, ResumedRuns
from .retention import Retention
from .schedules import ScheduleHistory, Schedules

__all__ = [
    "LOG_CAP",
    "MAXIMUM_DEPTH",
    "MAXIMUM_NODES",
    "EndedCall",
    "Engines",
    "Executions",
    "LastCall",
    "LogReader",
    "LogWriter",
    "Logs",
    "MappingInputs",
    "PartitionStatuses",
    "Reading",
    "ResumedRuns",
    "Retention",
    "ScheduleHistory",
    "Schedules",
    "Store",
    "StoreView",
    "default_url",
    "open",
]


def default_url() -> str:
    """The store of a flow that names none: ``MICROFLOW_STORE``, else a file under ``.microflow/`` in the working directory."""
    return os.environ.get("MICROFLOW_STORE") or "sqlite:///.microflow/store.db"


@overload
def open(url: str, access: Literal["look"]) -> StoreView: ...  # noqa: A001


@overload
def open(  # noqa: A001
    url: str,
    access: Literal["make", "change"] = "make",
    *,
    events: EventBus | None = None,
    copying: Copying = KEEP_COPY,
) -> Store: ...


def open(  # noqa: A001 - it is what one does with a store
    url: str,
    access: Literal["make", "change", "look"] = "make",
    *,
    events: EventBus | None = None,
    copying: Copying = KEEP_COPY,
) -> StoreView:
    """The store of this URL, open until its ``close``.

    ``access``: "make" creates the store if there is none, and "change" does not; both bring its schema up to date. "look" changes
    nothing at all: not the schema, and no file is made beside the store; the last two schemas are read as they are.

    Changes are published on ``events``. ``copying`` is about the copy of the store that is kept before a migration rewrites it.

    Raises ``StoreUnavailable`` if it can't be opened, ``StoreMissing`` ("change", "look") if there is none, ``StoreTooNew`` for a
    schema of a newer Microflow, ``StoreTooOld`` ("look") for one that must be brought up to date first, ``StoreLocked`` while an
    engine of another version is at work on a store that has to be migrated.
    """
    if mistake := url_mistake(url):
        raise StoreUnavailable(f"The store {url!r} can't be opened: {mistake}")
    from .sqlite import opening  # late: only the kind of store that a URL names is loaded

    if access == "look":
        return opening.open_to_look(url)
    return opening.open_to_write(url, events or EventBus(), copying, must_exist=access == "change")
