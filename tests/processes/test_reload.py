"""New code for a server that runs: with real modules, real workers, and managers that go on meanwhile."""

from __future__ import annotations

import builtins
import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from microflow import Flow
from microflow.engine.changes import Difference
from microflow.engine.engine import Engine
from microflow.errors import ConflictError, FlowCheckError, LoadError
from microflow.loading import load_version

Serve = Callable[..., Engine]

SHOP = """
import time
from pathlib import Path
from microflow import create_flow, map_parallel, run_dag
import prices

flow = create_flow("shop", max_concurrency=2)

@flow.task
def price():
    import late
    return {"price": prices.PRICE, "late": late.LATE, "code": 1}

@flow.task(runner="fresh")
def fresh():
    return {"price": prices.PRICE, "code": 1}

@flow.task(inputs=[price])
def after(found):
    return {"price": prices.PRICE, "before": found["price"]}

def closure(n):
    def inner():
        return {"price": prices.PRICE + n, "code": 1}
    return inner

flow.task(name="by_value")(closure(0))

@flow.manager
def nightly():
    Path("reached").write_text("")
    while not Path("go").exists():
        time.sleep(0.005)
    import late
    from prices import PRICE
    mapped = map_parallel(price, [])
    return [{"price": PRICE, "late": late.LATE, "code": 1}, price(), fresh(), by_value(), run_dag(after)]

by_value = flow.jobs["by_value"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with the modules of a flow; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(builtins, "__import__", builtins.__import__)
    for name in ("path", "path_hooks", "meta_path"):
        monkeypatch.setattr(sys, name, [*getattr(sys, name)])
    write(tmp_path, 1)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]
    sys.path_importer_cache.clear()


def write(folder: Path, version: int, shop: str = SHOP) -> None:
    (folder / "shop.py").write_text(shop.replace('"code": 1', f'"code": {version}'), "utf-8")
    (folder / "prices.py").write_text(f"PRICE = {version}\n", "utf-8")
    (folder / "late.py").write_text(f"LATE = {version}\n", "utf-8")


@pytest.fixture
def engine(folder: Path, serve: Serve) -> Engine:
    return serve(*load_version(["shop.py"]).flows)


def run(engine: Engine, job: str) -> Any:
    result = engine.submit(engine.job("shop", job)).future.result(60)
    assert result.status == "success", result.error
    return result.output


def until(condition: Callable[[], Any]) -> None:
    waited = threading.Event()
    for _ in range(6000):
        if condition():
            return
        waited.wait(0.01)
    raise AssertionError("it never came")


@pytest.mark.parametrize("job", ["price", "fresh", "by_value", "nightly"])
def test_the_next_execution_runs_the_new_code(engine: Engine, folder: Path, job: str) -> None:
    (folder / "go").touch()

    def seen() -> set[tuple[str, int]]:
        found = run(engine, job)
        return {pair for each in (found if isinstance(found, list) else [found]) for pair in each.items()}

    assert {value for _, value in seen()} == {1}
    write(folder, 2)
    assert {value for _, value in seen()} == {1}
    changed = engine.reload()
    assert {value for _, value in seen()} == {2}
    assert changed.files == ("late.py", "prices.py", "shop.py") if job in ("price", "nightly") else changed.files


def test_a_manager_that_runs_keeps_its_code_in_all_that_it_calls_and_imports(engine: Engine, folder: Path) -> None:
    begun = engine.submit(engine.job("shop", "nightly"))
    until((folder / "reached").exists)
    run(engine, "price")  # a worker has imported late.py; the manager has not yet
    write(folder, 2)
    engine.reload()
    new = run(engine, "price")

    (folder / "go").touch()
    old = begun.future.result(60)

    assert old.status == "success", old.error
    assert new == {"price": 2, "late": 2, "code": 2}
    assert old.output == [
        {"price": 1, "late": 1, "code": 1},
        {"price": 1, "late": 1, "code": 1},
        {"price": 1, "code": 1},
        {"price": 1, "code": 1},
        {"price": 1, "before": 1},
    ]
    assert run(engine, "price") == new


def test_what_nothing_of_the_old_version_has_imported_is_read_when_it_is_imported(engine: Engine, folder: Path) -> None:
    begun = engine.submit(engine.job("shop", "nightly"))
    until((folder / "reached").exists)
    write(folder, 2)
    engine.reload()
    (folder / "go").touch()

    old = begun.future.result(60)

    assert old.output[0] == {"price": 1, "late": 2, "code": 1}
    assert old.output[1] == {"price": 1, "late": 2, "code": 1}
    assert sys.modules["shop"] is not sys.modules.get("late")


def test_code_that_cannot_be_imported_is_refused_and_the_old_one_stays_whole(engine: Engine, folder: Path) -> None:
    write(folder, 2, SHOP + "\nimport gone_for_good\n")
    before = engine.flows

    with pytest.raises(LoadError, match=r"shop\.py, line \d+: ModuleNotFoundError: No module named 'gone_for_good'"):
        engine.reload()

    assert engine.flows is before
    assert sys.modules["shop"].flow is before["shop"]
    assert sys.modules["prices"].PRICE == 1
    (folder / "go").touch()
    assert [each["code"] for each in run(engine, "nightly") if "code" in each] == [1] * 4
    write(folder, 3)
    engine.reload()
    assert run(engine, "price") == {"price": 3, "late": 3, "code": 3}


def test_code_with_mistakes_is_refused_with_all_of_them(engine: Engine, folder: Path) -> None:
    broken = SHOP.replace("@flow.task(inputs=[price])", "@flow.task(inputs=['nobody'], retries=-1)")
    write(folder, 2, broken)

    with pytest.raises(FlowCheckError) as refused:
        engine.reload()

    assert "nobody" in str(refused.value)
    assert "retries" in str(refused.value)
    assert sys.modules["prices"].PRICE == 1
    assert run(engine, "price") == {"price": 1, "late": 2, "code": 1}


def test_of_several_flows_everything_that_is_wrong_is_told(folder: Path, serve: Serve) -> None:
    other = (
        "from microflow import create_flow\nflow = create_flow('{}')\n@flow.task(retries={})\ndef job(): return {{}}\n"
    )
    for name in ("second", "third"):
        (folder / f"{name}.py").write_text(other.format(name, 0), "utf-8")
    engine = serve(*load_version(["shop.py", "second.py", "third.py"]).flows)
    write(folder, 2, "1 / 0")
    (folder / "second.py").write_text("def broken(:", "utf-8")
    (folder / "third.py").write_text(other.format("third", -1), "utf-8")

    with pytest.raises(LoadError) as refused:
        engine.reload()

    assert "ZeroDivisionError" in str(refused.value)
    assert "SyntaxError" in str(refused.value)
    assert "retries" in str(refused.value)
    assert list(engine.flows) == ["shop", "second", "third"]
    assert run(engine, "price")["code"] == 1


def test_a_reload_tells_what_changed(engine: Engine, folder: Path) -> None:
    write(folder, 1, SHOP.replace("def after", "def later") + '\nflow.task(name="extra")(closure(1))\n')
    found = engine.reload()

    assert found.files == ("shop.py",)
    assert found.jobs == Difference(("shop/later", "shop/extra"), ("shop/after",), ("shop/nightly",)) or found.jobs == (
        Difference(("shop/later", "shop/extra"), ("shop/after",))
    )
    assert engine.changed_files() == []
    assert not engine.reload().jobs


def test_files_that_changed_are_told_until_they_are_loaded_or_are_as_they_were(engine: Engine, folder: Path) -> None:
    assert engine.changed_files() == []
    write(folder, 2)
    assert [file.name for file in engine.changed_files()] == ["prices.py", "shop.py"]
    write(folder, 1)
    assert engine.changed_files() == []
    (folder / "prices.py").unlink()
    assert [file.name for file in engine.changed_files()] == ["prices.py"]


def test_a_flow_that_a_program_made_itself_cannot_be_loaded_again(serve: Serve) -> None:
    from microflow import create_flow

    flow = create_flow("made")
    flow.task(name="job")(lambda: {"fine": True})
    engine = serve(flow)
    assert engine.submit(flow.jobs["job"]).future.result(60) == {"fine": True}

    with pytest.raises(ConflictError, match="can't be loaded again"):
        engine.reload()


def test_reloads_at_the_same_time_come_one_after_the_other(engine: Engine, folder: Path) -> None:
    seen: list[Any] = []
    threads = [threading.Thread(target=lambda: seen.append(engine.reload())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(seen) == 4
    assert engine.reloads == 4
    assert run(engine, "price")["code"] == 1


def test_versions_that_nothing_uses_are_freed_and_their_workers_end(engine: Engine, folder: Path) -> None:
    def watched(flow: Flow) -> list[weakref.ref[Any]]:
        return [weakref.ref(each) for each in (flow, flow.version, flow.jobs["price"].fn, sys.modules["prices"])]

    old: list[weakref.ref[Any]] = []
    pids: set[int] = set()
    for version in (2, 3, 4):
        old += watched(engine.flow("shop"))
        run(engine, "price")
        run(engine, "by_value")
        pids |= {worker.pid for worker in engine._pool._idle}
        write(folder, version)
        engine.reload()
    assert engine._resources.live.wait_until_empty(60)
    gc.collect()

    assert [each() for each in old if each() is not None] == []
    until(lambda: not any(map(psutil.pid_exists, pids)))


def test_a_flow_that_is_installed_stays_as_it_is(folder: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = folder / "site-packages"
    installed.mkdir()
    text = "from microflow import create_flow\nflow = create_flow('installed')\n@flow.task\ndef job():\n    return {'n': 1}\n"
    (installed / "installed_flow.py").write_text(text, "utf-8")
    monkeypatch.syspath_prepend(installed)
    engine = serve(*load_version(["installed_flow:flow", "shop:flow"]).flows)
    flow = engine.flow("installed")
    write(folder, 2)

    changed = engine.reload()

    assert engine.flow("installed") is flow
    assert changed.files == ("prices.py", "shop.py")
    assert engine.submit(engine.job("installed", "job")).future.result(60) == {"n": 1}
    assert run(engine, "price")["code"] == 2


def test_a_server_of_installed_flows_alone_reloads_nothing(
    folder: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = folder / "site-packages"
    installed.mkdir()
    text = "from microflow import create_flow\nflow = create_flow('installed')\n@flow.task\ndef job():\n    return {'n': 1}\n"
    (installed / "installed_alone.py").write_text(text, "utf-8")
    monkeypatch.syspath_prepend(installed)
    engine = serve(*load_version(["installed_alone:flow"]).flows)

    for _ in range(2):
        assert not engine.reload().jobs
        assert engine.submit(engine.job("installed", "job")).future.result(60) == {"n": 1}
    (installed / "installed_alone.py").write_text("def broken(:", "utf-8")
    assert not engine.reload().files


def test_what_code_that_is_refused_has_set_up_is_put_back(engine: Engine, folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    spoiling = (
        "import os, sys\nos.environ['SHOP'] = 'new'\nos.chdir('elsewhere')\nsys.path.insert(0, '/nowhere')\n1 / 0\n"
    )
    before = [*sys.path]
    write(folder, 2, spoiling)

    with pytest.raises(LoadError, match="ZeroDivisionError"):
        engine.reload()

    assert "SHOP" not in os.environ
    assert Path.cwd() == folder
    assert sys.path == before


def test_the_files_are_found_again_from_another_working_directory_and_the_path_does_not_grow(
    folder: Path, serve: Serve
) -> None:
    (folder / "flows").mkdir()
    (folder / "data").mkdir()
    text = SHOP.replace("import prices\n", "import os, prices\nos.chdir(Path(__file__).parents[1] / 'data')\n")
    (folder / "flows" / "moving.py").write_text(text.replace('"shop"', '"moving"'), "utf-8")
    engine = serve(*load_version(["flows/moving.py", "shop.py"]).flows)
    length = len(sys.path)

    for _ in range(3):
        engine.reload()

    assert len(sys.path) == length
    assert list(engine.flows) == ["moving", "shop"]
    assert run(engine, "price")["code"] == 1


def test_what_one_flow_sets_in_the_environment_stays_its_own(folder: Path, serve: Serve) -> None:
    text = (
        "import os\nfrom microflow import create_flow\nflow = create_flow('{0}')\n{1}\n"
        "@flow.task\ndef mode(): return {{'mode': os.environ.get('SHOP_MODE')}}\n"
    )
    (folder / "setting.py").write_text(text.format("setting", "os.environ['SHOP_MODE'] = 'one'"), "utf-8")
    (folder / "plain.py").write_text(text.format("plain", ""), "utf-8")
    engine = serve(*load_version(["setting.py", "plain.py"]).flows)

    def modes() -> list[Any]:
        return [engine.submit(engine.job(flow, "mode")).future.result(60)["mode"] for flow in ("setting", "plain")]

    try:
        assert modes() == ["one", None]
        engine.reload()
        assert modes() == ["one", None]
        (folder / "setting.py").write_text(text.format("setting", "os.environ['SHOP_MODE'] = 'two'"), "utf-8")
        engine.reload()
        assert modes() == ["two", None]
    finally:
        os.environ.pop("SHOP_MODE", None)
