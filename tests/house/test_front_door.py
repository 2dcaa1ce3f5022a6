"""The front door: every public name is listed and explained, and opening it costs little."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.resources import files
from types import ModuleType

import microflow

CLOSED = {
    "_sqlite3",
    "asyncio",
    "click",
    "cloudpickle",
    "cronsim",
    "email",
    "http",
    "jinja2",
    "multiprocessing",
    "psutil",
    "rich",
    "sqlite3",
    "ssl",
    "starlette",
    "subprocess",
    "tzlocal",
    "uvicorn",
    "microflow.cli",
    "microflow.engine",
    "microflow.runners",
    "microflow.store",
    "microflow.web",
}
"""What `import microflow` leaves alone: a script that only defines a flow pays for nothing else."""


def test_all_lists_what_is_exported() -> None:
    exported = {
        name
        for name, value in vars(microflow).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }

    assert set(microflow.__all__) == exported


def test_all_is_in_order_and_names_nothing_twice() -> None:
    assert list(microflow.__all__) == sorted(set(microflow.__all__))


def test_type_checkers_of_users_read_the_types() -> None:
    assert files(microflow).joinpath("py.typed").is_file()


def test_every_public_name_says_what_it_is() -> None:
    silent = [name for name in microflow.__all__ if not inspect.getdoc(getattr(microflow, name))]

    assert silent == []


def test_every_public_method_says_what_it_does() -> None:
    silent = [
        f"{name}.{attribute}"
        for name in microflow.__all__
        if inspect.isclass(found := getattr(microflow, name)) and found.__module__.startswith("microflow")
        for attribute, value in vars(found).items()
        if not attribute.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, property))
        and not inspect.getdoc(getattr(found, attribute))
    ]

    assert silent == []


def test_the_front_door_opens_no_other_room() -> None:
    code = "import sys; before = set(sys.modules); import microflow; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert sorted(CLOSED.intersection(loaded)) == []
