"""What a ``curl`` command of a page does, for machines that have no curl: the same request, by Python's own ``urllib``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

FORM = "application/x-www-form-urlencoded"

_WITH_VALUE = {
    "-H": "header",
    "--header": "header",
    "-d": "data",
    "--data": "data",
    "--json": "json",
    "-X": "method",
    "--request": "method",
}
_WITHOUT = {"-s", "--silent"}


class Asked(NamedTuple):
    """A request as curl sends it."""

    method: str
    url: str
    headers: dict[str, str]
    data: bytes | None


def request_of(words: Sequence[str]) -> Asked:
    """The request that the words after ``curl`` mean. Raises ``ValueError`` for what is not understood here."""
    given: dict[str, list[str]] = {name: [] for name in (*_WITH_VALUE.values(), "url")}
    rest = iter(words)
    for word in rest:
        if word in _WITHOUT:
            continue
        if word in _WITH_VALUE:
            given[_WITH_VALUE[word]].append(next(rest))
        elif word.startswith("-"):
            raise ValueError(f"curl {word}")
        else:
            given["url"].append(word)
    (url,) = given["url"]
    parts = given["data"] or given["json"]
    headers = {"Accept": "*/*"}
    if given["json"]:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
    elif given["data"]:
        headers["Content-Type"] = FORM
    for header in given["header"]:
        name, _, value = header.partition(":")
        headers[name.title()] = value.strip()
    method = (given["method"] or ["POST" if parts else "GET"])[-1]
    return Asked(method, url, headers, ("" if given["json"] else "&").join(parts).encode() if parts else None)


def answer_to(asked: Asked) -> str:
    """What curl prints: the body of the answer, also where that is an error."""
    request = Request(asked.url, asked.data, asked.headers, method=asked.method)
    try:
        with urlopen(request, timeout=100) as answer:
            return str(answer.read().decode())
    except HTTPError as error:
        with error:
            return error.read().decode()
