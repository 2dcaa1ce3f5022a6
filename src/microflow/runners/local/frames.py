"""What travels between the engine and a worker process: frames of a 4-byte length (big-endian) and MessagePack behind it."""

from __future__ import annotations

from typing import Any

import msgspec

from ..base import Outcome, Request

HEADER = 4


class Reference(msgspec.Struct, array_like=True, tag="reference", frozen=True):
    """A function that can be imported: the module that defines it, and where its flow and its job are found.

    ``made_in``: the module that made it a job, if that is another one.
    """

    module: str
    flow_module: str
    flow_attribute: str
    job: str
    made_in: str = ""


class Pickled(msgspec.Struct, array_like=True, tag="pickled", frozen=True):
    """A function by value, as its parent pickled it.

    ``flow_module``: the module of its flow, to import first; where that can't be imported, ``setup``: what the parent set up.
    """

    data: bytes
    flow_module: str = ""
    setup: bytes = b""


class Hello(msgspec.Struct, array_like=True, tag="hello"):
    """The first frame to a worker: how the parent finds modules."""

    path: list[str]


class Code(msgspec.Struct, array_like=True, tag="code"):
    """The worker is one flow's from now on, and of one version of its code. ``path``: ``sys.path`` as it is for this flow.

    ``own`` and ``others``: where the user's modules are, as in ``Folders``. ``flows``: for each of the flows that are served
    together, its folders. ``digests``: what each module that was imported by now holds. ``reserves``: whether reserved names mean
    what they should, which is the parent's choice. ``environment``: what is different for this flow, as its own modules have set
    none of it; None for what is not there.
    """

    path: list[str]
    own: list[str]
    others: list[str]
    flows: dict[str, list[str]]
    digests: dict[str, bytes]
    reserves: bool
    environment: dict[str, str | None] = {}


class Source(msgspec.Struct, array_like=True, tag="source"):
    """The answer to a ``SourceQuery``: what to import; None for what the worker has read."""

    source: bytes | None


class Load(msgspec.Struct, array_like=True, tag="load"):
    """This function will be run soon: import it. What goes wrong is told when it is run."""

    function: Reference


class Run(msgspec.Struct, array_like=True, tag="run"):
    """Run these, of one function, one after the other. ``function`` is sent when the worker does not have it yet.

    ``mark``: end the output of each with this line, where the parent can't tell otherwise what belongs to which.
    """

    requests: list[Request]
    function: Reference | Pickled | None = None
    mark: bytes = b""


class ContextReply(msgspec.Struct, array_like=True, tag="context"):
    """The answer to a ``ContextQuery``: two encoded dicts, what was written and the last output."""

    written: bytes
    last_output: bytes


class Loaded(msgspec.Struct, array_like=True, tag="loaded"):
    """The function that came with the requests has been loaded; the first request starts."""


class Done(msgspec.Struct, array_like=True, tag="done"):
    """The attempt ended so, and took so many ``seconds``.

    ``retire``: why this worker should run nothing more, "" if it is as good as new.
    """

    outcome: Outcome
    seconds: float
    retire: str = ""


class Returned(msgspec.Struct, array_like=True, tag="returned"):
    """So many requests, the last ones, have not started and will not: the running one takes long, or is the last of this worker."""

    count: int


class Exited(msgspec.Struct, array_like=True, tag="exited"):
    """The task called ``sys.exit`` with this code."""

    code: str


class NotLoaded(msgspec.Struct, array_like=True, tag="not loaded"):
    """The function is not found by the reference given; nothing ran."""

    why: str


class ContextQuery(msgspec.Struct, array_like=True, tag="context query"):
    """The job looks at its context."""


class SourceQuery(msgspec.Struct, array_like=True, tag="source query"):
    """A module is imported that the parent did not tell of; its file holds this ``source``."""

    path: str
    source: bytes


class Imported(msgspec.Struct, array_like=True, tag="imported"):
    """These files of modules were imported that are neither in the flows' folders, nor Python's, nor installed."""

    paths: list[str]


class ProgressReport(msgspec.Struct, array_like=True, tag="progress"):
    """The job said how far it is."""

    done: float
    total: float | None
    message: str | None


ToWorker = Hello | Code | Load | Run | ContextReply | Source
FromWorker = Loaded | Done | Returned | Exited | NotLoaded | ContextQuery | SourceQuery | Imported | ProgressReport

_encoder = msgspec.msgpack.Encoder()
to_worker = msgspec.msgpack.Decoder(ToWorker)
from_worker = msgspec.msgpack.Decoder(FromWorker)


def framed(message: Any) -> bytes:
    """A message as one frame."""
    body = _encoder.encode(message)
    return len(body).to_bytes(HEADER, "big") + body


class FrameBuffer:
    """Bytes as they come in, cut into frames."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._start = 0

    def feed(self, data: bytes) -> None:
        """Add what was read."""
        del self._bytes[: self._start]
        self._start = 0
        self._bytes += data

    @property
    def whole(self) -> bool:
        """Whether a whole frame has come."""
        return self._end() is not None

    def next(self) -> bytes | None:
        """The body of the next whole frame; None if it has not all come yet."""
        end = self._end()
        if end is None:
            return None
        body = bytes(self._bytes[self._start + HEADER : end])
        self._start = end
        return body

    def _end(self) -> int | None:
        start = self._start + HEADER
        if len(self._bytes) < start:
            return None
        end = start + int.from_bytes(self._bytes[self._start : start], "big")
        return end if len(self._bytes) >= end else None
