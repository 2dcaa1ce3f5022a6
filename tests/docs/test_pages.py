"""The pages of the documentation are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import microflow

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")


def headings(page: str) -> list[str]:
    return re.findall(r"^#+ (.+)$", (ROOT / "docs" / page).read_text("utf-8"), re.MULTILINE)


def test_every_error_has_its_heading() -> None:
    errors = {
        name
        for name in microflow.__all__
        if isinstance(found := getattr(microflow, name), type) and issubclass(found, microflow.MicroflowError)
    } - {"MicroflowError"}

    assert sorted(errors - set(headings("errors.md"))) == []


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    listed = index.split("```{toctree}")[1].split("```")[0].split()
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"}

    assert pages == {name for name in listed if not name.startswith(":") and not name.isdecimal()}


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "STYLE.md", "CHANGELOG.md"])
def test_what_a_page_links_to_is_there(page: str) -> None:
    targets = LINK.findall((ROOT / page).read_text("utf-8"))

    assert [target for target in targets if not (ROOT / target).exists()] == []
