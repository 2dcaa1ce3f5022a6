"""Finding a flow by what a person calls it: ``module:flow``, ``module``, or ``path/to/my_flow.py:flow``.

The module is imported under a name by which a worker process can import it too. Whatever goes wrong is a ``LoadError`` that says
where: a module is somebody's own code, and may raise anything while it is imported.
"""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
import traceback
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from .errors import LoadError
from .flow import Flow
from .jobs import Job
from .model.payloads import described

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED_IN = {"site-packages", "dist-packages"}


def load_flow(spec: str) -> Flow:
    """The flow that ``spec`` names, its module imported.

    Afterwards the working directory, and the folder of a path, stand first on ``sys.path``. Without ``:flow`` the module must hold
    exactly one. Raises ``LoadError`` for everything else; its cause is what the module raised.
    """
    target, attribute = _split(spec)
    try:
        _look_first_in(Path.cwd())
        name, file = _module_of(spec, target)
        module = _imported(spec, name, file)
    except OSError as error:  # a folder that may not be entered, a name that is too long
        raise LoadError(
            f"{spec} can't be loaded: {error.strerror}: {error.filename or Path(target).parent}."
        ) from error
    except ValueError as error:  # a name that holds a null character
        raise LoadError(f"{spec!r} can't be loaded: {error}.") from error
    return _flow_of(module, attribute, target)


def source_files() -> list[Path]:
    """The files of the imported modules that are somebody's own: neither Python's, nor installed, nor of this package."""
    files = {_source_of(module) for module in tuple(sys.modules.values())}
    return sorted(file for file in files if file is not None and not _is_installed(file))


def shown(path: Path) -> str:
    """A path as a person in the working directory would write it."""
    folder = Path.cwd()
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


class Place(NamedTuple):
    """A line of somebody's code."""

    file: str
    line: int | None

    def __str__(self) -> str:
        name = shown(Path(self.file).absolute()) if not self.file.startswith("<") else self.file
        return name if self.line is None else f"{name}, line {self.line}"


def _split(spec: str) -> tuple[str, str | None]:
    """(module or path, name of the flow)."""
    target, colon, attribute = spec.strip().rpartition(":")
    if not colon or (len(target) == 1 and attribute.startswith(("\\", "/"))):  # a drive of Windows is no module
        target, attribute = spec.strip(), ""
    elif not attribute:
        raise LoadError(f"{spec!r} names no flow after the colon: leave the colon out, or write {target}:flow.")
    if not target:
        raise LoadError(f"{spec!r} names no module: name the flow as module:flow or path/to/my_flow.py:flow.")
    return target, attribute or None


def _look_first_in(folder: Path) -> None:
    """Put a folder first on ``sys.path``, where it is not yet."""
    entry = str(folder)
    if not sys.path or (sys.path[0] or os.getcwd()) != entry:
        sys.path.insert(0, entry)


def _module_of(spec: str, target: str) -> tuple[str, Path | None]:
    """The name to import, and the file that must be behind it if a path was given."""
    if not target.endswith(".py") and "/" not in target and os.sep not in target:
        if not all(target.split(".")):
            raise LoadError(f"{spec!r} names no module: name the flow as module:flow or path/to/my_flow.py:flow.")
        return target, None
    file = Path(target).absolute()
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise LoadError(f"There is no file {target}{_near_files(file)}") from None
    if file.is_dir() or file.suffix != ".py":
        kind = "a folder" if file.is_dir() else "no Python file (.py)"
        raise LoadError(f"{target} is {kind}; name the flow as path/to/my_flow.py:flow.")
    if "." in file.stem:
        raise LoadError(f"{target} can't be imported, since its name has a dot in it; rename the file.")
    folder, names = file.parent, [file.stem]
    while (
        folder / "__init__.py"
    ).exists():  # a module of a package has its name in there, or its relative imports fail
        names.insert(0, folder.name)
        folder = folder.parent
    _look_first_in(folder)
    return ".".join(names), file


def _near_files(file: Path) -> str:
    """How a message about a missing file ends."""
    if not file.parent.is_dir():
        return f": there is no folder {file.parent} either."
    known = [path.name for path in file.parent.glob("*.py")]
    near = get_close_matches(file.name, known, 1) or get_close_matches(f"{file.name}.py", known, 1)
    return f" in {file.parent}{f'; did you mean {near[0]}?' if near else '.'}"


def _imported(spec: str, name: str, file: Path | None) -> ModuleType:
    importlib.invalidate_caches()  # the file may be a second old
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise LoadError(_not_found(name)) from None
        raise LoadError(f"{spec} can't be loaded: {_told(error)}") from error
    if file is not None:
        found = _source_of(module)
        if found is None or not found.samefile(file):
            other = f"the module of {found}" if found else "a module of Python itself"
            raise LoadError(
                f"{shown(file)} can't be imported as {name!r}: that name is taken by {other}. Rename the file."
            )
    return module


def _not_found(name: str) -> str:
    package, dot, last = name.rpartition(".")
    if dot and (package in sys.modules):
        return f"There is no module {name!r}; a flow is named after a colon: did you mean {package}:{last}?"
    known = [path.stem for path in Path.cwd().glob("*.py")]
    known += [path.parent.name for path in Path.cwd().glob("*/__init__.py")]
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else "name it as module:flow or path/to/my_flow.py:flow."
    return f"There is no module {name!r} in {Path.cwd()} or among those installed; {hint}"


def _told(error: BaseException) -> str:
    """What a module did instead of being imported: where, which error, its message."""
    place = _place_of(error)
    where = f"{place}: " if place is not None else ""
    if isinstance(error, SystemExit):
        return (
            f"{where}it ends the program while it is imported (sys.exit). Put what is only for running it as a script "
            'under if __name__ == "__main__".'
        )
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    text = f": {(error.text or '').strip()}" if isinstance(error, SyntaxError) and (error.text or "").strip() else ""
    return f"{where}{type(error).__name__}{f': {message}' if message else ''}{text}"


def _place_of(error: BaseException) -> Place | None:
    """The innermost line of somebody's own code that an error came through."""
    if isinstance(error, SyntaxError) and error.filename:
        return Place(error.filename, error.lineno)
    frames = [
        Place(frame.filename, frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen")
        and not Path(frame.filename).is_relative_to(_PACKAGE)
        and Path(frame.filename).parent.name != "importlib"  # nor the import itself
    ]
    own = [frame for frame in frames if not _is_installed(Path(frame.file).resolve())]
    return next(reversed(own or frames), None)


def _is_installed(file: Path) -> bool:
    if file.is_relative_to(_PACKAGE) or not _INSTALLED_IN.isdisjoint(file.parts):
        return True
    return any(file.is_relative_to(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib"))


def _source_of(module: Any) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if isinstance(file, str) and file.endswith(".py") and os.path.exists(file) else None


def _flow_of(module: ModuleType, attribute: str | None, target: str) -> Flow:
    """The flow of this name, or the only one. ``target`` is what the module was called."""
    flows = {name: value for name, value in vars(module).items() if isinstance(value, Flow)}
    if attribute is not None:
        if attribute in flows:
            return flows[attribute]
        raise LoadError(_no_such_flow(module, attribute, target, flows))
    own = {name: flow for name, flow in flows.items() if flow.module == module.__name__} or flows
    if len({id(flow) for flow in own.values()}) == 1:
        return next(iter(own.values()))
    if own:
        names = ", ".join(f"{target}:{name}" for name in own)
        raise LoadError(f"{target} holds several flows; say which one: {names}.")
    if getattr(module, "__file__", None) is None:
        raise LoadError(f"{target} is a folder; name a module in it, as in {target}.my_flow:flow.")
    raise LoadError(
        f'{target} holds no flow; make one at its top level, as in: flow = create_flow("{module.__name__}")'
    )


def _no_such_flow(module: ModuleType, attribute: str, target: str, flows: dict[str, Flow]) -> str:
    if hasattr(module, attribute):
        value = getattr(module, attribute)
        if isinstance(value, Job):
            name = next((name for name, flow in flows.items() if flow is value.flow), None)
            hint = f"; name its flow: {target}:{name}" if name else ""
            return f"{target}:{attribute} is a {value.kind} of flow {value.flow.name!r}, not a flow{hint}."
        return f"{target}:{attribute} is {described(value)}, not a flow made by create_flow."
    near = get_close_matches(attribute, flows, 1) or list(flows)
    hint = f"; did you mean {target}:{near[0]}?" if near else ", and it holds no flow."
    return f"{target} has no {attribute!r}{hint}"
