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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from .errors import FlowCheckError, LoadError, MicroflowError
from .flow import Flow
from .jobs import Job
from .model.payloads import described
from .user_code.meanings import Meanings, two_names
from .user_code.reserved import INSTALLED_IN, hidden_file, owner_of, reserve
from .versions import CodeVersion

_PACKAGE = Path(__file__).resolve().parent


def load_flow(spec: str) -> Flow:
    """The flow that ``spec`` names, its module imported; see ``load_version``."""
    return load_version([spec]).flows[0]


def load_version(specs: Sequence[str], failed: Callable[[str, LoadError], None] | None = None) -> CodeVersion:
    """The flows that ``specs`` name, their modules imported, as one version of the code.

    Afterwards the working directory, and the folders of paths, stand first on ``sys.path``. Without ``:flow`` a module must hold
    exactly one. Raises ``LoadError`` for everything else; its cause is what the module raised. Where ``failed`` is given, it is
    told of a spec that can't be loaded instead, and the others are loaded.
    """
    return _loaded(specs, failed or _refuse)


def load_anew(version: CodeVersion, use: Callable[[CodeVersion], None] = lambda _: None) -> CodeVersion:
    """The same specs once more, imported from what the files hold now: a new version, with new flows. ``use`` begins to use it.

    The flows and the modules of the given version stay as they are for whoever has them. Raises ``LoadError`` with everything that
    keeps the new version from being loaded, and whatever ``use`` raises; then this process imports what it imported before.
    """
    version.set_aside()
    new: CodeVersion | None = None
    failures: list[LoadError] = []
    try:
        new = _loaded(version.specs, lambda _, failure: failures.append(failure), version)
        if failures:
            raise _all_mistakes(failures, new.flows)
        if new is version:
            version.put_back()  # all flows are installed ones, which stay as they are
        use(new)
    except BaseException:
        if new is not None and new is not version:
            new.close()
        if version.is_aside:
            version.put_back()
        raise
    return new


def _all_mistakes(failures: Sequence[LoadError], loaded: Sequence[Flow]) -> LoadError:
    """One error for what can't be loaded, and for the mistakes of the flows that could be."""
    found: list[MicroflowError] = list(failures)
    for flow in loaded:
        try:
            flow.check()
        except FlowCheckError as mistakes:
            found.append(mistakes)
    error = LoadError("\n".join(map(str, found)))
    error.__cause__ = failures[0].__cause__
    return error


def _refuse(spec: str, failure: LoadError) -> None:
    raise failure


def _loaded(
    specs: Sequence[str], failed: Callable[[str, LoadError], None], earlier: CodeVersion | None = None
) -> CodeVersion:
    """Paths are relative to the directory in which the ``earlier`` version was loaded, whatever the working directory is by now."""
    with _in_words(" ".join(specs)):
        directory = Path.cwd() if earlier is None or earlier.directory is None else earlier.directory
    found: list[_Target] = []
    for spec in dict.fromkeys(specs):
        try:
            with _in_words(spec):
                found.append(_target(spec, directory))
        except LoadError as failure:
            failed(spec, failure)
    path = list(sys.path)
    for target in found:
        for folder in reversed(target.folders):
            _look_first_in(folder)
    folders = {target.spec: [str(folder) for folder in target.folders] for target in found}
    version = CodeVersion(folders, path, directory, earlier)
    reserve(*version.own.own)
    # names have to mean the same for flows that are served together, which are those that are loaded last
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Meanings)]
    version.open()
    flows: dict[str, Flow] = {}
    is_whole = True
    try:
        for target in found:
            try:
                _refuse_clash(version, target)
                with version.importing(target.spec), _in_words(target.spec):
                    module = _imported(target, version)
                flows[target.spec] = _flow_of(module, target.attribute, target.text)
                _refuse_second_name(flows[target.spec], target)
                _refuse_clash(version, target)
            except LoadError as failure:
                failed(target.spec, failure)
                flows.pop(target.spec, None)
                is_whole = False
    except BaseException:
        version.close()
        raise
    if not is_whole:
        version.close()  # nothing is run of it
    before: CodeVersion | None = next((flow.version for flow in flows.values()), None)
    if before is not None and before.flows == list(dict.fromkeys(flows.values())):
        version.close()  # a command that looks twice
        before.keep_apart()
        return before
    version.sources.adopt(version.own)
    version.sources.watch(version.own.elsewhere(tuple(sys.modules.values())))
    for spec, flow in flows.items():
        version.add(flow, spec)
    return version


@contextmanager
def _in_words(spec: str) -> Iterator[None]:
    """Raise ``LoadError`` for what the system refuses while a flow is looked for."""
    try:
        yield
    except OSError as error:  # a folder that may not be entered, a name that is too long
        where = error.filename or "the working directory"
        raise LoadError(f"{spec} can't be loaded: {error.strerror}: {where}.") from error
    except ValueError as error:  # a name that holds a null character
        raise LoadError(f"{spec!r} can't be loaded: {error}.") from error


def _refuse_clash(version: CodeVersion, target: _Target) -> None:
    """Raise ``LoadError`` if a flow's module, or one that is imported by now, is another one for another of the flows."""
    if not version.meanings.can_differ:
        return
    if (clash := version.meanings.clash_of([target.name, *version.imported()])) is not None:
        raise LoadError(f"{target.spec} can't be loaded: {clash}")


def _refuse_second_name(flow: Flow, target: _Target) -> None:
    """Raise ``LoadError`` if a flow's module is imported a second time, under another name."""
    if flow.module is not None and (twice := two_names(sys.modules, [flow.module])) is not None:
        file, one, other = twice
        both = f"{shown(Path(file))} is imported twice, as {one!r} and as {other!r}"
        raise LoadError(f"{target.spec} can't be loaded: {both}; name it in one way.")


def source_files() -> list[Path]:
    """The files of the imported modules that are somebody's own: neither Python's, nor installed, nor of this package."""
    files = {_source_of(module) for module in tuple(sys.modules.values())}
    return sorted(file for file in files if file is not None and not _is_installed(file))


def shown(path: Path) -> str:
    """A path as a person in the working directory would write it."""
    try:
        folder = Path.cwd()
    except OSError:  # it was removed
        return str(path)
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
        sys.path[:] = [entry, *(other for other in sys.path if other != entry)]


class _Target(NamedTuple):
    """What a spec names: the module ``name``, the ``file`` that must be behind it if ``text`` is a path, the flow's ``attribute``.

    ``folders``: where its modules are found, the first one first.
    """

    spec: str
    text: str
    attribute: str | None
    name: str
    file: Path | None
    folders: tuple[Path, ...]


def _target(spec: str, directory: Path) -> _Target:
    text, attribute = _split(spec)
    if not text.endswith(".py") and "/" not in text and os.sep not in text:
        if not all(text.split(".")):
            raise LoadError(f"{spec!r} names no module: name the flow as module:flow or path/to/my_flow.py:flow.")
        return _Target(spec, text, attribute, text, None, (directory,))
    file = directory / text
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise LoadError(f"There is no file {text}{_near_files(file)}") from None
    if file.is_dir() or file.suffix != ".py":
        kind = "a folder" if file.is_dir() else "no Python file (.py)"
        raise LoadError(f"{text} is {kind}; name the flow as path/to/my_flow.py:flow.")
    if "." in file.stem:
        raise LoadError(f"{text} can't be imported, since its name has a dot in it; rename the file.")
    folder, names = file.parent, [file.stem]
    while (
        folder / "__init__.py"
    ).exists():  # a module of a package has its name in there, or its relative imports fail
        names.insert(0, folder.name)
        folder = folder.parent
    return _Target(spec, text, attribute, ".".join(names), file, (folder, directory))


def _near_files(file: Path) -> str:
    """How a message about a missing file ends."""
    if not file.parent.is_dir():
        return f": there is no folder {file.parent} either."
    known = [path.name for path in file.parent.glob("*.py")]
    near = get_close_matches(file.name, known, 1) or get_close_matches(f"{file.name}.py", known, 1)
    return f" in {file.parent}{f'; did you mean {near[0]}?' if near else '.'}"


def _imported(target: _Target, version: CodeVersion) -> ModuleType:
    spec, name, file = target.spec, target.name, target.file
    importlib.invalidate_caches()  # the file may be a second old
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise LoadError(_not_found(name)) from None
        raise LoadError(f"{spec} can't be loaded: {_told(error)}{_hint(error, target, version)}") from error
    if file is not None:
        found = _source_of(module)
        if found is None or not found.samefile(file):
            other = f"the module of {found}" if found else "a module of Python itself"
            raise LoadError(
                f"{shown(file)} can't be imported as {name!r}: that name is taken by {other}. Rename the file."
            )
    return module


def _hint(error: BaseException, target: _Target, version: CodeVersion) -> str:
    """What to do about an error of an import, where the names of files are the reason; else ""."""
    name = ""
    if isinstance(error, ImportError):
        if "attempted relative import" in str(error):
            return _relative_hint(error)
        name = error.name or ""
    elif isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        name = error.obj.__name__
    hidden = hidden_file(name, tuple(str(folder) for folder in target.folders)) if name else None
    if hidden is None:
        other = version.meanings.elsewhere(name) if isinstance(error, ModuleNotFoundError) and name else None
        return "" if other is None else f". {other}"
    top = name.partition(".")[0]
    return f". {shown(Path(hidden))} is not what {top!r} means: that is the name of {owner_of(top)}. Rename the file."


def _relative_hint(error: ImportError) -> str:
    place = _place_of(error)
    if place is None:
        return ""
    file = Path(place.file).absolute()
    hint = f". Put an __init__.py into {shown(file.parent)}"
    if file.parent != Path.cwd() and file.is_relative_to(Path.cwd()):
        return f"{hint}, or name it {'.'.join(file.relative_to(Path.cwd()).with_suffix('').parts)}."
    return f"{hint}."


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
    if file.is_relative_to(_PACKAGE) or not INSTALLED_IN.isdisjoint(file.parts):
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
