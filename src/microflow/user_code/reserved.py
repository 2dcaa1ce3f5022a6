"""The names of Python's own modules and of what Microflow depends on: a file beside a flow does not take their place.

Without this, ``queue.py`` in a flow's folder is what the whole process imports as ``queue``, and the same name means other modules
in processes that imported it earlier. This module is imported before any other, so it imports only what every Python has loaded.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder

INSTALLED_IN = frozenset({"site-packages", "dist-packages"})
"""Folders with these names hold what was installed, wherever they are."""

DEPENDENCIES = frozenset(
    {
        *("anyio", "click", "cloudpickle", "cronsim", "h11", "idna", "jinja2", "markdown_it", "markupsafe", "mdurl"),
        *("microflow", "msgspec", "psutil", "pygments", "rich", "starlette", "typing_extensions", "tzdata", "tzlocal"),
        "uvicorn",
    }
)
"""The modules at the top of what Microflow is installed with."""

_COMMAND = "microflow"


class Reserved:
    """A finder on ``sys.meta_path`` that looks for reserved names where they belong. ``folders``: where users' modules are."""

    def __init__(self) -> None:
        self.folders: set[str] = set()
        library = os.path.dirname(os.__file__)
        entries = [entry for entry in sys.path if is_under(entry, (library,)) and not is_installed(entry)]
        entries += [entry for entry in sys.path if os.path.basename(entry) == "DLLs"]  # of Windows
        self._library = entries or [library]

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Python's own module, or the installed one; None for other names.

        Raises ``ModuleNotFoundError`` for a reserved name that is not there, such as a module of another system.
        """
        if path is not None or "." in name:
            return None
        if name in sys.stdlib_module_names:
            installed = [entry for entry in sys.path if is_installed(entry)]
            if (spec := PathFinder.find_spec(name, self._library + installed)) is None:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return spec
        if name in DEPENDENCIES:
            # before the flows are known, whatever is not installed may be the user's
            path = [entry for entry in sys.path if not self._may_be_users(entry or os.getcwd())]
            spec = PathFinder.find_spec(name, path)
            if spec is None and self.folders:  # such as tzdata, which is only installed where the system has no zones
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return spec
        return None

    def _may_be_users(self, entry: str) -> bool:
        return not is_installed(entry) and (not self.folders or is_under(entry, self.folders))


def begin() -> None:
    """Reserve names if this is a process of Microflow's own: the command line, or a worker. The rest of it is not imported yet."""
    arguments = sys.orig_argv
    module = arguments[arguments.index("-m") + 1] if "-m" in arguments[:-1] else ""
    program = os.path.basename(sys.argv[0]) if getattr(sys, "argv", None) else ""
    if module.partition(".")[0] == _COMMAND or program.removesuffix(".exe").removesuffix("-script.py") == _COMMAND:
        reserve()


def reserve(*folders: str) -> None:
    """From now on reserved names mean what they should in this process; ``folders`` are added to those of users' modules."""
    finder = _installed()
    if finder is None:
        finder = Reserved()
        # behind what Python has built in, and before everything that looks along sys.path
        place = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else len(sys.meta_path)
        sys.meta_path.insert(place, finder)
    finder.folders.update(folders)


def release() -> None:
    """Names mean again what they do without Microflow: a worker of a script follows the script."""
    if (finder := _installed()) is not None:
        sys.meta_path.remove(finder)


def is_reserved(name: str) -> bool:
    """Whether a name means Python's own module or a dependency's in this process, whatever the users' folders hold."""
    top = name.partition(".")[0]
    return (top in sys.stdlib_module_names or top in DEPENDENCIES) and is_reserving()


def is_reserving() -> bool:
    """Whether reserved names are looked for where they belong in this process."""
    return _installed() is not None


def hidden_files(folder: str) -> list[str]:
    """The files and packages of a folder that can't be imported there, since their names are reserved; by their names."""
    found = []
    for file in sorted(os.listdir(folder)):
        path = os.path.join(folder, file)
        name = file.removesuffix(".py")
        if name == file and not os.path.isfile(os.path.join(path, "__init__.py")):
            continue
        if name in sys.stdlib_module_names or (name in DEPENDENCIES and not _is_package_itself(name, path)):
            found.append(file)
    return found


def hidden_file(name: str, folders: tuple[str, ...]) -> str | None:
    """The path of the file in one of the folders that has this reserved name; None if there is none, or it is not reserved."""
    top = name.partition(".")[0]
    for folder in folders:
        for file in (f"{top}.py", top):
            if file in hidden_files(folder):
                return os.path.join(folder, file)
    return None


def owner_of(name: str) -> str:
    """Whose a reserved name is, in words."""
    return "Python's own module" if name in sys.stdlib_module_names else "a package that Microflow depends on"


def is_under(path: str, folders: tuple[str, ...] | set[str] | list[str]) -> bool:
    """Whether a path is one of the folders, or in one."""
    return any(path == folder or path.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


def is_installed(path: str) -> bool:
    """Whether a path is in a folder for what was installed."""
    return not INSTALLED_IN.isdisjoint(path.split(os.sep))


def _installed() -> Reserved | None:
    return next((finder for finder in sys.meta_path if isinstance(finder, Reserved)), None)


def _is_package_itself(name: str, path: str) -> bool:
    file = getattr(sys.modules.get(name), "__file__", None)
    return isinstance(file, str) and is_under(file, (path,))
