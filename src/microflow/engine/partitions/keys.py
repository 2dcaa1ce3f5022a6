"""The keys of partitions in a call: what the job sees of them, and what the store knows them by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from datetime import date, datetime
from typing import Any, NamedTuple

import msgspec

from ...errors import PartitionError
from ...jobs import Job
from ...model.payloads import check_size, encode_moment
from ...model.results import ExecutionResult
from ...store.rows import StoredKey

_encoder = msgspec.json.Encoder()


class Keyed(NamedTuple):
    """The inputs of a call with the keys in them, and the partitions that the execution stands for.

    ``time_partition``, ``cat_partition`` and ``text`` (that of the time partition) are what the caller named, where that is one
    partition, or one dimension of it. ``encoded``: the inputs as the row holds them, where that is known.
    """

    inputs: tuple[Any, ...]
    keys: Sequence[StoredKey] = ()
    time_partition: datetime | None = None
    cat_partition: str | None = None
    text: str | None = None
    encoded: bytes | None = None


class Located(NamedTuple):
    """A partition, or the dimensions of it that were named."""

    start: datetime | None
    category: str | None
    text: str | None


class Period(NamedTuple):
    """A time partition of a plan, with what the calls for it have in common: its start and its window, encoded once."""

    start: datetime
    text: str
    encoded: bytes
    window: bytes


class Planned(NamedTuple):
    """A partition of a plan, which has been checked: None for a dimension that the job does not have."""

    period: Period | None
    category: str | None


def with_keys(
    job: Job[Any],
    inputs: tuple[Any, ...],
    time_partition: str | date | datetime | None,
    cat_partition: str | None,
    planned: Planned | None = None,
) -> Keyed:
    """The inputs of a job with both keys in the first one: in the dict, or in each dict of a list, whether a result or plain.

    A key that was given apart from the inputs (by the API, by a DAG run over partitions) goes before what stands in
    them; ``planned`` is one that is all there is to hand over. A job without partitions has no keys, and gets its inputs as they
    are. Raises ``PartitionError`` for a partition that does not exist.
    """
    if planned is not None:
        return _keyed_as_planned(job, planned)
    if job.partitions is None:
        if time_partition is not None or cat_partition is not None:
            raise PartitionError(
                f"Job {job.name!r} has no partitions; declare time_partitions or cat_partitions, or name none."
            )
        return Keyed(inputs)
    filling = _Filling(job, time_partition, cat_partition)
    if inputs or _takes_some(job):
        inputs = (filling.fill(inputs[0] if inputs else {}), *inputs[1:])
    return filling.keyed(inputs)


def period_of(start: datetime, end: datetime, text: str) -> Period:
    """A time partition of a plan."""
    first = encode_moment(start)
    return Period(start, text, first, _window(first, end))


def _window(encoded_start: bytes, end: datetime) -> bytes:
    return b"[%b,%b]" % (encoded_start, encode_moment(end))


def _takes_some(job: Job[Any]) -> bool:
    return bool(job.parameters.names or job.parameters.variable)


def _keyed_as_planned(job: Job[Any], planned: Planned) -> Keyed:
    """As ``with_keys`` for a call that hands over nothing else: the same bytes that encoding its inputs would give, sooner."""
    period, category = planned
    start, text, moment = (None, None, b"null") if period is None else period[:3]
    keys = ((text or "", category or ""),)
    if not _takes_some(job):
        return Keyed((), keys, start, category, text)
    encoded = b'[{"time_partition":%b,"cat_partition":%b}]' % (moment, _encoder.encode(category))
    check_size(encoded, job=job.name, limit=job.max_payload)
    return Keyed(({"time_partition": start, "cat_partition": category},), keys, start, category, text, encoded)


def run_keyed(job: Job[Any], time_partition: str | date | datetime | None, cat_partition: str | None) -> Keyed:
    """As ``with_keys``, for a DAG run: it is called for a partition, and it is its jobs that stand for theirs."""
    partitions = job.partitions
    if partitions is None:
        return Keyed((), (), None, cat_partition, time_partition if isinstance(time_partition, str) else None)
    found = locate(
        job,
        time_partition if partitions.time is not None else None,
        cat_partition if partitions.cat is not None else None,
    )
    return Keyed((), (), *found)


def named_afterwards(
    job: Job[Any], given: tuple[datetime | None, str | None], named: tuple[Any, str | None]
) -> tuple[Located, StoredKey | None]:
    """The partition that a result names, with what the caller named where the result says nothing.

    Raises ``PartitionError`` if there is no such partition.
    """
    if job.partitions is None:
        raise PartitionError(f"Job {job.name!r} returned a partition, and it has none; declare its partitions.")
    time_partition, cat_partition = named
    found = locate(
        job,
        given[0] if time_partition is None else time_partition,
        given[1] if cat_partition is None else cat_partition,
    )
    return found, _stored_key(job, found)


def locate(job: Job[Any], time_partition: str | date | datetime | None, cat_partition: str | None) -> Located:
    """The partition that is meant. Raises ``PartitionError`` if there is none."""
    partitions = job.partitions
    assert partitions is not None
    start, category = partitions.check(time_partition, cat_partition)
    return Located(start, category, None if start is None or partitions.time is None else partitions.time.text(start))


def _stored_key(job: Job[Any], found: Located) -> StoredKey | None:
    """The key of a partition in the store; None unless every dimension of the job has its value."""
    partitions = job.partitions
    assert partitions is not None
    if (partitions.time is not None and found.text is None) or (partitions.cat is not None and found.category is None):
        return None
    return found.text or "", found.category or ""


def time_window(job: Job[Any], start: datetime | None) -> bytes | None:
    """The start and the end of a time partition, encoded as a worker's frame holds them."""
    if start is None or job.partitions is None or job.partitions.time is None:
        return None
    return _window(encode_moment(start), job.partitions.time.end_of(start))


class _Filling:
    """Puts the keys into a first input, and remembers the partitions that it met."""

    def __init__(self, job: Job[Any], time_partition: Any, cat_partition: str | None) -> None:
        self._job = job
        self._given = (time_partition, cat_partition)
        self._met: dict[tuple[str | None, str | None], Located] = {}

    def fill(self, value: Any, depth: int = 0) -> Any:
        """The same with the keys in every dict. What is no payload stays as it is: whoever encodes it says what is wrong."""
        if isinstance(value, Mapping):
            found = self._meet(value.get("time_partition"), value.get("cat_partition"))
            return {**value, "time_partition": found.start, "cat_partition": found.category}
        if isinstance(value, ExecutionResult):
            filled = copy(value)
            filled.output = self.fill(value.output, depth)
            return filled
        if isinstance(value, list) and depth < 2:  # a list of results, each of which may have a list for its output
            return [self.fill(item, depth + 1) for item in value]
        return value

    def keyed(self, inputs: tuple[Any, ...]) -> Keyed:
        """The inputs, which are filled, with what was met."""
        if not self._met:
            self._meet(None, None)
        keys = [key for found in self._met.values() if (key := _stored_key(self._job, found)) is not None]
        only = next(iter(self._met.values())) if len(self._met) == 1 else Located(None, None, None)
        return Keyed(inputs, keys, *only)

    def _meet(self, time_partition: Any, cat_partition: Any) -> Located:
        time_given, cat_given = self._given
        found = locate(
            self._job,
            time_partition if time_given is None else time_given,
            cat_partition if cat_given is None else cat_given,
        )
        return self._met.setdefault((found.text, found.category), found)
