"""Static files: under a hash, for ever, and nothing else."""

from __future__ import annotations

import posixpath
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from microflow.web.http.static import StaticFiles
from microflow.web.pages.rendering import STYLES

WEB = files("microflow.web")


def version(client: Any) -> str:
    """The hash that a page's files are served under."""
    found = re.search(r"/static/([0-9a-f]{16})/", client.get("/").text)
    assert found is not None
    return found[1]


def test_a_file_is_served_with_its_type_for_ever(untouched: Any) -> None:
    for path, kind in {
        "css/base.css": "text/css; charset=utf-8",
        "js/main.js": "text/javascript; charset=utf-8",
        "icon.svg": "image/svg+xml",
    }.items():
        answer = untouched.get(f"/static/{version(untouched)}/{path}")
        assert answer.status == 200
        assert answer.headers["content-type"] == kind
        assert answer.body == (WEB / "static" / path).read_bytes()


@pytest.mark.parametrize(
    "path", ["css/../../app.py", "css/%2e%2e/%2e%2e/app.py", "../app.py", "/etc/passwd", "css", "", "js/none.js"]
)
def test_nothing_but_the_files_is_served(untouched: Any, path: str) -> None:
    assert untouched.get(f"/static/{version(untouched)}/{path}").status == 404


def test_the_files_of_another_version_are_not_there(untouched: Any) -> None:
    assert untouched.get("/static/0123456789abcdef/css/base.css").status == 404
    assert untouched.get("/static/0123456789abcdef").status == 404


def test_the_hash_is_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "one.js").write_text("1")
    first = StaticFiles(tmp_path)
    assert first.url("js/one.js") == f"/static/{first.version}/js/one.js"
    (tmp_path / "js" / "two.js").write_text("2")
    assert StaticFiles(tmp_path).version != first.version
    with pytest.raises(KeyError, match=re.escape("js/two.js")):
        first.url("js/two.js")


def test_every_style_sheet_is_on_the_pages() -> None:
    assert sorted(f"css/{name}.css" for name in STYLES) == StaticFiles().paths("css/")


def test_every_module_is_imported_by_its_relative_path() -> None:
    static = StaticFiles()
    for path in static.paths("js/"):
        source = (WEB / "static" / path).read_text("utf-8")
        for imported in re.findall(r'from "([^"]+)"|^import "([^"]+)"', source, re.MULTILINE):
            target = "".join(imported)
            assert target.startswith(("./", "../")), path
            assert static.url(posixpath.normpath(posixpath.join(posixpath.dirname(path), target)))


def test_styles_and_modules_fetch_nothing_from_elsewhere() -> None:
    for path in StaticFiles().paths(""):
        text = (WEB / "static" / path).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//[a-z]+\.[a-z]", text), path
