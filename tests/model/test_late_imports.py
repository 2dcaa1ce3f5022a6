"""What replaced code imports after a reload: the modules of its own version, and everything else as usual."""

from __future__ import annotations

import builtins
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module, invalidate_caches
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from microflow.user_code import late_imports
from microflow.user_code.late_imports import Refuse, ReplacedModules

MAIN = """
import helpers

def late(statement):
    names = {}
    exec(statement, globals(), names)
    return names
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(builtins, "__import__", builtins.__import__)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    invalidate_caches()


Late = Callable[[str], dict[str, Any]]


def replaced(folder: Path, refuse: Refuse | None = None) -> tuple[Late, ModuleType]:
    """A version of ``main`` and all that it imported, and the version that took its place."""

    def own() -> dict[str, ModuleType]:
        return {
            name: module
            for name, module in sys.modules.items()
            if str(getattr(module, "__file__", None)).startswith(str(folder))
        }

    main = import_module("main")
    old = own()
    for name in old:
        del sys.modules[name]

    def finder(path: str) -> FileFinder:
        return FileFinder(path, (SourceFileLoader, SOURCE_SUFFIXES))

    ReplacedModules(old, [str(folder)], finder, lambda path: path.startswith(str(folder)), refuse).mark()
    write(folder, helpers="NAME = 'new'")
    new = import_module("main")
    assert new.helpers.NAME == "new"
    return main.late, new


def test_a_module_that_the_old_version_had_is_found_again(folder: Path) -> None:
    write(folder, main=MAIN, helpers="NAME = 'old'")
    late, new = replaced(folder)

    assert late("import helpers")["helpers"].NAME == "old"
    assert late("from helpers import NAME as found") == {"found": "old"}
    assert late("import helpers as other")["other"].NAME == "old"
    assert new.late("import helpers")["helpers"].NAME == "new"
    assert sys.modules["helpers"].NAME == "new"


def test_what_it_imports_for_the_first_time_is_a_module_of_its_own_and_imports_from_its_own_version(
    folder: Path,
) -> None:
    write(folder, main=MAIN, helpers="NAME = 'old'", prices="import helpers\nSEEN = helpers.NAME")
    late, new = replaced(folder)

    assert late("import prices")["prices"].SEEN == "old"
    assert late("import prices")["prices"] is late("import prices")["prices"]
    assert "prices" not in sys.modules
    assert new.late("import prices")["prices"].SEEN == "new"
    assert late("import prices")["prices"].SEEN == "old"


def test_packages_and_relative_imports_are_found_as_well(folder: Path) -> None:
    write(
        folder,
        **{
            "main": MAIN + "import shop.stock\n",
            "helpers": "NAME = 'old'",
            "shop/__init__": "",
            "shop/stock": "def late():\n    from . import orders\n    from .orders import N\n    return orders, N",
            "shop/orders": "from .stock import late\nN = 1",
            "plain/deep/module": "import helpers\nfrom helpers import *\nDEEP = NAME",
        },
    )
    late, _ = replaced(folder)
    old = late("import shop.stock")["shop"]

    orders, n = old.stock.late()
    assert (orders.__name__, n) == ("shop.orders", 1)
    assert orders.late is old.stock.late
    assert old.orders is orders
    assert "shop.orders" not in sys.modules
    assert late("from shop import orders as found")["found"] is orders
    assert late("import plain.deep.module")["plain"].deep.module.DEEP == "old"


def test_everything_else_is_imported_as_usual(folder: Path) -> None:
    write(folder, main=MAIN, helpers="NAME = 'old'", queue="raise AssertionError('not meant')")
    late, _ = replaced(folder)

    import json.decoder
    import queue

    assert late("import json")["json"] is json
    assert late("import json.decoder as found")["found"] is json.decoder
    assert late("import queue")["queue"] is queue
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        late("import no_such_module")
    with pytest.raises(ImportError, match="cannot import name 'missing'"):
        late("from helpers import missing")


def test_a_module_that_fails_is_tried_again_by_the_next_import(folder: Path) -> None:
    write(folder, main=MAIN, helpers="NAME = 'old'", prices="1 / 0")
    late, _ = replaced(folder)

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            late("import prices")
    write(folder, prices="FINE = True")
    assert late("from prices import FINE") == {"FINE": True}


@pytest.mark.parametrize("asks", [False, True])
def test_a_module_finds_itself_while_it_is_carried_out_and_whoever_else_imports_it_waits(
    folder: Path, asks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        late_imports, "_refuse", (lambda name: None) if asks else None
    )  # as where flows' folders differ
    prices = """
from __future__ import annotations
import threading
from dataclasses import dataclass, fields
import helpers

@dataclass
class Price:
    amount: int

if helpers.NAME == "old":
    helpers.reached.set()
    assert helpers.go.wait(60)
SEEN = helpers.NAME
"""
    helpers = "import threading\nNAME = 'old'\nreached, go = threading.Event(), threading.Event()"
    write(folder, main=MAIN, helpers=helpers, prices=prices)
    late, new = replaced(folder)
    old = late("import helpers")["helpers"]
    seen: dict[str, Any] = {}
    loading = threading.Thread(target=lambda: seen.update(late("import prices as old")))
    loading.start()
    assert old.reached.wait(60)
    importing = threading.Thread(target=lambda: seen.update(new.late("import prices as new")))
    importing.start()

    old.go.set()
    loading.join(60)
    importing.join(60)

    assert (seen["old"].SEEN, seen["new"].SEEN) == ("old", "new")
    assert [field.name for field in seen["old"].fields(seen["old"].Price)] == ["amount"]
    assert sys.modules["prices"] is seen["new"]


def test_what_its_version_refuses_is_refused_before_it_is_looked_for(folder: Path) -> None:
    write(folder, main=MAIN, helpers="NAME = 'old'", prices="FINE = True")

    def refuse(name: str) -> None:
        if name == "prices":
            raise ModuleNotFoundError("it belongs to another flow", name=name)

    late, new = replaced(folder, refuse)

    assert late("import helpers")["helpers"].NAME == "old"
    for statement in ("import prices", "from prices import FINE"):
        with pytest.raises(ModuleNotFoundError, match="it belongs to another flow"):
            late(statement)
    assert new.late("from prices import FINE") == {"FINE": True}
