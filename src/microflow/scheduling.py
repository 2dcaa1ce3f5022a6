"""The schedules of a flow's jobs: which there are, what each is called, what is wrong with them and what may surprise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .jobs import Job
from .model.cron_notes import cron_notes
from .model.names import NAME_RULE, is_name
from .model.schedules import Schedule


class Scheduled(NamedTuple):
    """A schedule of a flow: what it is called there, and the jobs that it was given to."""

    name: str
    schedule: Schedule
    jobs: tuple[Job[Any], ...]


def scheduled(jobs: Mapping[str, Job[Any]]) -> list[Scheduled]:
    """Every schedule of the jobs, in the order of definition.

    A schedule without a name has that of its first job; of several such schedules of one job the second is called
    ``report-2``.
    """
    given: dict[int, tuple[Schedule, list[Job[Any]]]] = {}
    for job in jobs.values():
        for schedule in job.schedules:
            if isinstance(schedule, Schedule):
                having = given.setdefault(id(schedule), (schedule, []))[1]
                if job not in having:
                    having.append(job)
    unnamed: Counter[str] = Counter()
    found = []
    for schedule, having in given.values():
        name = schedule.name
        if name is None:
            first = having[0].name
            unnamed[first] += 1
            name = first if unnamed[first] == 1 else f"{first}-{unnamed[first]}"
        found.append(Scheduled(name, schedule, tuple(having)))
    return found


def schedule_mistakes(
    schedules: Sequence[Scheduled], jobs: Mapping[str, Job[Any]], inputs: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """What is wrong with each schedule, reported once however many jobs have it, and with what its ticks would run.

    ``inputs`` are the names of the inputs that each job declares.
    """
    names: dict[str, list[Job[Any]]] = {}
    for found in schedules:
        if found.schedule.mistake is not None:
            yield f"{_listed(found.jobs)}: {found.schedule.mistake}"
        names.setdefault(found.name, []).append(found.jobs[0])
    for name, having in names.items():
        if not is_name(name):
            yield f"the schedule {name!r}: {NAME_RULE}."
        if len(having) > 1:
            count = "two" if len(having) == 2 else len(having)
            yield (
                f"{count} schedules are named {name!r}, those of {_listed(having)}; give each another name, as in "
                "Schedule(…, name=…)."
            )
    yield from _unfed_mistakes(jobs, inputs)


def _unfed_mistakes(jobs: Mapping[str, Job[Any]], inputs: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Jobs that a tick would run, on a schedule themselves or an input of one that is, and that lack an input then."""
    run_for = {name: name for name, job in jobs.items() if job.schedules}
    reached = list(run_for)
    for name in reached:  # grows while it is read: a queue
        for other in inputs[name]:
            if other not in run_for:
                run_for[other] = run_for[name]
                reached.append(other)
    for name, job in jobs.items():
        if name in run_for and job.parameters.required and not job.inputs and job.partitions is None:
            by = jobs[run_for[name]]
            has = "a schedule" if by is job else f"to run on the schedule of {by.kind} {by.name!r}"
            yield (
                f"{job.kind} {name!r} has {has}, and nothing gives it its input {job.parameters.names[0]!r}: declare inputs, "
                "or give the parameter a default."
            )


def schedule_notes(schedules: Sequence[Scheduled]) -> Iterator[str]:
    """What may surprise in the cron expressions, each as one sentence."""
    for found in schedules:
        if found.schedule.mistake is None:
            for note in cron_notes(found.schedule.cron):
                yield f"schedule {found.name!r} ({found.schedule.cron}): {note}"


def _listed(jobs: Sequence[Job[Any]]) -> str:
    """Some jobs in words, the first three by name."""
    distinct = list(dict.fromkeys(jobs))
    named = [f"{job.kind} {job.name!r}" for job in distinct[:3]]
    named += [f"{len(distinct) - 3} more"] if len(distinct) > 3 else []
    return " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)
