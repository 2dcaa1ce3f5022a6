"""The names of Python's own modules and of what Microflow depends on: a file beside a flow does not take their place.

Without this, ``queue.py`` in a flow's folder is what the whole process imports as ``queue``, and the same name means other modules
in processes that imported it earlier.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from .sources import is_installed, is_under

DEPENDENCIES = frozenset(
    {
        *("anyio", "click", "cloudpickle", "cronsim", "h11", "idna", "jinja2", "markdown_it", "markupsafe", "mdurl"),
        *("microflow", "msgspec", "psutil", "pygments", "rich", "starlette", "typing_extensions", "tzdata", "tzlocal"),
        "uvicorn",
    }
)
"""The modules at the top of what Microflow is installed with."""


class Reserved:
    """A finder on ``sys.meta_path`` that looks for reserved names where they belong. ``folders``: where users' modules are."""

    def __init__(self) -> None:
        self.folders: set[str] = set()
        library = os.path.dirname(os.__file__)
        entries = [entry for entry in sys.path if is_under(entry, [library]) and not is_installed(entry)]
        entries += [entry for entry in sys.path if os.path.basename(entry) == "DLLs"]  # of Windows
        self._library = entries or [library]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Python's own module, or the installed one; None for other names, and where there is no such module."""
        if path is not None or "." in name:
            return None
        if name in sys.stdlib_module_names:
            return PathFinder.find_spec(name, self._library)
        if name in DEPENDENCIES and self.folders:
            return PathFinder.find_spec(name, [entry for entry in sys.path if not self._is_users(entry or os.getcwd())])
        return None

    def _is_users(self, entry: str) -> bool:
        return is_under(entry, self.folders) and not is_installed(entry)


def reserve(*folders: str) -> None:
    """From now on reserved names mean what they should in this process; ``folders`` are added to those of users' modules."""
    finder = _installed()
    if finder is None:
        finder = Reserved()
        # behind what Python has built in, and before everything that looks along sys.path
        place = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else len(sys.meta_path)
        sys.meta_path.insert(place, finder)
    finder.folders.update(folders)


def is_reserving() -> bool:
    """Whether reserved names are looked for where they belong in this process."""
    return _installed() is not None


def _installed() -> Reserved | None:
    return next((finder for finder in sys.meta_path if isinstance(finder, Reserved)), None)


def hidden_files(folder: str) -> list[Path]:
    """The files and packages of a folder that can't be imported there, since their names are reserved."""
    found = []
    for path in sorted(Path(folder).iterdir()):
        name = path.stem if path.suffix == ".py" else path.name if (path / "__init__.py").is_file() else ""
        if name in sys.stdlib_module_names or (name in DEPENDENCIES and not _is_package_itself(path)):
            found.append(path)
    return found


def hidden_file(name: str, folders: Sequence[str]) -> Path | None:
    """The file in one of the folders that has this reserved name; None if there is none, or the name is not reserved."""
    top = name.partition(".")[0]
    if top not in sys.stdlib_module_names and top not in DEPENDENCIES:
        return None
    return next((path for folder in folders for path in hidden_files(folder) if path.stem == top), None)


def owner_of(name: str) -> str:
    """Whose a reserved name is, in words."""
    return "Python's own module" if name in sys.stdlib_module_names else "a package that Microflow depends on,"


def _is_package_itself(path: Path) -> bool:
    module = sys.modules.get(path.stem)
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and is_under(file, [str(path)])
