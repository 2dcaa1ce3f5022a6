"""What the name of a module means for each of several flows that are served together, and the refusal where they differ.

One process imports a module once, under one name. So flows from different folders can only share a process while every name that is
imported means the same for each of them. Workers keep to the same rule, although each has the path of one flow.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.machinery import PathFinder, all_suffixes
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from .reserved import is_installed, is_reserved, is_under


class Meaning(NamedTuple):
    """Where a module is. ``is_namespace``: a folder without ``__init__.py``, whose modules each have a meaning of their own."""

    path: str
    is_namespace: bool = False


def meaning(name: str, folders: Sequence[str]) -> Meaning | None:
    """What a module's name means to whoever looks in these folders in this order; None if nothing there has it.

    For a module in a package with an ``__init__.py`` it is the package, since the package as a whole comes from one folder.
    """
    places = list(folders)
    found: Meaning | None = None
    for part in name.split("."):
        found, portions = None, []
        for place in places:
            base = os.path.join(place, part)
            if os.path.isfile(os.path.join(base, "__init__.py")):
                return Meaning(base)
            if (
                file := next((base + suffix for suffix in all_suffixes() if os.path.isfile(base + suffix)), None)
            ) is not None:
                return Meaning(file)
            if os.path.isdir(base):
                portions.append(base)
        places = portions
        with_modules = next((portion for portion in portions if _holds_modules(portion)), None)
        if with_modules is None:
            return None
        found = Meaning(with_modules, is_namespace=True)
    return found


_DEPENDS_ON_PLACE = (b"__file__", b"__path__", b"__spec__", b"resources", b"pkgutil")
"""What stands in the source of a module that reads what lies beside it, so that two of the same content are not the same."""


class Meanings:
    """What names mean for flows that share a process; as a finder on ``sys.meta_path`` it refuses those that differ.

    ``folders``: for each flow, by what it is called, the folders that are its own, in the order in which it looks there.
    """

    def __init__(self, folders: Mapping[str, Sequence[str]]) -> None:
        self._folders = {flow: tuple(found) for flow, found in folders.items()}
        self._same: dict[tuple[str, str], bool] = {}
        self._allowed: set[tuple[str, str]] = set()

    @property
    def folders(self) -> Mapping[str, Sequence[str]]:
        """For each flow, where its names are looked for."""
        return self._folders

    @property
    def can_differ(self) -> bool:
        """Whether there are folders that one flow looks in and another doesn't, or in another order."""
        return len(set(self._folders.values())) > 1

    def widen(self, flow: str, first: Sequence[str], added: Sequence[str]) -> None:
        """A flow's modules have put folders on ``sys.path``: they belong to it, in front of its own where they are ``first``."""
        before = [os.path.abspath(folder) for folder in added if folder in first]
        behind = [os.path.abspath(folder) for folder in added if folder not in first]
        self._folders[flow] = tuple(dict.fromkeys([*before, *self._folders[flow], *behind]))
        self._allowed.clear()

    def knows(self, flow: str, name: str) -> bool:
        """Whether a flow finds a module of this name in its folders."""
        return meaning(name, self._folders[flow]) is not None

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> None:
        """Leave the import to the other finders. Raises ``ImportError`` for a name that means different modules."""
        if (clash := self.clash(name)) is not None:
            raise ImportError(clash, name=name)

    def invalidate_caches(self) -> None:
        """The files may be others now."""
        self._same.clear()
        self._allowed.clear()

    def refuse(self, flow: str, name: str) -> None:
        """Raise ``ModuleNotFoundError`` if code of ``flow`` may not import this name: only folders of other flows have it.

        The process as a whole would find the module there, or has imported it already. ``flow``: what the flow was called.
        """
        if (flow, name) in self._allowed:
            return
        if not self.knows(flow, name) and (other := self.elsewhere(name)) is not None and self._installed(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}. {other}", name=name)
        self._allowed.add((flow, name))

    def elsewhere(self, name: str) -> str | None:
        """In words, which of the flows has a module of this name; None if none has, or the name is reserved."""
        if is_reserved(name):
            return None
        for flow, folders in self._folders.items():
            if (found := meaning(name, folders)) is not None:
                return (
                    f"{_shown(found)} is in a folder of {flow} alone, and each flow has modules of its own. Put the folder on "
                    "sys.path in both, or make a package of it."
                )
        return None

    def clash_of(self, modules: Iterable[str]) -> str | None:
        """The first clash among modules that are imported by these names, in words."""
        return next((clash for name in modules if (clash := self.clash(name)) is not None), None)

    def clash(self, name: str) -> str | None:
        """In words, for which flows a name means which files; None if it means the same for all that have it."""
        if is_reserved(name):
            return None
        found = {flow: meaning(name, folders) for flow, folders in self._folders.items()}
        known = {flow: place for flow, place in found.items() if place is not None}
        if not known:
            return None
        for flow in found.keys() - known.keys():
            if (installed := self._installed(name)) is not None:
                known[flow] = installed
        first_flow, first = next(iter(known.items()))
        for flow, place in known.items():
            if self._differ(first, place):
                return _told(name, (first_flow, first), (flow, place))
        return None

    def _installed(self, name: str) -> Meaning | None:
        """What a name means where no folder of a flow has it: what is installed."""
        every = tuple({folder for found in self._folders.values() for folder in found})
        path = [entry for entry in sys.path if is_installed(entry) or not is_under(entry or os.getcwd(), every)]
        spec = PathFinder.find_spec(name.partition(".")[0], path)
        return Meaning(spec.origin) if spec is not None and spec.origin is not None else None

    def _differ(self, one: Meaning, other: Meaning) -> bool:
        if one == other or (one.is_namespace and other.is_namespace):
            return False
        if one.is_namespace or other.is_namespace:
            return True
        pair = (one.path, other.path)
        if pair not in self._same:
            here, there = _contents(one.path), _contents(other.path)
            self._same[pair] = here == there and not any(
                mark in source for source in here.values() for mark in _DEPENDS_ON_PLACE
            )
        return not self._same[pair]


def two_names(modules: Mapping[str, ModuleType], names: Iterable[str]) -> tuple[str, str, str] | None:
    """(file, name, other name) of one of the named modules that is imported a second time under another name."""
    by_file: dict[str, str] = {}
    named = {getattr(modules[name], "__file__", None): name for name in names if name in modules}
    for name, module in modules.items():
        file = getattr(module, "__file__", None)
        if file not in named or file is None or name in ("__main__", "__mp_main__"):
            continue
        if (known := by_file.setdefault(file, name)) != name:
            return file, known, name
    return None


def _told(name: str, one: tuple[str, Meaning], other: tuple[str, Meaning]) -> str:
    (first, here), (second, there) = one, other
    return (
        f"{name!r} means {_shown(here)} for {first} and {_shown(there)} for {second}. Flows that are served together share one "
        "process, where a name can only mean one of them: rename one, or make packages of the folders."
    )


def _shown(place: Meaning) -> str:
    path, folder = Path(place.path), Path.cwd()
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _holds_modules(folder: str) -> bool:
    return any(name.endswith(".py") for _, _, names in os.walk(folder) for name in names)


def _contents(path: str) -> dict[str, bytes]:
    """The source of a module, or of all modules of a package."""
    files = [Path(path)] if os.path.isfile(path) else Path(path).rglob("*.py")
    return {str(file.relative_to(path)): file.read_bytes() for file in files}
