"""Admission: who may run now. Places are taken all at once or not at all, first come, first served, without needless waiting.

A ``Limit`` has so many places. A request names the limits it needs a place in; it gets all of them at once, or it is
parked at the first one that is full. What is parked at a limit is tried again, oldest first, as soon as a place there is
free, and is parked elsewhere if another limit is full by then. So nobody waits except at a full limit, a busy limit holds
up nobody who does not need it, and among those that wait for the same limit the first come is first served.

A request that needs two busy limits could for ever find one of them full. After ``PATIENCE`` vain tries it is
privileged: nobody who comes later takes a place in its limits until it has had its turn. One at a time has that
privilege, and it does not bind those whose own callers hold a place anywhere, since they must end for that place to be
free.

Who calls waits for what it called. So a call may wait for a place that only its own callers hold, or only callers whose calls
wait for this one's: it would do so for ever, and is refused.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from ...errors import DeadlockError

logger = logging.getLogger("microflow")

PATIENCE = 8
"""How often a request is tried in vain before it is privileged."""

RUN_KEY = "run_key"
"""The key in a first input of which each value runs once at a time."""

KeyValue = str | int | float | bool | None
"""A value of a key as it is shown."""


def key_in_words(key: str, value: KeyValue) -> str:
    """A key and its value, told from every other value of it."""
    return f"{'run key' if key == RUN_KEY else key} {value!r}"


class Limit:
    """So many places. ``name``, ``key`` and ``value`` are for people: of what, and for which value of which key of the first input.

    ``reason`` is why one waits here ("limit", "run_key", "schedule"). ``family`` is the limit that this one is for one value of.
    ``shrunk``: it had more places once, so that more may be held than there are.
    """

    __slots__ = (
        *("__weakref__", "family", "flow", "holders", "key", "name", "parked", "places", "reason", "shrunk", "value"),
    )

    def __init__(
        self,
        name: str,
        places: int,
        *,
        flow: str = "",
        key: str | None = None,
        value: KeyValue = None,
        reason: str = "limit",
        family: Limit | None = None,
    ) -> None:
        self.name = name
        self.flow = flow
        self.key = key
        self.value = value
        self.places = places
        self.reason = reason
        self.family = family
        self.shrunk = False
        self.holders: set[SlotRequest] = set()
        self.parked: list[tuple[int, SlotRequest]] = []

    @property
    def full(self) -> bool:
        """Whether no place is free."""
        return len(self.holders) >= self.places

    def describe(self) -> str:
        """The limit in words."""
        what = f"{self.name!r}" if self.key is None else f"{self.name!r} for {key_in_words(self.key, self.value)}"
        return f"the limit of {self.places} of {what}"


class SlotRequest:
    """A request for places, from its first try until they are given back. ``execution_id`` is 0 until it is known.

    ``ancestors`` are those of its callers, ``below`` those that wait and that have this one among their callers.
    """

    __slots__ = ("ancestors", "below", "execution_id", "granted", "held", "limits", "order", "parked_at", "tries")

    def __init__(self, limits: Sequence[Limit], ancestors: Iterable[SlotRequest]) -> None:
        self.limits = limits
        self.ancestors = frozenset(ancestors)
        self.below: set[SlotRequest] = set()
        self.execution_id = 0
        self.held = False
        self.granted: Callable[[], None] | None = None
        self.parked_at: Limit | None = None
        self.order = 0
        self.tries = 0


class _Grants:
    """Who is told later that its places are granted, in the order of the grants."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[tuple[Callable[[], None], bool]] = []
        self._is_open = True
        self._failed = False

    def freed(self, granted: Callable[[], None]) -> None:
        """Places that are free in any case were granted."""
        with self._lock:
            self._kept.append((granted, False))

    def parked(self, granted: Callable[[], None]) -> None:
        """In any thread: places were granted to one that is parked, unless it is not after all."""
        with self._lock:
            if self._is_open:
                self._kept.append((granted, True))
                return
        if not self._failed:
            granted()

    def close(self, failed: bool) -> list[Callable[[], None]]:
        """Those who are to be told now; later ones are told at once. ``failed``: nobody is parked who was to be."""
        with self._lock:
            self._is_open, self._failed = False, failed
            return [granted for granted, is_parked in self._kept if not (is_parked and failed)]


class Admission:
    """The one owner of all places. ``patience``: how often a request is tried in vain before it is privileged."""

    def __init__(self, patience: int = PATIENCE) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._order = itertools.count(1)
        self._privileged: SlotRequest | None = None
        self._postponed = threading.local()

    @contextmanager
    def postponed(self) -> Iterator[None]:
        """Whoever is granted the places that this thread frees inside is told at the end.

        So is whoever this thread parks inside, whichever thread frees its places; if it raises, it is not told at all.
        """
        before, grants = self._grants, _Grants()
        self._postponed.grants = grants
        failed = True
        try:
            yield
            failed = False
        finally:
            self._postponed.grants = before
            self._tell(grants.close(failed))

    @property
    def _grants(self) -> _Grants | None:
        grants: _Grants | None = getattr(self._postponed, "grants", None)
        return grants

    def _tell(self, granted: Sequence[Callable[[], None]]) -> None:
        grants = self._grants
        for callback in granted:
            if grants is None:
                try:
                    callback()
                except Exception:  # it concerns whoever was granted the places, not the others, nor who gave them back
                    logger.exception("What was granted its places could not go on.")
            else:
                grants.freed(callback)

    def take(self, place: SlotRequest) -> bool:
        """Take all places now, without waiting; False, with nothing taken, if any is not free."""
        with self._lock:
            if self._obstacle(place) is not None:
                return False
            self._hold(place)
            return True

    def park(self, place: SlotRequest, granted: Callable[[], None]) -> Limit | None:
        """Wait for the places; ``granted`` is called once they are taken, by the thread that freed the last one.

        Returns the limit it waits at, or None if the places were free after all (then ``granted`` is not called). Raises
        ``DeadlockError`` where it would wait for ever: for its own callers, or for others that wait for it.
        """
        with self._lock:
            obstacle = self._obstacle(place)
            if obstacle is None:
                self._hold(place)
                return None
            for ancestor in place.ancestors:
                ancestor.below.add(place)
            try:
                _refuse_deadlock(place)
            except DeadlockError:
                _wait_no_more(place)
                raise
            place.order = next(self._order)
            grants = self._grants
            place.granted = granted if grants is None else partial(grants.parked, granted)
            self._park_at(place, obstacle)
            return obstacle

    def withdraw(self, place: SlotRequest) -> bool:
        """Stop waiting; False if the places have been taken already."""
        with self._lock:
            if place.parked_at is None:
                return False
            limit, place.granted = place.parked_at, None
            _wait_no_more(place)
            limit.parked = [entry for entry in limit.parked if entry[1] is not place]
            heapq.heapify(limit.parked)
            freed = []
            if self._privileged is place:
                self._privileged = None
                freed = self._try_parked(place.limits)
        self._tell(freed)
        return True

    def release(self, place: SlotRequest) -> None:
        """Give the places back; whoever waited for them is granted them. Nothing happens if none is held."""
        with self._lock:
            if not place.held:
                return
            place.held = False
            for limit in place.limits:
                limit.holders.discard(place)
            granted = self._try_parked(place.limits)
        self._tell(granted)

    def pass_on(self, place: SlotRequest, successor: SlotRequest) -> None:
        """Give the places to another call that needs the same ones and is to have them next; nobody else gets them in between."""
        with self._lock:
            place.held = False
            for limit in place.limits:
                limit.holders.discard(place)
            self._hold(successor)

    def resize(self, limit: Limit, places: int) -> None:
        """From now on a limit has so many places. Those that are held stay held; who waits is granted those that are new."""
        with self._lock:
            limit.shrunk = limit.shrunk or places < limit.places
            limit.places = places
            granted = self._try_parked([limit])
        self._tell(granted)

    def _obstacle(self, place: SlotRequest) -> Limit | None:
        """The first limit that keeps the request waiting."""
        first = self._privileged
        for limit in place.limits:
            if limit.full:
                return limit
            if first is not None and first is not place and limit in first.limits and not self._must_pass(place):
                return limit
        return None

    @staticmethod
    def _must_pass(place: SlotRequest) -> bool:
        # whatever place its callers hold, somebody may wait for it that the privileged one waits for
        return any(ancestor.held for ancestor in place.ancestors)

    def _hold(self, place: SlotRequest) -> None:
        place.held = True
        _wait_no_more(place)
        for limit in place.limits:
            limit.holders.add(place)
        if self._privileged is place:
            self._privileged = None

    def _park_at(self, place: SlotRequest, limit: Limit) -> None:
        place.parked_at = limit
        heapq.heappush(limit.parked, (place.order, place))

    def _try_parked(self, limits: Sequence[Limit]) -> list[Callable[[], None]]:
        """Grant what can be granted to those parked at these limits, oldest first."""
        granted: list[Callable[[], None]] = []
        todo = list(limits)
        while todo:
            limit = todo.pop()
            kept: list[tuple[int, SlotRequest]] = []
            while limit.parked and not limit.full:
                entry = heapq.heappop(limit.parked)
                place = entry[1]
                obstacle = self._obstacle(place)
                if obstacle is None:
                    was_privileged = self._privileged is place
                    self._hold(place)
                    assert place.granted is not None
                    granted.append(place.granted)
                    if was_privileged:  # those it held back may have their turn
                        todo.extend(place.limits)
                elif obstacle is limit:
                    kept.append(entry)
                else:
                    place.tries += 1
                    if place.tries >= self._patience and self._privileged is None:
                        self._privileged = place
                    self._park_at(place, obstacle)
            for entry in kept:
                heapq.heappush(limit.parked, entry)
            if limit.shrunk and limit.parked:
                granted += self._try_stuck(limit)
        return granted

    def _try_stuck(self, limit: Limit) -> list[Callable[[], None]]:
        """Grant what would wait for ever at a limit since it shrank: when it was parked, another place was to become free."""
        granted: list[Callable[[], None]] = []
        for entry in sorted(limit.parked, key=lambda entry: entry[0]):
            place = entry[1]
            try:
                _refuse_deadlock(place)
            except DeadlockError:
                limit.parked.remove(entry)
                heapq.heapify(limit.parked)
                self._hold(place)
                assert place.granted is not None
                granted.append(place.granted)
        return granted


def _wait_no_more(place: SlotRequest) -> None:
    place.parked_at = None
    for ancestor in place.ancestors:
        ancestor.below.discard(place)


def _refuse_deadlock(place: SlotRequest) -> None:
    """Raise ``DeadlockError`` if the request, which is among those below its callers, would wait for ever."""
    if not any(ancestor.held for ancestor in place.ancestors):
        return  # nobody who holds a place waits for it
    if all(not limit.full or any(not holder.below for holder in limit.holders) for limit in place.limits):
        return  # at each limit somebody has nothing to wait for
    stuck = _stuck(place)
    for limit in place.limits:
        if limit.full and all(holder.below & stuck for holder in limit.holders):
            holders = ", ".join(map(str, sorted(holder.execution_id for holder in limit.holders)))
            who = (
                f"its own callers (execution {holders}), which wait for it"
                if limit.holders <= place.ancestors
                else f"executions that wait for one another, its own callers among them (executions {holders})"
            )
            raise DeadlockError(
                f"This call would wait for ever: {limit.describe()} is held only by {who}. Raise the limit, or take it from the "
                "caller."
            )


def _stuck(place: SlotRequest) -> set[SlotRequest]:
    """Of this request and those that it waits for, directly or not, the ones that can't be granted before another one of them."""
    stuck: set[SlotRequest] = set()
    rest = [place]
    while rest:
        waiting = rest.pop()
        if waiting not in stuck:
            stuck.add(waiting)
            rest += [
                below for limit in waiting.limits if limit.full for holder in limit.holders for below in holder.below
            ]
    while free := {waiting for waiting in stuck if not _waits_for(waiting, stuck)}:
        stuck -= free
    return stuck


def _waits_for(place: SlotRequest, others: set[SlotRequest]) -> bool:
    """Whether at a limit of this request every holder waits for one of the others."""
    return any(limit.full and all(holder.below & others for holder in limit.holders) for limit in place.limits)
