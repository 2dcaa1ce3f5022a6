"""What a script or a notebook set up around its jobs, described, so that the same can be set up in a worker.

A function of ``__main__`` travels by value, and a worker never runs the script that defines it. So what the script set up travels
with the function, as far as it can be described: the environment, the working directory, ``sys.path``, filters of ``warnings``, the
locale, the recursion limit, the context of ``decimal``, the time-out of ``socket``, the start method of ``multiprocessing``, and
``logging`` with those handlers that write to files or to standard streams.
"""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import pickle
import sys
import time
from collections.abc import Callable
from typing import Any

import cloudpickle

from ..cpython import captures_warnings
from ..records import is_level_set, writes_to_standard_stream

_SECONDS = {"S": 1, "M": 60, "H": 3600}
"""Seconds of those units of ``TimedRotatingFileHandler`` that are shorter than a day."""

_FILES: dict[type[logging.Handler], Callable[[Any], dict[str, Any]]] = {
    logging.FileHandler: lambda handler: {},
    logging.handlers.WatchedFileHandler: lambda handler: {},
    logging.handlers.RotatingFileHandler: lambda handler: {
        "maxBytes": handler.maxBytes,
        "backupCount": handler.backupCount,
    },
    logging.handlers.TimedRotatingFileHandler: lambda handler: {
        "when": handler.when,
        "interval": handler.interval // _SECONDS.get(handler.when, 604800 if handler.when.startswith("W") else 86400),
        "backupCount": handler.backupCount,
        "utc": handler.utc,
        "atTime": handler.atTime,
    },
}
"""The handlers that write to files, with those arguments that only they have."""


class Setups:
    """Describes what this process has set up, again and again; what is as before is not pickled anew."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}
        self._description = b""

    def described(self) -> bytes:
        """What is set up in this process now, for ``apply`` in a worker."""
        parts = _parts()
        if parts != self._parts:
            self._parts = parts
            kept = {name: data for name, part in parts.items() if (data := _pickled(part)) is not None}
            self._description = pickle.dumps(kept)
        return self._description


def _parts() -> dict[str, Any]:
    parts: dict[str, Any] = {
        "environment": dict(os.environ),
        "folder": _folder(),
        "recursion": sys.getrecursionlimit(),
        "logging": _logging(),
    }
    if (warnings := sys.modules.get("warnings")) is not None:
        parts["warnings"] = list(warnings.filters)
    if (locale := sys.modules.get("locale")) is not None:
        parts["locale"] = locale.setlocale(locale.LC_ALL)
    if (decimal := sys.modules.get("decimal")) is not None:
        context = decimal.getcontext()
        names = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")
        traps = [signal for signal, is_trapped in context.traps.items() if is_trapped]
        parts["decimal"] = {name: getattr(context, name) for name in names} | {"traps": traps}
    if (socket := sys.modules.get("socket")) is not None:
        parts["socket"] = socket.getdefaulttimeout()
    if (multiprocessing := sys.modules.get("multiprocessing")) is not None:
        parts["start method"] = multiprocessing.get_start_method(allow_none=True)
    return parts


def apply(description: bytes) -> None:
    """Set up what a description names; what can't be set up here is left as it is."""
    parts = pickle.loads(description)  # it comes from the worker's own parent, with its function
    for name, apply_part in _APPLIED.items():
        if name in parts:
            with contextlib.suppress(Exception):  # the function may need nothing of it, and says so if it does
                apply_part(pickle.loads(parts[name]))


def _pickled(part: Any) -> bytes | None:
    try:
        data: bytes = cloudpickle.dumps(part)
    except Exception:  # noqa: BLE001 - pickling runs the code of whatever there is; the rest is described
        return None
    return data


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None  # it is gone


def _logging() -> dict[str, Any]:
    root = logging.getLogger()
    loggers = {name: known for name, known in root.manager.loggerDict.items() if isinstance(known, logging.Logger)}
    return {
        "level": root.level if is_level_set(root) else None,
        "disabled": root.manager.disable,
        "captures warnings": captures_warnings(),
        "handlers": _handlers(root),
        "loggers": {
            name: (known.level, known.propagate, known.disabled, _handlers(known))
            for name, known in loggers.items()
            if known.level or known.handlers or known.disabled or not known.propagate
        },
    }


def _handlers(logger: logging.Logger) -> list[bytes]:
    found = [_handler(handler) for handler in logger.handlers]
    return [data for described in found if described is not None and (data := _pickled(described)) is not None]


def _handler(handler: logging.Handler) -> tuple[Any, ...] | None:
    kind = type(handler)
    arguments: dict[str, Any] = {}
    if kind is logging.StreamHandler and writes_to_standard_stream(handler):
        arguments = {"stream": "stdout" if handler.stream in (sys.stdout, sys.__stdout__) else "stderr"}  # type: ignore[attr-defined]
    elif kind in _FILES:
        file: Any = handler
        arguments = {"filename": file.baseFilename, "encoding": file.encoding, "delay": file.delay} | _FILES[kind](file)
        if kind in (logging.FileHandler, logging.handlers.WatchedFileHandler):
            arguments["mode"] = "a"  # another process writes to the file too
    elif kind is not logging.NullHandler:
        return None
    return kind, arguments, handler.level, handler.formatter, handler.filters


def _set_logging(part: dict[str, Any]) -> None:
    root = logging.getLogger()
    root.setLevel(logging.INFO if part["level"] is None else part["level"])
    _set_handlers(root, part["handlers"])
    logging.disable(part["disabled"])
    logging.captureWarnings(part["captures warnings"])
    for name, (level, propagate, disabled, handlers) in part["loggers"].items():
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.propagate, logger.disabled = propagate, disabled
        _set_handlers(logger, handlers)


def _set_handlers(logger: logging.Logger, described_handlers: list[bytes]) -> None:
    for known in tuple(logger.handlers):
        logger.removeHandler(known)
        known.close()
    for data in described_handlers:
        kind, arguments, level, formatter, filters = pickle.loads(data)
        if "stream" in arguments:
            arguments["stream"] = getattr(sys, arguments["stream"])
        handler: logging.Handler = kind(**arguments)
        handler.setLevel(level)
        handler.setFormatter(formatter)
        for each in filters:
            handler.addFilter(each)
        logger.addHandler(handler)


def _set_environment(wanted: dict[str, str]) -> None:
    from .process_tree import MARKER

    zone = os.environ.get("TZ")
    for name in os.environ.keys() - wanted.keys() - {MARKER, "PYTHONUNBUFFERED"}:
        del os.environ[name]
    os.environ.update({name: value for name, value in wanted.items() if name != MARKER})
    if os.environ.get("TZ") != zone and hasattr(time, "tzset"):
        time.tzset()


def _set_warnings(filters: list[Any]) -> None:
    import warnings

    warnings.resetwarnings()  # so that what was decided by the old filters is forgotten
    warnings.filters[:] = filters  # type: ignore[index]


def _set_locale(name: str) -> None:
    import locale

    locale.setlocale(locale.LC_ALL, name)


def _set_decimal(arguments: dict[str, Any]) -> None:
    import decimal

    decimal.setcontext(decimal.Context(**arguments))


def _set_socket(seconds: float | None) -> None:
    import socket

    socket.setdefaulttimeout(seconds)


def _set_start_method(name: str | None) -> None:
    import multiprocessing

    multiprocessing.set_start_method(name, force=True)


_APPLIED: dict[str, Callable[[Any], None]] = {
    "environment": _set_environment,
    "folder": lambda folder: None if folder is None else os.chdir(folder),
    "recursion": sys.setrecursionlimit,
    "warnings": _set_warnings,
    "locale": _set_locale,
    "decimal": _set_decimal,
    "socket": _set_socket,
    "start method": _set_start_method,
    "logging": _set_logging,
}
