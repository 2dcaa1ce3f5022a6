"""How an execution was asked for, beyond its inputs: kept with its row, for its runs, retries and resumes.

This is the one shape of the ``options`` column. Each kind of execution sets the fields that matter to it:

=============== ==============================================================================================
a job           ``force``, ``cell``
a DAG run       ``with_inputs``, ``force``
a schedule's    ``schedule``, ``force``
a mapping       ``batch_size``, ``max_concurrency``
over partitions the fields of its selection, ``batch_size``, ``max_concurrency``, ``with_inputs``, ``again``
=============== ==============================================================================================
"""

from __future__ import annotations

import msgspec


class Options(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How an execution was asked for; a field with its default is not stored.

    ``schedule``: the name of the schedule whose run it is. ``force``: run keys are disregarded. ``with_inputs``: the declared
    inputs run first. ``cell``: the (time, category) partition of a call without inputs. ``again``: the earlier run over
    partitions of which this run takes what did not succeed. ``start`` and ``end``: the ends of its range when the run started.
    """

    schedule: str = ""
    force: bool = False
    with_inputs: bool = False
    batch_size: int | None = None
    max_concurrency: int | None = None
    cell: tuple[str | None, str | None] | None = None
    time_partitions: list[str] | None = None
    cat_partitions: list[str] | None = None
    start: str | None = None
    end: str | None = None
    only: str = "all"
    order: str = "asc"
    areas: list[tuple[str | None, str | None, list[str] | None]] | None = None
    again: int | None = None

    def encode(self) -> bytes | None:
        """The options as the store keeps them; None if nothing special was asked for."""
        encoded = _encoder.encode(self)
        return None if encoded == b"{}" else encoded


NO_OPTIONS = Options()
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Options)


def read_options(stored: str | bytes | None) -> Options:
    """The options of an execution as the store keeps them. Raises ``ValueError`` if they can't be read any more."""
    return _decoder.decode(stored) if stored else NO_OPTIONS


def schedule_of(stored: str | bytes | None) -> str:
    """The schedule whose run has these options; "" if it is not a schedule's run, or the options can't be read any more."""
    try:
        return read_options(stored).schedule
    except ValueError:  # a damaged row must not hide the others of a list; whatever runs it anew says what is wrong
        return ""
