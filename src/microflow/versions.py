"""One version of the code of flows that are served together: what their modules hold, and where a worker finds the same.

A process that serves flows has one ``CodeVersion`` from its start to its end, or to a reload. Files that are edited meanwhile
change nothing in it: each module is imported with the content that it had at its first import, in whichever process that was.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from .flow import Flow
from .runtime import active_execution
from .user_code.late_imports import ReplacedModules, refuse_by, refuse_no_more
from .user_code.meanings import Meanings
from .user_code.reserved import hidden_files, is_installed, owner_of
from .user_code.sources import Folders, OwnPaths, Sources, folders_of

_Environment = dict[str, tuple[str | None, str | None]]
"""Variables, each with what it was before and what it was set to."""

_PACKAGE = str(Path(__file__).resolve().parent)
_making = threading.Lock()


class CodeVersion:
    """The code of some flows as it was first imported.

    ``specs``: what the flows were called when they were loaded; ``flows``: the flows themselves, each of which knows its version.
    ``folders``: for each spec, the folders in which its flow looks for its own modules, in that order.
    ``path``: ``sys.path`` before these folders were put on it. ``directory``: the working directory when they were loaded; None
    for flows that were not loaded by a spec, and can't be loaded again. ``earlier``: the version in whose place this one is loaded.
    """

    def __init__(
        self,
        folders: Mapping[str, Sequence[str]],
        path: Sequence[str] = (),
        directory: Path | None = None,
        earlier: CodeVersion | None = None,
    ) -> None:
        self.specs = tuple(folders)
        self.directory = directory
        self.flows: list[Flow] = []
        self._specs: dict[int, str] = {}
        self.folders = {spec: folders_of(found) for spec, found in folders.items()}
        self.sources = Sources()
        # what modules of an earlier version set in the environment is still set
        self._environments: dict[str, _Environment] = {} if earlier is None else {**earlier._environments}
        # and what they put on sys.path is still there
        self._added: dict[str, tuple[str, ...]] = {} if earlier is None else {**earlier._added}
        self.meanings = Meanings(self.folders)
        self._path: frozenset[str] = frozenset(path or sys.path) if earlier is None else earlier._path
        own = folders_of([folder for found in self.folders.values() for folder in found])
        self.own = Folders(own, _not_users())
        self._own_paths = OwnPaths(self.own, self.sources.content, owner=self)
        self._replaced: ReplacedModules | None = None
        self._surroundings = _Surroundings()

    def open(self) -> None:
        """From now on this process imports the flows' modules as this version has them."""
        self.keep_apart()
        self._own_paths.install()

    def close(self) -> None:
        """This process imports nothing more as this version has it; workers still do."""
        if self.meanings in sys.meta_path:
            sys.meta_path.remove(self.meanings)
        refuse_no_more(self._refuse)
        self._own_paths.remove()

    def keep_apart(self) -> None:
        """Refuse imports whose meaning depends on the flow, now that the flows' folders are known."""
        if self.meanings.can_differ:
            if self.meanings not in sys.meta_path:
                sys.meta_path.insert(0, self.meanings)
            refuse_by(self._refuse)

    def _refuse(self, name: str) -> None:
        """Refuse a job of one flow a module that only folders of other flows have."""
        execution = active_execution.get()
        flow = None if execution is None else next((flow for flow in self.flows if flow.name == execution.flow), None)
        if flow is not None:
            self.meanings.refuse(self.spec_of(flow), name)

    @property
    def is_aside(self) -> bool:
        """Whether this process imports another version."""
        return self._replaced is not None

    def set_aside(self) -> None:
        """Take this version's modules out of ``sys.modules``, for another version to be imported.

        Its own code still imports them, and further ones as this version has them.
        """
        names = [*self.modules(), *self._namespaces()]
        kept = {name: sys.modules[name] for name in names}
        refuse = self._refuse if self.meanings.can_differ else None
        self._replaced = ReplacedModules(kept, self.own.own, self._own_paths, self.own.hold, refuse)
        self._replaced.mark()
        self._surroundings = _Surroundings.now()
        for name in names:
            del sys.modules[name]
        self.close()

    def put_back(self) -> None:
        """``set_aside`` undone; what was imported of the other version, and what that set up in the process, is forgotten."""
        assert self._replaced is not None, "it was set aside"
        for name in [*self.modules(), *self._namespaces()]:
            del sys.modules[name]
        sys.modules.update(self._replaced.unmark())
        self._replaced = None
        self._surroundings.restore()
        self.open()

    def module(self, name: str) -> ModuleType | None:
        """A module that this version has imported in this process, also after it was set aside; None if it has not."""
        own = self._replaced.get(name) if self._replaced is not None else None
        return sys.modules.get(name) if own is None else own

    def _namespaces(self) -> list[str]:
        """The names of packages without an ``__init__.py`` in the flows' folders."""
        return [
            name
            for name, module in tuple(sys.modules.items())
            if isinstance(spec := getattr(module, "__spec__", None), ModuleSpec)
            and spec.origin is None
            and any(map(self.own.hold, spec.submodule_search_locations or ()))
        ]

    def add(self, flow: Flow, spec: str) -> None:
        """This flow is of this version."""
        if flow not in self.flows:
            self.flows.append(flow)
            self._specs[id(flow)] = spec
            flow.version = self

    def spec_of(self, flow: Flow) -> str:
        """What a flow was called when it was loaded."""
        return self._specs[id(flow)]

    def modules(self) -> list[str]:
        """The names of the flows' own modules that are imported in this process."""
        return self._modules_in(self.own)

    def _modules_in(self, folders: Folders) -> list[str]:
        found = []
        for name, module in tuple(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and name != "__main__" and folders.hold(file):
                found.append(name)
        return found

    @contextmanager
    def importing(self, spec: str) -> Iterator[None]:
        """While the modules of a flow are imported: they find what that flow alone would find.

        What they change in the environment, and the folders that they put on ``sys.path``, are that flow's.
        """
        before = dict(os.environ)
        self._added.pop(spec, None)
        others = self._others_folders(spec)
        path = list(sys.path)
        sys.path[:] = mine = [entry for entry in path if entry not in others]
        hidden = self._hide_modules(spec)
        try:
            yield
        finally:
            sys.modules.update(hidden)
            self._added[spec] = tuple(entry for entry in sys.path if entry not in mine and not is_installed(entry))
            place = next((place for place, entry in enumerate(sys.path) if entry in self.folders[spec]), len(sys.path))
            self.meanings.widen(spec, sys.path[:place], self._added[spec])
            kept = [entry for entry in path if entry in others and entry not in sys.path]
            sys.path[place:place] = kept
            self.keep_apart()
            after = dict(os.environ)
            known = self._environments.get(spec, {})
            self._environments[spec] = known | {
                name: (known[name][0] if name in known else before.get(name), after.get(name))
                for name in before.keys() | after.keys()
                if before.get(name) != after.get(name)
            }

    def _hide_modules(self, spec: str) -> dict[str, ModuleType]:
        """Take out of ``sys.modules`` what only other flows find by its name; these modules."""
        found = {
            name: sys.modules[name] for name in self.imported() if not self.meanings.knows(spec, name.partition(".")[0])
        }
        for name in found:
            del sys.modules[name]
        return found

    def _others_folders(self, spec: str) -> set[str]:
        """The entries of ``sys.path`` that are there for other flows alone."""
        mine = {*self.folders[spec], *self._added.get(spec, ())}
        added = {entry for found in self._added.values() for entry in found}
        return {folder for folder in (*self.own.own, *added) if folder not in mine and folder not in self._path}

    def imported(self) -> list[str]:
        """The names of ``modules``, and of those in folders that the flows' modules have put on ``sys.path``."""
        added = folders_of([entry for found in self._added.values() for entry in found])
        own = Folders((*self.own.own, *added), self.own.others)
        return self._modules_in(own)

    def environment_of(self, flow: Flow) -> dict[str, str | None]:
        """What the modules of other flows set in the environment, as it was before them; None for what was not there."""
        others = [changed for spec, changed in self._environments.items() if spec != self.spec_of(flow)]
        found: dict[str, str | None] = {}
        for changed in reversed(others):  # of several that set one name, the first one knows what it was before
            found |= {name: was for name, (was, now) in changed.items() if name in found or os.environ.get(name) == now}
        return found

    def changed(self) -> list[Path]:
        """The files that were imported, in this process or in a worker, and that hold something else now, or are gone.

        Those outside the flows' folders are among them, although workers import them as they are.
        """
        self.sources.watch(self.own.elsewhere(tuple(sys.modules.values())))
        return [Path(path) for path in self.sources.changed()]

    def notes_on(self, flow: Flow) -> Iterator[str]:
        """What may surprise whoever imports from a flow's folders, each as one sentence."""
        for folder in self.folders[self.spec_of(flow)]:
            for file in hidden_files(folder):
                name = file.removesuffix(".py")
                yield (
                    f"{file} in {folder} has the name of {owner_of(name)}, which is what 'import {name}' imports; rename it."
                )

    def path_of(self, flow: Flow) -> list[str]:
        """``sys.path`` as it is for one flow: without the folders that only other flows have."""
        others = self._others_folders(self.spec_of(flow))
        return [entry or os.getcwd() for entry in sys.path if entry not in others]


class _Surroundings(NamedTuple):
    """What a module may change in its process that can be put back: environment, ``sys.path``, working directory."""

    environment: Mapping[str, str] = {}
    path: Sequence[str] = ()
    directory: str | None = None

    @classmethod
    def now(cls) -> _Surroundings:
        """As they are."""
        directory: str | None = None
        with suppress(OSError):  # it was removed
            directory = os.getcwd()
        return cls(dict(os.environ), tuple(sys.path), directory)

    def restore(self) -> None:
        """As they were."""
        for name in os.environ.keys() - self.environment.keys():
            os.environ.pop(name, None)
        os.environ.update(self.environment)
        sys.path[:] = self.path
        if self.directory is not None:
            with suppress(OSError):
                os.chdir(self.directory)


def version_of(flow: Flow) -> CodeVersion:
    """The version that a flow is of.

    For a flow that nobody loaded, in a script, a notebook or a test, it is made now, of what is imported.
    """
    with _making:
        if flow.version is None:
            new = CodeVersion({flow.name: [*_folder_of(flow), os.getcwd()]})
            same = (
                known
                for known in _open_versions()
                if known.directory is None and [*known.folders.values()] == [*new.folders.values()]
            )
            version = next(same, new)  # flows of one script share their modules
            version.add(flow, version.specs[0])
            version.sources.adopt(version.own)
            if version is new:
                version.open()
        found: CodeVersion = flow.version
        return found


def _open_versions() -> Iterator[CodeVersion]:
    for hook in sys.path_hooks:
        if isinstance(hook, OwnPaths) and isinstance(hook.owner, CodeVersion):
            yield hook.owner


def _folder_of(flow: Flow) -> Iterable[str]:
    """The folder in which a flow's module was found: that of its file, or the one above its package."""
    module: Any = sys.modules.get(flow.module or "")
    file = getattr(module, "__file__", None)
    if isinstance(file, str) and os.path.isfile(file):
        depth = len((flow.module or "").split(".")) - 1
        yield str(Path(file).absolute().parents[depth + (Path(file).name == "__init__.py")])


def _not_users() -> tuple[str, ...]:
    """Folders that are not the user's even where they are in a folder of the user's."""
    folders = [_PACKAGE, *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))]
    return folders_of([form for folder in folders for form in (folder, os.path.realpath(folder))])
