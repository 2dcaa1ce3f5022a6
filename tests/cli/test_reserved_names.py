"""Files with the names of Python's own modules, or of what Microflow depends on, break nothing and are told of."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest

from microflow.user_code.reserved import DEPENDENCIES

from .conftest import Call, Process
from .test_code_versions import ask, run, write

LOOK = """
from microflow import create_flow
flow = create_flow("look")

def what():
    import secrets, uuid
    return {"files": [secrets.__file__, uuid.__file__], "token": len(secrets.token_hex(2))}

flow.task(name="task")(what)
flow.task(name="fresh", runner="fresh")(what)
flow.task(name="thread", runner="thread")(what)
flow.manager(name="manager")(what)

@flow.manager
def every():
    return [flow.jobs[name]() for name in ("task", "fresh", "thread", "manager")]
"""


def test_files_with_the_names_of_all_of_python_s_modules_break_nothing(folder: Path, processes: list[Process]) -> None:
    write(folder / "flows" / "look.py", LOOK)
    for name in {*sys.stdlib_module_names, *DEPENDENCIES} - {"microflow"}:
        write(folder / "flows" / f"{name}.py", f"raise RuntimeError('the user has a {name}.py')\n")
    ran = run(folder, "run", "every", "-f", "flows/look.py")
    server = Process(folder, "serve", "-f", "flows/look.py", "--port", "0")
    processes.append(server)
    url = server.line_with(" at http://").split(" at ")[1].split()[0]
    served = ask(f"{url}/api/jobs/look/every/executions", {"wait": 60})

    assert ran.returncode == 0, ran.stderr
    for output in (json.loads(ran.stdout), served["output"]):
        assert len({tuple(each["files"]) for each in output}) == 1
        assert str(folder) not in str(output)
    with urllib.request.urlopen(f"{url}/jobs/look/every", timeout=60) as page:
        assert page.status == 200


@pytest.mark.parametrize(
    "name", ["secrets", "queue", "uuid", "platform", "signal", "token", "decimal", "click", "msgspec"]
)
@pytest.mark.parametrize("place", ["working directory", "PYTHONPATH"])
def test_such_a_file_on_the_path_from_the_start_breaks_nothing(folder: Path, name: str, place: str) -> None:
    write(folder / "look.py", LOOK)
    write(folder / "extra" / "empty.txt", "")
    write(
        folder / ("extra" if place == "PYTHONPATH" else "") / f"{name}.py", "raise RuntimeError('the user has one')\n"
    )

    ran = run(folder, "run", "every", "-f", "look", PYTHONPATH=str(folder / "extra"))

    assert ran.returncode == 0, ran.stderr
    assert len({tuple(each["files"]) for each in json.loads(ran.stdout)}) == 1


def test_check_notes_such_files(call: Call, folder: Path) -> None:
    write(folder / "look.py", LOOK)
    write(folder / "queue.py", "")
    write(folder / "click" / "__init__.py", "")
    write(folder / "json" / "data.txt", "")

    checked, as_json = call("check", "-f", "look.py"), call("check", "-f", "look.py", "--json")

    assert checked.exit_code == 0
    assert checked.stdout.splitlines() == [
        "ok  look: 5 jobs",
        f"note  look: click in {folder} has the name of a package that Microflow depends on, which is what 'import click' "
        "imports; rename it.",
        f"note  look: queue.py in {folder} has the name of Python's own module, which is what 'import queue' imports; rename it.",
    ]
    assert len(json.loads(as_json.stdout)["items"][0]["notes"]) == 2


@pytest.mark.parametrize(
    "statement", ["from secrets import PASSWORD", "import secrets\nsecrets.PASSWORD", "import secrets.more"]
)
def test_an_import_that_meant_such_a_file_is_told_where_it_is(call: Call, folder: Path, statement: str) -> None:
    write(folder / "look.py", f"{statement}\n{LOOK}")
    write(folder / "secrets.py", "PASSWORD = 'x'")

    refused = call("check", "-f", "look.py")

    assert refused.exit_code == 2
    assert refused.stderr.endswith(
        "secrets.py is not what 'secrets' means: that is the name of Python's own module. Rename the file.\n"
    )


def test_the_names_of_all_dependencies_are_reserved() -> None:
    needed, todo = set(), ["microflow"]
    while todo:
        for line in requires(todo.pop()) or ():
            name = re.split(r"[^\w.-]", line)[0].lower()
            if "extra ==" not in line and "python_version" not in line and name not in needed:
                needed.add(name)
                todo += [name] if name != "tzdata" else []
    modules = {
        module
        for module, distributions in packages_distributions().items()
        if {distribution.lower() for distribution in distributions} & needed and not module.startswith("_")
    }

    assert modules <= DEPENDENCIES
