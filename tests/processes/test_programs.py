"""What programs write that a manager, or a task in a thread, starts is in its log, in order, as it happens."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from microflow import Flow, create_flow, run_parallel
from microflow.engine.engine import Engine

Start = Callable[..., Engine]
Log = Callable[..., str]

PATIENCE = 60.0


def says(text: str, stream: str = "stdout") -> list[str]:
    """The command of a program that writes a line."""
    return [sys.executable, "-c", f"import sys; print({text!r}, file=sys.{stream})"]


@pytest.fixture
def flow() -> Flow:
    return create_flow("shop", max_concurrency=4)


@pytest.fixture(params=["manager", "thread"])
def job(request: pytest.FixtureRequest, flow: Flow) -> Callable[[Callable[[], Any]], Any]:
    """Makes a function a job that runs in a thread; it returns {}."""

    def make(function: Callable[[], Any]) -> Any:
        def run() -> Any:
            function()
            return {}

        return (
            flow.manager(name="work")(run)
            if request.param == "manager"
            else flow.task(name="work", runner="thread")(run)
        )

    return make


def test_every_way_to_start_a_program_is_heard_in_order(
    job: Callable[..., Any], start: Start, log_of: Log, capfd: pytest.CaptureFixture[str]
) -> None:
    async def by_asyncio() -> None:
        process = await asyncio.create_subprocess_exec(*says("asyncio exec"))
        await process.wait()
        process = await asyncio.create_subprocess_shell("echo asyncio shell")
        await process.wait()

    def work() -> None:
        print("begun", end="")
        subprocess.run(says("run"), check=True)
        print("printed")
        subprocess.run(says("run, error", "stderr"), check=True)
        with subprocess.Popen(says("Popen")) as process:
            process.wait()
            print("printed", process.stdout, process.stderr)
        subprocess.check_call("echo a shell", shell=True)
        assert subprocess.check_output(says("check_output", "stderr")) == b""
        subprocess.run(says("both", "stderr"), stderr=subprocess.STDOUT, check=True)
        subprocess.run(says("as a stream"), stdout=sys.stdout, check=True)
        subprocess.run(says("as a stream of bytes"), stdout=sys.stdout.buffer, check=True)
        subprocess.run(says("as the other stream"), stdout=sys.stderr, check=True)
        subprocess.run(says("by descriptor"), stdout=2, stderr=1, check=True)
        os.system("echo system")
        both = (
            "echo popen& echo error of popen>&2" if sys.platform == "win32" else "echo popen; echo error of popen >&2"
        )
        with os.popen(both) as pipe:
            assert pipe.read() == "popen\n"
        with os.popen(f'{sys.executable} -c "import sys; print(sys.stdin.read())"', "w") as pipe:
            pipe.write("popen, written")
        asyncio.run(by_asyncio())
        thread = threading.Thread(target=subprocess.run, args=(says("in a thread"),))
        thread.start()
        thread.join()

    engine = start(job(work).flow)
    assert engine.submit(engine.job("shop", "work")).future.result().status == "success"

    assert log_of(engine).splitlines() == [
        "begunrun",
        "printed",
        "run, error",
        "Popen",
        "printed None None",
        "a shell",
        "check_output",
        "both",
        "as a stream",
        "as a stream of bytes",
        "as the other stream",
        "by descriptor",
        "system",
        "error of popen",
        "popen, written",
        "asyncio exec",
        "asyncio shell",
        "in a thread",
    ]
    assert capfd.readouterr() == ("", "")


def test_what_has_another_place_to_go_goes_there(
    job: Callable[..., Any], start: Start, log_of: Log, tmp_path: Path
) -> None:
    found: list[Any] = []

    def work() -> None:
        both = [sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr)"]
        found.append(subprocess.run(both, capture_output=True, text=True, check=True))
        found.append(subprocess.run(both, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True, text=True))
        subprocess.run(both, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        with open(tmp_path / "out", "wb") as file:
            subprocess.run(both, stdout=file, stderr=file.fileno(), check=True)
        sort = [sys.executable, "-c", "import sys; sys.stdout.writelines(sorted(sys.stdin))"]
        found.append(subprocess.run(sort, input="b\na\n", stdout=subprocess.PIPE, text=True, check=True))
        with pytest.raises(FileNotFoundError):
            subprocess.run(["no such program"])
        with pytest.raises(TypeError):
            subprocess.run(both, no_such_argument=1)  # type: ignore[call-overload]
        with pytest.raises(AttributeError):
            subprocess.run(both, stdout="no stream")  # type: ignore[call-overload]

    engine = start(job(work).flow)
    result = engine.submit(engine.job("shop", "work")).future.result()

    assert result.status == "success", result.error
    assert (found[0].stdout, found[0].stderr) == ("out\n", "err\n")
    assert sorted(found[1].stdout.split()) == ["err", "out"]
    assert sorted((tmp_path / "out").read_text().split()) == ["err", "out"]
    assert found[2].stdout == "a\nb\n"
    assert log_of(engine) == ""


@pytest.mark.parametrize(
    "command",
    ["exit 3", "exit 0", "", "no-such-program-at-all 2>&1", b"exit 4", "kill -9 $$", "kill -2 $$", Path("true")],
)
@pytest.mark.skipif(sys.platform == "win32", reason="a shell of Unix")
def test_system_returns_what_the_platform_does(flow: Flow, start: Start, command: Any) -> None:
    manage = flow.manager(name="manage")(lambda: {"code": os.system(command)})
    expected = os.system(command)
    start(flow)

    assert manage()["code"] == expected


def test_system_says_what_is_wrong_with_its_command(flow: Flow, start: Start) -> None:
    def complaint(command: Any) -> str:
        try:
            return str(os.system(command))
        except (TypeError, ValueError) as error:
            return f"{type(error).__name__}: {error}"

    manage = flow.manager(name="manage")(lambda: {"found": [complaint(1), complaint("a\0b")]})
    expected = [complaint(1), complaint("a\0b")]
    start(flow)

    assert manage()["found"] == expected


def test_much_output_comes_whole_and_in_order(flow: Flow, start: Start, log_of: Log) -> None:
    @flow.manager
    def manage() -> dict[str, Any]:
        for part in range(3):
            print("before", part)
            subprocess.run([sys.executable, "-c", "print('y' * 300_000)"], check=True)
            print("after", part)
        return {}

    engine = start(flow)
    manage()

    expected = "".join(f"before {part}\n{'y' * 300_000}\nafter {part}\n" for part in range(3))
    assert log_of(engine) == expected


def test_what_a_program_writes_can_be_read_while_it_runs(flow: Flow, start: Start, log_of: Log, tmp_path: Path) -> None:
    path = tmp_path / "go on"
    program = f"import os, time\nprint('first', flush=True)\nwhile not os.path.exists({str(path)!r}): time.sleep(0.01)"
    manage = flow.manager(name="manage")(lambda: [subprocess.run([sys.executable, "-c", program], check=True), {}][1])
    engine = start(flow)
    printed = threading.Event()
    engine.events.subscribe(lambda event: printed.set() if event.topic == "log" else None)
    submitted = engine.submit(manage)

    assert printed.wait(PATIENCE)
    assert log_of(engine, submitted.id).splitlines() == ["first"]
    path.touch()
    assert submitted.future.result().status == "success"


def test_managers_that_run_at_the_same_time_do_not_hear_each_others_programs(
    flow: Flow, start: Start, log_of: Log
) -> None:
    together = threading.Barrier(4)

    @flow.manager
    def manage(a: dict[str, Any]) -> dict[str, Any]:
        together.wait(PATIENCE)
        for number in range(5):
            print(a["n"], "printed", number)
            subprocess.run(says(f"{a['n']} wrote {number}"), check=True)
        return {}

    engine = start(flow)
    run_parallel(*((manage, {"n": n}) for n in range(4)))

    for n in range(4):
        expected = "".join(f"{n} printed {number}\n{n} wrote {number}\n" for number in range(5))
        assert log_of(engine, n + 1) == expected


def test_an_engine_in_the_same_process_has_programs_of_its_own(tmp_path: Path, start: Start, log_of: Log) -> None:
    engines = []
    for n in (1, 2):
        flow = create_flow(f"shop{n}")
        flow.manager(name="manage")(lambda n=n: [subprocess.run(says(f"of {n}"), check=True), {}][1])
        engines.append(start(flow, store=f"sqlite:///{tmp_path.as_posix()}/{n}.db"))

    for engine in engines:
        (flow,) = engine.flows.values()
        assert engine.submit(flow.jobs["manage"]).future.result().status == "success"

    assert [log_of(engine) for engine in engines] == ["of 1\n", "of 2\n"]


def test_a_program_that_never_stops_writing_does_not_hold_up_the_end(
    flow: Flow, start: Start, log_of: Log, ended: Callable[..., None]
) -> None:
    flood = [sys.executable, "-c", "import sys\nwhile True: sys.stdout.write('x' * 1000 + chr(10))"]
    processes = []

    @flow.manager
    def manage() -> Any:
        processes.append(subprocess.Popen(flood))
        return {}

    start(flow)
    status = manage().status
    processes[0].kill()
    processes[0].wait()

    assert status == "success"


@pytest.mark.skipif(sys.platform == "win32", reason="counts descriptors")
def test_no_descriptor_and_no_thread_stays_behind(flow: Flow, start: Start) -> None:
    @flow.manager
    def manage() -> Any:
        subprocess.run(says("hello"), check=True)
        os.system("echo hello")
        return {}

    start(flow)
    manage()
    before = psutil.Process().num_fds()
    for _ in range(10):
        manage()
    for thread in threading.enumerate():
        if thread.name == "microflow-programs":
            thread.join(PATIENCE)

    assert psutil.Process().num_fds() <= before
    assert "microflow-programs" not in [thread.name for thread in threading.enumerate()]


def test_programs_of_nobody_write_where_the_process_does(
    flow: Flow, start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    running, go_on = threading.Event(), threading.Event()
    manage = flow.manager(name="manage")(lambda: [running.set(), go_on.wait(PATIENCE), {}][2])
    engine = start(flow)
    submitted = engine.submit(manage)
    assert running.wait(PATIENCE)

    subprocess.run(says("of nobody"), check=True)
    os.system("echo of a shell")
    go_on.set()
    submitted.future.result()

    assert capfd.readouterr().out.splitlines() == ["of nobody", "of a shell"]


def test_a_subclass_of_popen_and_positional_arguments_are_heard_too(flow: Flow, start: Start, log_of: Log) -> None:
    class Program(subprocess.Popen[bytes]):
        pass

    @flow.manager
    def manage() -> Any:
        Program(says("of a subclass")).wait()
        subprocess.Popen(says("in positions"), -1, None, None, None, None).wait()
        psutil.Popen(says("of psutil")).wait()
        return {}

    engine = start(flow)
    assert manage().status == "success"

    assert log_of(engine).splitlines() == ["of a subclass", "in positions", "of psutil"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_a_program_gets_descriptors_and_signals_as_ever(flow: Flow, start: Start, log_of: Log) -> None:
    program = (
        "import os, signal; print(sorted(map(int, os.listdir('/dev/fd')))[:3], signal.getsignal(signal.SIGPIPE).name)"
    )

    @flow.manager
    def manage() -> Any:
        reading, writing = os.pipe()
        with os.fdopen(reading) as pipe:
            subprocess.run(
                [sys.executable, "-c", f"import os; os.write({writing}, b'passed on')"], pass_fds=[writing], check=True
            )
            os.close(writing)
            passed = pipe.read()
        subprocess.run([sys.executable, "-c", program], check=True, start_new_session=True)
        return {"passed": passed, "signal": subprocess.run(["sh", "-c", "kill -15 $$"]).returncode}

    engine = start(flow)

    assert manage() == {"passed": "passed on", "signal": -signal.SIGTERM}
    assert log_of(engine).splitlines() == ["[0, 1, 2] SIG_IGN"]  # as Python itself sets it


def test_a_program_runs_where_no_thread_can_be_started_for_it(
    flow: Flow, start: Start, log_of: Log, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from microflow.runners.threads import output

    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    manage = flow.manager(name="manage")(lambda: [subprocess.run(says("hello"), check=True), {}][1])
    engine = start(flow)
    monkeypatch.setattr(output, "start_thread", refuse)

    assert manage().status == "success"
    assert log_of(engine) == "What a program writes is not in this log: can't start new thread.\n"
    assert capfd.readouterr().out == f"hello{os.linesep}"
