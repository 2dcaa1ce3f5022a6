"""The form that runs a job: what it shows, what was typed into it, and what is wrong with that.

A form that can't be carried out comes back with everything that was typed and the mistake beside its field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from ...errors import CallError, InputCountError, PartitionError, PayloadError
from ...model.payloads import TOO_DEEP, decode, is_too_deep
from ...model.results import Kind, Trigger
from ...views.json_view import json_text

if TYPE_CHECKING:
    from ...engine.engine import Engine
    from ...jobs import Job
    from ...store.views import ExecutionView
    from ...views.definitions import JobView

MAXIMUM_FIELDS = 1_000

_PLACE = re.compile(r"inputs\[(\d+)\]")


class InputField(NamedTuple):
    """The editor of one input: its parameter's ``name``, whether it must be filled in, its text, and what is wrong with it."""

    name: str
    required: bool
    text: str
    mistake: str


class RunForm(msgspec.Struct):
    """What a run form shows. ``mistakes`` are by field: "form", "time_partition", "cat_partition"; an input's is with the input."""

    inputs: list[InputField]
    with_inputs: bool = False
    force: bool = False
    time_partition: str = ""
    cat_partition: str = ""
    mistakes: dict[str, str] = {}

    @property
    def wrong(self) -> bool:
        """Whether anything is."""
        return bool(self.mistakes) or any(field.mistake for field in self.inputs)


def fresh_form(job: JobView, earlier: ExecutionView | None = None) -> RunForm:
    """The form as it is first seen: what must be given is an empty dict; after an ``earlier`` execution, what that was given."""
    texts = ["{}"] * _prefilled(job)
    if earlier is None:
        return RunForm(_fields(job, texts), with_inputs=bool(job.inputs))
    given = json.loads(bytes(earlier.inputs))
    if not isinstance(given, list):  # the store was damaged
        given = []
    if job.partitions is not None and given and isinstance(given[0], dict):
        # they have fields of their own in the form
        given[0] = {key: value for key, value in given[0].items() if key not in ("time_partition", "cat_partition")}
    return RunForm(
        _fields(job, [json_text(value) for value in given] or texts),
        with_inputs=earlier.kind is Kind.DAG,
        time_partition=earlier.time_partition or "",
        cat_partition=earlier.cat_partition or "",
    )


def typed_form(job: JobView, body: bytes) -> tuple[RunForm, str]:
    """The form as it was sent, and which of its buttons was pressed ("run" or "add").

    Raises ``ValueError`` for a body that is no form.
    """
    pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAXIMUM_FIELDS)
    single = dict(pairs)
    texts = [value.replace("\r\n", "\n") for name, value in pairs if name == "input"]
    act = single.get("act", "run")
    if act == "add":
        texts.append("{}")
    form = RunForm(
        _fields(job, texts),
        with_inputs=single.get("with_inputs") == "yes",
        force=single.get("force") == "yes",
        time_partition=single.get("time_partition", "").strip(),
        cat_partition=single.get("cat_partition", ""),
    )
    return form, act


def submit_form(engine: Engine, job: Job[Any], form: RunForm) -> int | None:
    """Start what the form asks for; the execution's id, or None, and then the form says what is wrong."""
    inputs = [] if form.with_inputs else _read_inputs(form)
    if form.wrong:
        return None
    try:
        return engine.submit(
            job,
            inputs,
            trigger=Trigger.WEB,
            with_inputs=form.with_inputs,
            force=form.force,
            time_partition=form.time_partition or None,
            cat_partition=form.cat_partition or None,
        ).id
    except PartitionError as error:
        form.mistakes = {_partition_field(job, error): str(error)}
    except PayloadError as error:
        place = _PLACE.match(error.path)
        index = int(place[1]) if place else -1
        if 0 <= index < len(form.inputs):
            form.inputs[index] = form.inputs[index]._replace(mistake=str(error))
        else:
            form.mistakes = {"form": str(error)}
    except (InputCountError, CallError) as error:
        form.mistakes = {"form": str(error)}
    return None


def _partition_field(job: Job[Any], error: PartitionError) -> str:
    """Beside which field a partition's mistake stands: there is one for each dimension that the job has."""
    dimensions = job.partitions
    if dimensions is None:
        return "form"
    if dimensions.cat is not None and (error.cat_partition is not None or dimensions.time is None):
        return "cat_partition"
    return "form" if dimensions.time is None else "time_partition"


def _prefilled(job: JobView) -> int:
    # a partitioned job that is given nothing gets a dict with its partition's keys
    return max(job.parameters.required, 0 if job.partitions is None else min(1, len(job.parameters.names)))


def _fields(job: JobView, texts: Sequence[str]) -> list[InputField]:
    names = job.parameters.names
    count = max(len(names), len(texts)) if job.parameters.variable else len(names)
    return [
        InputField(
            names[index] if index < len(names) else f"input {index + 1}",
            index < job.parameters.required and not (index == 0 and job.partitions is not None),
            texts[index] if index < len(texts) else "",
            "",
        )
        for index in range(count)
    ]


def _read_inputs(form: RunForm) -> list[Any]:
    """The values that were typed; a mistake is put beside its field. Empty fields at the end are inputs that were not given."""
    given = len(form.inputs)
    while given and not form.inputs[given - 1].text.strip() and not form.inputs[given - 1].required:
        given -= 1
    values = []
    for index, field in enumerate(form.inputs[:given]):
        value, mistake = _read_json(field.text)
        form.inputs[index] = field._replace(mistake=mistake)
        values.append(value)
    return values


def _read_json(text: str) -> tuple[Any, str]:
    """The value of a JSON text and "", or None and what is wrong with it."""
    if not text.strip():
        return None, "Fill this in: {} is an empty input."
    if is_too_deep(text):
        return None, TOO_DEEP
    try:
        json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant)
        return decode(text), ""
    except json.JSONDecodeError as error:
        return None, f"Line {error.lineno}, column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}."
    except (ValueError, PayloadError) as error:
        return None, f"{error}"


def _pairs(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"The key {key!r} is given twice in one object.")
        found[key] = value
    return found


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON; give a number, or null.")
