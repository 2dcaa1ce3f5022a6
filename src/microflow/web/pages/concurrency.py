"""The page of all limits: how many slots each has, who holds them, who waits for one, in which order and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from starlette.routing import Route

from ...errors import UnknownNameError
from ...views.live import with_live_state
from .desk import Desk, threaded

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ...engine.admission.limits import LimitState
    from ...flow import Flow
    from ...store.views import ExecutionView

LISTED = 20
"""So many holders and so many waiters of a limit are listed."""

MOST_KEYS = 60
"""So many limits of keys and of run keys are shown, those with the most waiters first."""

MOST_LIMITS = 500
"""So many limits of a flow and its groups are shown, in the order of definition."""

MOST_MARKS = 40
"""A limit with more slots than these is shown as one bar."""


class Held(NamedTuple):
    """An execution that holds a slot, and since when."""

    execution: ExecutionView
    since: datetime


class Waiter(NamedTuple):
    """An execution that waits for a slot; its ``turn`` counts from 1."""

    turn: int
    execution: ExecutionView
    since: datetime
    message: str


class LimitLine(NamedTuple):
    """A limit. ``heading`` is its name, ``about`` what it is a limit of, ``jobs`` the jobs that need a slot in it.

    ``holders`` and ``waiters`` are the first of them; ``held`` and ``waiting`` are how many there are.
    """

    kind: str
    heading: str
    about: str
    slots: int
    held: int
    waiting: int
    jobs: tuple[str, ...]
    holders: list[Held]
    waiters: list[Waiter]

    @property
    def marks(self) -> Sequence[bool] | None:
        """For each slot whether it is taken; None if there are too many to draw each."""
        return [number < self.held for number in range(self.slots)] if self.slots <= MOST_MARKS else None

    @property
    def is_short(self) -> bool:
        """Whether all there is to say of holders and waiters has room in one line."""
        return not self.waiting and self.held <= 1

    @property
    def message(self) -> str:
        """What most often is the same for all who wait: why the first of them does."""
        return self.waiters[0].message if self.waiters else ""


class FlowLimits(NamedTuple):
    """The limits of a flow: its own, those of groups, those of keys and run keys in use, and how many more there are of each."""

    name: str
    limits: list[LimitLine]
    more_limits: int
    keyed: list[LimitLine]
    left_out: int


def routes(desk: Desk) -> list[Route]:
    """The page."""
    return [Route("/concurrency", threaded(desk, show_concurrency), methods=["GET"], name="concurrency")]


def show_concurrency(desk: Desk, request: Request) -> Response:
    """Every limit of every flow."""
    states = desk.engine.concurrency()
    # a flow that is no longer served may still have executions that hold slots
    by_flow: dict[str, list[LimitState]] = {name: [] for name in desk.engine.flows}
    for state in states:
        by_flow.setdefault(state.flow, []).append(state)
    flows = [_flow_limits(desk, name, of_flow) for name, of_flow in by_flow.items()]
    return desk.templates.page(
        request,
        "concurrency.html",
        {
            "now": desk.site.now(),
            "limits": flows,
            "held": sum(len(state.holders) for state in states if state.kind == "flow"),
            "waiting": len({waiter for state in states for waiter in state.waiters}),
        },
    )


def _flow_limits(desk: Desk, flow: str, states: Sequence[LimitState]) -> FlowLimits:
    keyed = sorted(
        (state for state in states if state.kind in ("key", "run_key")),
        key=lambda state: (-len(state.waiters), state.kind, state.name, state.about),
    )
    in_use = [state for state in keyed if state.holders or state.waiters]
    defined = [state for state in states if state.kind in ("flow", "group", "each")]
    jobs = _jobs_of(desk.engine.flows.get(flow))
    return FlowLimits(
        flow,
        [_line(desk, state, jobs) for state in defined[:MOST_LIMITS]],
        max(len(defined) - MOST_LIMITS, 0),
        [_line(desk, state, jobs) for state in in_use[:MOST_KEYS]],
        max(len(in_use) - MOST_KEYS, 0),
    )


def _line(desk: Desk, state: LimitState, jobs: _JobsOf) -> LimitLine:
    return LimitLine(
        state.kind,
        "Tasks of the flow" if state.kind == "flow" else state.name,
        f"for {state.about}" if state.kind == "each" else state.about,
        state.limit,
        len(state.holders),
        len(state.waiters),
        # a flow's own limit and that of a run key need no list
        tuple(jobs.get((state.name, state.kind != "group"), ())) if state.kind in ("group", "each", "key") else (),
        list(_holders(desk, state.holders[:LISTED])),
        list(_waiters(desk, state.waiters[:LISTED])),
    )


_JobsOf = dict[tuple[str, bool], list[str]]
"""The jobs whose decorators name a group, by the group's name and whether it has a key."""


def _jobs_of(flow: Flow | None) -> _JobsOf:
    found: _JobsOf = {}
    for job in () if flow is None else flow.jobs.values():
        for group in dict.fromkeys((group.name, group.key is not None) for group in job.limits):
            found.setdefault(group, []).append(job.name)
    return found


def _holders(desk: Desk, ids: Sequence[int]) -> Iterable[Held]:
    for execution in _executions(desk, ids):
        yield Held(execution, execution.started_at or execution.queued_at)


def _waiters(desk: Desk, ids: Sequence[int]) -> Iterable[Waiter]:
    for turn, execution in enumerate(_executions(desk, ids), start=1):
        waiting = execution.waiting
        if waiting is None:  # its turn came while this was read
            yield Waiter(turn, execution, execution.queued_at, "")
        else:
            yield Waiter(turn, execution, waiting.since, waiting.message)


def _executions(desk: Desk, ids: Iterable[int]) -> Iterable[ExecutionView]:
    for id_ in ids:
        try:
            yield with_live_state(desk.engine, desk.store.reading.execution(id_))
        except UnknownNameError:
            continue  # deleted with old history at this very moment
