"""Microflow: a lightweight orchestrator for data pipelines and other automated jobs.

This is the front door: every public name, and nothing else.
"""

# ruff: noqa: E402 - reserved names come first: the working directory may hold a file named queue.py
from .user_code import reserved

reserved.begin()

from .errors import (
    CallError,
    ConflictError,
    DeadlockError,
    DefinitionError,
    DuplicateJobError,
    ExecutionCancelled,
    ExecutionFailed,
    ExecutionSkipped,
    ExecutionTimeout,
    FlowCheckError,
    InputCountError,
    Interrupted,
    JobCallInTaskError,
    LoadError,
    MicroflowError,
    OutsideExecutionError,
    PartitionError,
    PayloadError,
    PayloadTooLarge,
    ScheduleError,
    ServerError,
    Skip,
    StoreError,
    StoreLocked,
    StoreMissing,
    StoreTooNew,
    StoreTooOld,
    StoreUnavailable,
    TaskStopped,
    UnknownNameError,
    UpstreamFailed,
    WorkerDied,
    WrongArgumentError,
)
from .flow import Flow, create_flow
from .jobs import Backoff, Job, Manager, Task
from .model.groups import ConcurrencyGroup
from .model.partitions import TimePartitions
from .model.results import ExecutionError, ExecutionResult, ExecutionStatus, RunStrategy
from .model.schedules import Schedule
from .parallel import map_parallel, map_partitions, run_all, run_dag, run_parallel
from .runtime import current_execution

__version__ = "0.1.0"

__all__ = [
    "Backoff",
    "CallError",
    "ConcurrencyGroup",
    "ConflictError",
    "DeadlockError",
    "DefinitionError",
    "DuplicateJobError",
    "ExecutionCancelled",
    "ExecutionError",
    "ExecutionFailed",
    "ExecutionResult",
    "ExecutionSkipped",
    "ExecutionStatus",
    "ExecutionTimeout",
    "Flow",
    "FlowCheckError",
    "InputCountError",
    "Interrupted",
    "Job",
    "JobCallInTaskError",
    "LoadError",
    "Manager",
    "MicroflowError",
    "OutsideExecutionError",
    "PartitionError",
    "PayloadError",
    "PayloadTooLarge",
    "RunStrategy",
    "Schedule",
    "ScheduleError",
    "ServerError",
    "Skip",
    "StoreError",
    "StoreLocked",
    "StoreMissing",
    "StoreTooNew",
    "StoreTooOld",
    "StoreUnavailable",
    "Task",
    "TaskStopped",
    "TimePartitions",
    "UnknownNameError",
    "UpstreamFailed",
    "WorkerDied",
    "WrongArgumentError",
    "create_flow",
    "current_execution",
    "map_parallel",
    "map_partitions",
    "run_all",
    "run_dag",
    "run_parallel",
]
