"""Admission: who may run now. Slots are taken all at once or not at all, first come, first served, without needless waiting.

A ``Limit`` has so many slots. A request names the limits in which it needs a slot; it gets all of them at once, or it is
parked at the first limit that is full. What is parked at a limit is tried again, oldest first, as soon as a slot there is
free, and is parked at another limit if that is full by then. So a request waits only at a full limit, a busy limit holds
up no request that does not need it, and among those that wait for the same limit the first come is first served.

A request that needs two busy limits could always find one of them full. After ``PATIENCE`` vain tries it is
privileged: no request that comes later takes a slot in its limits until it has had its turn. One at a time has that
privilege, and it does not bind those whose own callers hold a slot anywhere, since they must end for that slot to be
free.

A caller waits for what it called. So a call may wait for a slot that only its own callers hold, or only callers whose calls
wait for this one's: it would wait for ever, and is refused.
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
    """So many slots. ``name``, ``key`` and ``value`` are for people: of what, and for which value of which key of the first input.

    ``reason`` is why a request waits here ("limit", "run_key", "schedule"). Where this limit is for one value of a key, ``family``
    is the limit of the whole group. ``shrunk``: it had more slots once, so that more may be held than there are.
    """

    __slots__ = (
        *("__weakref__", "family", "flow", "holders", "key", "name", "parked", "reason", "shrunk", "slots", "value"),
    )

    def __init__(
        self,
        name: str,
        slots: int,
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
        self.slots = slots
        self.reason = reason
        self.family = family
        self.shrunk = False
        self.holders: set[SlotRequest] = set()
        self.parked: list[tuple[int, SlotRequest]] = []

    @property
    def full(self) -> bool:
        """Whether no slot is free."""
        return len(self.holders) >= self.slots

    def describe(self) -> str:
        """The limit in words."""
        what = f"{self.name!r}" if self.key is None else f"{self.name!r} for {key_in_words(self.key, self.value)}"
        return f"the limit of {self.slots} of {what}"


class SlotRequest:
    """A request for slots, from its first try until they are given back. ``execution_id`` is 0 until it is known.

    ``ancestors`` are those of its callers, ``below`` those that wait and that have this one among their callers. All else belongs
    to ``Admission`` and changes under its lock; ``held`` and ``parked_at`` may be read without it.
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
    """The callbacks of granted requests that are to be called later, in the order of the grants."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[tuple[Callable[[], None], bool]] = []
        self._is_open = True
        self._failed = False

    def freed(self, granted: Callable[[], None]) -> None:
        """Slots that are free in any case were granted."""
        with self._lock:
            self._kept.append((granted, False))

    def parked(self, granted: Callable[[], None]) -> None:
        """In any thread: slots were granted to a request that is parked, unless that is undone."""
        with self._lock:
            if self._is_open:
                self._kept.append((granted, True))
                return
        if not self._failed:
            granted()

    def close(self, failed: bool) -> list[Callable[[], None]]:
        """The callbacks to call now; later ones are called at once. ``failed``: what was to be parked is not."""
        with self._lock:
            self._is_open, self._failed = False, failed
            return [granted for granted, is_parked in self._kept if not (is_parked and failed)]


class Admission:
    """The one owner of all slots. ``patience``: how often a request is tried in vain before it is privileged."""

    def __init__(self, patience: int = PATIENCE) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._order = itertools.count(1)
        self._privileged: SlotRequest | None = None
        self._postponed = threading.local()

    @contextmanager
    def postponed(self) -> Iterator[None]:
        """Callbacks of requests that are granted the slots which this thread frees inside are called at the end.

        So are those of requests that this thread parks inside, whichever thread frees their slots; if it raises, they are never
        called.
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
                except (
                    Exception
                ):  # it concerns the request that was granted, not the others, nor whoever gave the slots back
                    logger.exception("An execution that was granted its slots could not continue.")
            else:
                grants.freed(callback)

    def take(self, request: SlotRequest) -> bool:
        """Take all slots now, without waiting; False, with none taken, if any is not free."""
        with self._lock:
            if self._obstacle(request) is not None:
                return False
            self._hold(request)
            return True

    def park(self, request: SlotRequest, granted: Callable[[], None]) -> Limit | None:
        """Wait for the slots; ``granted`` is called once they are taken, by the thread that freed the last one.

        Returns the limit it waits at, or None if the slots were free after all (then ``granted`` is not called). Raises
        ``DeadlockError`` where it would wait for ever: for its own callers, or for others that wait for it.
        """
        with self._lock:
            obstacle = self._obstacle(request)
            if obstacle is None:
                self._hold(request)
                return None
            for ancestor in request.ancestors:
                ancestor.below.add(request)
            try:
                _refuse_deadlock(request)
            except DeadlockError:
                _wait_no_more(request)
                raise
            request.order = next(self._order)
            grants = self._grants
            request.granted = granted if grants is None else partial(grants.parked, granted)
            self._park_at(request, obstacle)
            return obstacle

    def withdraw(self, request: SlotRequest) -> bool:
        """Stop waiting; False if the slots have been taken already."""
        with self._lock:
            if request.parked_at is None:
                return False
            limit, request.granted = request.parked_at, None
            _wait_no_more(request)
            limit.parked = [entry for entry in limit.parked if entry[1] is not request]
            heapq.heapify(limit.parked)
            freed = []
            if self._privileged is request:
                self._privileged = None
                freed = self._try_parked(request.limits)
        self._tell(freed)
        return True

    def release(self, request: SlotRequest) -> None:
        """Give the slots back; those that waited for them are granted them. Nothing happens if none is held."""
        with self._lock:
            if not request.held:
                return
            request.held = False
            for limit in request.limits:
                limit.holders.discard(request)
            granted = self._try_parked(request.limits)
        self._tell(granted)

    def pass_on(self, request: SlotRequest, successor: SlotRequest) -> None:
        """Give the slots to another request that needs the same ones; no other request gets them in between."""
        with self._lock:
            request.held = False
            for limit in request.limits:
                limit.holders.discard(request)
            self._hold(successor)

    def resize(self, limit: Limit, slots: int) -> None:
        """From now on a limit has so many slots. Those that are held stay held; new ones are granted to requests that wait."""
        with self._lock:
            limit.shrunk = limit.shrunk or slots < limit.slots
            limit.slots = slots
            granted = self._try_parked([limit])
        self._tell(granted)

    def _obstacle(self, request: SlotRequest) -> Limit | None:
        """The first limit that keeps the request waiting."""
        first = self._privileged
        for limit in request.limits:
            if limit.full:
                return limit
            if first is not None and first is not request and limit in first.limits and not self._must_pass(request):
                return limit
        return None

    @staticmethod
    def _must_pass(request: SlotRequest) -> bool:
        # whatever slot its callers hold, the privileged request may wait for a request that waits for it
        return any(ancestor.held for ancestor in request.ancestors)

    def _hold(self, request: SlotRequest) -> None:
        request.held = True
        _wait_no_more(request)
        for limit in request.limits:
            limit.holders.add(request)
        if self._privileged is request:
            self._privileged = None

    def _park_at(self, request: SlotRequest, limit: Limit) -> None:
        request.parked_at = limit
        heapq.heappush(limit.parked, (request.order, request))

    def _try_parked(self, limits: Sequence[Limit]) -> list[Callable[[], None]]:
        """Grant what can be granted to those parked at these limits, oldest first; the callbacks of those granted."""
        granted: list[Callable[[], None]] = []
        todo = list(limits)
        while todo:
            limit = todo.pop()
            held_back: list[tuple[int, SlotRequest]] = []
            while limit.parked and not limit.full:
                entry = heapq.heappop(limit.parked)
                request = entry[1]
                obstacle = self._obstacle(request)
                if obstacle is None:
                    if self._privileged is request:  # those it held back may have their turn
                        todo.extend(request.limits)
                    granted.append(self._grant(request))
                elif obstacle is limit:
                    held_back.append(entry)
                else:
                    self._tried_in_vain(request)
                    self._park_at(request, obstacle)
            for entry in held_back:
                heapq.heappush(limit.parked, entry)
            if limit.shrunk and limit.parked:
                granted += self._try_stuck(limit)
        return granted

    def _grant(self, request: SlotRequest) -> Callable[[], None]:
        """Take the slots for a request that waited; its callback."""
        self._hold(request)
        assert request.granted is not None
        return request.granted

    def _tried_in_vain(self, request: SlotRequest) -> None:
        request.tries += 1
        if request.tries >= self._patience and self._privileged is None:
            self._privileged = request

    def _try_stuck(self, limit: Limit) -> list[Callable[[], None]]:
        """Grant what would wait for ever at a limit since it shrank: when it was parked, another slot was to become free."""
        granted: list[Callable[[], None]] = []
        for entry in sorted(limit.parked, key=lambda entry: entry[0]):
            request = entry[1]
            try:
                _refuse_deadlock(request)
            except DeadlockError:
                limit.parked.remove(entry)
                heapq.heapify(limit.parked)
                granted.append(self._grant(request))
        return granted


def _wait_no_more(request: SlotRequest) -> None:
    request.parked_at = None
    for ancestor in request.ancestors:
        ancestor.below.discard(request)


def _refuse_deadlock(request: SlotRequest) -> None:
    """Raise ``DeadlockError`` if the request, which is among those below its callers, would wait for ever."""
    if not any(ancestor.held for ancestor in request.ancestors):
        return  # no request that holds a slot waits for it
    if all(not limit.full or any(not holder.below for holder in limit.holders) for limit in request.limits):
        return  # at each limit a holder waits for nothing
    stuck = _stuck(request)
    for limit in request.limits:
        if limit.full and all(holder.below & stuck for holder in limit.holders):
            holders = ", ".join(map(str, sorted(holder.execution_id for holder in limit.holders)))
            who = (
                f"its own callers (execution {holders}), which wait for it"
                if limit.holders <= request.ancestors
                else f"executions that wait for one another, its own callers among them (executions {holders})"
            )
            raise DeadlockError(
                f"This call would wait for ever: {limit.describe()} is held only by {who}. Raise the limit, or take it from the "
                "caller."
            )


def _stuck(request: SlotRequest) -> set[SlotRequest]:
    """Of this request and those that it waits for, directly or not, the ones that can't be granted before another one of them."""
    stuck: set[SlotRequest] = set()
    rest = [request]
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


def _waits_for(request: SlotRequest, others: set[SlotRequest]) -> bool:
    """Whether at a limit of this request every holder waits for one of the others."""
    return any(limit.full and all(holder.below & others for holder in limit.holders) for limit in request.limits)
