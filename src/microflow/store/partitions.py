"""What became of a job's partitions."""

from __future__ import annotations

from ..model.partitions import PartitionKey
from .database import Database


class PartitionStatuses:
    """Reads the statuses of partitions; ``executions`` writes them, in the transactions in which executions open and end."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_job(self, flow: str, job: str) -> dict[PartitionKey, str]:
        """The status of every executed partition of a job: of the execution that runs now, else of the newest ended one."""
        rows = self._database.read("partition_statuses", {"flow": flow, "job": job})
        return {(time or None, category or None): status for time, category, status in rows if status is not None}

    def earliest(self, flow: str, job: str) -> str | None:
        """The text of the earliest time partition that was executed."""
        rows = self._database.read("earliest_partition", {"flow": flow, "job": job})
        earliest: str | None = rows[0][0]
        return earliest
