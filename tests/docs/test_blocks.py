"""Every block of code that a reader may copy from README or docs works as it stands.

- A ``python`` block whose first line is a comment with a file name (``# my_flow.py``) is that file, in the page's folder.
- Any other ``python`` block is a script of its own; it must end without an error.
- A ``console`` block holds commands (``$ …``) and, where lines follow, what they print; ``...`` stands for anything.
  ``microflow serve`` goes on in the background until the page ends; port 3000 is replaced by one that is free. Where there is
  no ``curl``, its request is sent by other means.
- ``<!-- not run: why -->`` on the line before a block leaves it out. Blocks in other languages are for the eye alone.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ..conftest import IS_WINE
from .curl import FORM, Asked, answer_to, request_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

RUNNABLE = {"python", "console"}

_FENCE = re.compile(r"^(`{3,})([\w-]*)[^\n]*\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*\Z", re.DOTALL)
_FILE_NAME = re.compile(r"# ([\w/]+\.\w+)\n")


class Block(NamedTuple):
    """One fenced block: its language, its text, the line of the page that it begins at, and why it is not run."""

    language: str
    text: str
    line: int
    not_run: str | None

    @property
    def file_name(self) -> str | None:
        """The file that a python block is."""
        found = _FILE_NAME.match(self.text)
        return found.group(1) if found else None


class Command(NamedTuple):
    """One command of a console block and what it must print; None where nothing is said."""

    text: str
    output: str | None


def blocks_of(page: Path) -> Iterator[Block]:
    """Every block of a page that is meant to be run, and those that say why they are not."""
    text = page.read_text("utf-8")
    for match in _FENCE.finditer(text):
        if match.group(2) in RUNNABLE:
            reason = _NOT_RUN.search(text, 0, match.start())
            line = text.count("\n", 0, match.start()) + 1
            yield Block(match.group(2), match.group(3), line, reason.group(1) if reason else None)


def commands_of(block: Block) -> Iterator[Command]:
    """The commands of a console block."""
    for part in re.split(r"^\$ ", block.text.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield Command(command, output if output.strip() else None)


def fits(expected: str, printed: str) -> bool:
    """Whether what was printed is what the page shows."""
    pattern = r".*".join(re.escape(part.strip()) for part in re.split(r"\.\.\.", expected.strip()))
    return re.fullmatch(pattern.replace(r"\ ", " "), printed.strip().replace("\r\n", "\n"), re.DOTALL) is not None


class NotAsShown(Exception):
    """A block does not do what the page says."""


class Reader:
    """Somebody who does what a page says, block by block, in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: list[subprocess.Popen[bytes]] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = str(probe.getsockname()[1])
        scripts = sysconfig.get_path("scripts")
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MICROFLOW_")},
            "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONWARNINGS": "error",
            "PYTHONUTF8": "1",
        }

    def carry_out(self, block: Block) -> None:
        """Do what one block says; raises ``NotAsShown`` if it does not work."""
        if block.language == "console":
            for command in commands_of(block):
                self._run(command)
        elif block.file_name:
            (self._folder / block.file_name).write_text(block.text, "utf-8")
        else:
            script = self._folder / f"line_{block.line}.py"
            script.write_text(block.text, "utf-8")
            self._call([sys.executable, script.name], None)

    def leave(self) -> None:
        """Stop what goes on in the background."""
        for server in self._servers:
            server.terminate()
        for server in self._servers:
            server.wait(30)

    def _run(self, command: Command) -> None:
        words = [word.replace("3000", self._port) for word in shlex.split(command.text)]
        found = self._program(words[0])
        if words[:2] == ["microflow", "serve"] and found is not None:
            self._serve([*found, *words[1:]])
        elif found is not None:
            self._call([*found, *words[1:]], command.output)
        elif words[0] == "curl":
            self._compare(words, answer_to(request_of(words[1:])), command.output)
        else:
            raise NotAsShown(f"{words[0]} is not on PATH")

    def _program(self, name: str) -> list[str] | None:
        found = shutil.which(name, path=self._environment["PATH"])
        if found is None and IS_WINE:  # its Python was installed without programs of that name
            return {"python": [sys.executable], "microflow": [sys.executable, "-m", "microflow"]}.get(name)
        return None if found is None else [found]

    def _call(self, words: list[str], expected: str | None) -> None:
        done = subprocess.run(
            words,
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            encoding="utf-8",
            timeout=100,
            check=False,
        )
        if done.returncode:
            raise NotAsShown(f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        self._compare(words, done.stdout, expected)

    def _compare(self, words: list[str], printed: str, expected: str | None) -> None:
        printed = printed.replace(self._port, "3000")
        if expected is not None and not fits(expected, printed):
            raise NotAsShown(f"{words} printed:\n{printed}\nand the page shows:\n{expected}")

    def _serve(self, words: list[str]) -> None:
        server = subprocess.Popen(words, cwd=self._folder, env=self._environment, stdout=subprocess.DEVNULL)
        self._servers.append(server)
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"http://localhost:{self._port}/api/health", timeout=5).close()
                return
            except urllib.error.URLError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise NotAsShown(f"{words} does not answer; its exit code is {server.returncode}") from None
                time.sleep(0.05)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.leave()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_shows_works(page: Path, reader: Reader) -> None:
    for block in blocks_of(page):
        if block.not_run is not None:
            continue
        try:
            reader.carry_out(block)
        except NotAsShown as problem:
            pytest.fail(f"{page.relative_to(ROOT)}, line {block.line}: {problem}", pytrace=False)


def test_a_page_that_uses_curl_works_without_curl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None if name == "curl" else which(name, path=path))
    reader = Reader(tmp_path)
    try:
        for block in blocks_of(ROOT / "docs" / "server.md"):
            if block.not_run is None:
                reader.carry_out(block)
        wrong = Command("curl -s http://localhost:3000/api/flows", '{"items":[]}')
        with pytest.raises(NotAsShown, match="and the page shows"):
            reader.carry_out(Block("console", f"$ {wrong.text}\n{wrong.output}\n", 1, None))
    finally:
        reader.leave()


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("-s http://x/a?b=1&c", Asked("GET", "http://x/a?b=1&c", {"Accept": "*/*"}, None)),
        ("http://x -d a=1 -d b", Asked("POST", "http://x", {"Accept": "*/*", "Content-Type": FORM}, b"a=1&b")),
        (
            "-H content-type:text/plain -d a -X PUT http://x",
            Asked("PUT", "http://x", {"Accept": "*/*", "Content-Type": "text/plain"}, b"a"),
        ),
    ],
)
def test_a_command_of_curl_is_the_request_that_curl_sends(words: str, asked: Asked) -> None:
    assert request_of(words.split()) == asked


def test_an_option_of_curl_that_is_not_understood_is_never_left_out_in_silence() -> None:
    with pytest.raises(ValueError, match="curl --fail"):
        request_of(["--fail", "http://x"])


def test_what_is_not_run_says_why() -> None:
    reasons = [block.not_run for page in PAGES for block in blocks_of(page) if block.not_run is not None]

    assert [reason for reason in reasons if len(reason.split()) < 4] == []


def test_a_page_is_read_as_it_is_meant(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n```python\n# my_flow.py\nx = 1\n```\n\n<!-- not run: it never ends -->\n```console\n$ sleep 9\n```\n"
        "```json\n{}\n```\n\n```console\n$ echo one \\\n  two\none two\n$ true\n```\n",
        "utf-8",
    )

    file, left_out, console = blocks_of(page)

    assert (file.file_name, file.line, file.not_run) == ("my_flow.py", 3, None)
    assert left_out.not_run == "it never ends"
    assert list(commands_of(console)) == [("echo one   two", "one two\n"), ("true", None)]


@pytest.mark.parametrize(
    ("expected", "printed", "result"),
    [("a", "a\n", True), ("a ... c", "a b c", True), ("a", "a\nb", False), ("...\nend", "1\n2\nend\n", True)],
)
def test_what_is_printed_is_compared(expected: str, printed: str, result: bool) -> None:
    assert fits(expected, printed) is result
