"""Logs: read by offset while they are written, within their cap, head and tail kept, no character in two halves."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microflow.store.logs import LOG_CAP, Log, Logs


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path / "logs", cap=400)


def read_all(logs: Logs, execution_id: int = 1, limit: int = 1000) -> tuple[str, int]:
    """What a reader gets who asks again and again; how many bytes were left out."""
    text, after, left_out = "", 0, 0
    while (part := logs.read(execution_id, after, limit)).next > after:
        text, after, left_out = text + part.text, part.next, left_out + part.left_out
    return text, left_out


def size(logs: Logs) -> int:
    return sum(path.stat().st_size for path in logs.folder.rglob("*") if path.is_file())


def test_a_log_that_does_not_exist_is_empty(logs: Logs) -> None:
    assert logs.read(1) == ("", 0, 0)
    assert logs.read(1, after=50) == ("", 50, 0)
    logs.delete([1, 2])


def test_a_job_that_prints_nothing_leaves_no_file(logs: Logs) -> None:
    logs.open(1).close()

    assert not logs.folder.exists()


def test_what_is_added_can_be_read_at_once_from_where_one_stopped(logs: Logs) -> None:
    log = logs.open(1)
    log.append(b"one\n")
    assert logs.read(1) == ("one\n", 4, 0)
    log.append(b"two\n")
    assert logs.read(1, after=4) == ("two\n", 8, 0)
    assert logs.read(1, after=8) == ("", 8, 0)
    log.close()

    log.append(b"too late\n")
    assert logs.read(1) == ("one\ntwo\n", 8, 0)


def test_a_reader_gets_as_much_as_it_asks_for(logs: Logs) -> None:
    with_limit = logs.open(1)
    with_limit.append(b"0123456789")
    with_limit.close()

    assert logs.read(1, limit=4) == ("0123", 4, 0)
    assert logs.read(1, after=4, limit=4) == ("4567", 8, 0)


def test_a_character_is_never_read_in_two_halves(logs: Logs) -> None:
    log = logs.open(1)
    text = "a" + "€" * 40 + "é𝄞"
    log.append(text.encode())
    log.close()

    for limit in range(4, 12):
        assert read_all(logs, limit=limit) == (text, 0)


def test_bytes_that_are_no_text_are_shown_as_such(logs: Logs) -> None:
    log = logs.open(1)
    log.append(b"a\xff\xfe\n")
    log.close()

    assert logs.read(1).text == "a��\n"


def test_head_and_tail_of_a_long_log_are_kept(logs: Logs) -> None:
    log = logs.open(1)
    for number in range(1000):
        log.append(f"line {number:04}\n".encode())
    log.close()

    text, left_out = read_all(logs)
    lines = text.splitlines()
    assert lines[0] == "line 0000"
    assert lines[-1] == "line 0999"
    assert len(text) + left_out == 10_000
    assert 300 <= len(text) <= 400
    assert size(logs) <= 400


@settings(deadline=None, derandomize=True, database=None)
@given(st.lists(st.text("ab€𝄞\n", min_size=1, max_size=300), max_size=20), st.integers(4, 500))
def test_whatever_is_printed_the_log_keeps_its_cap_its_head_and_its_end(
    tmp_path_factory: pytest.TempPathFactory, printed: list[str], limit: int
) -> None:
    logs = Logs(tmp_path_factory.mktemp("logs"), cap=400)
    log = logs.open(1)
    for text in printed:
        log.append(text.encode())
    log.close()

    whole = "".join(printed).encode()
    text, left_out = read_all(logs, limit=limit)
    kept = text.encode()
    assert len(kept) + left_out == len(whole)
    assert kept[:200] == whole[:200]
    assert kept[-100:] == whole[-100:]
    assert (kept == whole) is (left_out == 0)
    assert len(kept) == size(logs) <= 400 + 3 * 3  # a piece may be longer by the rest of a character


def test_a_reader_left_behind_is_told_how_much_it_missed(logs: Logs) -> None:
    log = logs.open(1)
    log.append(b"x" * 250)
    assert logs.read(1).next == 200
    assert logs.read(1, after=200) == ("x" * 50, 250, 0)
    log.append(b"y" * 1000)

    part = logs.read(1, after=250)
    assert part.left_out > 0
    assert part.next - len(part.text) == 250 + part.left_out
    log.close()


def test_a_piece_that_somebody_reads_is_deleted_in_the_end(logs: Logs) -> None:
    """Windows deletes no file that is open."""
    log = logs.open(1)
    log.append(b"x" * 350)
    (piece,) = logs.folder.glob("*/1.2*.log")

    with piece.open("rb"):
        log.append(b"y" * 1000)
    log.append(b"z" * 200)

    log.close()
    assert not piece.exists()
    assert size(logs) <= 400


def test_a_log_of_a_number_that_was_used_before_begins_anew(logs: Logs) -> None:
    old = logs.open(1)
    old.append(b"old\n" * 300)
    old.close()

    new = logs.open(1)
    new.append(b"new\n")
    new.close()

    assert read_all(logs) == ("new\n", 0)


def test_a_log_that_goes_on_keeps_what_was_written_before(logs: Logs) -> None:
    for text in (b"first attempt\n", b"second attempt\n", b"x" * 1000, b"last words\n"):
        log = logs.open(1, goes_on=True)
        log.append(text)
        log.close()

    text, left_out = read_all(logs)
    assert text.startswith("first attempt\nsecond attempt\nxxx")
    assert text.endswith("xxxlast words\n")
    assert len(text) + left_out == 14 + 15 + 1000 + 11
    assert size(logs) <= 400


def test_many_threads_may_add_and_every_piece_stays_whole(tmp_path: Path) -> None:
    logs = Logs(tmp_path / "logs")
    log = logs.open(1)
    threads = [
        threading.Thread(
            target=lambda name=name: [log.append(f"{name}{number:03}\n".encode()) for number in range(200)]
        )  # type: ignore[misc]
        for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()

    lines = read_all(logs)[0].splitlines()
    assert len(lines) == 800
    for name in "abcd":
        assert [line for line in lines if line[0] == name] == [f"{name}{number:03}" for number in range(200)]


def test_deleting_takes_all_pieces_and_leaves_the_neighbours(logs: Logs) -> None:
    for number in (1, 11, 12, 1001):
        log = logs.open(number)
        log.append(b"x" * 1000)
        log.close()

    logs.delete([1, 12])

    assert logs.read(1) == ("", 0, 0)
    assert logs.read(12) == ("", 0, 0)
    assert logs.read(11).text
    assert logs.read(1001).text
    logs.delete([11])
    assert [path.name for path in logs.folder.iterdir()] == ["0001"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is needed")
def test_a_full_disk_is_told_when_something_is_added_and_never_later(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def next_piece(log: Log) -> None:
        log._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115 - the log closes it
        log._piece_end = 1000

    monkeypatch.setattr(Log, "_next_piece", next_piece)
    log = logs.open(1)

    with pytest.raises(OSError, match="No space left on device"):
        log.append(b"lost\n")
    log.close()


def test_the_cap_is_what_the_documentation_says() -> None:
    assert LOG_CAP == 10 * 1024 * 1024
