"""Newer files are told while a page is open, and the button makes the page show the new definitions."""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from microflow.engine.engine import Engine
from microflow.loading import load_version

from .conftest import PATIENCE, Server

SHOP = """
from microflow import create_flow
import prices

flow = create_flow("shop", timezone="UTC")

@flow.task(runner="thread")
def load(options):
    '''Load the old prices.'''
    return {"price": prices.PRICE}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(builtins, "__import__", builtins.__import__)
    for name in ("path", "path_hooks", "meta_path"):
        monkeypatch.setattr(sys, name, [*getattr(sys, name)])
    (tmp_path / "shop.py").write_text(SHOP, "utf-8")
    (tmp_path / "prices.py").write_text("PRICE = 1", "utf-8")
    yield tmp_path
    for name in ("shop", "prices"):
        sys.modules.pop(name, None)
    sys.path_importer_cache.clear()


@pytest.fixture
def shop(folder: Path) -> Iterator[Server]:
    """A server whose flow was loaded from a file."""
    engine = Engine(load_version(["shop.py"]).flows, store=f"sqlite:///{folder.as_posix()}/store.db")
    engine.start()
    server = Server(engine)
    yield server
    server.stop()
    engine.stop(grace=0)


@pytest.fixture
def shop_page(browser: Browser, shop: Server) -> Iterator[Page]:
    context = browser.new_context(base_url=shop.url)
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    yield context.new_page()
    context.close()


def change(folder: Path) -> None:
    (folder / "prices.py").write_text("PRICE = 2", "utf-8")
    text = SHOP.replace("old prices", "new prices")
    (folder / "shop.py").write_text(text + "\n@flow.task\ndef extra():\n    return {}\n", "utf-8")


def test_the_line_comes_while_the_page_is_open_and_the_button_shows_the_new_code(shop_page: Page, folder: Path) -> None:
    shop_page.goto("/jobs/shop/load")
    expect(shop_page.get_by_text("Load the old prices.")).to_be_visible()
    line = shop_page.locator("#newer")
    expect(line).to_have_text("", use_inner_text=True)

    change(folder)
    expect(line).to_contain_text("prices.py and shop.py changed on disk")
    line.get_by_role("button", name="Reload").click()

    expect(shop_page.get_by_text("Load the new prices.")).to_be_visible()
    expect(line).to_have_text("", use_inner_text=True)
    expect(shop_page).to_have_url(re.compile("/jobs/shop/load$"))


def test_a_reload_by_somebody_else_is_seen_too_but_takes_away_nothing_that_was_typed(
    shop_page: Page, shop: Server, folder: Path
) -> None:
    other = shop_page.context.new_page()
    other.goto("/flows/shop")
    shop_page.bring_to_front()
    shop_page.goto("/jobs/shop/load")
    shop_page.get_by_label("options").fill('{"typed": true}')

    change(folder)
    shop.engine.reload()

    other.bring_to_front()
    expect(other.get_by_role("link", name="extra")).to_be_visible()
    shop_page.bring_to_front()
    expect(shop_page.get_by_label("options")).to_have_value('{"typed": true}')
    shop_page.get_by_role("button", name="Run").click()
    expect(shop_page.locator("#output pre")).to_have_text('{"price": 2}')


def test_code_that_cannot_be_loaded_says_why_and_how_to_go_on(shop_page: Page, folder: Path) -> None:
    shop_page.goto("/flows/shop")
    (folder / "shop.py").write_text("flow =", "utf-8")

    shop_page.locator("#newer").get_by_role("button", name="Reload").click()

    expect(shop_page.get_by_role("heading", level=1)).to_have_text("The code can't be loaded")
    expect(shop_page.get_by_role("alert")).to_contain_text("shop.py, line 1: SyntaxError")
    change(folder)
    shop_page.locator("#newer").get_by_role("button", name="Reload").click()
    expect(shop_page.get_by_role("link", name="extra")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_the_line_fits_on_every_screen(browser: Browser, shop: Server, folder: Path, scheme: Any, width: int) -> None:
    name = "a_module_with_a_name_that_is_rather_long_for_a_narrow_screen.py"
    shop.engine.changed_files = lambda: [folder / "prices.py", folder / "some" / "folder" / name]  # type: ignore[method-assign]
    context = browser.new_context(
        base_url=shop.url, viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto("/")

    expect(page.locator("#newer").get_by_role("button", name="Reload")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()
