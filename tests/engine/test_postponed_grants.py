"""What is granted while a transaction goes on is told after it, and to nobody who is not there after all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from microflow.engine.admission.slots import Admission, Limit, SlotRequest

from .test_admission import Requests


def test_whoever_is_granted_what_is_freed_in_a_transaction_is_told_after_it() -> None:
    admission, limit = Admission(), Limit("group", 1)
    first, second, told = SlotRequest([limit], ()), SlotRequest([limit], ()), []
    assert admission.take(first)
    admission.park(second, lambda: told.append("second"))

    with admission.postponed():
        admission.release(first)
        assert second.held
        assert not told

    assert told == ["second"]


def test_whoever_is_parked_in_a_transaction_is_told_at_its_end_whoever_frees_the_place() -> None:
    request_, limit = Requests(), Limit("api", 1)
    admission = request_.admission
    first = request_("first", limit)
    with ThreadPoolExecutor(1) as other, admission.postponed():
        request_("second", limit)
        request_("third", limit)
        other.submit(admission.release, first).result()
        assert request_.granted == ["first"]
    assert request_.granted == ["first", "second"]


def test_whoever_is_parked_in_a_transaction_that_fails_is_not_told() -> None:
    request_, limit = Requests(), Limit("api", 1)
    admission = request_.admission
    first = request_("first", limit)
    with suppress(ZeroDivisionError), admission.postponed():
        second = request_("second", limit)
        third = request_("third", limit)
        admission.release(first)
        raise ZeroDivisionError
    assert request_.granted == ["first"]
    admission.release(second)  # whoever has undone the transaction does so
    assert third.held
    assert request_.granted == ["first"]
    admission.release(third)
    request_("fourth", limit)
    assert request_.granted == ["first", "fourth"]
