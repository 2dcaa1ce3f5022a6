"""Progress and log while a job runs: plain lines, and the bar of a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from microflow.cli.display import HELD_BACK, Display, Step, TerminalDisplay, is_worth_a_line


@pytest.mark.parametrize(
    ("last", "step", "seconds", "worth"),
    [
        (None, Step(0, 10), 0, True),
        (Step(1, 100), Step(5, 100), 0.1, False),
        (Step(1, 100), Step(5, 100), 5.0, True),
        (Step(9, 100), Step(10, 100), 0.1, True),
        (Step(99, 100), Step(100, 100), 0.1, True),
        (Step(5, 10), Step(5, 10), 60.0, False),
        (Step(1), Step(2), 1.0, False),
        (Step(1), Step(2), 6.0, True),
        (Step(1, None, "a"), Step(1, 10, "b"), 6.0, True),
    ],
)
def test_progress_gets_a_line_now_and_then(last: Step | None, step: Step, seconds: float, worth: bool) -> None:
    assert is_worth_a_line(last, step, seconds) is worth


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (Step(3, 12, "reading"), "progress: 3 of 12 (25%), reading"),
        (Step(1500), "progress: 1,500"),
        (Step(0, 0), "progress: 0"),
    ],
)
def test_progress_is_told_in_words(step: Step, text: str) -> None:
    assert str(step) == text


def test_a_log_is_written_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    display = Display()

    display.log(b"half a ")
    display.log("line\n§ \xff".encode("latin-1"))
    display.step(Step(1, 2))

    assert stream.getvalue() == "half a line\n\ufffd \ufffdprogress: 1 of 2 (50%)\n"


def test_a_reader_that_goes_away_disturbs_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    display = Display()

    display.log(b"nobody reads this\n")
    display.say("nor this")


def test_on_a_terminal_whole_lines_stand_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    display = TerminalDisplay()

    display.log(b"before\n")
    display.step(Step(1, 4, "[bold]not markup"))
    display.log(b"one\ntw")
    display.log(b"o\nthe rest")
    display.close()
    shown = stream.getvalue()

    assert shown.startswith("before\n")
    assert "1/4" in shown
    assert "[bold]not markup" in shown
    assert "one" in shown
    assert "tw\n" not in shown
    assert shown.rstrip().endswith("the rest")


def test_a_line_without_an_end_is_shown_in_pieces_and_joined_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    display = TerminalDisplay()
    display.step(Step(1, 4))

    for _ in range(3 * HELD_BACK // 64):
        display.log(b"x" * 64)
    shown = stream.getvalue().count("x")
    display.log(b"the end\nyz")
    display.log(b"\n")
    display.close()

    assert 2 * HELD_BACK <= shown <= 3 * HELD_BACK
    assert stream.getvalue().count("x") == 3 * HELD_BACK
    assert "the end" in stream.getvalue()
    assert not stream.getvalue().endswith("\n\n")
