"""The colours: what is read stands out from every ground it stands on, in light and in dark."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

TOKENS = (files("microflow.web") / "static" / "css" / "tokens.css").read_text("utf-8")
COLOURS = {
    name: {"light": light, "dark": dark}
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", TOKENS)
}
GROUNDS = ("canvas", "surface", "sunken", "raised", "hover", "selected")
STATUSES = ("success", "error", "running", "queued", "skipped", "cancelled")
READ = ("text", "text-soft", "text-quiet", "accent", "accent-strong", *STATUSES)
CODE = ("code-key", "code-string", "code-number", "code-word")


def contrast(first: str, second: str) -> float:
    """The contrast ratio of the Web Content Accessibility Guidelines."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", [*READ, *CODE])
def test_what_is_read_has_the_contrast_of_text(name: str, theme: str) -> None:
    for ground in (*GROUNDS, *([f"{name}-soft"] if name in STATUSES else [])):
        assert contrast(COLOURS[name][theme], COLOURS[ground][theme]) >= 4.5, ground


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_stands_on_the_accent_has_the_contrast_of_text(theme: str) -> None:
    assert contrast(COLOURS["on-accent"][theme], COLOURS["accent"][theme]) >= 4.5
    assert contrast(COLOURS["on-accent"][theme], COLOURS["accent-strong"][theme]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["line-control", "focus", *(f"{status}-fill" for status in STATUSES)])
def test_what_is_seen_has_the_contrast_of_pictures(name: str, theme: str) -> None:
    assert contrast(COLOURS[name][theme], COLOURS["surface"][theme]) >= 3


def test_no_colour_is_written_outside_of_the_tokens() -> None:
    folder = files("microflow.web") / "static" / "css"
    for sheet in folder.iterdir():
        if sheet.name != "tokens.css":
            assert not re.search(r"#[0-9a-f]{3,8}\b|\brgb\(|\bhsl\(", sheet.read_text("utf-8")), sheet.name
