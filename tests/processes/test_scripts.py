"""Flows in scripts without a main guard, in ``python -i`` and in ``-c``: nothing to set up, nothing runs twice, nothing stays."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

Script = Callable[..., "subprocess.Popen[str]"]

SEED = """
from microflow import create_flow
print("imported once")
flow = create_flow("my_flow")

@flow.task
def increment_value(a):
  return {
      "my_value": a["my_value"] + 1
  }

@flow.task
def add_inputs(a, b):
  return {
      "my_value": a["my_value"] + b["my_value"]
  }

@flow.manager
def compute(input_dict):
  a = {"my_value": 2}
  b = increment_value(input_dict)
  if b["my_value"] < 3:
      b = increment_value(b)
  return add_inputs(a, b)
"""


def output(process: subprocess.Popen[str], text: str | None = None) -> str:
    out, err = process.communicate(text, timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    return out


def test_a_script_needs_no_main_guard(script: Script, tmp_path: Path) -> None:
    process = script(SEED + 'print(compute({"my_value": 1}))\nprint(compute({"my_value": 1})["my_value"])\n')

    assert output(process) == ("imported once\nExecutionResult({'my_value': 5}, status='success', job='compute')\n5\n")
    assert sorted(path.name for path in (tmp_path / ".microflow").iterdir()) == ["store.db"]


def test_a_script_that_prints_in_tasks_and_uses_its_own_functions_and_classes(script: Script) -> None:
    process = script("""
from dataclasses import dataclass
from microflow import create_flow, map_parallel
flow = create_flow("shop", max_concurrency=2)
FACTOR = 3

@dataclass
class Price:
    amount: int
    def raised(self): return Price(self.amount * FACTOR)

def describe(price): return f"costs {price.amount}"

@flow.task
def work(a):
    print(describe(Price(a["n"])))
    return {"n": Price(a["n"]).raised().amount}

@flow.manager
def manage():
    return map_parallel(work, [{"n": 1}])

print(manage().output)
""")

    assert output(process) == "costs 1\n[{'n': 3}]\n"


def test_an_error_of_a_script_tells_where_in_the_script(script: Script) -> None:
    process = script("""
from microflow import create_flow
flow = create_flow("shop")

@flow.task
def fail():
    raise ValueError("here")

print(fail().error.traceback)
fail()["data"]
""")
    out, err = process.communicate(timeout=60)

    assert process.returncode == 1
    assert 'script.py", line 7, in fail\n' in out
    assert err.rstrip().splitlines()[-1].startswith("ValueError: here") or "The traceback in the job:" in err
    assert "ExecutionFailed: Job 'fail' failed: ValueError: here" in err


def test_an_error_of_a_notebooks_cell_shows_its_line(script: Script) -> None:
    process = script("""
import linecache
CELL = '''
from microflow import create_flow
flow = create_flow("shop")

@flow.task
def fail():
    raise ValueError("here")

print(fail().error.traceback)
'''
linecache.cache["<cell 7>"] = (len(CELL), None, CELL.splitlines(True), "<cell 7>")
exec(compile(CELL, "<cell 7>", "exec"))
""")

    assert 'File "<cell 7>", line 7, in fail\n    raise ValueError("here")\n' in output(process)


def interactive(script: Script, lines: str) -> list[str]:
    """What ``python -i`` prints when these lines are typed, prompts taken out."""
    process = script("", interpreter=["-i", "-q"], **{})
    out, err = process.communicate(lines, timeout=60)
    assert "Traceback" not in err, err
    return [line for line in out.splitlines() if line]


def test_a_prompt_can_define_call_and_define_again(script: Script) -> None:
    lines = interactive(
        script,
        """
from microflow import create_flow
flow = create_flow("shop")
def times(n): return n * 2

@flow.task
def work(a):
    return {"n": times(a["n"])}

@flow.manager
def manage(a):
    return work(a)

work({"n": 2})["n"]
manage({"n": 2})["n"]
def times(n): return n * 100

work({"n": 2})["n"]
manage({"n": 2})["n"]
@flow.task
def work(a):
    return {"n": times(a["n"]) + 1}

work({"n": 2})["n"]
manage({"n": 2})["n"]
""",
    )

    assert lines == ["4", "4", "200", "200", "201", "201"]


def test_code_on_the_command_line(script: Script, tmp_path: Path) -> None:
    code = """
from microflow import create_flow
flow = create_flow("shop", store=":memory:")
work = flow.task(name="work")(lambda a: {"n": a["n"] + 1})
print(work({"n": 1})["n"])
"""

    assert output(script("", interpreter=["-c", code])) == "2\n"
    assert [path.name for path in tmp_path.iterdir()] == ["script.py"]


def test_what_a_script_runs_is_printed_where_the_script_prints(script: Script) -> None:
    process = script("""
from microflow import create_flow
flow = create_flow("shop")
@flow.task
def talk():
    print("from the task")
    return {}
@flow.manager
def manage():
    print("from the manager")
    return talk()
print("before")
manage()
print("after")
""")

    assert output(process) == "before\nfrom the manager\nfrom the task\nafter\n"


def test_what_the_encoding_of_a_script_s_output_lacks_is_escaped(script: Script) -> None:
    process = script("""
import sys
from microflow import create_flow
sys.stdout.reconfigure(encoding="ascii")
flow = create_flow("shop")
@flow.task
def talk():
    print("from the task \u25a0")
    return {}
@flow.manager
def manage():
    print("from the manager \u25a0")
    return talk()
print(manage().status)
""")

    assert output(process) == "from the manager \\u25a0\nfrom the task \\u25a0\nsuccess\n"


def test_a_module_of_flows_used_by_a_script(script: Script, tmp_path: Path) -> None:
    (tmp_path / "my_flow.py").write_text(SEED.replace('print("imported once")\n', ""))

    process = script("from my_flow import compute\nprint(compute({'my_value': 1})['my_value'])\n")

    assert output(process) == "5\n"


def test_a_script_that_uses_threads_of_its_own(script: Script) -> None:
    process = script("""
from concurrent.futures import ThreadPoolExecutor
from microflow import create_flow
flow = create_flow("shop", max_concurrency=2)
@flow.task
def work(a): return {"n": a["n"] + 1}
with ThreadPoolExecutor(4) as threads:
    print([result["n"] for result in threads.map(work, [{"n": n} for n in range(8)])])
""")

    assert output(process) == "[1, 2, 3, 4, 5, 6, 7, 8]\n"


def test_a_call_after_the_last_line_is_refused_in_words(script: Script) -> None:
    process = script("""
import atexit
from microflow import ConflictError, create_flow
flow = create_flow("shop")

@flow.task
def work(a): return {"n": a["n"] + 1}

@atexit.register
def leave():
    for _ in range(2):
        try:
            work({"n": 2})
        except ConflictError as error:
            print(error)

print(work({"n": 1})["n"])
""")

    said = "The program is ending, and nothing new can be executed then: call jobs before its last line.\n"
    assert output(process) == "2\n" + 2 * said


def test_two_scripts_may_share_a_store(script: Script, tmp_path: Path) -> None:
    text = """
import sys
from microflow import create_flow
flow = create_flow(sys.argv[1], store="sqlite:///store.db")
@flow.task
def work(a): return {"n": a["n"] + 1}
print(sum(work({"n": n})["n"] for n in range(20)))
"""
    processes: list[Any] = [script(text, "one"), script(text, "two")]

    assert [output(process) for process in processes] == ["210\n", "210\n"]
