"""Logs in files: within their cap, head and tail kept, a folder that goes with its last log, what the system refuses."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microflow import ExecutionStatus, StoreError
from microflow.store import open as open_store
from microflow.store.rows import Ending, Opening
from microflow.store.sqlite.logs import LogFile, LogFiles


@pytest.fixture
def logs(tmp_path: Path) -> LogFiles:
    return LogFiles(tmp_path / "logs", cap=400)


def read_all(logs: LogFiles, execution_id: int = 1, limit: int = 1000) -> tuple[str, int]:
    """What a reader gets who asks again and again; how many bytes were left out."""
    text, after, left_out = "", 0, 0
    while (part := logs.read(execution_id, after, limit)).next > after:
        text, after, left_out = text + part.text, part.next, left_out + part.left_out
    return text, left_out


def size(logs: LogFiles) -> int:
    return sum(path.stat().st_size for path in logs.folder.rglob("*") if path.is_file())


def test_a_job_that_prints_nothing_leaves_no_file(logs: LogFiles) -> None:
    logs.open(1).close()

    assert not logs.folder.exists()


def test_head_and_tail_of_a_long_log_are_kept(logs: LogFiles) -> None:
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
    logs = LogFiles(tmp_path_factory.mktemp("logs"), cap=400)
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


def test_a_reader_left_behind_is_told_how_much_it_missed(logs: LogFiles) -> None:
    log = logs.open(1)
    log.append(b"x" * 250)
    assert logs.read(1).next == 200
    assert logs.read(1, after=200) == ("x" * 50, 250, 0)
    log.append(b"y" * 1000)

    part = logs.read(1, after=250)
    assert part.left_out > 0
    assert part.next - len(part.text) == 250 + part.left_out
    log.close()


def test_a_piece_that_somebody_reads_is_deleted_in_the_end(logs: LogFiles) -> None:
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


def test_a_log_that_goes_on_keeps_what_was_written_before(logs: LogFiles) -> None:
    for text in (b"first attempt\n", b"second attempt\n", b"x" * 1000, b"last words\n"):
        log = logs.open(1, goes_on=True)
        log.append(text)
        log.close()

    text, left_out = read_all(logs)
    assert text.startswith("first attempt\nsecond attempt\nxxx")
    assert text.endswith("xxxlast words\n")
    assert len(text) + left_out == 14 + 15 + 1000 + 11
    assert size(logs) <= 400


def test_deleting_takes_all_pieces_and_leaves_the_neighbours(logs: LogFiles) -> None:
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
    logs: LogFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def next_piece(log: LogFile) -> None:
        log._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115 - the log closes it
        log._piece_end = 1000

    monkeypatch.setattr(LogFile, "_next_piece", next_piece)
    log = logs.open(1)

    with pytest.raises(StoreError, match="No space left on device"):
        log.append(b"lost\n")
    log.close()


def test_a_log_that_can_not_be_deleted_says_so(store: str) -> None:
    with closing(open_store(store)) as opened:
        new = Opening(flow="f", job="j", kind="task", trigger="call", inputs=b"[]")
        old = opened.executions.open(new, 1.0)
        opened.executions.finish(old, Ending(status=ExecutionStatus.SKIPPED), 1.0)
        logs: Any = opened.logs
        logs._base(old.id).mkdir(parents=True)  # which nobody deletes as a file

        with pytest.raises(StoreError, match=r"The logs of deleted executions can't be deleted: .*1\.log"):
            list(opened.retention.steps(5.0))

        assert opened.reading.executions().items == []
