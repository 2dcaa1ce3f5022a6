"""``run``, ``map`` and ``retry`` without a server: an engine in the command's own process."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import ASK_TO_END
from .conftest import PATIENCE, Call, Process

pytestmark = pytest.mark.usefixtures("work")


def test_the_output_goes_to_standard_output_and_the_rest_to_standard_error(call: Call) -> None:
    done = call("run", "double", "-f", "work_flow:flow", "--input", '{"v": 4}')

    assert done.exit_code == 0
    assert done.stdout == '{"v": 8}\n'
    assert re.fullmatch(r"doubling 4\nExecution 1 of work/double: success after .+\n", done.stderr)


def test_what_the_output_s_encoding_lacks_is_escaped_as_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")  # as where Windows writes to a file
    key = {"run_key": "caf\xe9 \u25a0 \U0001f600"}
    command = [sys.executable, "-m", "microflow", "run", "keyed", "-f", "work_flow", "-i", "-"]

    done = subprocess.run(command, input=json.dumps(key).encode(), capture_output=True, timeout=PATIENCE)

    assert done.returncode == 0, done.stderr
    assert done.stdout.replace(b"\r\n", b"\n") == b'{"seen": "caf\xe9 \\u25a0 \\ud83d\\ude00"}\n'
    assert json.loads(done.stdout.decode("latin-1")) == {"seen": key["run_key"]}


def test_what_the_jobs_below_it_print_is_seen_too(call: Call) -> None:
    done = call("run", "many", "-f", "work_flow.py", "-i", '{"count": 3}')

    assert json.loads(done.stdout) == {"sum": 6}
    assert sorted(done.stderr.splitlines()[:3]) == ["doubling 0", "doubling 1", "doubling 2"]


def test_a_job_that_fails_is_exit_code_1_with_its_traceback(call: Call) -> None:
    done = call("run", "work/double", "-f", "work_flow", "-i", '{"v": 13}')

    assert done.exit_code == 1
    assert done.stdout == ""
    assert 'raise ValueError("13 is unlucky")\n' in done.stderr
    assert re.search(r"Execution 1 of work/double: error after .+: ValueError: 13 is unlucky\n$", done.stderr)
    assert "microflow/engine" not in done.stderr


def test_a_job_that_skips_says_why_and_is_no_failure(call: Call) -> None:
    done = call("run", "skip", "-f", "work_flow")

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.endswith(": no new files\n")
    assert ": skipped" in done.stderr


def test_a_run_key_that_succeeded_is_skipped_with_its_output_unless_forced(call: Call) -> None:
    arguments = ["run", "keyed", "-f", "work_flow", "-i", '{"run_key": "a.csv"}']
    call(*arguments)

    again, forced = call(*arguments), call(*arguments, "--force")

    assert again.stdout == '{"seen": "a.csv"}\n'
    assert again.stderr.endswith("run key 'a.csv' succeeded before, in execution 1\n")
    assert ": success" in forced.stderr


def test_a_job_runs_with_its_inputs(call: Call) -> None:
    done = call("run", "after", "-f", "work_flow", "--with-inputs")

    assert done.exit_code == 0
    assert "skipped" in done.stderr


def test_a_partition_is_named_by_its_options(call: Call) -> None:
    assert call("run", "area", "-f", "work_flow", "--cat-partition", "north").stdout == '{"area": "north"}\n'
    refused = call("run", "area", "-f", "work_flow", "--cat-partition", "west")
    assert refused.exit_code == 2
    assert "west" in refused.stderr


def test_what_a_module_prints_while_it_is_imported_is_no_result(call: Call, work: Path) -> None:
    text = (work / "work_flow.py").read_text("utf-8")
    (work / "loud_flow.py").write_text(f"print('loading')\n{text}", "utf-8")

    done = call("run", "double", "-f", "loud_flow", "-i", '{"v": 1}')

    assert done.stdout == '{"v": 2}\n'
    assert done.stderr.startswith("loading\n")


def test_json_is_the_whole_execution(call: Call) -> None:
    told = json.loads(call("run", "double", "-f", "work_flow", "-i", '{"v": 1}', "--json").stdout)

    assert (told["id"], told["status"], told["trigger"]) == (1, "success", "cli")
    assert (told["inputs"], told["output"]) == ([{"v": 1}], {"v": 2})


def test_progress_is_plain_lines_where_there_is_no_terminal(call: Call) -> None:
    done = call("map", "double", "-f", "work_flow", "-i", "-", input='{"v": 1}\n{"v": 2}\n')

    assert done.exit_code == 0
    assert done.stdout == '{"success": 2}\n'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["duoble", "-i", "{}"], "Error: There is no job 'duoble'. Did you mean 'double'?\n"),
        (["x"], "Error: There is no job 'x'. There are work/double, work/skip, work/many, "),
        (["double"], "Error: double(value) takes 1 input, and 0 were given.\n"),
        (["double", "--with-inputs"], "Error: double(value) takes 1 input, and declares none, so a run with inputs"),
        (["double", "-i", "{v: 1}"], "Error: --input is no valid JSON: "),
        (["double", "-i", '{"v": {"$date": "soon"}}'], "is not a date in ISO 8601"),
        (["after", "--with-inputs", "-i", "{}"], "was to run with its inputs and was given inputs too"),
        (["double", "-i", "{}", "--store", "mysql://x"], "Error: The store 'mysql://x' can't be opened"),
    ],
)
def test_wrong_use_is_exit_code_2_and_one_message(call: Call, arguments: list[str], message: str) -> None:
    refused = call("run", "-f", "work_flow", *arguments)

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_job_that_several_flows_have_needs_the_name_of_its_flow(call: Call, work: Path) -> None:
    (work / "other_flow.py").write_text(
        "from microflow import create_flow\nflow = create_flow('other')\n"
        "@flow.task(runner='thread')\ndef double(x):\n    return {'other': True}\n",
        "utf-8",
    )
    both = ["-f", "work_flow", "-f", "other_flow", "-i", '{"v": 1}']

    assert (
        "Several flows have a job 'double'; name one of work/double, other/double."
        in call("run", "double", *both).stderr
    )
    assert call("run", "other/double", *both).stdout == '{"other": true}\n'


def test_a_mapping_runs_everything_and_fails_if_one_does(call: Call, work: Path) -> None:
    (work / "in.jsonl").write_text("".join(f'{{"v": {v}}}\n' for v in (12, 13, 14)), "utf-8")

    done = call("map", "double", "-f", "work_flow", "--inputs", "in.jsonl")
    listed = call("executions", "--parent", "1", "--json")

    assert done.exit_code == 1
    assert done.stdout == '{"error": 1, "success": 2}\n'
    assert "1 of 3 executions of 'double' failed; one of them: ValueError: 13 is unlucky\n" in done.stderr
    assert sorted(child["status"] for child in json.loads(listed.stdout)["items"]) == ["error", "success", "success"]


def test_a_mapping_in_batches_gives_lists(call: Call) -> None:
    lines = '{"run_key": "a"}\n{"run_key": "b"}\n{"run_key": "c"}\n'

    call("map", "area", "-f", "work_flow", "-i", "-", "--batch-size", "2", "--max-concurrency", "1", input=lines)
    listed = json.loads(call("executions", "--parent", "1", "--json").stdout)["items"]

    assert [len(child["inputs"][0]) for child in reversed(listed)] == [2, 1]


def test_a_line_of_a_file_that_is_no_json_is_named_without_a_word_about_the_shell(call: Call, work: Path) -> None:
    (work / "in.jsonl").write_text('{"v": 1}\n{v: 2}\n')

    refused = call("map", "double", "-f", "work_flow", "--inputs", "in.jsonl")

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "Error: in.jsonl, line 2 is no valid JSON: " in refused.stderr
    assert "shell" not in refused.stderr


def test_an_input_that_is_too_large_stops_a_mapping_before_anything_runs(call: Call) -> None:
    lines = '{"v": 1}\n{"v": "' + "x" * 40_000 + '"}\n'

    refused = call("map", "double", "-f", "work_flow", "-i", "-", input=lines)

    assert refused.exit_code == 2
    assert "limit is 32,768" in refused.stderr
    assert "doubling" not in refused.stderr


def test_what_ended_is_executed_again(call: Call) -> None:
    call("run", "double", "-f", "work_flow", "-i", '{"v": 5}')

    again = call("retry", "1", "-f", "work_flow")
    missing = call("retry", "99", "-f", "work_flow")

    assert again.stdout == '{"v": 10}\n'
    assert "Execution 2 of work/double: success" in again.stderr
    assert missing.exit_code == 2
    assert "There is no execution 99" in missing.stderr


def test_an_argument_is_taken_as_it_is(start: Callable[..., Process]) -> None:
    """On Windows, click would put the value of a variable, or names of files, in its place."""
    running = start("run", "keyed", "-f", "work_flow", "-i", '{"run_key": "$PATH %PATH% ~ *"}')

    assert running.wait() == 0
    assert '{"seen": "$PATH %PATH% ~ *"}' in running.lines


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (ASK_TO_END, 128 + ASK_TO_END)])
def test_ctrl_c_cancels_what_runs_and_everything_below(
    call: Call, start: Callable[..., Process], number: int, code: int
) -> None:
    running = start("run", "wait_below", "-f", "work_flow", "-i", '{"file": "never"}')
    running.line_with("waiting")

    running.signal(number)

    assert running.wait() == code
    assert running.lines[-2:] == [
        "Interrupted: what runs is cancelled. Ctrl-C again leaves at once.",
        "Execution 1: cancelled",
    ]
    listed = json.loads(call("executions", "--json").stdout)["items"]
    assert [execution["status"] for execution in listed] == ["cancelled", "cancelled"]


def test_a_second_ctrl_c_leaves_at_once(start: Callable[..., Process]) -> None:
    running = start("run", "never", "-f", "work_flow")
    running.line_with("never ends")

    running.signal(signal.SIGINT)
    running.line_with("Interrupted")
    running.signal(signal.SIGINT)

    assert running.wait() == 130


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no exec")
def test_no_standard_stream_is_needed(work: Path) -> None:
    command = [sys.executable, "-m", "microflow", "run", "double", "-f", "work_flow", "-i"]

    def run(*inputs: str, closed: int) -> subprocess.CompletedProcess[str]:
        closing = f"import os, sys; os.close({closed}); os.execv(sys.executable, {[*command, *inputs]!r})"
        return subprocess.run([sys.executable, "-c", closing], capture_output=True, text=True, check=False)

    assert run('{"v": 1}', closed=2).stdout == '{"v": 2}\n'
    assert run('{"v": 1}', closed=1).returncode == 0
    assert run("-", closed=0).stderr.endswith(
        "There is no standard input to read; give the JSON itself, or @file.json.\n"
    )


def test_the_flow_of_the_first_example_runs_from_an_empty_folder(call: Call, folder: Path) -> None:
    (folder / "work_flow.py").unlink()
    call("init")

    asked = '{"documents": [{"name": "a", "text": "to be or not to be"}, {"name": "b", "text": "that is it"}]}'
    done = call("run", "count_all", "-f", "my_flow:flow", "--input", asked)

    assert json.loads(done.stdout) == {"documents": 2, "words": 9}
    assert {"a: 6 words", "b: 3 words"} <= set(done.stderr.splitlines())
