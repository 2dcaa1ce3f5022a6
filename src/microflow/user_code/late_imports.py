"""Imports inside functions of jobs in the main process: what belongs to another flow, or to another version, is kept from them.

Flows that are served together share ``sys.path`` and ``sys.modules``. If their folders differ, a job could import a module here
that only the folders of another flow hold, although no worker of its flow finds it. ``Refuse`` is asked about every import first.

After a reload ``sys.modules`` holds the modules of the new version. Those of the old one live on in what still runs, and each is
marked with the table of its version's modules. From the first reload on, ``builtins.__import__`` looks for such a mark in the code
that imports, and takes the module from that table. A module of the flows' folders that is not in the table yet is loaded into it.
Everything else is imported as usual.

``importlib.import_module`` is refused in the same way, but it gives the module of the new version: it does not know its caller.
"""

from __future__ import annotations

import builtins
import importlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import FileFinder, ModuleSpec
from importlib.util import module_from_spec, resolve_name
from types import ModuleType
from typing import Any

_MARK = "__microflow_modules__"

Refuse = Callable[[str], None]
"""Given the absolute name of a module, raises ``ModuleNotFoundError`` if the running job may not import it."""


class ReplacedModules:
    """The modules of one version that was replaced, by their names.

    ``folders``: where it finds further ones, by ``finder``, which gives them the content that this version has. ``is_own`` says of
    a path whether it is in those folders and the user's own. ``refuse``: which imports this version refuses; None for none.
    """

    def __init__(
        self,
        modules: Mapping[str, ModuleType],
        folders: Sequence[str],
        finder: Callable[[str], FileFinder],
        is_own: Callable[[str], bool],
        refuse: Refuse | None = None,
    ) -> None:
        self._modules = dict(modules)
        self._folders = folders
        self._finder = finder
        self._is_own = is_own
        self.refuse = refuse
        self._lock = threading.RLock()  # what is imported may import others

    def mark(self) -> None:
        """From now on these modules import from this table."""
        for module in self._modules.values():
            vars(module)[_MARK] = self
        _replace_import()

    def unmark(self) -> dict[str, ModuleType]:
        """These modules import as everything else does again; all of them."""
        with self._lock:
            for module in self._modules.values():
                vars(module).pop(_MARK, None)
            return dict(self._modules)

    def get(self, name: str) -> ModuleType | None:
        """A module of this table; None if it is not there."""
        return self._modules.get(name)

    def imported(self, name: str, fromlist: Sequence[str]) -> ModuleType | None:
        """What an ``import`` of this absolute name gives; None if it is not one of the version's own modules."""
        with self._lock:
            module = self._find(name)
            if module is None:
                return None
            if not fromlist:
                return self._find(name.partition(".")[0])
            if hasattr(module, "__path__"):
                wanted = getattr(module, "__all__", ()) if "*" in fromlist else fromlist
                for item in wanted:
                    if item != "*" and not hasattr(module, item):
                        self._find(f"{name}.{item}")
            return module

    def _find(self, name: str) -> ModuleType | None:
        if (known := self._modules.get(name)) is not None:
            return known
        parent, _, last = name.rpartition(".")
        folders: Sequence[str] = self._folders
        if not parent and self._is_elsewhere(name):
            return None
        if parent:
            package = self._find(parent)
            if package is None:
                return None
            folders = getattr(package, "__path__", ())
        spec = self._spec(name, folders)
        if spec is None:
            return None
        module = self._load(spec)
        if parent:
            setattr(self._modules[parent], last, module)
        return module

    def _spec(self, name: str, folders: Sequence[str]) -> ModuleSpec | None:
        portions: list[str] = []  # of a package without an __init__.py
        for folder in folders:
            try:
                found = self._finder(folder).find_spec(name)
            except ImportError:
                continue  # not a folder of the user's own
            if found is not None and found.loader is not None:
                return found
            portions += (found.submodule_search_locations or ()) if found is not None else ()
        if not portions:
            return None
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = portions
        return spec

    def _is_elsewhere(self, name: str) -> bool:
        """Whether this name means a module of Python's or an installed one, whatever the user's folders hold."""
        known = sys.modules.get(name)
        if known is None:
            return False
        file = getattr(known, "__file__", None)
        return not any(map(self._is_own, [file] if file is not None else getattr(known, "__path__", ())))

    def _load(self, spec: ModuleSpec) -> ModuleType:
        module = module_from_spec(spec)
        vars(module)[_MARK] = self
        self._modules[spec.name] = module
        try:
            if spec.loader is not None:
                with _standing_in(spec.name, module):
                    spec.loader.exec_module(module)
        except BaseException:
            self._modules.pop(spec.name, None)
            raise
        return module


_loading = threading.RLock()
_stand_ins: set[str] = set()


@contextmanager
def _standing_in(name: str, module: ModuleType) -> Iterator[None]:
    """While a module is carried out it is found in ``sys.modules``, which ``dataclasses`` relies on; others wait who import it."""
    with _loading:
        _stand_ins.add(name)
        before = sys.modules.get(name)
        sys.modules[name] = module
        try:
            yield
        finally:
            if before is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = before
            _stand_ins.discard(name)


class _Import:
    """Stands for ``__import__``: ``others`` is what it was before."""

    def __init__(self, others: Callable[..., Any]) -> None:
        self._others = others

    def __call__(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - as it is called
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        table: ReplacedModules | None = None if globals is None else globals.get(_MARK)
        refuse = _refuse if table is None else table.refuse
        if table is None and name in _stand_ins:
            with _loading:  # so that it has gone
                pass
        if (table is not None or refuse is not None) and (absolute := _absolute(name, globals or {}, level)):
            if refuse is not None:
                _ask(refuse, absolute, fromlist or ())
            if table is not None and (found := table.imported(absolute, fromlist or ())) is not None:
                return found
        return self._others(name, globals, locals, fromlist, level)


class _ImportModule:
    """Stands for ``importlib.import_module``: ``others`` is what it was before."""

    def __init__(self, others: Callable[..., ModuleType]) -> None:
        self._others = others

    def __call__(self, name: str, package: str | None = None) -> ModuleType:
        if _refuse is not None and isinstance(name, str) and (package or not name.startswith(".")):
            _ask(_refuse, resolve_name(name, package), ())
        return self._others(name, package)


def _absolute(name: str, importing: Mapping[str, Any], level: int) -> str:
    """The absolute name that an import statement means; "" for a relative one outside any package, which Python itself refuses."""
    if not level:
        return name
    package = importing.get("__package__") or str(importing.get("__name__", "")).rpartition(".")[0]
    return resolve_name("." * level + name, package) if package else ""


def _ask(refuse: Refuse, name: str, fromlist: Sequence[str]) -> None:
    refuse(name)
    if (
        getattr(sys.modules.get(name), "__file__", None) is None
    ):  # it may be a package without an __init__.py, of many folders
        for item in fromlist:
            if item != "*":
                refuse(f"{name}.{item}")


_replacing = threading.Lock()
_refuse: Refuse | None = None


def refuse_by(refuse: Refuse) -> None:
    """From now on ``refuse`` is asked about every import in this process."""
    global _refuse
    _refuse = refuse
    _replace_import()


def refuse_no_more(refuse: Refuse) -> None:
    """``refuse`` is not asked any more; what was given in its place stays."""
    global _refuse
    if _refuse == refuse:
        _refuse = None


def _replace_import() -> None:
    with _replacing:
        if not isinstance(builtins.__import__, _Import):
            builtins.__import__ = _Import(builtins.__import__)
        if not isinstance(importlib.import_module, _ImportModule):
            importlib.import_module = _ImportModule(importlib.import_module)
