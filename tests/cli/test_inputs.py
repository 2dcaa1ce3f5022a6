"""Inputs as they are typed: JSON, a file, standard input; and what is said of what is none of these."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click
import pytest

from microflow.cli.inputs import decoded, parse, read_inputs, read_lines


def refusal(text: str) -> str:
    with pytest.raises(click.UsageError) as caught:
        parse(text, "--input")
    return caught.value.message


@pytest.mark.parametrize("text", ['{"a": 1}', '[{"a": 1}, {"b": [null, true, 1.5]}]', "{}", "[]", '\ufeff{"a": 1}'])
def test_an_input_is_an_object_or_a_list_of_objects(text: str) -> None:
    assert isinstance(parse(text, "--input"), dict | list)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1", '--input holds a number; an input is a JSON object or a list of objects, as in {"my_value": 1}.'),
        ('"a"', '--input holds a string; an input is a JSON object or a list of objects, as in {"my_value": 1}.'),
        ("null", '--input holds null; an input is a JSON object or a list of objects, as in {"my_value": 1}.'),
        ("[true]", '--input holds true; an input is a JSON object or a list of objects, as in {"my_value": 1}.'),
        (
            "[[]]",
            '--input holds a list in a list; an input is a JSON object or a list of objects, as in {"my_value": 1}.',
        ),
        ("", "--input is no valid JSON: Expecting value at line 1, column 1 (it is empty)"),
        (
            '{"a": 1,}',
            '--input is no valid JSON: Illegal trailing comma before end of object at line 1, column 8, in {"a": 1,}',
        ),
        ('{"a":\n 1 "b"}', "--input is no valid JSON: Expecting ',' delimiter at line 2, column 4, in {\"a\":"),
        ('{"a": NaN}', '--input is no valid JSON: NaN is no JSON; use null or a string instead, in {"a": NaN}'),
    ],
)
def test_what_is_no_input_is_told_with_its_place(text: str, message: str) -> None:
    if "trailing comma" in message and "trailing" not in refusal(text):
        message = (
            "--input is no valid JSON: Expecting property name enclosed in double quotes at line 1, column 9, in "
            '{"a": 1,}'
        )  # before Python 3.13
    assert refusal(text) == message


@pytest.mark.parametrize("text", ["{my_value: 1}", "'{my_value:"])
def test_quotation_marks_that_the_shell_took_are_suspected(text: str) -> None:
    assert "The shell may have taken the quotation marks." in refusal(text)


def test_several_inputs_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    file.write_text('{"order": 1}', "utf-8")

    assert read_inputs([f"@{file}", '{"dry": true}']) == [{"order": 1}, {"dry": True}]
    with pytest.raises(click.UsageError, match="--input number 2 is no valid JSON"):
        read_inputs(["{}", "{"])
    with pytest.raises(click.UsageError, match="can't be read: No such file or directory"):
        read_inputs(["@nowhere.json"])
    with pytest.raises(click.UsageError, match="can be read only once"):
        read_inputs(["-", "-"])


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "picture.json"
    file.write_bytes(b"\xff\xd8\xff")

    with pytest.raises(click.UsageError, match="is no text in UTF-8"):
        read_inputs([f"@{file}"])


def test_lines_are_inputs_and_the_line_of_a_mistake_is_told(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text('{"text": "one\u2028line"}\n\n[{"b": 1}]\r\n', "utf-8")

    assert read_lines(str(file)) == [{"text": "one\u2028line"}, [{"b": 1}]]

    file.write_text('{"a": 1}\n\n{"a": \n', "utf-8")
    with pytest.raises(click.UsageError, match=r"in\.jsonl, line 3 is no valid JSON"):
        read_lines(str(file))


def test_a_line_with_a_list_is_one_input_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text('{"v": 1}\n{"v": 2}\n', "utf-8")
    assert len(read_lines(str(file))) == 2
    assert capsys.readouterr().err == ""

    file.write_text('{"v": 0}\n[{"v": 1}, {"v": 2}]\n', "utf-8")
    assert read_lines(str(file)) == [{"v": 0}, [{"v": 1}, {"v": 2}]]
    said = capsys.readouterr().err
    assert f"in {file}, line 2 holds a JSON array: that is one input, a list." in said
    assert "write one object on each line" in said

    file.write_text('[{"v": 1}]\n[{"v": 2}]\n', "utf-8")
    assert read_lines(str(file)) == [[{"v": 1}], [{"v": 2}]]
    assert "2 lines, the first of them line 1, hold a JSON array each" in capsys.readouterr().err


def test_one_array_on_several_lines_is_refused_with_what_to_write(tmp_path: Path) -> None:
    file = tmp_path / "in.json"
    file.write_text('[\n  {"v": 1},\n  {"v": 2}\n]\n', "utf-8")

    with pytest.raises(
        click.UsageError, match=r"holds one JSON array on several lines\. For an execution for each object"
    ):
        read_lines(str(file))


def test_an_object_on_several_lines_is_refused_with_what_to_write(tmp_path: Path) -> None:
    file = tmp_path / "in.json"
    file.write_text('{"v": 0}\n\n{\n  "v": 1\n}\n', "utf-8")

    with pytest.raises(click.UsageError, match=r"line 3 is the beginning of a JSON object on several lines\. .* jq -c"):
        read_lines(str(file))


def test_what_a_terminal_would_obey_is_escaped_in_a_message() -> None:
    assert "\x1b" not in refusal("\x1b[31mred")
    assert r"in '\x1b[31mred'" in refusal("\x1b[31mred")


@pytest.mark.parametrize("text", ['{"a": "\udcff"}', '{"\udcff": 1}', '{"a": "\\ud800"}'])
def test_text_that_is_not_unicode_is_told(text: str) -> None:
    assert "--input holds text that is not valid Unicode" in refusal(text)


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    (tmp_path / "order.json").write_text('{"order": 1}', "utf-8")

    assert read_inputs(["@~/order.json"]) == [{"order": 1}]
    assert read_lines("~/order.json") == [{"order": 1}]


def test_dates_are_dates_for_the_job() -> None:
    assert decoded([parse('{"day": {"$date": "2026-11-22"}}', "--input")]) == [{"day": date(2026, 11, 22)}]


@pytest.mark.parametrize("text", ["[" * 12_000, '{"x":' * 600 + "1" + "}" * 600])
def test_what_is_nested_too_deeply_is_told_by_every_python(text: str) -> None:
    with pytest.raises(click.UsageError) as raised:
        read_inputs([text])
    assert str(raised.value) == "--input can't be read. This is nested too deeply. At most 200 levels are allowed."
