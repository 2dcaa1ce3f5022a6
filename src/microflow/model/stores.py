"""Where a store is: what its URL names."""

from __future__ import annotations

MEMORY = ":memory:"

_IN_MEMORY = (MEMORY, "sqlite://", "sqlite:///:memory:")
_FILE = "sqlite:///"


def url_mistake(url: object) -> str | None:
    """What is wrong with the URL of a store, as the end of a sentence; None if it can be one."""
    if not isinstance(url, str):
        return "it must be a URL, such as 'sqlite:///path', or None."
    if url not in _IN_MEMORY and not url.startswith(_FILE):
        return "this version knows sqlite:///path (relative), sqlite:////path (absolute) and :memory:."
    if url.startswith(_FILE) and (url.endswith(("/", "\\")) or "\0" in url):
        return "it names no file; give one, such as sqlite:///store.db."
    return None


def file_of(url: str) -> str | None:
    """The path of the file that a store's URL names; None for a store in memory."""
    return None if url in _IN_MEMORY else url.removeprefix(_FILE)
