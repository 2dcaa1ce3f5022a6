"""What a flow's module, a script or a notebook sets up at its top is what its jobs run with, in every runner."""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microflow.runners.local import setups

Script = Callable[..., subprocess.Popen[str]]

RUNNERS = ["process", "fresh", "thread"]

JOBS = """
import logging, os, sys, warnings
from microflow import create_flow

{top}

flow = create_flow("setup", max_concurrency=1)

def look():
    import decimal, locale
    logging.getLogger("shop").debug("a detail")
    logging.getLogger("shop").info("some news")
    logging.getLogger("shop").warning("a warning")
    return {{
        "region": os.environ.get("REGION"),
        "folder": os.getcwd(),
        "recursion": sys.getrecursionlimit(),
        "filters": [each[0] for each in warnings.filters[:1]],
        "decimal": decimal.getcontext().prec,
    }}

for runner in ("process", "fresh", "thread"):
    flow.task(name=runner, runner=runner)(look)
flow.manager(name="manager")(look)

@flow.manager
def every():
    return [flow.jobs[name]() for name in ("process", "process", "fresh", "thread", "process")]
"""

TOP = """
os.environ["REGION"] = "north"
sys.setrecursionlimit(2345)
warnings.simplefilter("ignore")
logging.basicConfig(filename={log!r}, level=logging.DEBUG, format="%(levelname)s of %(name)s: %(message)s")
logging.getLogger("other").setLevel(logging.ERROR)
"""


def microflow(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "microflow", *arguments, "--store", "sqlite:///store.db"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def log_of(folder: Path, execution: int) -> list[str]:
    return microflow(folder, "logs", str(execution)).stdout.splitlines()


def test_what_a_flow_s_module_sets_up_is_there_for_every_task(tmp_path: Path) -> None:
    top = TOP.format(log=str(tmp_path / "jobs.log"))
    (tmp_path / "jobs.py").write_text(JOBS.format(top=top), "utf-8")

    ran = microflow(tmp_path, "run", "every", "-f", "jobs.py")

    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert [(each["region"], each["recursion"], each["filters"]) for each in found] == [("north", 2345, ["ignore"])] * 5
    for execution in range(2, 7):
        assert [line.split(" ", 2)[-1] for line in log_of(tmp_path, execution)] == [
            "DEBUG shop: a detail",
            "INFO shop: some news",
            "WARNING shop: a warning",
        ]
    lines = [line for line in (tmp_path / "jobs.log").read_text("utf-8").splitlines() if " of shop: " in line]
    assert lines == ["DEBUG of shop: a detail", "INFO of shop: some news", "WARNING of shop: a warning"] * 5


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        ("", ["INFO shop: some news", "WARNING shop: a warning"]),
        ("logging.basicConfig(filename='x.log')", ["INFO shop: some news", "WARNING shop: a warning"]),
        ("logging.basicConfig(level=logging.WARNING)", ["WARNING:shop:a warning"]),
        ("logging.basicConfig(level='DEBUG', format='%(message)s')", ["a detail", "some news", "a warning"]),
        ("logging.basicConfig(stream=sys.stdout, format='%(message)s')", ["some news", "a warning"]),
        ("logging.getLogger('shop').setLevel('ERROR')", []),
        ("logging.disable(logging.INFO)", ["WARNING shop: a warning"]),
        (
            "import logging.config\nlogging.config.dictConfig({'version': 1, 'root': {'level': 'WARNING'}})",
            ["WARNING shop: a warning"],
        ),
    ],
)
@pytest.mark.parametrize("kind", ["module", "script"])
def test_records_are_in_the_log_as_they_were_set_up(
    tmp_path: Path, script: Script, top: str, expected: list[str], kind: str
) -> None:
    if kind == "module":
        (tmp_path / "jobs.py").write_text(JOBS.format(top=top), "utf-8")
        assert microflow(tmp_path, "run", "process", "-f", "jobs.py").returncode == 0
    else:
        if "level=logging.WARNING" in top or "'WARNING'" in top:
            pytest.skip("in a script this can't be told from Python's own level")
        call = "\nflow.store = 'sqlite:///store.db'\nflow.jobs['process']()\n"
        process = script(JOBS.format(top=top) + call)
        assert (process.communicate(timeout=120), process.returncode)[1] == 0

    lines = log_of(tmp_path, 1)

    assert [line.split(" ", 2)[-1] if line[:2] == "20" else line for line in lines] == expected


@pytest.mark.parametrize("runner", RUNNERS)
def test_what_a_script_sets_up_travels_with_its_functions(tmp_path: Path, script: Script, runner: str) -> None:
    top = TOP.format(log=str(tmp_path / "jobs.log")) + "import decimal\ndecimal.getcontext().prec = 7\n"
    text = f"""
import json
job = flow.jobs[{runner!r}]
first = job().output
os.environ["REGION"] = "south"
os.mkdir("below")
os.chdir("below")
print(json.dumps([first, job().output]))
"""
    out, err = script(JOBS.format(top=top) + text).communicate(timeout=120)

    first, second = json.loads(out.splitlines()[-1]) if out else err
    assert (first["region"], first["recursion"], first["filters"], first["decimal"]) == ("north", 2345, ["ignore"], 7)
    assert (second["region"], second["folder"]) == ("south", str(tmp_path / "below"))
    assert (tmp_path / "jobs.log").read_text("utf-8").count("INFO of shop: some news") == 2


def test_what_a_module_that_is_imported_late_sets_is_there_for_the_next_task(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text("import os\nos.environ['REGION'] = 'late'\n", "utf-8")
    (tmp_path / "jobs.py").write_text(
        "import os\nfrom microflow import create_flow\nflow = create_flow('late', max_concurrency=1)\n"
        "@flow.task\ndef use():\n    os.environ['MINE'] = 'x'\n    import settings\n    return {}\n"
        "@flow.task\ndef look():\n    return {name: os.environ.get(name) for name in ('REGION', 'MINE')}\n"
        "@flow.manager\ndef both():\n    use()\n    return look()\n",
        "utf-8",
    )

    assert json.loads(microflow(tmp_path, "run", "both", "-f", "jobs.py").stdout) == {"REGION": "late", "MINE": None}


def test_a_thread_of_a_module_does_not_cost_a_worker_for_each_task(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(
        "import os, threading\nfrom microflow import create_flow\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "flow = create_flow('thread', max_concurrency=1)\n@flow.task\ndef pid():\n    return {'pid': os.getpid()}\n"
        "@flow.manager\ndef three():\n    return [pid() for _ in range(3)]\n",
        "utf-8",
    )

    found = json.loads(microflow(tmp_path, "run", "three", "-f", "jobs.py").stdout)

    assert len({each["pid"] for each in found}) == 1


@pytest.mark.parametrize(
    "handler",
    [
        lambda path: logging.FileHandler(path, "w", "utf-8", delay=True),
        lambda path: logging.handlers.RotatingFileHandler(path, maxBytes=1000, backupCount=2),
        lambda path: logging.handlers.TimedRotatingFileHandler(path, when="W2", interval=2, backupCount=3),
        lambda path: logging.handlers.TimedRotatingFileHandler(path, when="midnight", utc=True),
        lambda path: logging.NullHandler(),
    ],
)
def test_a_handler_is_made_again_as_it_was(tmp_path: Path, handler: Callable[[Path], Any]) -> None:
    logger = logging.getLogger("test of handlers")
    made = handler(tmp_path / "a.log")
    made.setFormatter(logging.Formatter("%(message)s"))
    made.setLevel(logging.ERROR)
    logger.addHandler(made)
    try:
        description = setups._handlers(logger)
        setups._set_handlers(logger, description)
        (again,) = logger.handlers
        assert type(again) is type(made)
        for name in (
            "level",
            "baseFilename",
            "encoding",
            "maxBytes",
            "backupCount",
            "when",
            "interval",
            "utc",
            "atTime",
        ):
            assert getattr(again, name, None) == getattr(made, name, None), name
        assert again.formatter is not None
        assert again.formatter._fmt == "%(message)s"
    finally:
        setups._set_handlers(logger, [])


def test_what_cannot_be_described_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGION", "described")
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.handlers.MemoryHandler(1)])

    description = setups.Setups().described()
    monkeypatch.setenv("REGION", "changed")
    setups._set_environment({**os.environ, "REGION": "described"})

    assert b"MemoryHandler" not in description
    assert os.environ["REGION"] == "described"
