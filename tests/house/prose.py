"""Find mannered English in the prose of files.

``python tests/house/prose.py PATH…`` counts the findings of each file; with ``-v``, it lists them.

STYLE.md explains the patterns. Prose is the text of Markdown pages and templates, and the comments, docstrings and strings of code.
Code, text in backticks, text in quotes on pages, and the tables of bad English in STYLE.md are not prose.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_VERBS = "runs?|ran|waits?|waited|asks?|calls?|serves?|holds?|needs?|reads?|writes?|starts?"
_STATES = "queued|running|waiting|started|interrupted|shown|told|due|there"
_WHO = r"(?:^|(?<=[.:;] )|(?:of|to|by|or|for|and|than|from|with) )[Ww]ho"

PATTERNS = {
    "is no X: write 'is not an X'": r"(?<![Tt]here )\b(?:is|are|was|were) (?:no(?! (?:longer|more|fewer|less|later)\b)|none)\b",
    "goes on: write 'resumes' or 'continues'": r"\b(?:go|goes|going|went|gone) on\b",
    "whoever, whatever: name the noun": r"\b(?:[Ww]ho|[Ww]hat)(?:so)?ever\b",
    "begin: write 'start'": r"\b(?:[Bb]egin|[Bb]egins|[Bb]egan|[Bb]egun)\b",
    "tells, says: write 'shows' or 'reports'": r"\b(?:tells?|told|says?|said)\b",
    "what runs, who waits: name the noun": (
        rf"\b(?<!see )(?<!shows )(?:[Ww]hat|{_WHO}) (?:still )?(?:(?:{_VERBS})\b(?!\?)|(?:is|are|was|were) (?:{_STATES})\b)"
    ),
    "a sentence that starts with 'What': name its subject": r"(?:^|(?<=[.:;] ))What\b[^.?!]*\.(?!\w)",
    "an inverted sentence: put the subject first": (
        r"\bSo (?:is|are|was|were|does|do|did|has|have|it is|it does|it was)\b|\bNor (?:is|are|was|were|does|do|did|has|can|may)\b"
    ),
    "as before an example: write 'such as'": r"\bas (?:\d|https?://|sqlite://)",
    "for ever: write 'forever'": r"\bfor ever\b",
    "anew: write 'again'": r"\banew\b",
}
"""The reason of each finding, with the words that show it."""

PROSE = {".md", ".py", ".txt", ".html", ".js", ".css", ".sql"}
"""Suffixes of the files that hold prose. Of ``.txt`` files, only templates of Python code do."""

_PARAGRAPH = re.compile(r"\n(?=\s*(?:\n|[|#*-]|\d+\. ))")
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BAD_EXAMPLES = re.compile(r"^\| (?:instead of|pattern|word \| meaning \| not) \|.*?\n(?!\|)", re.MULTILINE | re.DOTALL)
_NOT_MARKDOWN_PROSE = re.compile(r'<!--.*?-->|`[^`\n]*`|\]\([^)]*\)|"[^"\n]*"', re.DOTALL)
_NOT_TEMPLATE_PROSE = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<!--.*?-->|<[^>]*>", re.DOTALL)
_NOT_PLAIN_PROSE = re.compile(r"``[^`]*``|`[^`\n]*`")
_SCRIPT_PROSE = re.compile(r"//[^\n]*|/\*.*?\*/|`[^`]*`|\"[^\"\n]*\"|'[^'\n]*'", re.DOTALL)
_SQL_PROSE = re.compile(r"--[^\n]*")


class Finding(NamedTuple):
    """A place whose English should change. ``line`` is the one on which its paragraph starts."""

    path: Path
    line: int
    words: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path.as_posix()}:{self.line}: {self.words!r} ({self.reason})"


def findings(root: Path, path: Path) -> Iterator[Finding]:
    """Yield the places of one file, given relative to ``root``, whose English should change."""
    if path.suffix not in PROSE:
        return
    for line, text in prose_of(path, (root / path).read_text("utf-8")):
        for paragraph in _PARAGRAPH.split(text):
            first = line + paragraph[: len(paragraph) - len(paragraph.lstrip())].count("\n")
            joined = " ".join(paragraph.split())
            for reason, pattern in PATTERNS.items():
                yield from (Finding(path, first, match.group()[:60], reason) for match in re.finditer(pattern, joined))
            line += paragraph.count("\n") + 1


def prose_of(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Yield each piece of prose in a file, with the line on which it starts."""
    match path.suffix:
        case ".md":
            yield from _of_a_page(text)
        case ".py":
            yield from _of_python(text)
        case ".txt" if "starter" in path.name:
            yield from _of_python(text)
        case ".html":
            yield 1, _blanked(_NOT_TEMPLATE_PROSE, text)
        case ".js" | ".css":
            yield from _matches(_SCRIPT_PROSE, text)
        case ".sql":
            yield from _matches(_SQL_PROSE, text)


def _of_a_page(text: str) -> Iterator[tuple[int, str]]:
    for match in _FENCE.finditer(text):
        if match.group(1) == "python":
            first = text.count("\n", 0, match.start(2))
            yield from ((first + line, prose) for line, prose in _of_python(match.group(2)))
    for pattern in (_FENCE, _BAD_EXAMPLES, _NOT_MARKDOWN_PROSE):
        text = _blanked(pattern, text)
    yield 1, text


def _of_python(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    tree = ast.parse(text)
    inside = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
            yield node.lineno, _blanked(_NOT_PLAIN_PROSE, "".join(map(str, parts)))
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inside and " " in node.value
        ):
            yield node.lineno, _blanked(_NOT_PLAIN_PROSE, node.value)


def _matches(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, str]]:
    for match in pattern.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match.group()


def _blanked(pattern: re.Pattern[str], text: str) -> str:
    """Replace each match by an X and its line breaks, so that lines keep their numbers."""
    return pattern.sub(lambda match: "X" + "\n" * match.group().count("\n"), text)


def _main(names: list[str], *, verbose: bool) -> None:
    paths = (path for name in names for path in [Path(name), *sorted(Path(name).rglob("*"))])
    found = [list(findings(Path.cwd(), path)) for path in paths if path.is_file()]
    for each in sorted(filter(None, found), key=len, reverse=True):
        print(*each if verbose else [f"{len(each):5}  {each[0].path.as_posix()}"], sep="\n")
    print(f"{sum(map(len, found)):5}  in all")


if __name__ == "__main__":
    _main([name for name in sys.argv[1:] if name != "-v"], verbose="-v" in sys.argv)
