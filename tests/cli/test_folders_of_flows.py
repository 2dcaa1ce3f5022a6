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


def test_copies_that_read_what_lies_beside_them_are_a_clash(call: Call, folder: Path) -> None:
    flows = two_flows(folder, "import helpers")
    for name in ("a", "b"):
        write(folder / name / "helpers.py", "import os\nNAME = os.path.dirname(__file__)")

    checked = call("check", *flows)

    assert checked.exit_code == 2
    assert os.path.join("a", "helpers.py") in checked.stderr
    assert os.path.join("b", "helpers.py") in checked.stderr
