"""The user's own modules, imported with the content that they had when they were first imported anywhere.

A path hook gives the folders of a flow a loader that asks a ``Content`` which source to use. In the engine's process that is
``Sources``, which keeps what it saw first. A worker process asks its parent.

Bytecode is cached as checked hash-based ``.pyc`` files. A ``.pyc`` with a time stamp is not trusted: it stays valid if a file is
edited within the same second and keeps its size.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.util import MAGIC_NUMBER, source_hash
from types import ModuleType
from typing import Any, NamedTuple

from .reserved import is_installed, is_under

Content = Callable[[str, bytes], bytes]
"""Given a module's path and what the file holds now, the source to import."""

_CHECKED_HASH = (0b11).to_bytes(4, "little")
_HEADER = 16


class Folders(NamedTuple):
    """Where a user's own modules are: under a folder of ``own``, and under none of ``others``."""

    own: tuple[str, ...]
    others: tuple[str, ...] = ()

    def hold(self, path: str) -> bool:
        """Whether a path is the user's own: neither Python's, nor installed, nor elsewhere."""
        return is_under(path, self.own) and not is_under(path, self.others) and not is_installed(path)

    def elsewhere(self, modules: Iterable[ModuleType | None]) -> set[str]:
        """The files of a user's modules that are in none of these folders, such as those of a library that is being written."""
        return {
            path
            for path in paths_of(modules)
            if not is_under(path, self.own) and not is_under(path, self.others) and not is_installed(path)
        }


class Seen(NamedTuple):
    """A source as it was imported. ``modified``: the time and the size of its file at that moment."""

    source: bytes
    digest: bytes
    modified: tuple[int, int] | None


class Sources:
    """The content of each of the user's own modules: what was first seen stays what is imported."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, Seen] = {}
        self._watched: dict[str, tuple[int, int] | None] = {}

    def content(self, path: str, source: bytes) -> bytes:
        """The source to import for a path where ``source`` was read just now; recorded if it is the first."""
        known = self._seen.get(path)
        if known is None:
            seen = Seen(source, source_hash(source), _modified(path))
            with self._lock:
                known = self._seen.setdefault(path, seen)
        return known.source

    def adopt(self, folders: Folders) -> None:
        """Record the modules that were imported before, with what their files hold now."""
        for path in paths_of(tuple(sys.modules.values())):
            if path not in self._seen and folders.hold(path):
                try:
                    with open(path, "rb") as file:
                        self.content(path, file.read())
                except OSError:
                    continue  # it has no file any more; a worker that needs one says so

    def watch(self, paths: Iterable[str]) -> None:
        """Look from now on whether these files change, although what is imported of them is not kept."""
        with self._lock:
            for path in paths:
                if path not in self._watched:
                    self._watched[path] = _modified(path)

    def files(self) -> list[str]:
        """The paths of all modules that are known."""
        with self._lock:
            return [*self._seen, *self._watched]

    def digests(self) -> dict[str, bytes]:
        """What identifies the content of each path."""
        with self._lock:
            return {path: seen.digest for path, seen in self._seen.items()}

    def changed(self) -> list[str]:
        """The paths whose files hold something else now, or are gone."""
        with self._lock:
            known, watched = list(self._seen.items()), list(self._watched.items())
        return sorted(
            [path for path, seen in known if _differs(path, seen)]
            + [path for path, modified in watched if _modified(path) != modified]
        )


class OwnPaths:
    """A path hook: modules under the folders are loaded with the source that ``content`` names.

    ``around``: what is entered while a module is executed. ``owner``: whose the hook is.
    """

    def __init__(
        self,
        folders: Folders,
        content: Content,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
        *,
        owner: Any = None,
    ) -> None:
        self.folders = folders
        self.owner = owner
        self._details: list[Any] = [
            (ExtensionFileLoader, EXTENSION_SUFFIXES),
            (partial(_Loader, content=content, around=around), SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        ]

    def __call__(self, path: str) -> FileFinder:
        """The finder for an entry of ``sys.path``. Raises ``ImportError`` for one that is not the user's own."""
        if not self.folders.hold(path) or not os.path.isdir(path):
            raise ImportError("not a folder of the user's own modules", path=path)
        return FileFinder(path, *self._details)

    def install(self) -> None:
        """Load what is imported from these folders from now on this way."""
        sys.path_hooks.insert(0, self)
        self._forget_finders()

    def remove(self) -> None:
        """Load nothing more this way."""
        if self in sys.path_hooks:
            sys.path_hooks.remove(self)
        self._forget_finders()

    def _forget_finders(self) -> None:
        for path in tuple(sys.path_importer_cache):
            if is_under(path, self.folders.own):
                sys.path_importer_cache.pop(path, None)


class _Loader(SourceFileLoader):
    """Loads a module from the source that ``content`` names, or from bytecode that was made of exactly this source."""

    def __init__(
        self, fullname: str, path: str, *, content: Content, around: Callable[[], AbstractContextManager[None]]
    ) -> None:
        super().__init__(fullname, path)
        self._content = content
        self._around = around
        self._source: bytes | None = None
        self._is_current = False

    def exec_module(self, module: ModuleType) -> None:
        """Execute a module."""
        with self._around():
            super().exec_module(module)

    def get_data(self, path: str) -> bytes:
        """The source to import; the bytecode of that source. Raises ``OSError`` for bytecode of any other."""
        if path == self.path and self._source is not None:
            return self._source
        data = super().get_data(path)
        if path == self.path:
            self._source = self._content(path, data)
            self._is_current = self._source == data
            return self._source
        if path.endswith(tuple(BYTECODE_SUFFIXES)) and data[:_HEADER] != self._header():
            raise OSError(f"{path} is not the bytecode of the source that is imported")
        return data

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Keep bytecode, with the hash of its source in the place of a time stamp."""
        if self._is_current:
            super().set_data(path, self._header() + bytes(data[_HEADER:]), _mode=_mode)

    def _header(self) -> bytes:
        return MAGIC_NUMBER + _CHECKED_HASH + source_hash(self.get_data(self.path))


def paths_of(modules: Iterable[ModuleType | None]) -> list[str]:
    """The source files of modules, as far as they have one."""
    files = (getattr(module, "__file__", None) for module in modules)
    return [file for file in files if isinstance(file, str) and file.endswith(".py")]


def told_content(known: Mapping[str, bytes], ask: Content) -> Content:
    """A ``Content`` for a worker: what its parent ``known`` by digest is imported at once, for everything else it asks."""

    def content(path: str, source: bytes) -> bytes:
        return source if known.get(path) == source_hash(source) else ask(path, source)

    return content


def _modified(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _differs(path: str, seen: Seen) -> bool:
    if seen.modified is not None and _modified(path) == seen.modified:
        return False
    try:
        with open(path, "rb") as file:
            return file.read() != seen.source
    except OSError:
        return True


def folders_of(paths: Sequence[str]) -> tuple[str, ...]:
    """Folders without those that stand twice, in their order."""
    return tuple(dict.fromkeys(paths))
