"""What several threads of one attempt print: each line whole, in the order in which lines end."""

from __future__ import annotations

import threading

from microflow.runners.threads.output import Output


def in_thread(act: object) -> None:
    thread = threading.Thread(target=act)  # type: ignore[arg-type]
    thread.start()
    thread.join(60)


def test_a_line_that_one_thread_has_begun_is_not_mixed_with_anothers() -> None:
    taken: list[bytes] = []
    output = Output(taken.append)

    def other() -> None:
        for piece in ("an", "other", "\n", "begun"):
            output.write(piece)

    output.write("the ")
    in_thread(other)
    output.write("first\n")

    assert b"".join(taken) == b"another\nthe first\n"
    output.close()
    assert taken[-1] == b"begun", "what was begun is handed on at the end"


def test_flush_hands_on_the_line_of_its_own_thread() -> None:
    taken: list[bytes] = []
    output = Output(taken.append)
    output.write("mine")
    in_thread(output.flush)
    assert taken == []

    output.flush()

    assert taken == [b"mine"]


def test_a_line_without_an_end_is_handed_on_in_parts() -> None:
    taken: list[bytes] = []
    output = Output(taken.append)
    for _ in range(3):
        output.write("x" * 50_000)
    output.write("\n")

    assert b"".join(taken) == b"x" * 150_000 + b"\n"
    assert len(taken) > 1
