"""The picture of a job's partitions: selected, run and watched as a person would."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from microflow import Flow, TimePartitions, create_flow
from microflow.runtime import PartitionSelection

PICTURE = "document.querySelector('partition-matrix').picture"


class Hold:
    """What a job waits at, until the test lets some through."""

    def __init__(self) -> None:
        self._places = threading.Semaphore(0)

    def release(self, count: int) -> None:
        self._places.release(count)

    def wait(self) -> None:
        assert self._places.acquire(timeout=60)

    def close(self) -> None:
        """Take back what an earlier test released and nobody needed."""
        while self._places.acquire(blocking=False):
            pass


def partitioned_flow(hold: Hold) -> Flow:
    """Jobs with partitions over time and categories, over one of the two, and over very many; the past, so that they stay."""
    flow = create_flow("shop", max_concurrency=2)
    spring = TimePartitions("daily", "2024-01-01", "2024-03-31", timezone="UTC")
    departments = ["books", "toys", "garden & home", "music"]

    @flow.task(runner="thread", time_partitions=spring, cat_partitions=departments)
    def load(part: Any) -> Any:
        day, department = part["time_partition"], part["cat_partition"]
        if department == "toys" and day.month == 2:
            raise ConnectionError("the warehouse answered 503")
        return {"day": day}

    @flow.task(runner="thread", time_partitions=spring, cat_partitions=departments)
    def held(part: Any) -> Any:
        hold.wait()
        if part["cat_partition"] == "toys":
            raise ConnectionError("the warehouse answered 503")
        return {}

    flow.task(name="held_too", runner="thread", time_partitions=spring, cat_partitions=departments)(
        held.fn
    )  # for the test that leaves cancelled ones behind

    @flow.task(runner="thread", time_partitions=TimePartitions("daily", "2024-01-01", "2024-12-31", timezone="UTC"))
    def report(part: Any) -> Any:
        return {}

    @flow.task(runner="thread", cat_partitions=[f"customer {number}" for number in range(30)])
    def bill(part: Any) -> Any:
        return {}

    @flow.task(
        runner="thread",
        time_partitions=TimePartitions("daily", "1997-01-01", "2024-05-18", timezone="UTC"),
        cat_partitions=[f"station {number}" for number in range(20)],
    )
    def measure(part: Any) -> Any:
        return {}

    return flow


@pytest.fixture(scope="module")
def hold() -> Hold:
    return Hold()


@pytest.fixture(scope="module")
def server(serve: Any, hold: Hold, tmp_path_factory: Any) -> Iterator[Any]:
    with serve(tmp_path_factory.mktemp("partitions"), partitioned_flow(hold)) as server:
        job = server.engine.job("shop", "load")
        selection = PartitionSelection(cat_partitions=["books", "toys", "music"], end="2024-03-15")
        server.engine.submit_partitions(job, selection).future.result(60)
        yield server
        hold.release(10_000)


def look_at(page: Page, job: str, query: str = "") -> None:
    page.goto(f"/jobs/shop/{job}/partitions{query}")
    expect(page.locator("[data-total]")).to_have_text(re.compile(r"[\d,]+ partitions"))


def middle(page: Page, row: int, column: int) -> tuple[float, float]:
    """Where a place of the picture is on the screen; it is scrolled to if need be."""
    page.locator("partition-matrix canvas").scroll_into_view_if_needed()
    x, y = page.evaluate(
        """([row, column]) => {
          const { view, canvas, scroller } = document.querySelector("partition-matrix").picture;
          view.reveal(view.bandOf(row, column));
          scroller.scrollTo({ left: view.columns.offset, top: view.rows.offset, behavior: "instant" });
          const box = canvas.getBoundingClientRect();
          return [
            box.x + view.gutter + view.columns.start(column) + view.columns.unit / 2,
            box.y + view.header + view.rows.start(row) + view.rows.unit / 2,
          ];
        }""",
        [row, column],
    )
    return x, y


def drag(page: Page, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Press at one place (row, column), and let go at another one."""
    page.mouse.move(*middle(page, *start))
    page.mouse.down()
    page.mouse.move(*middle(page, *end), steps=4)
    page.mouse.up()


def zoom_in(page: Page, unit: float) -> None:
    """Zoom until a partition is at least so many pixels wide, around the first ones."""
    page.evaluate(f"{PICTURE}.scroller.scrollTo({{ left: 0, behavior: 'instant' }})")
    button = page.get_by_role("button", name="Zoom in")
    while page.evaluate(f"{PICTURE}.view.columns.unit") < unit:
        button.click()


def until(page: Page, condition: str) -> None:
    """Look with every frame; a string of the page's own would need its leave to be evaluated (Content-Security-Policy)."""
    look = f"(function look() {{ if ({condition}) done(); else requestAnimationFrame(look); }})()"
    page.evaluate(f"new Promise((done) => {{ {look}; }})")


def summary(page: Page) -> Locator:
    return page.locator("[data-summary]")


def test_a_drag_selects_a_rectangle_which_is_kept_in_the_address(page: Page) -> None:
    look_at(page, "load")
    zoom_in(page, 12)
    drag(page, (0, 10), (2, 14))
    expect(summary(page)).to_contain_text("15 selected")
    expect(summary(page)).to_contain_text("10 success")
    expect(summary(page)).to_contain_text("5 missing")
    expect(page).to_have_url(re.compile(r"select=2024-01-11\.\.2024-01-15;books\.\.garden"))
    unit = page.evaluate(f"{PICTURE}.view.columns.unit")
    offset = page.evaluate(f"{PICTURE}.scroller.scrollLeft")
    focus = page.evaluate(f"{PICTURE}.focus")

    page.reload()

    expect(summary(page)).to_contain_text("15 selected")
    assert page.evaluate(f"{PICTURE}.view.columns.unit") == unit
    assert page.evaluate(f"{PICTURE}.focus") == focus == {"row": 0, "column": 10}
    assert page.evaluate(f"{PICTURE}.scroller.scrollLeft") == pytest.approx(offset, abs=unit)
    expect(page.locator("[data-focus]")).to_contain_text("2024-01-11 (Thursday) · books")


def test_labels_select_rows_columns_and_everything(page: Page) -> None:
    look_at(page, "load")
    zoom_in(page, 12)
    box = page.locator("partition-matrix canvas").bounding_box()
    assert box is not None
    x, y = middle(page, 1, 10)
    page.mouse.click(box["x"] + 20, y)
    expect(summary(page)).to_contain_text("91 selected")
    expect(summary(page)).to_contain_text("29 error")
    page.mouse.click(x, box["y"] + 8)  # the upper labels are months
    expect(summary(page)).to_contain_text("124 selected")
    page.mouse.click(box["x"] + 5, box["y"] + 5)
    expect(summary(page)).to_contain_text("364 selected")


def test_control_adds_and_takes_away_and_shift_extends(page: Page) -> None:
    look_at(page, "load")
    zoom_in(page, 12)
    page.mouse.click(*middle(page, 0, 5))
    expect(summary(page)).to_contain_text("1 selected")
    page.keyboard.down("Control")
    page.mouse.click(*middle(page, 2, 8))
    expect(summary(page)).to_contain_text("2 selected")
    page.mouse.click(*middle(page, 0, 5))
    expect(summary(page)).to_contain_text("1 selected")
    page.keyboard.up("Control")
    page.keyboard.down("Shift")
    page.mouse.click(*middle(page, 3, 10))
    page.keyboard.up("Shift")
    expect(page).to_have_url(re.compile(r"select=2024-01-06\.\.2024-01-11&|select=2024-01-06\.\.2024-01-11$"))
    page.mouse.click(*middle(page, 0, 5))
    page.mouse.click(*middle(page, 0, 5))
    expect(summary(page)).to_contain_text("Nothing selected")


def test_the_keyboard_moves_selects_and_opens(page: Page) -> None:
    look_at(page, "load", "?focus=2024-02-03;books")
    zoom_in(page, 12)
    grid = page.get_by_role("grid", name="Partitions of load")
    grid.focus()
    grid.press("ArrowDown")
    spoken = page.locator("[data-spoken] [role=gridcell]")
    active = f"document.getElementById({PICTURE}.scroller.getAttribute('aria-activedescendant')).textContent"
    expect(page.locator("[data-focus]")).to_contain_text("2024-02-03 (Saturday) · toys")
    expect(page.locator("[data-focus]").get_by_role("link")).to_have_text(re.compile(r"Execution #\d+"))
    assert "2024-02-03 (Saturday) · toys: error" in page.evaluate(active)
    expect(spoken).to_have_count(2)
    grid.press("Shift+ArrowRight")
    grid.press("Shift+ArrowDown")
    expect(summary(page)).to_contain_text("4 selected")
    grid.press("Home")
    grid.press("Space")
    expect(summary(page)).to_contain_text("5 selected")
    grid.press("Control+a")
    expect(summary(page)).to_contain_text("364 selected")
    grid.press("Escape")
    expect(summary(page)).to_contain_text("Nothing selected")
    grid.press("ArrowUp")
    grid.press("Shift+Space")
    expect(summary(page)).to_contain_text("91 selected")
    grid.press("Control+Space")
    expect(summary(page)).to_contain_text("94 selected")
    grid.press("ArrowUp")
    link = page.locator("[data-focus] a")
    expect(link).to_be_visible()
    address = link.get_attribute("href")
    grid.press("Enter")
    page.wait_for_url(f"**{address}")


def test_the_pointer_is_told_what_it_is_on(page: Page) -> None:
    look_at(page, "load")
    page.mouse.move(*middle(page, 0, 0))
    tip = page.get_by_role("tooltip")
    expect(tip).to_contain_text("books")
    expect(tip).to_contain_text("success")
    zoom_in(page, 12)
    page.mouse.move(*middle(page, 1, 40))
    expect(tip).to_contain_text("2024-02-10 (Saturday) · toys")
    expect(tip).to_contain_text("took")
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_what_is_missing_of_a_selection_is_run_and_watched(page: Page, hold: Hold) -> None:
    hold.close()
    look_at(page, "held")
    zoom_in(page, 12)
    drag(page, (0, 0), (1, 2))
    button = page.locator("[data-run]")
    expect(button).to_have_text("Run 6 partitions")
    expect(page.locator("[data-estimate]")).to_contain_text("6 executions, 2 at a time.")
    page.get_by_label("At once").fill("x")
    expect(button).to_be_disabled()
    page.get_by_label("At once").fill("1")
    expect(page.locator("[data-estimate]")).to_contain_text("6 executions, 1 at a time.")
    button.click()
    expect(page.locator("[data-told]")).to_contain_text(re.compile(r"Started as execution #\d+\."))
    expect(button).to_be_disabled()
    running = page.locator('[data-state="running"] b')
    expect(running).to_have_text("1")
    runs = page.locator("#runs li")
    expect(runs).to_contain_text("running")

    hold.release(2)

    expect(page.locator('[data-state="success"] b')).to_have_text("1")
    expect(page.locator('[data-state="error"] b')).to_have_text("1")
    expect(runs.locator(".progress")).to_contain_text("2 / 6")
    assert page.evaluate(f"{PICTURE}.cells.states.slice(0, 2).map((row) => [...row.slice(0, 3)])") == [
        [3, 5, 1],
        [7, 1, 1],
    ]
    runs.get_by_role("button", name="Pause").click()
    expect(runs).to_contain_text("paused")
    hold.release(1)
    expect(running).to_have_text("0")
    expect(page.locator('[data-state="missing"] b')).to_have_text("361")
    runs.get_by_role("button", name="Resume").click()
    expect(running).to_have_text("1")
    hold.release(3)
    expect(runs).to_contain_text("6 of 6")
    expect(summary(page)).to_contain_text("3 error")
    page.get_by_label("Failed", exact=False).first.check()
    expect(button).to_have_text("Run 3 partitions")
    expect(button).to_be_enabled()


def test_a_run_is_cancelled_from_the_page(page: Page, hold: Hold) -> None:
    look_at(page, "held_too", "?select=2024-03-01..2024-03-03;music")
    page.locator("[data-run]").click()
    expect(page.locator('[data-state="running"] b')).to_have_text("2")
    run = page.locator("#runs li").first
    run.get_by_role("button", name="Cancel").click()
    with page.expect_response("**/cancel"):  # what is let through before the server knows of it succeeds
        page.get_by_role("dialog").get_by_role("button", name="Cancel the execution").click()
    hold.release(2)  # what runs in a thread can't be ended from outside
    expect(run).to_contain_text("cancelled")
    expect(page.locator('[data-state="cancelled"] b')).to_have_text("2")
    expect(page.locator('[data-state="missing"] b')).to_have_text("362")
    assert "/partitions" in page.url


def test_what_ends_while_the_page_loads_is_shown(page: Page, server: Any) -> None:
    read: list[bool] = []

    def answer_late(route: Route) -> None:
        answer = route.fetch()
        if not read:  # the first look is over, and has not reached the page, which hears of the change before
            page.locator("html[data-live=live]").wait_for(state="attached")
            job = server.engine.job("shop", "report")
            server.engine.submit_partitions(job, PartitionSelection(time_partitions=["2024-12-31"])).future.result(60)
            page.locator("#runs li", has_text="1 of 1").wait_for()
        read.append(True)
        route.fulfill(response=answer)

    page.route("**/partitions?form=compact", answer_late)
    look_at(page, "report")
    expect(page.locator('[data-state="success"] b')).to_have_text("1")


def test_a_change_that_could_not_be_fetched_at_once_is_shown_later(page: Page, server: Any) -> None:
    job = server.engine.job("shop", "report")
    look_at(page, "report")
    page.locator("html[data-live=live]").wait_for(state="attached")
    refused: list[int] = []

    def refuse_twice(route: Route) -> None:
        refused.append(1)
        if len(refused) == 1:
            route.fulfill(status=503, content_type="application/problem+json", body='{"detail": "The store is busy."}')
        elif len(refused) == 2:
            route.abort()
        else:
            route.continue_()

    page.route("**/partitions?form=compact*", refuse_twice)
    server.engine.submit_partitions(job, PartitionSelection(time_partitions=["2024-12-30"])).future.result(60)
    matrix = page.request.get("/api/jobs/shop/report/partitions?form=plain").json()
    # no other change comes after the end of this run
    expect(page.locator('[data-state="success"] b')).to_have_text(str(matrix["counts"]["success"]))
    assert len(refused) > 2


def test_states_are_selected_by_their_legend_and_by_buttons(page: Page) -> None:
    look_at(page, "load")
    page.get_by_role("button", name="Failed", exact=True).click()
    # how many there are depends on which tests ran before: they share the server
    expect(summary(page)).to_contain_text(re.compile(r"\d+ selected.*\d+ error"))
    expect(page.locator("[data-run]")).to_have_text(re.compile(r"Run \d+ partitions"))
    failed = summary(page).inner_text()
    expect(page).to_have_url(re.compile("select=failed"))
    page.reload()
    expect(summary(page)).to_have_text(re.compile(re.escape(failed.split()[0]) + " selected"))
    page.locator('[data-state="success"]').click()
    expect(summary(page)).to_contain_text(re.compile(r"\d+ selected\s*\d+ success"))
    page.get_by_role("button", name="Clear").click()
    expect(summary(page)).to_contain_text("Nothing selected")
    expect(page.locator("[data-run]")).to_be_disabled()


def test_the_range_is_changed_without_leaving_and_a_wrong_one_is_told(page: Page) -> None:
    look_at(page, "load")
    page.locator("#from").fill("2024-02-01")
    page.locator("#to").fill("2024-02-10")
    page.locator("#to").press("Enter")
    expect(page.locator("[data-total]")).to_have_text("40 partitions")
    expect(page).to_have_url(re.compile("from=2024-02-01&to=2024-02-10"))
    page.locator("#from").fill("2024-02")
    page.locator("#from").press("Enter")
    expect(page.locator("[data-mistake]")).to_contain_text("'2024-02'")
    expect(page.locator("[data-total]")).to_have_text("40 partitions")


def test_an_answer_that_comes_late_does_not_take_the_place_of_a_newer_one(page: Page) -> None:
    look_at(page, "load")
    late: list[Route] = []
    page.route(re.compile(r"partitions\?form=compact&from=2024-02-01$"), lambda route: late.append(route))
    page.locator("#from").fill("2024-02-01")
    page.locator("#to").fill("2024-02-10")
    page.locator("#to").press("Enter")
    expect(page.locator("[data-total]")).to_have_text("40 partitions")
    with page.expect_response(lambda response: response.request == late[0].request):
        late[0].continue_()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(page.locator("[data-total]")).to_have_text("40 partitions")
    expect(page).to_have_url(re.compile("from=2024-02-01&to=2024-02-10"))
    expect(page.locator("partition-matrix")).not_to_have_attribute("aria-busy", "true")


def test_colours_tell_of_durations_and_ages_as_well(page: Page) -> None:
    look_at(page, "load")
    drawn = "(() => { const c = document.querySelector('partition-matrix canvas'); return c.toDataURL(); })()"
    before = page.evaluate(drawn)
    page.get_by_label("Duration").check()
    expect(page.locator("[data-lowest]")).to_contain_text("quickest")
    expect(page).to_have_url(re.compile("colour=duration"))
    assert page.evaluate(drawn) != before
    page.get_by_label("Age").check()
    expect(page.locator("[data-lowest]")).to_contain_text("newest, under")
    page.get_by_label("Status").check()
    expect(page.locator('[data-state="error"]')).to_be_visible()


def test_the_theme_recolours_the_picture(page: Page) -> None:
    look_at(page, "load")
    corner = (
        "(() => { const c = document.querySelector('partition-matrix canvas');"
        " return [...c.getContext('2d').getImageData(2, 2, 1, 1).data]; })()"
    )
    page.emulate_media(color_scheme="light")
    light = page.evaluate(corner)
    page.emulate_media(color_scheme="dark")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate(corner) != light


def test_days_alone_stand_in_a_calendar(page: Page) -> None:
    look_at(page, "report")
    assert page.evaluate(f"{PICTURE}.layout.kind") == "calendar"
    box = page.locator("partition-matrix canvas").bounding_box()
    assert box is not None
    _, y = middle(page, 0, 5)
    page.mouse.click(box["x"] + 20, y)
    expect(summary(page)).to_contain_text("53 selected")  # the Mondays of 2024
    x, _ = middle(page, 0, 5)
    page.mouse.move(x, y)
    expect(page.get_by_role("tooltip")).to_contain_text("2024-02-05 (Monday)")


def test_categories_alone_are_tiles_with_their_names(page: Page) -> None:
    look_at(page, "bill")
    page.mouse.click(*middle(page, 0, 1))
    expect(page.locator("[data-focus]")).to_contain_text("customer 1")
    expect(page).to_have_url(re.compile("select=;customer"))
    page.set_viewport_size({"width": 500, "height": 800})
    expect(summary(page)).to_contain_text("1 selected")
    until(page, f"{PICTURE}.layout.columns < 5")
    page.locator("[data-run]").click()
    expect(page.locator('[data-state="success"] b')).to_have_text("1")


def test_two_hundred_thousand_partitions_are_drawn_scrolled_and_selected(page: Page) -> None:
    look_at(page, "measure")
    expect(page.locator("[data-total]")).to_have_text("200,000 partitions")
    assert page.evaluate(f"{PICTURE}.view.isGathered")
    with page.expect_request("**/plan") as planned:
        page.get_by_role("button", name="Missing", exact=True).click()
    assert planned.value.post_data_json["end"] == "2024-05-18"  # in a word, and not in thousands of areas
    assert "areas" not in planned.value.post_data_json
    expect(summary(page)).to_contain_text("200,000 selected")
    expect(page.locator("[data-run]")).to_have_text("Run 200,000 partitions")
    page.get_by_role("button", name="Clear").click()
    zoom_in(page, 12)
    frames = page.evaluate(f"{PICTURE}.frames")
    page.evaluate(f"{PICTURE}.scroller.scrollBy({{ left: 40_000, behavior: 'instant' }})")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate(f"{PICTURE}.frames") > frames
    assert page.evaluate(f"{PICTURE}.view.columns.seen[0]") > 3000
    drag(page, (3, 3400), (5, 3402))
    expect(summary(page)).to_contain_text("9 selected")


@pytest.mark.parametrize("job", ["load", "report", "bill", "measure"])
def test_nothing_is_wider_than_a_narrow_screen(new_context: Any, job: str) -> None:
    page = new_context(viewport={"width": 400, "height": 800}, has_touch=True, is_mobile=True).new_page()
    look_at(page, job)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    x, y = middle(page, 0, 0)
    page.touchscreen.tap(x, y)
    expect(summary(page)).to_contain_text("selected")
    expect(summary(page)).not_to_contain_text("Nothing")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_without_scripts_there_are_a_table_and_a_form(new_context: Any) -> None:
    page = new_context(java_script_enabled=False).new_page()
    page.goto("/jobs/shop/load/partitions")
    table = page.get_by_role("table", name="The newest partitions")
    expect(table.get_by_role("row").nth(1)).to_contain_text("2024-03-31")
    expect(table).to_contain_text("success")
    expect(page.locator("canvas")).to_be_hidden()
    page.locator("#start").fill("2024-03-30")
    page.get_by_label("Categories").select_option("garden & home")
    page.get_by_role("button", name="How many, how long?").click()
    expect(page.locator("[data-estimate]")).to_contain_text("2 partitions in 2 executions, 2 at a time: about")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("load #")
