"""Admission: never over a limit, never a needless wait, first come first served, nobody starves, no place is lost."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from microflow import DeadlockError
from microflow.engine.admission.slots import PATIENCE, Admission, Limit, SlotRequest


class Requests:
    """Makes requests, parks them where they must wait, and remembers in which order they were granted."""

    def __init__(self) -> None:
        self.admission = Admission()
        self.granted: list[str] = []

    def __call__(self, name: str, *limits: Limit, callers: tuple[SlotRequest, ...] = ()) -> SlotRequest:
        place = SlotRequest(limits, callers)
        place.execution_id = len(name)
        if self.admission.take(place) or self.admission.park(place, lambda: self.granted.append(name)) is None:
            self.granted.append(name)
        return place


@pytest.fixture
def request_() -> Requests:
    return Requests()


def test_a_call_that_waits_for_its_own_caller_is_refused_in_words(request_: Requests) -> None:
    limit = Limit("api", 1)
    caller = request_("caller", limit)
    below = request_("below", callers=(caller,))
    place = SlotRequest([limit], [caller, below])
    assert not request_.admission.take(place)

    with pytest.raises(DeadlockError) as raised:
        request_.admission.park(place, lambda: None)

    assert str(raised.value) == (
        "This call would wait for ever: the limit of 1 of 'api' is held only by its own callers (execution 6), which wait for it. "
        "Raise the limit, or take it from the caller."
    )
    assert limit.parked == []
    request_.admission.release(caller)
    assert request_.admission.take(place)


def test_callers_that_wait_for_one_another_are_told_so(request_: Requests) -> None:
    limit = Limit("api", 2)
    callers = [request_("one", limit), request_("second", limit)]
    request_("call of one", limit, callers=(callers[0],))

    with pytest.raises(DeadlockError) as raised:
        request_("call of second", limit, callers=(callers[1],))

    assert str(raised.value) == (
        "This call would wait for ever: the limit of 2 of 'api' is held only by executions that wait for one another, its own "
        "callers among them (executions 3, 6). Raise the limit, or take it from the caller."
    )
    request_.admission.release(callers[1])
    assert request_.granted == ["one", "second", "call of one"]


def test_callers_that_wait_for_one_another_at_several_limits_are_told_so(request_: Requests) -> None:
    a, b, c = Limit("a", 1), Limit("b", 1), Limit("c", 1)
    of_a, of_b, of_c = request_("of a", a), request_("of b", b), request_("of c", c)
    request_("b for a", b, callers=(of_a,))
    request_("c for b", c, callers=(of_b,))

    with pytest.raises(DeadlockError):
        request_("a for c", a, callers=(of_c,))

    below = request_("for c", callers=(of_c,))
    request_.admission.release(below)
    request_.admission.release(of_c)
    assert request_.granted[-1] == "c for b"


def test_a_call_that_waits_for_its_caller_and_somebody_else_may_wait(request_: Requests) -> None:
    limit = Limit("api", 2)
    caller, other = request_("caller", limit), request_("other", limit)
    request_("below", limit, callers=(caller,))

    assert request_.granted == ["caller", "other"]
    request_.admission.release(other)
    assert request_.granted == ["caller", "other", "below"]


def test_first_come_is_first_served(request_: Requests) -> None:
    limit = Limit("flow", 1)
    first = request_("first", limit)
    for name in ("second", "third", "fourth"):
        request_(name, limit)

    request_.admission.release(first)

    assert request_.granted == ["first", "second"]


def test_a_request_that_waits_for_a_busy_limit_holds_up_nobody_who_does_not_need_it(request_: Requests) -> None:
    flow, api = Limit("flow", 2), Limit("api", 1)
    request_("holder", flow, api)
    request_("waiter", flow, api)

    request_("other", flow)

    assert request_.granted == ["holder", "other"]


def test_nothing_is_taken_where_not_all_can_be_taken(request_: Requests) -> None:
    flow, api = Limit("flow", 2), Limit("api", 1)
    request_("holder", api)
    request_("waiter", flow, api)

    assert flow.holders == set()


def test_what_is_withdrawn_is_never_granted(request_: Requests) -> None:
    limit = Limit("flow", 1)
    first = request_("first", limit)
    second = request_("second", limit)
    request_("third", limit)

    assert request_.admission.withdraw(second)
    assert not request_.admission.withdraw(second)
    request_.admission.release(first)

    assert request_.granted == ["first", "third"]
    assert not request_.admission.withdraw(first)


def test_places_are_given_back_once(request_: Requests) -> None:
    limit = Limit("flow", 1)
    first = request_("first", limit)
    request_.admission.release(first)
    request_("second", limit)

    request_.admission.release(first)

    assert not request_.admission.take(SlotRequest([limit], []))


def test_a_request_for_two_busy_limits_has_its_turn(request_: Requests) -> None:
    """Each limit is free now and then, but never both at once, unless somebody makes way."""
    a, b = Limit("a", 1), Limit("b", 1)
    holders = {"a": request_("a0", a), "b": request_("b0", b)}
    request_("both", a, b)

    for number in range(1, 4 * PATIENCE):
        name, limit = ("a", a) if number % 2 else ("b", b)
        newcomer = SlotRequest([limit], [])
        parked = not request_.admission.take(newcomer)
        if parked:
            request_.admission.park(newcomer, lambda: None)
        request_.admission.release(holders[name])
        if "both" in request_.granted:
            break
        holders[name] = newcomer

    assert "both" in request_.granted


def make_privileged(request_: Requests, a: Limit, b: Limit) -> tuple[SlotRequest, SlotRequest]:
    """A request for both that was tried in vain so often that others make way, and who holds a; b is free."""
    holder_of_a, holder_of_b = request_("holder of a", a), request_("holder of b", b)
    both = request_("both", a, b)
    while True:
        request_.admission.release(holder_of_a)  # both moves on to b, which is busy
        holder_of_a = request_("holder of a", a)
        request_.admission.release(holder_of_b)  # and back to a
        if both.tries >= PATIENCE:
            return both, holder_of_a
        holder_of_b = request_("holder of b", b)


def test_who_comes_after_one_that_waited_long_makes_way(request_: Requests) -> None:
    a, b = Limit("a", 1), Limit("b", 1)
    _, holder_of_a = make_privileged(request_, a, b)
    late = request_("late", b)
    assert request_.granted[-1] != "late"

    request_.admission.release(holder_of_a)

    assert request_.granted[-1] == "both"
    assert late.parked_at is b


def test_who_waited_behind_one_that_gave_up_goes_on(request_: Requests) -> None:
    a, b = Limit("a", 1), Limit("b", 1)
    both, _ = make_privileged(request_, a, b)
    request_("late", b)

    request_.admission.withdraw(both)

    assert request_.granted[-1] == "late"


def test_a_call_whose_callers_hold_places_never_makes_way(request_: Requests) -> None:
    """Else three could wait for one another: the one that waited long for a, a's holder for c, and c's holder's call here."""
    a, b, c = Limit("a", 1), Limit("b", 1), Limit("c", 1)
    _, holder_of_a = make_privileged(request_, a, b)
    holder_of_c = request_("holder of c", c)
    request_("call of holder of a", c, callers=(holder_of_a,))

    request_("call of holder of c", b, callers=(holder_of_c,))

    assert request_.granted[-1] == "call of holder of c"


CHOICE = st.integers(0, 1000)
NEEDED = st.sets(st.integers(0, 2), min_size=1, max_size=2)


class Machine(RuleBasedStateMachine):
    """In any order: executions that hold places and call others, which need places too; who calls waits for all that it called.

    ``callers`` has all that live, each with its callers; ``waiting`` those of them that have no places yet.
    """

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission(patience=1)
        self.limits = [Limit(str(number), places) for number, places in enumerate((1, 1, 2))]
        self.callers: dict[SlotRequest, tuple[SlotRequest, ...]] = {}
        self.waiting: set[SlotRequest] = set()

    def running(self) -> list[SlotRequest]:
        return [place for place in self.callers if place not in self.waiting]

    def leaves(self) -> list[SlotRequest]:
        """Those that run and wait for nothing."""
        return [place for place in self.running() if not any(place in known for known in self.callers.values())]

    @rule(chosen=NEEDED)
    def begin(self, chosen: set[int]) -> None:
        self.come(chosen, ())

    @precondition(running)
    @rule(choice=CHOICE, chosen=NEEDED)
    def call(self, choice: int, chosen: set[int]) -> None:
        caller = self.running()[choice % len(self.running())]
        self.come(chosen, (*self.callers[caller], caller))

    @precondition(leaves)
    @rule(choice=CHOICE)
    def end(self, choice: int) -> None:
        self.leave([self.leaves()[choice % len(self.leaves())]])

    @precondition(lambda self: self.callers)
    @rule(choice=CHOICE)
    def cancel(self, choice: int) -> None:
        """It ends, and all below it."""
        place = list(self.callers)[choice % len(self.callers)]
        self.leave([known for known, callers in self.callers.items() if place in callers or known is place])

    def come(self, chosen: set[int], callers: tuple[SlotRequest, ...]) -> None:
        place = SlotRequest([self.limits[number] for number in sorted(chosen)], callers)
        alike = [waiting for waiting in self.waiting if set(waiting.limits) == set(place.limits)]
        first = self.admission._privileged
        if self.admission.take(place):
            assert callers or alike == [], "it overtook one that waits for the very same limits"
            assert first is None or callers or not set(first.limits) & set(place.limits), (
                "it overtook one that had waited too long"
            )
        else:
            waiting = {*self.waiting, place}
            may_end = self.may_end({**self.callers, place: callers}, waiting, place)
            try:
                if self.admission.park(place, lambda: self.waiting.remove(place)) is not None:
                    self.waiting.add(place)
            except DeadlockError:
                assert not may_end, "it could have waited"
                return
            assert may_end, "it waits for ever"
        self.callers[place] = callers

    def may_end(
        self, lives: dict[SlotRequest, tuple[SlotRequest, ...]], waiting: set[SlotRequest], place: SlotRequest
    ) -> bool:
        """Whether it ends if all end that can and nobody new comes: what ``Admission`` must say, found by trying."""
        lives, waiting = dict(lives), set(waiting)
        free = {limit: limit.slots - len(limit.holders) for limit in self.limits}
        while True:
            can_end = [one for one in lives if one not in waiting and not any(one in known for known in lives.values())]
            may_run = [one for one in waiting if all(free[limit] for limit in one.limits)]
            for one in can_end:
                del lives[one]
                for limit in one.limits:
                    free[limit] += 1
            if not can_end and may_run:
                waiting.remove(may_run[0])
                for limit in may_run[0].limits:
                    free[limit] -= 1
            if not can_end and not may_run:
                return place not in lives

    def leave(self, places: list[SlotRequest]) -> None:
        for place in places:
            del self.callers[place]
            if place in self.waiting:
                withdrawn = self.admission.withdraw(place)
                assert withdrawn
                self.waiting.remove(place)
            else:
                self.admission.release(place)

    @invariant()
    def nobody_is_over_a_limit(self) -> None:
        for limit in self.limits:
            assert limit.holders == {one for one in self.callers if one not in self.waiting and limit in one.limits}
            assert len(limit.holders) <= limit.slots

    @invariant()
    def nobody_waits_needlessly(self) -> None:
        first = self.admission._privileged
        for place in self.waiting:
            if not any(limit.full for limit in place.limits):
                assert first is not None, "it could run and waits"
                assert first is not place, "the one that waited longest could run and waits"
                assert set(first.limits) & set(place.limits), "it waits for one that does not need what it needs"
                assert not place.ancestors, "it makes way, and somebody who holds a place waits for it"

    @invariant()
    def everybody_is_where_he_waits(self) -> None:
        for limit in self.limits:
            assert {place for _, place in limit.parked} == {place for place in self.waiting if place.parked_at is limit}
        assert all(place.parked_at in place.limits for place in self.waiting)
        assert self.admission._privileged is None or self.admission._privileged in self.waiting

    @invariant()
    def everybody_knows_what_waits_below(self) -> None:
        for place in self.callers:
            assert place.below == {one for one in self.waiting if place in self.callers[one]}

    def teardown(self) -> None:
        """When all end that can, again and again, everybody has had his turn."""
        while leaves := self.leaves():
            self.leave(leaves[:1])
        assert self.callers == {}, "some wait for one another"
        assert all(limit.holders == set() and limit.parked == [] for limit in self.limits)


Machine.TestCase.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, derandomize=True, database=None
)
test_admission_in_any_order = Machine.TestCase


def test_threads_that_take_and_give_back_never_exceed_a_limit() -> None:
    admission = Admission()
    a, b = Limit("a", 2), Limit("b", 1)
    too_many: list[int] = []

    def work(number: int) -> None:
        limits = [[a], [b], [a, b]][number % 3]
        granted = threading.Event()
        place = SlotRequest(limits, [])
        if not admission.take(place) and admission.park(place, granted.set) is not None:
            assert granted.wait(60)
        too_many.extend(number for limit in limits if len(limit.holders) > limit.slots or place not in limit.holders)
        admission.release(place)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(600)))

    assert too_many == []
    assert a.holders == b.holders == set()
    assert a.parked == b.parked == []
