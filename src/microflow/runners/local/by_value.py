"""Functions by value: pickled by the parent, unpickled by a worker, and still known there by where they were written.

A traceback names the file of each function, whatever ``cloudpickle`` makes of it (from 3.1.3 on, it drops the names of files).
The lines of a notebook's cell or of a prompt are in no file, so they travel with the function. Only what a worker's own parent sent
is ever unpickled.
"""

from __future__ import annotations

import functools
import linecache
import os
import pickle
import sys
from collections.abc import Callable
from io import BytesIO
from operator import attrgetter
from types import CodeType
from typing import Any

import cloudpickle

_CACHED = type(functools.lru_cache(lambda: None))


def dumps(fn: Callable[..., Any]) -> bytes:
    """A function with all it refers to, as bytes. Raises whatever goes wrong when that is pickled."""
    buffer = BytesIO()
    pickler = _Pickler(buffer)
    pickler.dump(fn)
    return pickle.dumps((buffer.getvalue(), _lines_of(pickler.files)))


def loads(data: bytes) -> Callable[..., Any]:
    """The function that ``dumps`` made bytes of."""
    function, lines = pickle.loads(data)
    for file, its_lines in lines.items():
        linecache.cache[file] = (
            sum(map(len, its_lines)),
            None,
            its_lines,
            file,
        )  # without a time: never looked for on disk
    fn: Callable[..., Any] = cloudpickle.loads(function)
    return fn


class _Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]  # cloudpickle has no types
    """Pickles code with the name of its file. ``files``: those names."""

    def __init__(self, buffer: BytesIO) -> None:
        super().__init__(buffer)
        self.files: set[str] = set()

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, _CACHED) and not _is_importable(value):
            return _cached, (value.__wrapped__, value.cache_parameters())
        if not isinstance(value, CodeType):
            return super().reducer_override(value)
        self.files.add(value.co_filename)
        constructor, arguments = self.dispatch_table[CodeType](value)
        return _code, (constructor, arguments, value.co_filename)


def _cached(fn: Callable[..., Any], parameters: dict[str, Any]) -> Callable[..., Any]:
    made: Callable[..., Any] = functools.lru_cache(**parameters)(fn)
    return made


def _is_importable(value: Any) -> bool:
    """Whether pickle can name a function with a cache by its module, which it tries for all of them."""
    if value.__module__ == "__main__" or value.__module__ in cloudpickle.list_registry_pickle_by_value():
        return False
    try:
        found = attrgetter(value.__qualname__)(sys.modules[value.__module__])
    except (AttributeError, KeyError):  # it was made inside a function, or is another function's now
        return False
    return found is value


def _code(constructor: Callable[..., CodeType], arguments: tuple[Any, ...], file: str) -> CodeType:
    return constructor(*arguments).replace(co_filename=file)


def _lines_of(files: set[str]) -> dict[str, list[str]]:
    """The lines of what is in no file, as far as they are known."""
    known = {file: linecache.getlines(file) for file in sorted(files) if not os.path.exists(file)}
    return {file: lines for file, lines in known.items() if lines}
