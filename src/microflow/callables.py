"""What a job's function is: a plain function, or something else that can be called, such as ``functools.partial`` or an object."""

from __future__ import annotations

import functools
import inspect
import sys
from types import CodeType, FunctionType, MethodType
from typing import Any

_PACKAGE = __name__.partition(".")[0]


def plain_function(fn: Any) -> FunctionType | None:
    """The function behind a callable: behind decorators, ``partial``, a bound method or ``__call__``; None if it is built in."""
    for _ in range(100):  # one may be wrapped in itself
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif isinstance(fn, MethodType):
            fn = fn.__func__
        elif callable(wrapped := getattr(fn, "__wrapped__", None)):
            fn = wrapped
        elif isinstance(fn, FunctionType):
            return fn
        elif isinstance(call := getattr(type(fn), "__call__", None), FunctionType):  # noqa: B004 - what it is, not whether
            fn = call
        else:
            return None
    return None


def name_of(fn: Any) -> str:
    """The name that a job has by its function."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    name = getattr(fn, "__name__", None)
    return name if isinstance(name, str) else type(fn).__name__


def module_of(fn: Any) -> str | None:
    """The name of the module that defines a callable's function, or its class; None if that is not known."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    for found in (fn, plain_function(fn), type(fn)):
        if isinstance(name := getattr(found, "__module__", None), str):
            return name
    return None


def place_of(fn: Any) -> tuple[str | None, str]:
    """(module, qualified name) of the function behind a callable, or of its class."""
    found = plain_function(fn) or (fn if isinstance(getattr(fn, "__qualname__", None), str) else type(fn))
    return module_of(fn), found.__qualname__


def is_local(fn: Any) -> bool:
    """Whether a callable, or the function behind it, was made inside a function, so that no import finds it by its name."""
    named = getattr(fn, "__qualname__", None)
    return "<locals>" in (named if isinstance(named, str) else place_of(fn)[1])


def description_of(fn: Any) -> str:
    """The docstring of a callable's function, cleaned of its indentation; "" if there is none."""
    documented = fn if isinstance(fn, (FunctionType, type)) else plain_function(fn)
    if documented is None:
        return ""
    is_users = type(fn).__module__ not in sys.stdlib_module_names
    text = documented.__doc__ or (getattr(type(fn), "__doc__", None) if is_users else None)
    return inspect.cleandoc(text) if isinstance(text, str) else ""


def line_of(fn: Any) -> int | None:
    """The line on which the function behind a callable begins; None if it is built in."""
    function = plain_function(fn)
    return None if function is None else function.__code__.co_firstlineno


def code_of(fn: Any) -> CodeType | None:
    """The code of the function behind a callable; None if it is built in."""
    function = plain_function(fn)
    return None if function is None else function.__code__


def calling_module() -> str | None:
    """The name of the module outside this package whose code is running here."""
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == _PACKAGE:
        frame = frame.f_back
    name = frame.f_globals.get("__name__")
    return name if isinstance(name, str) else None
