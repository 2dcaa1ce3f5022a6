"""The newest part of a log, as a page shows it when it is opened."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from microflow.store.sqlite.logs import LogFiles
from microflow.web.pages.log_view import cleaned, newest_part


def written(folder: Path, text: str, cap: int = 1 << 20) -> LogFiles:
    logs = LogFiles(folder, cap)
    log = logs.open(1)
    for begin in range(0, len(text), 500):
        log.append(text[begin : begin + 500].encode())
    log.close()
    return logs


def test_a_short_log_is_shown_whole(tmp_path: Path) -> None:
    assert newest_part(written(tmp_path, "one\ntwo\n"), 1, tail=100) == ("one\ntwo\n", 0, 8)


def test_no_log_is_nothing(tmp_path: Path) -> None:
    assert newest_part(LogFiles(tmp_path), 1) == ("", 0, 0)


@pytest.mark.parametrize("lines", [30, 31, 100, 1000, 12_345])
def test_of_a_long_log_the_end_is_shown_from_a_whole_line_on(tmp_path: Path, lines: int) -> None:
    text = "".join(f"line {number} über\n" for number in range(lines))
    shown, before, offset = newest_part(written(tmp_path, text), 1, tail=400)
    encoded = text.encode()
    assert offset == len(encoded)
    assert encoded[before:].decode() == shown
    assert shown.startswith("line ")
    assert 250 <= len(shown.encode()) <= 400


def test_of_a_log_that_lost_its_middle_the_end_is_shown(tmp_path: Path) -> None:
    text = "".join(f"line {number}\n" for number in range(20_000))
    shown, _, offset = newest_part(written(tmp_path, text, cap=8_000), 1, tail=400)
    assert offset == len(text)
    assert text.endswith(shown)


@pytest.mark.parametrize("text", ["x" * 5_000, "x" * 4_999 + "\n", "one\n" + "x" * 4_995 + "\n"])
def test_of_a_log_whose_last_line_is_longer_than_the_part_its_end_is_shown(tmp_path: Path, text: str) -> None:
    shown, before, offset = newest_part(written(tmp_path, text), 1, tail=400)
    assert len(shown) >= 300
    assert before + len(shown) == offset == 5_000


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[31mred\x1b[0m and \x1b[1;4mbold\x1b[m", "red and bold"),
        ("\x1b]0;a title\x07a \x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\ in it", "a link in it"),
        ("\x1b]0;not ended\nnext", "\x1b]0;not ended\nnext"),
        ("10%\r50%\r100%\ndone\n", "100%\ndone\n"),
        ("windows\r\nline\r\n", "windows\nline\n"),
        ("plain <b>text</b>\n", "plain <b>text</b>\n"),
    ],
)
def test_colours_and_overwritten_lines_are_left_out(printed: str, shown: str) -> None:
    assert cleaned(printed) == shown


@pytest.mark.parametrize("number", [1_000, 2_000_000])
@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("x", "x"),
        ("\x1b[", "\x1b["),
        ("\x1b]0;", "\x1b]0;"),
        ("\x1b[1;", "\x1b[1;"),
        ("\u0301", "\u0301"),
        ("\x00\x9b", "\x00\x9b"),
        ("50%\r", ""),
        ("a\rb\n", "b\n"),
    ],
)
def test_a_log_of_any_shape_is_cleaned_in_one_pass(printed: str, shown: str, number: int) -> None:
    # looking at the rest of a line from each of its characters would take hours for the longer ones
    count = number // len(printed)
    assert cleaned(printed * count) == shown * count


@pytest.mark.parametrize("text", ["", "\r", "a\r\n", "a\r\r\nb", "\ra\rb\n\rc", "a\n\r\n\r", "a\rb\r"])
def test_of_a_line_that_was_written_over_the_last_version_is_shown(text: str) -> None:
    assert cleaned(text) == re.sub(r"[^\n]*\r", "", text.replace("\r\n", "\n"))
