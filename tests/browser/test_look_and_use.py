"""Themes, narrow screens, the keyboard, names for everything; and the modules that work on any page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from microflow.store.rows import TickRecord
from microflow.views import formats

SCHEDULE = "a_job_with_a_name_that_is_rather_long_for_a_narrow_screen"

PATHS = [
    "/",
    "/flows",
    "/flows/my_flow",
    "/flows/my_flow/dag",
    "/schedules",
    "/schedules/my_flow/a_job_with_a_name_that_is_rather_long_for_a_narrow_screen",
    "/concurrency",
    "/executions",
    "/executions?since=x&status=error",
    "/jobs/my_flow/compute",
    "/jobs/my_flow/load_day",
    "/jobs/my_flow/a_job_with_a_name_that_is_rather_long_for_a_narrow_screen",
    "/executions/1",
    "/executions/5",
    "/executions/6",
    "/executions/999",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, serve: Any) -> Iterator[Any]:
    """One server for all tests here, which only look: a tree, a failure, a partition were executed on it."""
    with serve(tmp_path_factory.mktemp("looked_at")) as server:
        engine = server.engine
        jobs = engine.flow("my_flow").jobs
        engine.submit(jobs["compute"], [{"my_value": 1}]).future.result(60)
        engine.submit(jobs["broken"], [{"rows": [1, "a word that is long " * 20]}]).future.result(60)
        engine.submit(jobs["load_day"], [{"note": "x" * 300}], time_partition="2026-11-20").future.result(60)
        ticks = [
            TickRecord(1_790_000_000.0, "run", None, 1),
            TickRecord(1_790_086_400.0, "missed", "Missed: no server ran at that time.", None, 12, 1_789_000_000.0),
        ]
        engine.store.schedules.record("my_flow", SCHEDULE, ticks, 1_800_000_000.0)
        yield server


CUT_OFF = """() => {
    const found = [];
    if (document.documentElement.scrollWidth > innerWidth) found.push("the page scrolls sideways");
    // a table, a text, a picture may be wider than the screen: it scrolls in a box of its own
    for (const element of document.querySelectorAll("main *")) {
        const box = element.getBoundingClientRect();
        const card = element.parentElement.closest(".card")?.getBoundingClientRect();
        const edge = Math.min(card?.right ?? innerWidth, innerWidth);
        if (box.width && box.right > edge + 1 && !element.closest(".table, .scroller, pre, .unseen, thead, td"))
            found.push(`cut off: ${element.outerHTML.slice(0, 200)}`);
    }
    return found;
}"""

UNNAMED = """() => {
    const found = [];
    const all = (what) => [...document.querySelectorAll(what)];
    const ids = all("[id]").map((element) => element.id);
    ids.filter((id, index) => ids.indexOf(id) !== index).forEach((id) => found.push(`two are #${id}`));
    for (const name of ["aria-labelledby", "aria-describedby", "for", "list"])
        for (const element of all(`[${name}]`))
            for (const id of element.getAttribute(name).split(" "))
                if (!document.getElementById(id)) found.push(`${name}=${id} leads nowhere`);
    for (const field of all("input:not([type=hidden]), select, textarea"))
        if (!field.labels.length && !field.ariaLabel) found.push(`no label: ${field.outerHTML}`);
    for (const act of all("a[href]:not([tabindex]), button"))
        if (!(act.textContent.trim() || act.ariaLabel)) found.push(`no name: ${act.outerHTML}`);
    for (const picture of all("svg"))
        if (!picture.closest("[aria-hidden=true], [role=img], [role=group][aria-label]"))
            found.push(`no name: ${picture.outerHTML}`);
    for (const table of all("table")) if (!table.ariaLabel) found.push("a table without a name");
    for (const box of all("pre")) if (box.tabIndex < 0) found.push("a scroll box that keys can't reach");
    if (all("h1").length !== 1) found.push("not one h1");
    if (all("main").length !== 1) found.push("not one main");
    if (document.documentElement.lang !== "en") found.push("no language");
    let level = 1;
    for (const heading of all("h1, main h2, main h3")) {
        const own = Number(heading.tagName[1]);
        if (own > level + 1) found.push(`h${own} after h${level}`);
        level = own;
    }
    return found;
}"""


def mistakes_by_page(page: Page, check: str) -> dict[str, list[str]]:
    """What a check finds on each page where it finds something."""
    found = {}
    for path in PATHS:
        page.goto(path)
        expect(page.locator("h1")).to_be_visible()
        found[path] = page.evaluate(check)
    return {path: mistakes for path, mistakes in found.items() if mistakes}


def test_nothing_is_wider_than_a_narrow_screen(new_context: Callable[..., BrowserContext]) -> None:
    assert mistakes_by_page(new_context(viewport={"width": 400, "height": 800}).new_page(), CUT_OFF) == {}


@pytest.mark.parametrize("width", [400, 1024, 1440])
def test_a_long_name_leaves_room_for_what_is_said_of_it(new_context: Callable[..., BrowserContext], width: int) -> None:
    page = new_context(viewport={"width": width, "height": 900}).new_page()
    for path in ("/", "/flows/my_flow", "/flows", "/executions"):
        page.goto(path)
        tables = page.locator(".table:has(.jobs), .table:has(.executions)")
        expect(tables.first).to_be_visible()
        assert tables.evaluate_all("all => all.filter((box) => box.scrollWidth > box.clientWidth).length") == 0
    page.goto("/flows/my_flow")
    row = page.get_by_role("row", name="another_job_with_a_name_that_no_narrow_screen_has_room_for")
    expect(row.get_by_text("never")).to_be_in_viewport(ratio=1)


def test_the_button_beside_a_tick_is_on_a_narrow_screen(new_context: Callable[..., BrowserContext]) -> None:
    page = new_context(viewport={"width": 400, "height": 900}).new_page()
    page.goto(f"/schedules/my_flow/{SCHEDULE}")
    buttons = page.locator(".ticks button")
    expect(buttons).to_have_count(2)
    for button in buttons.all():
        button.scroll_into_view_if_needed()
        assert page.evaluate("scrollX") == 0
        expect(button).to_be_in_viewport(ratio=1)
    assert page.locator(".table:has(.ticks)").evaluate("(box) => box.scrollWidth <= box.clientWidth")


def test_everything_has_a_name_and_is_in_order(page: Page) -> None:
    assert mistakes_by_page(page, UNNAMED) == {}


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))


def test_the_theme_is_the_systems_until_one_is_chosen(new_context: Callable[..., BrowserContext]) -> None:
    context = new_context(color_scheme="dark")
    page = context.new_page()
    page.goto("/")
    dark = background(page)
    page.emulate_media(color_scheme="light")
    light = background(page)
    assert dark != light
    toggle = page.get_by_role("button", name="Theme")
    expect(toggle).to_have_accessible_name("Theme: system. Change to light")
    toggle.click()
    toggle.click()
    expect(toggle).to_have_accessible_name("Theme: dark. Change to system")
    assert background(page) == dark
    page.reload()
    assert background(page) == dark
    other = context.new_page()
    other.goto("/executions")
    assert background(other) == dark
    other.get_by_role("button", name="Theme").click()
    expect(toggle).to_have_accessible_name("Theme: system. Change to light")
    assert background(page) == light


def test_a_mistake_is_told_while_typing(page: Page) -> None:
    page.goto("/jobs/my_flow/broken")
    field = page.get_by_label("a", exact=True)
    field.fill('{\n  "rows": [1, 2,]\n}')
    told = page.locator("#input-1-mistake")
    expect(told).to_have_text(
        "Line 2, column 17: a value is expected: {…}, […], a string, a number, true, false or null."
    )
    expect(field).to_have_attribute("aria-invalid", "true")
    field.fill('{"rows": [1, 2]}')
    expect(told).to_be_empty()
    expect(field).not_to_have_attribute("aria-invalid", "true")


def test_filters_are_in_the_address_at_once(page: Page) -> None:
    page.goto("/executions")
    page.evaluate("window.here = true")
    rows = page.locator("#list tbody tr")
    expect(rows).to_have_count(3)
    page.get_by_role("checkbox", name="error").check()
    expect(page).to_have_url("/executions?status=error&calls=top")
    expect(rows).to_have_count(1)
    expect(page.get_by_role("checkbox", name="error")).to_be_focused()
    page.get_by_role("checkbox", name="error").uncheck()
    page.get_by_label("Show").select_option("with what they called")
    expect(rows).to_have_count(6)
    page.get_by_label("Job").fill("compute")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    assert page.evaluate("window.here === true")
    page.reload()
    expect(rows).to_have_count(1)
    expect(page.get_by_label("Job")).to_have_value("compute")


def test_times_are_the_readers_own(new_context: Callable[..., BrowserContext]) -> None:
    page = new_context(timezone_id="Asia/Kathmandu").new_page()
    page.goto("/executions/1")
    started = page.locator("dt:text-is('Started') + dd time")
    expect(started).not_to_contain_text("UTC")
    shown = started.evaluate(
        """element => [element.textContent.slice(-8), element.dateTime, new Date(element.dateTime)
            .toLocaleTimeString("en-GB", {timeZone: "Asia/Kathmandu"})]"""
    )
    assert shown[0] == shown[2]
    assert shown[1].endswith("Z")


def module(page: Page, name: str) -> str:
    """Where the page's own version of a module is."""
    main = page.locator("script[type=module]").get_attribute("src")
    assert main is not None
    return main.replace("main.js", name)


def test_scripts_write_durations_as_the_server_does(page: Page) -> None:
    page.goto("/")
    seconds = [
        0,
        0.0001,
        0.0004,
        0.001,
        0.24,
        0.9994,
        0.9996,
        1,
        2.345,
        9.994,
        9.996,
        59.9,
        59.96,
        61,
        245,
        3599.7,
        7500,
        86399,
        273600,
    ]
    written = page.evaluate(
        "async ([path, values]) => { const {duration} = await import(path); return values.map(duration); }",
        [module(page, "times.js"), seconds],
    )
    assert written == [formats.duration(value) for value in seconds]


def test_every_mistake_in_json_has_its_place(page: Page) -> None:
    page.goto("/")
    texts = {
        "": "Line 1, column 1: the text ends here, but a value is expected: {…}, […], a string, a number, true, false or null.",
        "{": "Line 1, column 2: the text ends here, but a key in double quotes is expected.",
        "{'a': 1}": "Line 1, column 2: a key in double quotes is expected.",
        '{"a" 1}': "Line 1, column 6: a colon is expected after a key.",
        '{"a": \n 1 "b": 2}': "Line 2, column 4: a comma or } is expected.",
        "[1, 2": "Line 1, column 6: the text ends here, but a comma or ] is expected.",
        '{"a": "x}': "Line 1, column 7: a string ends with a double quote, and \\ stands before what is special in it.",
        "{\"a\": 'x'}": "Line 1, column 7: strings stand in double quotes.",
        "{} {}": "Line 1, column 4: nothing may follow the value.",
        '{"a": {"b": [1, null, true, -1.5e3, "\\u00e9"]}}': "",
    }
    told = page.evaluate(
        "async ([path, texts]) => { const {mistakeIn} = await import(path); return texts.map(mistakeIn); }",
        [module(page, "json-check.js"), list(texts)],
    )
    assert dict(zip(texts, told, strict=True)) == texts


def test_patching_makes_any_two_trees_alike(page: Page) -> None:
    page.goto("/")
    failures = page.evaluate(
        """async (path) => {
            const {patch} = await import(path);
            let seed = 7;
            const random = (below) => { seed = (seed * 48271) % 2147483647; return seed % below; };
            const make = (depth) => {
                const element = document.createElement(["p", "div", "span"][random(3)]);
                if (random(3) === 0) element.className = `c${random(3)}`;
                const keys = new Set();
                for (let count = depth ? random(6) : 0; count > 0; count--) {
                    if (random(3) === 0) { element.append(`text ${random(4)}`); continue; }
                    const child = make(depth - 1);
                    const key = `k${random(5)}`;
                    if (random(2) && !keys.has(key)) { keys.add(key); child.dataset.key = key; }
                    element.append(child);
                }
                element.normalize();
                return element;
            };
            const failures = [];
            for (let round = 0; round < 2000; round++) {
                const from = document.createElement("section");
                const to = document.createElement("section");
                from.append(make(3));
                to.append(make(3));
                const before = `${from.outerHTML} to ${to.outerHTML}`;
                patch(from, to);
                if (!from.isEqualNode(to)) failures.push(before);
            }
            return failures;
        }""",
        module(page, "patch.js"),
    )
    assert failures == []


def test_patching_keeps_the_elements_that_stay(page: Page) -> None:
    page.goto("/")
    kept = page.evaluate(
        """async (path) => {
            const {patch} = await import(path);
            const rows = (keys) => {
                const list = document.createElement("ul");
                list.innerHTML = keys.map((key) => ` <li data-key="${key}"><a href="#">${key}</a></li> `).join("");
                return list;
            };
            const list = rows(["c", "b", "a"]);
            document.body.append(list);
            const link = list.querySelector('[data-key="b"] a');
            link.focus();
            patch(list, rows(["e", "d", "c", "b", "a"]));
            const inserted = document.activeElement === link;
            patch(list, rows(["b", "a"]));
            return [inserted, document.activeElement === link, list.textContent.replaceAll(" ", "")];
        }""",
        module(page, "patch.js"),
    )
    assert kept == [True, True, "ba"]
