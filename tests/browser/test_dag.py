"""A DAG in the browser: moved, zoomed, traced, live, and readable without any of that."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from microflow import Flow, create_flow

BOXES = """() => [...document.querySelectorAll(".node .box")].map((box) => {
    const { x, y, width, height } = box.getBoundingClientRect();
    return [x, y, width, height];
})"""
"""Where the boxes are on the screen."""


def mill(gate: Any) -> Flow:
    """A small DAG: two sources, one of which can be held, a fork, and an end."""
    flow = create_flow("mill")

    @flow.task(runner="thread")
    def bring_grain() -> dict[str, Any]:
        gate.wait()
        return {}

    @flow.task(runner="thread")
    def lend_sacks() -> dict[str, Any]:
        return {}

    @flow.task(runner="thread", inputs=[bring_grain])
    def grind(grain: Any) -> dict[str, Any]:
        gate.wait()
        return {}

    @flow.manager(inputs=[grind, lend_sacks])
    def fill_sacks(flour: Any, sacks: Any) -> None:
        raise RuntimeError("a sack is torn")

    @flow.task(runner="thread", inputs=[bring_grain], name="feed_hens")
    def feed_hens(grain: Any) -> dict[str, Any]:
        return {}

    return flow


def factory() -> Flow:
    """Three hundred jobs, as tangled as in real life."""
    flow = create_flow("factory")
    chance = random.Random(7)
    jobs: list[Any] = []
    for number in range(300):
        sources = (
            {chance.randrange(max(0, number - 25), number) for _ in range(chance.randint(0, 2))} if number else set()
        )
        add = flow.task(
            runner="thread", name=f"station_{number:03}", inputs=[jobs[source] for source in sorted(sources)]
        )
        jobs.append(add(lambda: {}))
    return flow


@pytest.fixture
def server(tmp_path: Path, gate: Any, serve: Any) -> Iterator[Any]:
    with serve(tmp_path, mill(gate), factory()) as server:
        yield server
        gate.open(1_000)


def node(page: Page, job: str) -> Locator:
    return page.locator(f'.node[aria-label^="{job},"]')


def scale(page: Page) -> int:
    """Percent."""
    return int((page.locator(".zoomed").text_content() or "").removesuffix(" %"))


def scrolled(page: Page) -> tuple[float, float]:
    left, top = page.evaluate(
        "(({ scrollLeft, scrollTop }) => [scrollLeft, scrollTop])(document.querySelector('.scroller'))"
    )
    return left, top


def middle(page: Page) -> tuple[float, float]:
    """The middle of the picture on the screen."""
    box = page.locator(".scroller").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def until(page: Page, condition: str) -> None:
    """Return once a condition holds in the page; frame by frame, since the page's policy forbids to evaluate texts."""
    look = f"({condition}) ? resolve() : requestAnimationFrame(look)"
    page.evaluate(
        f"() => new Promise((resolve, reject) => {{ const look = () => {look}; look(); setTimeout(reject, 30_000); }})"
    )


def traced(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        ".traced .node.on", "(nodes) => nodes.map((node) => node.getAttribute('aria-label').split(',')[0])"
    )
    return sorted(found)


@pytest.mark.parametrize("width", [1280, 400])
def test_of_three_hundred_jobs_no_two_overlap_and_the_page_stays_as_wide_as_the_screen(
    new_context: Callable[..., BrowserContext], width: int
) -> None:
    page = new_context(viewport={"width": width, "height": 800}).new_page()
    page.goto("/flows/factory/dag")
    boxes = page.evaluate(BOXES)
    assert len(boxes) + page.locator("#alone li").count() == 300
    overlapping = [
        (one, other)
        for index, one in enumerate(boxes)
        for other in boxes[index + 1 :]
        if one[0] < other[0] + other[2]
        and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
    ]
    assert overlapping == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_it_can_be_read_without_scripts(new_context: Callable[..., BrowserContext]) -> None:
    page = new_context(java_script_enabled=False, viewport={"width": 400, "height": 800}).new_page()
    page.goto("/flows/mill/dag")
    expect(page.locator(".node .label")).to_have_count(5)
    expect(page.locator(".tools")).to_be_hidden()
    expect(node(page, "grind")).to_have_attribute("href", "/jobs/mill/grind")
    expect(page.locator(".scene")).to_have_attribute(
        "viewBox", re.compile(rf"^0 0 {page.locator('.scene').get_attribute('width')} ")
    )


def test_buttons_and_keys_zoom(page: Page) -> None:
    page.goto("/flows/factory/dag")
    assert scale(page) == 80
    page.get_by_role("button", name="Zoom in").click()
    assert scale(page) == 100
    page.get_by_role("button", name="Fit").click()
    fitting = scale(page)
    assert fitting < 50
    expect(page.locator(".scene")).to_have_class("scene far")
    expect(page.locator(".label").first).to_be_hidden()
    scene, room = page.locator(".scene").bounding_box(), page.locator(".scroller").bounding_box()
    assert scene is not None
    assert room is not None
    assert scene["width"] <= room["width"] + 1
    assert scene["height"] <= room["height"] + 1
    page.get_by_title("Zoom to 100 %").click()
    assert scale(page) == 100
    expect(page.locator(".label").first).to_be_visible()

    page.locator(".scroller").focus()
    page.keyboard.press("-")
    assert scale(page) == 80
    page.keyboard.press("+")
    page.keyboard.press("=")
    assert scale(page) == 125
    page.keyboard.press("0")
    assert scale(page) == 100
    page.keyboard.press("f")
    assert scale(page) == fitting


def test_a_wheel_that_comes_by_scrolls_and_one_that_stays_zooms_around_the_mouse(page: Page) -> None:
    page.goto("/flows/factory/dag")
    page.mouse.move(*middle(page))
    page.mouse.wheel(0, 200)
    until(page, "document.querySelector('.scroller').scrollTop > 0 || scrollY > 0")
    assert scale(page) == 80

    page.locator(".scroller").focus()
    page.evaluate("scrollTo(0, 0)")
    page.locator(".scroller").evaluate("(scroller) => scroller.scrollTo(600, 600)")
    target = page.locator(".node").nth(60)
    target.scroll_into_view_if_needed()
    before = target.locator(".box").bounding_box()
    assert before is not None
    at = before["x"] + before["width"] / 2, before["y"] + before["height"] / 2
    page.mouse.move(*at)
    page.mouse.wheel(0, -120)
    expect(page.locator(".zoomed")).not_to_have_text("80 %")
    assert scale(page) > 80
    after = target.locator(".box").bounding_box()
    assert after is not None
    assert after["width"] > before["width"]
    assert (after["x"] + after["width"] / 2, after["y"] + after["height"] / 2) == pytest.approx(at, abs=2)


def test_two_fingers_zoom(new_context: Callable[..., BrowserContext]) -> None:
    context = new_context(has_touch=True, viewport={"width": 400, "height": 800})
    page = context.new_page()
    page.goto("/flows/mill/dag")
    before = scale(page)
    x, y = middle(page)
    fingers = context.new_cdp_session(page)

    def touch(kind: str, apart: float) -> None:
        points = [] if kind == "touchEnd" else [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 30)
    touch("touchMove", 45)
    touch("touchEnd", 0)
    expect(page.locator(".zoomed")).to_have_text(f"{round(before * 1.5)} %")


def test_it_is_moved_by_dragging_and_by_arrow_keys(page: Page) -> None:
    page.goto("/flows/factory/dag")
    x, y = middle(page)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 150, y - 100, steps=3)
    page.mouse.up()
    assert scrolled(page) == pytest.approx((150, 100), abs=1)
    page.locator(".scroller").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    until(
        page,
        "document.querySelector('.scroller').scrollLeft > 150 && document.querySelector('.scroller').scrollTop > 100",
    )


def test_a_drag_that_ends_on_a_node_does_not_follow_its_link_and_a_click_does(page: Page) -> None:
    page.goto("/flows/factory/dag")
    box = page.locator(".node .box").nth(1).bounding_box()
    assert box is not None
    x, y = box["x"] + 40, box["y"] + 20
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 30, y - 30, steps=3)
    page.mouse.up()
    expect(page.locator(".dragging")).to_have_count(0)
    expect(page).to_have_url(re.compile("/flows/factory/dag$"))
    job = page.locator(".node").nth(1)
    address = job.get_attribute("href")
    job.click()
    expect(page).to_have_url(re.compile(f"{address}$"))


def test_what_leads_to_a_node_and_what_follows_it_stands_out(page: Page) -> None:
    page.goto("/flows/mill/dag")
    node(page, "grind").hover()
    assert traced(page) == ["bring_grain", "fill_sacks", "grind"]
    assert page.locator(".edge.on").count() == 2
    page.mouse.move(5, 5)
    assert traced(page) == []
    node(page, "lend_sacks").focus()
    assert traced(page) == ["fill_sacks", "lend_sacks"]
    page.locator(".brand").focus()
    assert traced(page) == []


def test_the_keyboard_goes_from_input_to_follower_or_past_the_picture(page: Page) -> None:
    page.goto("/flows/mill/dag")
    page.locator("dag-picture .skip").focus()
    order = []
    for _ in range(6):
        page.keyboard.press("Tab")
        order.append(page.evaluate("(document.activeElement.getAttribute('aria-label') ?? '').split(',')[0]"))
    assert order == ["DAG of mill", "bring_grain", "lend_sacks", "grind", "feed_hens", "fill_sacks"]
    page.locator("dag-picture .skip").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('dag-picture') === null")


def test_statuses_change_as_they_happen_and_the_reader_keeps_zoom_place_and_focus(
    page: Page, server: Any, gate: Any
) -> None:
    engine = server.engine
    page.goto("/flows/mill/dag")
    expect(page.locator(".live")).to_have_text("Live")
    for _ in range(4):
        page.get_by_role("button", name="Zoom in").click()
    page.locator(".scroller").evaluate("(scroller) => scroller.scrollTo(40, 10)")
    node(page, "grind").evaluate("(link) => link.focus({ preventScroll: true })")
    place, zoom = scrolled(page), scale(page)

    run = engine.submit(engine.job("mill", "fill_sacks"), with_inputs=True)
    expect(node(page, "bring_grain").locator(".told")).to_have_text("task · running")
    expect(node(page, "lend_sacks").locator(".told")).to_have_text("task · success")
    gate.open()
    expect(node(page, "grind").locator(".told")).to_have_text("task · running")
    gate.open()
    expect(node(page, "fill_sacks").locator(".told")).to_have_text("manager · error")
    expect(node(page, "fill_sacks")).to_have_class("node manager error on")
    expect(page.locator("#dag-sum")).to_contain_text("1 error")
    run.future.result(60)

    assert (scrolled(page), scale(page)) == (place, zoom)
    assert traced(page) == ["bring_grain", "fill_sacks", "grind"]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("grind, task, success")


def test_a_run_shows_its_own_statuses_as_they_happen(page: Page, server: Any, gate: Any) -> None:
    engine = server.engine
    engine.submit(engine.job("mill", "lend_sacks")).future.result(60)
    run = engine.submit(engine.job("mill", "grind"), with_inputs=True)
    page.goto(f"/executions/{run.id}")
    expect(page.locator(".node")).to_have_count(2)
    expect(node(page, "grind").locator(".told")).to_have_text("task · not yet")
    gate.open()
    expect(node(page, "grind").locator(".told")).to_have_text("task · running")
    gate.open()
    expect(node(page, "grind").locator(".told")).to_contain_text("task · success, ")
    node(page, "grind").click()
    expect(page.locator("h1")).to_contain_text("grind #")
