"""The lines in a log end with "\\n" alone, also where programs write as Windows does."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from microflow import create_flow
from microflow.engine.engine import Engine
from microflow.engine.execution.line_ends import LineEnds


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([b"a\r\nb\r\n"], b"a\nb\n"),
        ([b"a\r", b"\nb\r", b"\n"], b"a\nb\n"),
        ([b"10 %\r20 %\r", b"30 %\r\n"], b"10 %\r20 %\r30 %\n"),
        ([b"a\r", b"", b"b\r\r\n"], b"a\rb\r\n"),
        ([b"a\n", b"b"], b"a\nb"),
    ],
)
def test_the_ends_of_lines_of_windows_become_those_of_unix(pieces: list[bytes], expected: bytes) -> None:
    ends = LineEnds()

    assert b"".join(map(ends.take, pieces)) == expected


@pytest.mark.skipif(sys.platform != "win32", reason="a log holds what was printed on other systems")
@pytest.mark.parametrize("runner", ["process", "thread"])
def test_a_log_has_no_carriage_returns(start: Callable[..., Engine], runner: str) -> None:
    flow = create_flow("shop")

    @flow.task(runner=runner)
    def show() -> None:
        import subprocess

        print("printed")
        print("and printed", flush=True)
        subprocess.run([sys.executable, "-c", "print('by a program')"], check=True)

    engine = start(flow)
    show()

    assert engine.logs.read(1).text == "printed\nand printed\nby a program\n"
