"""The form that runs partitions without scripts: a range, categories, and how; what was typed, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from ...errors import InputCountError, PartitionError, PayloadError
from ...model.results import Trigger
from ...runtime import PartitionSelection
from ...views.formats import duration, number
from .run_form import MAXIMUM_FIELDS

if TYPE_CHECKING:
    from ...engine.engine import Engine
    from ...jobs import Job

_LARGEST = 2**31 - 1


class PartitionForm(msgspec.Struct):
    """What the form shows. ``mistakes`` are by field; "form" is about no field."""

    start: str = ""
    end: str = ""
    cats: list[str] = []
    only: str = "missing"
    order: str = "asc"
    batch_size: str = ""
    max_concurrency: str = ""
    with_inputs: bool = False
    mistakes: dict[str, str] = {}

    @property
    def selection(self) -> PartitionSelection:
        """The partitions that are meant."""
        return PartitionSelection(
            cat_partitions=self.cats or None,
            start=self.start or None,
            end=self.end or None,
            only=self.only,
            order=self.order,
        )


def typed_form(body: bytes) -> tuple[PartitionForm, str]:
    """The form as it was sent, and which of its buttons was pressed ("run" or "plan").

    Raises ``ValueError`` for a body that is no such form.
    """
    pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAXIMUM_FIELDS)
    single = {name: value.strip() for name, value in pairs}
    form = PartitionForm(
        start=single.get("start", ""),
        end=single.get("end", ""),
        cats=[value for name, value in pairs if name == "cat" and value],
        only=single.get("only", "missing"),
        order=single.get("order", "asc"),
        batch_size=single.get("batch_size", ""),
        max_concurrency=single.get("max_concurrency", ""),
        with_inputs=single.get("with_inputs") == "yes",
    )
    act = single.get("act", "run")
    if act not in ("run", "plan"):
        raise ValueError(f"act is {act[:20]!r}, which is neither 'run' nor 'plan'")
    return form, act


def plan_form(engine: Engine, job: Job[Any], form: PartitionForm) -> str:
    """What would run and how long that is likely to take, in words; "" if the form has mistakes, which it then says."""
    options = _options(form)
    if form.mistakes:
        return ""
    try:
        plan = engine.partition_runs.plan(job, form.selection, **options)
    except (PartitionError, InputCountError, PayloadError) as error:
        _blame(form, error)
        return ""
    asked = engine.partition_runs.estimate(plan)
    if not asked.partitions:
        return "None of these partitions is to be run."
    partitions = f"{number(asked.partitions)} partition{'' if asked.partitions == 1 else 's'}"
    executions = f"{number(asked.executions)} execution{'' if asked.executions == 1 else 's'}"
    likely = "how long it takes is not known yet" if asked.seconds is None else f"about {duration(asked.seconds)}"
    return f"{partitions} in {executions}, {number(asked.concurrency)} at a time: {likely}."


def submit_form(engine: Engine, job: Job[Any], form: PartitionForm) -> int | None:
    """Start what the form asks for; the execution's id, or None, and then the form says what is wrong."""
    options = _options(form)
    if form.mistakes:
        return None
    try:
        return engine.submit_partitions(job, form.selection, trigger=Trigger.WEB, **options).id
    except (PartitionError, InputCountError, PayloadError) as error:
        _blame(form, error)
    return None


def _options(form: PartitionForm) -> dict[str, Any]:
    return {
        "batch_size": _count(form, "batch_size"),
        "max_concurrency": _count(form, "max_concurrency"),
        "with_inputs": form.with_inputs,
    }


def _count(form: PartitionForm, name: str) -> int | None:
    text = getattr(form, name)
    if not text:
        return None
    if text.isascii() and text.isdecimal() and 0 < int(text[:12]) <= _LARGEST:
        return int(text)
    form.mistakes = {**form.mistakes, name: f"{text[:20]!r} is no whole number from 1 on."}
    return None


def _blame(form: PartitionForm, error: Exception) -> None:
    """Put a mistake beside the field whose value is wrong."""
    field = "form"
    if isinstance(error, PartitionError):
        if form.cats and error.cat_partition is not None:
            field = "cat"
        elif error.time_partition in (form.start, form.end):
            field = "start" if error.time_partition == form.start else "end"
    form.mistakes = {field: str(error)}
