"""The code that runs is the flow's own, of one version, in every process: real servers, real workers, files that are edited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from microflow import create_flow
from microflow.loading import load_anew, load_version
from microflow.user_code.meanings import Meanings, meaning
from microflow.user_code.sources import Folders, OwnPaths, Sources
from microflow.versions import version_of

from .conftest import Call, Process

FLOW = """
from microflow import create_flow
{top}
flow = create_flow("{name}")

def what():
    import helpers
    return {{"helpers": helpers.NAME}}

flow.task(name="task")(what)
flow.task(name="fresh", runner="fresh")(what)
flow.task(name="thread", runner="thread")(what)
flow.manager(name="manager")(what)
"""
RUNS = ["task", "fresh", "thread", "manager"]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def two_flows(folder: Path, top: str = "", b_top: str | None = None) -> list[str]:
    """Flows a and b in folders of their own; the arguments that name them."""
    write(folder / "a" / "flow_a.py", FLOW.format(name="a", top=top))
    write(folder / "b" / "flow_b.py", FLOW.format(name="b", top=top if b_top is None else b_top))
    return ["-f", "a/flow_a.py", "-f", "b/flow_b.py"]


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """``python -m microflow`` with arguments, in a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MICROFLOW_")}
    return subprocess.run(
        [sys.executable, "-m", "microflow", *arguments],
        cwd=folder,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# Names that mean different modules


@pytest.mark.parametrize("tops", [("import helpers", "import helpers"), ("import helpers", ""), ("", "import helpers")])
def test_flows_whose_folders_hold_different_modules_of_a_name_that_is_imported_are_refused(
    call: Call, folder: Path, tops: tuple[str, str]
) -> None:
    flows = two_flows(folder, *tops)
    write(folder / "a" / "helpers.py", "NAME = 'a'")
    write(folder / "b" / "helpers.py", "NAME = 'b'")

    checked = call("check", *flows)

    assert checked.exit_code == 2
    assert f"'helpers' means {Path('a', 'helpers.py')} for a/flow_a.py" in checked.stderr
    assert f"and {Path('b', 'helpers.py')} for b/flow_b.py" in checked.stderr


def test_a_flow_that_shares_its_name_with_a_file_that_nobody_named_is_refused(call: Call, folder: Path) -> None:
    write(folder / "c" / "etl.py", FLOW.format(name="c", top=""))
    write(folder / "d" / "other.py", FLOW.format(name="d", top=""))
    write(folder / "d" / "etl.py", "raise RuntimeError('never')")

    refused = call("serve", "-f", "c/etl.py", "-f", "d/other.py")

    assert refused.exit_code == 2
    assert f"'etl' means {Path('c', 'etl.py')} for c/etl.py and {Path('d', 'etl.py')} for d/other.py" in refused.stderr


def test_the_working_directory_counts_too(call: Call, folder: Path) -> None:
    flows = two_flows(folder, "import helpers", "")
    write(folder / "a" / "helpers.py", "NAME = 'a'")
    write(folder / "helpers.py", "NAME = 'here'")

    assert f"{Path('a', 'helpers.py')} for a/flow_a.py and helpers.py for b/flow_b.py" in call("check", *flows).stderr
    alone = [run(folder, "check", "-f", path) for path in ("a/flow_a.py", "b/flow_b.py")]
    assert [(found.returncode, found.stderr) for found in alone] == [(0, "")] * 2


@pytest.mark.parametrize("job", RUNS)
def test_a_late_import_that_would_clash_is_refused_where_it_happens(folder: Path, job: str) -> None:
    flows = two_flows(folder)
    write(folder / "a" / "helpers.py", "NAME = 'a'")
    write(folder / "b" / "helpers.py", "NAME = 'b'")

    refused = run(folder, "run", f"b/{job}", *flows)
    alone = run(folder, "run", job, "-f", "b/flow_b.py")

    assert refused.returncode == 1
    assert f"ImportError: 'helpers' means {Path('a', 'helpers.py')} for a/flow_a.py and " in refused.stderr
    assert json.loads(alone.stdout) == {"helpers": "b"}


def test_a_flow_s_worker_does_not_look_into_the_folder_of_another_flow(folder: Path) -> None:
    flows = two_flows(folder)
    write(folder / "a" / "helpers.py", "NAME = 'a'")

    assert json.loads(run(folder, "run", "a/task", *flows).stdout) == {"helpers": "a"}
    assert "ModuleNotFoundError: No module named 'helpers'" in run(folder, "run", "b/task", *flows).stderr


def test_copies_and_modules_that_only_one_folder_has_are_no_clash(call: Call, folder: Path) -> None:
    flows = two_flows(folder, "import helpers", "import helpers, own")
    for name in "ab":
        write(folder / name / "helpers.py", "NAME = 'copy'")
    write(folder / "b" / "own.py", "")

    assert call("check", *flows).exit_code == 0


def test_a_flow_that_is_reached_by_two_names_is_refused(call: Call, folder: Path) -> None:
    write(folder / "proj" / "flow_a.py", FLOW.format(name="a", top=""))

    checked = call("check", "-f", "proj/flow_a.py", "-f", "proj.flow_a")

    assert checked.exit_code == 2
    assert "flow_a.py is imported twice, as 'proj.flow_a' and as 'flow_a'; name it in one way." in checked.stderr


@pytest.mark.parametrize(
    ("files", "name", "clashes"),
    [
        (["a/x.py=1", "b/x.py=2"], "x", True),
        (["a/x.py=1", "b/x.py=1"], "x", False),
        (["a/x/__init__.py=", "b/x/__init__.py="], "x", False),
        (["a/x/__init__.py=", "b/x/__init__.py=", "b/x/more.py="], "x", True),
        (["a/x/__init__.py=", "b/x/__init__.py=", "b/x/more.py="], "x.more", True),
        (["a/x/__init__.py=", "b/x.py="], "x", True),
        (["a/x/y.py=1", "b/x/z.py=2"], "x", False),
        (["a/x/y.py=1", "b/x/z.py=2"], "x.y", False),
        (["a/x/y.py=1", "b/x/y.py=2"], "x.y", True),
        (["a/x.py=1", "b/x/y.py=2"], "x", True),
        (["a/x.py=1", "b/x/data.csv=2"], "x", False),
        (["a/x.py=1"], "x", False),
        (["a/pytest.py=1"], "pytest", True),
        (["here/x.py=1", "a/x.py=2"], "x", True),
        (["here/x.py=1"], "x", False),
    ],
)
def test_what_clashes(tmp_path: Path, files: list[str], name: str, clashes: bool) -> None:
    for folder in ("a", "b", "here"):
        (tmp_path / folder).mkdir()
    for file in files:
        path, _, text = file.partition("=")
        write(tmp_path / path, text)
    here = str(tmp_path / "here")
    meanings = Meanings({"a": [str(tmp_path / "a"), here], "b": [str(tmp_path / "b"), here]})

    assert (meanings.clash(name) is not None) is clashes
    assert Meanings({"a": [here], "b": [here]}).can_differ is False
    assert meaning("x.y", []) is None


def test_what_one_flow_sets_in_the_environment_is_not_there_for_another(folder: Path) -> None:
    for name in "ab":
        write(
            folder / name / f"flow_{name}.py",
            "import os\nfrom microflow import create_flow\n"
            f"os.environ['OF_{name.upper()}'] = os.environ['REGION'] = '{name}'\n"
            f"flow = create_flow('{name}')\n@flow.task\ndef look():\n"
            "    return {key: os.environ.get(key) for key in ('OF_A', 'OF_B', 'REGION')}\n",
        )
    flows = ["-f", "a/flow_a.py", "-f", "b/flow_b.py"]

    found = {name: json.loads(run(folder, "run", f"{name}/look", *flows, REGION="x").stdout) for name in "ab"}

    assert found == {
        "a": {"OF_A": "a", "OF_B": None, "REGION": "a"},
        "b": {"OF_A": None, "OF_B": "b", "REGION": "b"},
    }


# One version


def ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


PRICES = """
from microflow import create_flow
import known
flow = create_flow("prices", max_concurrency=1)

def what():
    import late
    return {"late": late.VERSION, "known": known.VERSION}

flow.task(name="task")(what)
flow.task(name="fresh", runner="fresh")(what)
flow.task(name="thread", runner="thread")(what)
flow.manager(name="manager")(what)
"""


@pytest.mark.parametrize("first", RUNS)
def test_a_server_runs_what_it_imported_first_whichever_process_that_was(
    folder: Path, processes: list[Process], first: str
) -> None:
    write(folder / "my_flow.py", PRICES)
    write(folder / "known.py", "VERSION = 1")
    write(folder / "late.py", "VERSION = 1")
    server = Process(folder, "serve", "-f", "my_flow", "--port", "0")
    processes.append(server)
    url = server.line_with(" at http://").split(" at ")[1].split()[0]

    def outputs(jobs: list[str]) -> list[Any]:
        return [ask(f"{url}/api/jobs/prices/{job}/executions", {"wait": 60})["output"] for job in jobs]

    before = outputs([first])
    for name in ("known", "late"):  # as long as before, and perhaps within the same second
        write(folder / f"{name}.py", "VERSION = 2")
    after = outputs(RUNS)

    assert [*before, *after] == [{"late": 1, "known": 1}] * 5


def test_reload_sees_what_only_workers_import(folder: Path, processes: list[Process]) -> None:
    write(folder / "my_flow.py", PRICES)
    write(folder / "known.py", "VERSION = 1")
    write(folder / "late.py", "VERSION = 1")
    server = Process(folder, "serve", "-f", "my_flow", "--port", "0", "--reload")
    processes.append(server)
    url = server.line_with(" at http://").split(" at ")[1].split()[0]
    task = f"{url}/api/jobs/prices/task/executions"

    before = ask(task, {"wait": 60})["output"]
    write(folder / "late.py", "VERSION = 2")
    server.line_with("Restarting: a source file changed.")
    server.line_with(" at http://")

    assert (before["late"], ask(task, {"wait": 60})["output"]["late"]) == (1, 2)


def test_a_version_knows_what_changed_on_disk(folder: Path) -> None:
    write(folder / "my_flow.py", PRICES)
    write(folder / "known.py", "VERSION = 1")
    version = load_version(["my_flow"])

    unchanged = version.changed()
    os.utime(folder / "known.py", (1, 1))
    touched = version.changed()
    write(folder / "known.py", "VERSION = 2")
    edited = version.changed()
    (folder / "my_flow.py").unlink()

    assert (unchanged, touched, edited) == ([], [], [folder / "known.py"])
    assert version.changed() == [folder / "known.py", folder / "my_flow.py"]


def test_the_same_flows_are_loaded_anew_beside_the_old_ones(folder: Path) -> None:
    write(folder / "my_flow.py", PRICES)
    write(folder / "known.py", "VERSION = 1")
    write(folder / "late.py", "VERSION = 1")
    old = load_version(["my_flow"])
    write(folder / "known.py", "VERSION = 2")

    new = load_anew(old)

    assert new.flows[0] is not old.flows[0]
    assert (old.flows[0].version, new.flows[0].version) == (old, new)
    assert [version.flows[0].jobs["task"].fn() for version in (old, new)] == [
        {"late": 1, "known": 1},
        {"late": 1, "known": 2},
    ]
    assert new.changed() == []


def test_what_cannot_be_loaded_anew_leaves_the_old_ones_as_they_were(folder: Path) -> None:
    write(folder / "my_flow.py", PRICES)
    write(folder / "known.py", "VERSION = 1")
    old = load_version(["my_flow"])
    modules = {name: sys.modules[name] for name in ("my_flow", "known")}
    write(folder / "known.py", "VERSION =")

    with pytest.raises(Exception, match="SyntaxError"):
        load_anew(old)

    assert {name: sys.modules[name] for name in modules} == modules
    write(folder / "late.py", "VERSION = 3")
    assert old.flows[0].jobs["task"].fn() == {"late": 3, "known": 1}
    assert old.changed() == [folder / "known.py"]


def test_bytecode_of_another_source_is_never_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.syspath_prepend(folder)
    file = write(folder / "priced.py", "VERSION = 1")
    times = file.stat()
    import py_compile

    py_compile.compile(str(file))  # with a time stamp, as Python itself does it
    write(file, "VERSION = 2")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    def imported() -> Any:
        sys.modules.pop("priced", None)
        hook = OwnPaths(Folders((str(folder),)), Sources().content)
        hook.install()
        try:
            import priced  # type: ignore[import-not-found]
        finally:
            hook.remove()
        return priced.VERSION

    first = imported()
    from_bytecode = imported()
    write(file, "VERSION = 3")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert (first, from_bytecode, imported()) == (2, 2, 3)
    sys.modules.pop("priced", None)


def test_a_relative_import_without_a_package_is_told_what_to_do(call: Call, folder: Path) -> None:
    write(folder / "proj" / "flows" / "c.py", "from .a import X\n" + FLOW.format(name="c", top=""))
    write(folder / "proj" / "flows" / "a.py", "X = 1")

    refused = call("check", "-f", "proj/flows/c.py")

    assert refused.stderr.endswith(
        "attempted relative import with no known parent package. "
        f"Put an __init__.py into {Path('proj', 'flows')}, or name it proj.flows.c.\n"
    )
    assert call("check", "-f", "proj.flows.c").exit_code == 0


def test_a_flow_that_a_program_made_is_of_no_version_that_can_be_loaded_again(folder: Path) -> None:
    write(folder / "flow_a.py", FLOW.format(name="a", top=""))
    loaded = load_version(["flow_a.py"])
    made, beside = create_flow("made"), create_flow("beside")
    made.module = beside.module = "flow_a"  # so that both look for modules in the same folders as the loaded one

    try:
        assert version_of(made).directory is None
        assert version_of(beside) is version_of(made)
        assert loaded.directory is not None
    finally:
        version_of(made).close()
        loaded.close()
