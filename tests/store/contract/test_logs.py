"""Logs: read by offset while they are written, no character in two halves, head and tail kept of a long one."""

from __future__ import annotations

import threading

import pytest

from microflow.store import LOG_CAP, Logs, Store


@pytest.fixture
def logs(store: Store) -> Logs:
    return store.logs


def read_all(logs: Logs, execution_id: int = 1, limit: int = 1000) -> tuple[str, int]:
    """What a reader gets who asks again and again; how many bytes were left out."""
    text, after, left_out = "", 0, 0
    while (part := logs.read(execution_id, after, limit)).next > after:
        text, after, left_out = text + part.text, part.next, left_out + part.left_out
    return text, left_out


def test_a_log_that_does_not_exist_is_empty(logs: Logs) -> None:
    assert logs.read(1) == ("", 0, 0)
    assert logs.read(1, after=50) == ("", 50, 0)
    logs.delete([1, 2])


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


def test_a_log_of_a_number_that_was_used_before_begins_anew(logs: Logs) -> None:
    old = logs.open(1)
    old.append(b"old\n" * 300)
    old.close()

    new = logs.open(1)
    new.append(b"new\n")
    new.close()

    assert read_all(logs) == ("new\n", 0)


def test_many_threads_may_add_and_every_piece_stays_whole(logs: Logs) -> None:
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


def test_a_log_that_is_continued_keeps_what_was_written_before(logs: Logs) -> None:
    for text in (b"first attempt\n", b"second attempt\n"):
        log = logs.open(1, goes_on=True)
        log.append(text)
        log.close()

    assert logs.read(1) == ("first attempt\nsecond attempt\n", 29, 0)
    assert logs.end(1) == 29


def test_a_long_log_keeps_its_head_and_its_tail(logs: Logs) -> None:
    lines, line = LOG_CAP * 3 // 2 // 65_536, b"x" * 65_535 + b"\n"
    log = logs.open(1)
    log.append(b"the start\n")
    for _ in range(lines):
        log.append(line)
    log.append(b"the end\n")
    log.close()

    text, left_out = read_all(logs, limit=1 << 20)

    assert text.startswith("the start\nxxx")
    assert text.endswith("xxx\nthe end\n")
    assert LOG_CAP // 2 <= len(text) <= LOG_CAP
    assert len(text) + left_out == logs.end(1) == 10 + lines * len(line) + 8


def test_what_is_deleted_is_gone_and_the_neighbours_stay(logs: Logs) -> None:
    for number in (1, 11, 12, 1001):
        log = logs.open(number)
        log.append(b"x" * 1000)
        log.close()

    logs.delete([1, 12, 99])

    assert [logs.end(number) for number in (1, 11, 12, 1001)] == [0, 1000, 0, 1000]


def test_the_cap_is_what_the_documentation_says() -> None:
    assert LOG_CAP == 10 * 1024 * 1024
