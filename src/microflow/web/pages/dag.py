"""The DAG of a flow on a page of its own, and the pictures that the pages of flows, jobs and executions show of theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from ...model.graph import closure
from ...model.results import Kind, Trigger
from ...views import formats
from .dag_view import MOST_DRAWN, Picture, Shown, around, picture
from .desk import Desk, not_found, threaded

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ...flow import Flow
    from ...jobs import Job
    from ...store.views import ExecutionView, TreeNode

SMALL = 40
"""A flow's own page shows its DAG if it has no more jobs than these."""


def routes(desk: Desk) -> list[Route]:
    """The page of a flow's DAG."""
    return [Route("/flows/{flow}/dag", threaded(desk, show_dag), methods=["GET"], name="dag")]


def show_dag(desk: Desk, request: Request) -> Response:
    """The jobs of a flow and the inputs they declare, each with the status of its newest execution."""
    name = request.path_params["flow"]
    flow = desk.engine.flows.get(name)
    if flow is None:
        raise not_found(f"There is no flow {name!r} here.")
    return desk.templates.page(
        request, "dag.html", {"now": desk.site.now(), "flow": name, "dag": flow_picture(desk, flow)}
    )


def has_dag(flow: Flow) -> bool:
    """Whether any job of a flow declares an input."""
    return any(flow.input_names().values())


def is_small(flow: Flow) -> bool:
    """Whether a flow's DAG is so small that the flow's own page shows it."""
    inputs_of = flow.input_names()
    joined = {name for name, given in inputs_of.items() if given}.union(*inputs_of.values())
    return 0 < len(joined) <= SMALL


def flow_picture(desk: Desk, flow: Flow) -> Picture:
    """Every job of a flow."""
    inputs_of = flow.input_names()
    return picture(inputs_of, _kinds(flow), _newest(desk, flow, inputs_of))


def job_picture(desk: Desk, job: Job[Any]) -> Picture | None:
    """What a job needs, directly or not, and what follows it directly; None if it stands alone."""
    flow = job.flow
    inputs_of = around(job.name, flow.input_names())
    if len(inputs_of) < 2:
        return None
    return picture(inputs_of, _kinds(flow), _newest(desk, flow, inputs_of), here=job.name)


def run_picture(desk: Desk, execution: ExecutionView, calls: Sequence[TreeNode]) -> Picture | None:
    """A DAG run with what became of each of its jobs; None for an execution of another kind, of one job alone, and of
    more than can be drawn.

    ``calls`` are what it called. Jobs are drawn as they are connected now: of one that the flow has no more, only its
    call is known.
    """
    if execution.kind != Kind.DAG:
        return None
    called = {call.job: call for call in calls}
    flow = desk.engine.flows.get(execution.flow)
    declared = {} if flow is None else flow.input_names()
    wanted = (execution.job, *_scheduled_jobs(desk, execution), *called)
    names = closure([name for name in wanted if name in declared or name in called], declared)
    if not 1 < len(names) <= MOST_DRAWN:
        return None
    inputs_of = {name: declared.get(name, []) for name in names}
    kinds = {} if flow is None else _kinds(flow)
    kinds |= {call.job: call.kind for call in calls}
    shown = {name: _in_run(called.get(name), execution.status.final) for name in inputs_of}
    found = picture(inputs_of, kinds, shown, kept=inputs_of)
    return found if found.is_drawn else None


def _scheduled_jobs(desk: Desk, execution: ExecutionView) -> tuple[str, ...]:
    """The jobs of the schedule whose run an execution is, as far as that is known."""
    if execution.trigger == Trigger.CALL:
        return ()
    name = desk.store.reading.schedule(execution.id)
    served = desk.engine.schedules.get((execution.flow, name))
    return () if served is None else tuple(job.name for job in served.jobs)


def _kinds(flow: Flow) -> dict[str, str]:
    return {name: job.kind for name, job in flow.jobs.items()}


def _newest(desk: Desk, flow: Flow, names: Iterable[str]) -> Mapping[str, Shown]:
    shown = {}
    for name in names:
        newest = desk.store.reading.newest(flow.name, name)
        shown[name] = Shown(0, "", "never run") if newest is None else Shown(newest.id, newest.status, newest.status)
    return shown


def _in_run(call: TreeNode | None, is_over: bool) -> Shown:
    if call is None:
        return Shown(0, "", "not run" if is_over else "not yet")
    took = ""
    if call.started_at is not None and call.ended_at is not None:
        took = f", {formats.duration((call.ended_at - call.started_at).total_seconds())}"
    return Shown(call.id, call.status, f"{call.status}{took}")
