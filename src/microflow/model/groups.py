"""Groups: limits of concurrency that jobs share, and what they are called."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ..errors import DefinitionError
from .arguments import says_what_it_takes


class ConcurrencyGroup:
    """A limit that jobs share: at most ``max_concurrency`` of them run at once.

    With ``key="customer"`` the limit holds for each value of that key of the first input. A group without a name is called after
    the variable that holds it at the level of a module, else after its first job. Raises ``DefinitionError`` for a limit that is
    not a whole number from 1 on, and for a name or key that is not text.
    """

    @says_what_it_takes("ConcurrencyGroup()", 'ConcurrencyGroup(2, name="api")')
    def __init__(self, max_concurrency: int = 1, name: str | None = None, key: str | None = None) -> None:
        if not isinstance(max_concurrency, int) or isinstance(max_concurrency, bool) or max_concurrency < 1:
            hint = f" A name is given as name={max_concurrency!r}." if isinstance(max_concurrency, str) else ""
            raise DefinitionError(
                f"ConcurrencyGroup(max_concurrency={max_concurrency!r}): a limit is a whole number from 1 on.{hint}"
            )
        for argument, value in (("name", name), ("key", key)):
            if value is not None and not (isinstance(value, str) and value):
                raise DefinitionError(
                    f"ConcurrencyGroup({argument}={value!r}): give a string that is not empty, or leave it out."
                )
        self.max_concurrency = max_concurrency
        self.key = key
        self.settled_name = name
        """The name given, or found for good by ``name_groups``; None before that."""
        self._first_job: str | None = None
        self._module: str | None = sys._getframe(2).f_globals.get("__name__")  # 1 is what checks the arguments

    @property
    def name(self) -> str | None:
        """The name given, that of the variable that holds the group, or that of its first job; None before it has any."""
        return self.settled_name or self.variable() or self._first_job

    def variable(self, elsewhere: Iterable[Mapping[str, Any]] = ()) -> str | None:
        """The variable that holds the group in the module that made it, or else in other globals; None if none does (yet).

        Variables with an underscore come last: in a notebook some of them hold whatever was shown.
        """
        for variables in (_variables(self._module), *elsewhere):
            # a copy, since another thread may import something there
            found = [name for name, value in list(variables.items()) if value is self]
            if found:
                return min(found, key=lambda name: name.startswith("_"))
        return None

    def join(self, job: str) -> None:
        """Note that a job of this name is in the group."""
        self._first_job = self._first_job or job

    def __repr__(self) -> str:
        key = f", key={self.key!r}" if self.key else ""
        return f"ConcurrencyGroup({self.max_concurrency}, name={self.name!r}{key})"


class Member(Protocol):
    """A job, as far as it is in groups: its ``name``, its function ``fn``, and its ``limits``."""

    @property
    def name(self) -> str: ...
    @property
    def fn(self) -> Any: ...
    @property
    def limits(self) -> Sequence[Any]: ...


def name_groups(jobs: Iterable[Member], module: str | None) -> None:
    """Give each group of a flow's jobs that has no name one for good, once the flow's modules have been imported.

    ``module`` is the flow's own. Of two groups whose variables are called alike, the second is called after its first job, if no
    other group is.
    """
    members: dict[ConcurrencyGroup, list[Member]] = {}
    for job in jobs:
        for limit in job.limits:
            if isinstance(limit, ConcurrencyGroup):
                members.setdefault(limit, []).append(job)
    taken = {group.settled_name for group in members}
    for group, its_jobs in members.items():
        if group.settled_name is None:
            places = [*(getattr(job.fn, "__globals__", {}) for job in its_jobs), _variables(module)]
            wished = [name for name in (group.variable(places), its_jobs[0].name) if name is not None]
            group.settled_name = next((name for name in wished if name not in taken), wished[0])
            taken.add(group.settled_name)


def _variables(module: str | None) -> Mapping[str, Any]:
    found = sys.modules.get(module or "")
    return {} if found is None else vars(found)
