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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .flow import Flow
from .meanings import Meanings
from .reserved import hidden_files, owner_of
from .sources import Folders, OwnPaths, Sources, folders_of

_PACKAGE = str(Path(__file__).resolve().parent)
_making = threading.Lock()


class CodeVersion:
    """The code of some flows as it was first imported.

    ``specs``: what the flows were called when they were loaded; ``flows``: the flows themselves, each of which knows its version.
    ``folders``: for each spec, the folders in which its flow looks for its own modules, in that order.
    ``path``: ``sys.path`` before these folders were put on it.
    """

    def __init__(self, folders: Mapping[str, Sequence[str]], path: Sequence[str] = ()) -> None:
        self.specs = tuple(folders)
        self.flows: list[Flow] = []
        self._specs: dict[int, str] = {}
        self.folders = {spec: folders_of(found) for spec, found in folders.items()}
        self.sources = Sources()
        self._environments: dict[str, dict[str, tuple[str | None, str | None]]] = {}
        self.meanings = Meanings(self.folders)
        self._path = frozenset(path or sys.path)
        own = folders_of([folder for found in self.folders.values() for folder in found])
        self.own = Folders(own, _not_users())
        self._own_paths = OwnPaths(self.own, self.sources.content, owner=self)

    def open(self) -> None:
        """From now on this process imports the flows' modules as this version has them."""
        if self.meanings.can_differ:
            sys.meta_path.insert(0, self.meanings)
        self._own_paths.install()

    def close(self) -> None:
        """This process imports nothing more as this version has it; workers still do."""
        if self.meanings in sys.meta_path:
            sys.meta_path.remove(self.meanings)
        self._own_paths.remove()

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
        found = []
        for name, module in tuple(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and name != "__main__" and self.own.hold(file):
                found.append(name)
        return found

    @contextmanager
    def importing(self, spec: str) -> Iterator[None]:
        """While the modules of a flow are imported: what they change in the environment is that flow's."""
        before = dict(os.environ)
        try:
            yield
        finally:
            after = dict(os.environ)
            self._environments[spec] = {
                name: (before.get(name), after.get(name))
                for name in before.keys() | after.keys()
                if before.get(name) != after.get(name)
            }

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
        mine = self.folders[self.spec_of(flow)]
        others = [folder for folder in self.own.own if folder not in mine and folder not in self._path]
        return [entry or os.getcwd() for entry in sys.path if entry not in others]


def version_of(flow: Flow) -> CodeVersion:
    """The version that a flow is of.

    For a flow that nobody loaded, in a script, a notebook or a test, it is made now, of what is imported.
    """
    with _making:
        if flow.version is None:
            new = CodeVersion({flow.name: [*_folder_of(flow), os.getcwd()]})
            same = (known for known in _open_versions() if [*known.folders.values()] == [*new.folders.values()])
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
