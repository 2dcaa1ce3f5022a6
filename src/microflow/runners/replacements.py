"""Functions of the standard library that are replaced for as long as somebody in this process needs that.

A replacement behaves exactly like its original for code that runs outside of executions. If other code (a debugger, a tracer)
replaces the same function later, that replacement stays in place; ours below it has no effect any more once nobody needs it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any


class Replacement:
    """One function: ``owner`` is the module or class that has it as ``name``; ``replace`` makes the new one from the original."""

    def __init__(self, owner: Any, name: str, replace: Callable[[Any], Any]) -> None:
        self._owner = owner
        self._name = name
        self._replace = replace
        self._original: Any = None
        self._own: Any = None

    def put(self) -> None:
        """Replace the function that is there now."""
        self._original = getattr(self._owner, self._name)
        self._own = self._replace(self._original)
        setattr(self._owner, self._name, self._own)

    def take_back(self) -> None:
        """Put the original back, unless other code has replaced the function since."""
        if getattr(self._owner, self._name) is self._own:
            setattr(self._owner, self._name, self._original)


class Replacements:
    """Functions that are replaced together, from the first ``install`` to the last ``remove``. ``find`` says which they are."""

    def __init__(self, find: Callable[[], Sequence[Replacement]]) -> None:
        self._find = find
        self._lock = threading.Lock()
        self._users = 0
        self._there: Sequence[Replacement] = ()

    def install(self) -> None:
        """One more user needs the replacements."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._there = self._find()
                for replacement in self._there:
                    replacement.put()

    def remove(self) -> None:
        """One user needs them no more."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for replacement in reversed(self._there):
                    replacement.take_back()
