"""What a flow's modules find at import depends on its own folders, not on the flows that are served beside it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from .conftest import Call
from .test_code_versions import RUNS, run, two_flows, write

ADDED = """import os, sys
folder = os.path.join(os.path.dirname(__file__), {folder!r})
if folder not in sys.path:
    sys.path.insert({place}, folder)
"""


@pytest.mark.parametrize("place", [0, "len(sys.path)"])
def test_folders_that_modules_put_on_the_path_are_their_flow_s_own(folder: Path, place: object) -> None:
    flows = two_flows(folder, ADDED.format(folder="lib", place=place) + "import helpers")
    write(folder / "a" / "lib" / "helpers.py", "NAME = 'a'")
    write(folder / "b" / "lib" / "helpers.py", "NAME = 'b'")

    for command in ("check", "serve"):
        checked = run(folder, command, *flows)
        assert checked.returncode == 2
        assert os.path.join("a", "lib", "helpers.py") in checked.stderr
        assert os.path.join("b", "lib", "helpers.py") in checked.stderr


@pytest.mark.parametrize("job", RUNS)
def test_a_late_import_from_folders_that_modules_put_on_the_path_is_refused(folder: Path, job: str) -> None:
    flows = two_flows(folder, ADDED.format(folder="lib", place=0))
    write(folder / "a" / "lib" / "helpers.py", "NAME = 'a'")
    write(folder / "b" / "lib" / "helpers.py", "NAME = 'b'")

    ran = run(folder, "run", f"b/{job}", *flows)

    assert ran.returncode == 1
    assert os.path.join("a", "lib", "helpers.py") in ran.stderr


@pytest.mark.parametrize("job", RUNS)
def test_a_folder_that_both_flows_put_on_the_path_is_shared(folder: Path, job: str) -> None:
    flows = two_flows(folder, ADDED.format(folder="../shared", place=0) + "import helpers")
    write(folder / "shared" / "helpers.py", "NAME = 'shared'")

    for flow in ("a", "b"):
        assert json.loads(run(folder, "run", f"{flow}/{job}", *flows).stdout) == {"helpers": "shared"}


def test_a_module_of_another_flow_s_folder_is_not_found(folder: Path) -> None:
    flows = two_flows(folder, "import helpers")
    write(folder / "a" / "helpers.py", "NAME = 'a'")

    for order in (flows, [*flows[2:], *flows[:2]]):
        checked = run(folder, "check", *order)
        assert checked.returncode == 2
        assert "No module named 'helpers'" in checked.stderr
        assert os.path.join("a", "helpers.py") in checked.stderr
        assert "b/flow_b.py" in checked.stderr


@pytest.mark.parametrize("job", RUNS)
def test_whether_a_module_is_there_does_not_depend_on_the_flows_beside(folder: Path, job: str) -> None:
    optional = "try:\n    import extra\nexcept ImportError:\n    extra = None\n"
    flows = two_flows(folder, optional)
    for flow in ("a", "b"):
        file = folder / flow / f"flow_{flow}.py"
        file.write_text(
            file.read_text("utf-8").replace("import helpers", "pass").replace("helpers.NAME", "bool(extra)"), "utf-8"
        )
    write(folder / "a" / "extra.py", "")

    assert json.loads(run(folder, "run", f"a/{job}", *flows).stdout) == {"helpers": True}
    assert json.loads(run(folder, "run", f"b/{job}", *flows).stdout) == {"helpers": False}


LATE = {
    "import": "import extra",
    "from": "from extra import NAME",
    "dynamic": "importlib.import_module('extra')",
    "namespace": "from space import extra",
    "in a thread": "with ThreadPoolExecutor() as pool: pool.submit(importlib.import_module, 'extra').result()",
    "by another module": "import imports_extra",
}


@pytest.mark.parametrize("imported_before", [True, False])
@pytest.mark.parametrize("statement", LATE.values(), ids=LATE)
def test_a_late_import_of_what_only_another_flow_has_is_refused_in_every_runner(
    folder: Path, statement: str, imported_before: bool
) -> None:
    top = "import importlib\nfrom concurrent.futures import ThreadPoolExecutor\n"
    module = "space.extra" if "space" in statement else "extra"
    flows = two_flows(folder, top + (f"import {module}\n" if imported_before else ""), top)
    for flow in ("a", "b"):
        file = folder / flow / f"flow_{flow}.py"
        body = f"{statement}\n    return {{'found': True}}\n\nasync def waits():\n    return what()\n\n"
        text = file.read_text("utf-8").replace('import helpers\n    return {"helpers": helpers.NAME}', body)
        jobs = 'flow.manager(name="asynchronous")(waits)\n'
        jobs += 'flow.manager(name="all", run_strategy="always")(lambda: {**{n: flow.jobs[n]().status.value for n in JOBS}})\n'
        write(file, text + jobs + f"JOBS = {[*RUNS, 'asynchronous']}\n")
        write(folder / flow / "imports_extra.py", "import extra")
    write(folder / "a" / "extra.py", "NAME = 'a'")
    write(folder / "a" / "space" / "extra.py", "NAME = 'a'")
    write(folder / "b" / "space" / "other.py", "NAME = 'b'")

    for flow, status in (("a", "success"), ("b", "error")):
        ran = run(folder, "run", f"{flow}/all", *flows)
        assert json.loads(ran.stdout) == dict.fromkeys([*RUNS, "asynchronous"], status), ran.stderr


def test_the_refusal_of_a_late_import_in_a_manager_names_the_file(folder: Path) -> None:
    flows = two_flows(folder)
    write(folder / "a" / "helpers.py", "NAME = 'a'")

    ran = run(folder, "run", "b/manager", *flows)

    assert ran.returncode == 1
    assert "ModuleNotFoundError: No module named 'helpers'" in ran.stderr
    assert f"{os.path.join('a', 'helpers.py')} is in a folder of a/flow_a.py alone" in ran.stderr


@pytest.mark.parametrize("job", RUNS)
def test_a_file_with_a_reserved_name_clashes_with_nothing(folder: Path, job: str) -> None:
    flows = two_flows(folder)
    for flow in ("a", "b"):
        file = folder / flow / f"flow_{flow}.py"
        text = file.read_text("utf-8").replace("import helpers", "import colorsys, time")
        write(file, text.replace("helpers.NAME", "colorsys.ONE_THIRD + 0 * time.time()"))
    write(folder / "a" / "colorsys.py", "")
    write(folder / "a" / "time.py", "")

    for flow in ("a", "b"):
        assert json.loads(run(folder, "run", f"{flow}/{job}", *flows).stdout) == {"helpers": 1 / 3}


def test_copies_that_read_what_lies_beside_them_are_a_clash(call: Call, folder: Path) -> None:
    flows = two_flows(folder, "import helpers")
    for name in ("a", "b"):
        write(folder / name / "helpers.py", "import os\nNAME = os.path.dirname(__file__)")

    checked = call("check", *flows)

    assert checked.exit_code == 2
    assert os.path.join("a", "helpers.py") in checked.stderr
    assert os.path.join("b", "helpers.py") in checked.stderr
